/// On which of the two connections to a peer a frame travels.
public enum SendPath: Equatable, Sendable {
    /// That of everything which others wait for.
    case control
    /// That of checkpoints, which may be long and must delay nothing.
    case bulk
}
