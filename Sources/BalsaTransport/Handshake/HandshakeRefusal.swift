/// That a connection was refused: by whom, and why.
public struct HandshakeRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// Who refused.
    public enum Side: Equatable, Sendable {
        /// This member.
        case here
        /// The peer: the fault is this member's, and its operator has to hear of it.
        case peer
    }

    /// Why. Newer releases may have reasons that this one cannot name.
    public struct Reason: RawRepresentable, Equatable, Sendable, CustomStringConvertible {
        /// The reason as it is encoded.
        public let rawValue: UInt16

        /// The reason with this code.
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// The members have no version of the protocol in common.
        public static let protocolRange = Reason(rawValue: 1)
        /// The refused member belongs to another cluster.
        public static let unknownCluster = Reason(rawValue: 2)
        /// The refused member meant to reach another member than that which it reached.
        public static let notAddressed = Reason(rawValue: 3)
        /// The refused member is not in the configuration.
        public static let unknownMember = Reason(rawValue: 4)
        /// The refused member has the id of the one that refuses it.
        public static let duplicateID = Reason(rawValue: 5)
        /// A member reached itself.
        public static let ownAddress = Reason(rawValue: 6)
        /// The refused member runs on another disk than that which the configuration names: its own was wiped.
        public static let wrongIncarnation = Reason(rawValue: 7)
        /// The refused member's disk was set back: it has been opened less often than it had been before.
        public static let rolledBack = Reason(rawValue: 8)
        /// Two processes run on copies of one disk, and the refused one is one of them.
        public static let cloned = Reason(rawValue: 9)

        /// The reason in words.
        public var description: String {
            switch self {
            case .protocolRange: "no common version of the protocol"
            case .unknownCluster: "another cluster"
            case .notAddressed: "another member was meant"
            case .unknownMember: "not a member"
            case .duplicateID: "two members with one id"
            case .ownAddress: "the address is the member's own"
            case .wrongIncarnation: "the disk is not the member's: it was wiped"
            case .rolledBack: "the disk was set back"
            case .cloned: "the disk was copied, and both copies are in use"
            default: "reason \(rawValue)"
            }
        }
    }

    /// Who refused.
    public let side: Side
    /// Why.
    public let reason: Reason

    /// A refusal.
    public init(_ side: Side, _ reason: Reason) {
        self.side = side
        self.reason = reason
    }

    /// Who refused whom, and why, in one line.
    public var description: String {
        switch side {
        case .here: "this member refused the peer: \(reason)"
        case .peer: "the peer refused this member: \(reason)"
        }
    }
}
