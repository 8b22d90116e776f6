/// Figures about an engine, as of one moment.
public struct EngineMetrics: Equatable, Sendable {
    /// The tables of a level.
    public struct Level: Equatable, Sendable {
        /// How many there are.
        public var tableCount = 0
        /// How long they are together, in bytes.
        public var byteCount: UInt64 = 0
        /// How many entries they hold.
        public var entryCount: UInt64 = 0
    }

    /// The levels, the first one first.
    public var levels: [Level] = []
    /// What the active memtable holds, in bytes of keys, values and overhead.
    public var memtableBytes = 0
    /// How many seals wait for their flush.
    public var sealsWaiting = 0
    /// How many snapshots are held.
    public var snapshotCount = 0
    /// The sequence of the oldest snapshot, which holds back the dropping of old versions; nil without one.
    public var oldestSnapshot: SequenceNumber?
    /// How much of the tables' blocks is in memory, in bytes.
    public var cacheBytes = 0
    /// How many block reads found the block in memory.
    public var cacheHits: UInt64 = 0
    /// How many did not.
    public var cacheMisses: UInt64 = 0
    /// How many files of tables are open.
    public var openTables = 0
    /// How many files of tables have been opened since the engine was opened.
    public var tableOpenings: UInt64 = 0
    /// How much memory the indexes and filters of tables take, in bytes.
    public var tableMemoryBytes = 0
    /// How often an index and a filter have been read since the engine was opened.
    public var tableReads: UInt64 = 0
    /// How many entries cursors have passed without showing them, since the engine was opened: deleted keys, and
    /// versions that are not read.
    public var hiddenEntries: UInt64 = 0
    /// How many memtables have been flushed since the engine was opened.
    public var flushes: UInt64 = 0
    /// How many bytes of tables these flushes wrote.
    public var flushedBytes: UInt64 = 0
    /// How many compactions have ended since the engine was opened, moves included.
    public var compactions: UInt64 = 0
    /// How many of them only moved tables.
    public var moves: UInt64 = 0
    /// How many bytes of tables the compactions read.
    public var compactedBytesIn: UInt64 = 0
    /// How many bytes of tables they wrote.
    public var compactedBytesOut: UInt64 = 0
    /// How many entries they dropped.
    public var entriesDropped: UInt64 = 0
    /// How many manifests have been written anew since the engine was opened.
    public var manifests: UInt64 = 0
    /// How long the current manifest is, in bytes.
    public var manifestBytes: UInt64 = 0
    /// How many files wait to be removed.
    public var filesToRemove = 0
    /// How many tables have parts that cannot be read.
    public var quarantines = 0
    /// What of them cannot be read: file, level and range of keys of each.
    public var quarantined: [QuarantinedRange] = []
    /// How many steps of background work failed.
    public var failures: UInt64 = 0

    /// No figures.
    public init() {}
}
