import BalsaWire

/// That a connection was refused: by whom, and why.
public struct HandshakeRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// Who refused.
    public enum Side: Equatable, Sendable {
        /// This member.
        case here
        /// The peer: the fault is this member's, and its operator has to hear of it.
        case peer
    }

    /// Why.
    public enum Reason: Equatable, Sendable, CustomStringConvertible {
        /// The members have no version of the protocol in common.
        case protocolRange
        /// A member reached itself, or something that only sends back what it is sent.
        case ownAddress
        /// One of the two is not who the other can listen to.
        case identity(IdentityRefusal)

        /// From here on the numbers are the transport's own; those below are reasons of an ``IdentityRefusal``.
        private static let ownCodes: UInt16 = 256

        /// The reason as a handshake has it; not 0.
        var code: UInt16 {
            switch self {
            case .protocolRange: Reason.ownCodes
            case .ownAddress: Reason.ownCodes + 1
            case .identity(let refusal): refusal.reason.rawValue
            }
        }

        /// The reason that a peer gave for refusing what this member said.
        ///
        /// - Parameters:
        ///   - answer: the peer's refusal.
        ///   - hello: what was said.
        init(of answer: Handshake, to hello: Handshake) {
            switch answer.refusalCode {
            case Reason.ownCodes: self = .protocolRange
            case Reason.ownCodes + 1: self = .ownAddress
            default:
                let refuser = answer.introduction
                self = .identity(
                    IdentityRefusal(
                        IdentityRefusal.Reason(rawValue: answer.refusalCode),
                        of: hello.introduction,
                        by: refuser.from,
                        in: refuser.cluster,
                        remembering: refuser.remembered
                    )
                )
            }
        }

        /// The reason in a sentence that says what to do.
        public var description: String {
            switch self {
            case .protocolRange:
                "the two speak no common version of the protocol: upgrade the older one"
            case .ownAddress:
                "the address is the member's own, or one that only repeats what is sent to it: correct it"
            case .identity(let refusal): refusal.description
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

    /// What the peer has against who this member is; nil for every other refusal.
    public var ofThisMember: IdentityRefusal? {
        guard side == .peer, case .identity(let refusal) = reason else { return nil }
        return refusal
    }

    /// Whether the refusal only asks for an opening that the next introduction shows, as ``IdentityRefusal/isPassing``
    /// says.
    public var isPassing: Bool {
        guard case .identity(let refusal) = reason else { return false }
        return refusal.isPassing
    }

    /// Who refused whom, and why, in one line.
    public var description: String {
        switch side {
        case .here: "this member refused the peer: \(reason)"
        case .peer: "the peer refused this member: \(reason)"
        }
    }
}
