/// What follows from an introduction.
public enum PeerVerdict: Equatable, Sendable {
    /// Listen. A new opening is remembered durably before.
    case accept(isNew: Bool)
    /// One of the two belongs to no cluster yet: listen to messages of the first boot, and to nothing else.
    case firstBootOnly
    /// Do not listen, and say why.
    case refuse(IdentityRefusal)
}
