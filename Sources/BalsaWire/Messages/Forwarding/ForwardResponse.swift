import BalsaPlatform
import BalsaRaft

/// A command that was forwarded was not put into the log.
///
/// The sender of this frame will not put it there later either. Where a network delivers a frame twice, though, one copy
/// of a command may be refused and the other taken: a refusal alone does not prove that the command has no effect.
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
        /// Too much is waiting already. Later it may be taken.
        case busy = 2
        /// The command is longer than any that is taken.
        case tooLarge = 3
        /// The member asked is being closed.
        case closed = 4
        /// The member asked has failed and takes nothing any more.
        case failed = 5
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
