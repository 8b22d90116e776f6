/// Whether a read may wait for the disk.
public enum Waiting: Sendable {
    /// It may. Not for threads that others wait for, such as those of Swift's cooperative pool.
    case allowed
    /// It may not: what memory and the page cache cannot answer throws ``EngineError/Code/wouldWait``.
    case forbidden
}
