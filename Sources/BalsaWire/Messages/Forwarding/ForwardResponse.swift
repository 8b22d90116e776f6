import BalsaPlatform
import BalsaRaft

/// A command that was forwarded was not put into the log.
///
/// A leader handles each number of a peer once in its term, however many copies of the frame arrive, and takes only
/// what names its term. A refusal that ``Refusal/isDefinite`` therefore proves that no copy is in the log or will be.
/// The others prove nothing: an earlier copy may have been taken by the leader that the member was.
public struct ForwardResponse: Equatable, Sendable {
    /// The number of the ``ForwardedCommand``.
    public var number: UInt64
    /// Why it was not put into the log.
    public var refusal: Refusal
    /// The leader as far as the frame's sender knows, 0 for none.
    public var leader: MemberID

    /// Why a command was not put into the log. The numbers are those of the encoding; 0 is none of them.
    public enum Refusal: UInt8, Equatable, Sendable {
        /// The member asked does not lead. It may know who does.
        case notLeader = 1
        /// Too much is waiting already. Under another number it may be taken later.
        case busy = 2
        /// The command is longer than any that is taken.
        case tooLarge = 3
        /// The member asked is being closed.
        case closed = 4
        /// The member asked has failed and takes nothing any more.
        case failed = 5
        /// The command is none that may enter a log.
        case invalid = 6
        /// Some member does not know such commands, or was not heard since the leader was opened.
        case upgradeRequired = 7
        /// The command needs a key that the member asked cannot read. Another one will lead, if there is one that can.
        case damaged = 8

        /// Whether it proves that no copy of the frame was taken or will be.
        public var isDefinite: Bool {
            switch self {
            case .busy, .tooLarge, .invalid, .upgradeRequired, .damaged: true
            case .notLeader, .closed, .failed: false
            }
        }
    }

    /// The refusal of a command that was forwarded.
    ///
    /// - Parameters:
    ///   - number: the number of the ``ForwardedCommand``.
    ///   - refusal: why it was not put into the log.
    ///   - leader: the leader as far as is known, 0 for none.
    public init(number: UInt64, refusal: Refusal, leader: MemberID) {
        self.number = number
        self.refusal = refusal
        self.leader = leader
    }
}

extension ForwardResponse {
    init(decoding reader: inout ByteReader) throws(DecodingError) {
        let number = try reader.uint64("forward number")
        let start = reader.offset
        guard let refusal = Refusal(rawValue: try reader.uint8("forward refusal")) else {
            throw DecodingError(.outOfBounds, "forward refusal", at: start)
        }
        self.init(number: number, refusal: refusal, leader: try reader.uint64("forward leader"))
    }

    func encode(into fields: inout FieldWriter) throws(DecodingError) {
        try fields.uint64(number, "forward number")
        try fields.uint8(refusal.rawValue, "forward refusal")
        try fields.uint64(leader, "forward leader")
    }
}
