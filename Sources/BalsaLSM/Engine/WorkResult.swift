/// What a step of background work is about.
public enum WorkKind: String, Equatable, Sendable {
    /// A sealed memtable becomes a table.
    case flush
    /// Tables are merged into a deeper level, or moved there.
    case compaction
    /// The manifest is written anew.
    case manifest
    /// A file that nobody needs is removed.
    case removal
}

/// What a step of background work did.
public enum WorkResult: Equatable, Sendable {
    /// There was nothing to do.
    case idle
    /// Something was done; there may be more.
    case worked(WorkKind)
}
