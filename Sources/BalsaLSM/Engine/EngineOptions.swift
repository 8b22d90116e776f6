/// The limits of an engine. Every one of them is a field, so that a simulation can make it tiny.
public struct EngineOptions: Sendable {
    /// How much is written into memory before it is sealed and flushed, in bytes of keys, values and overhead; 64 MiB.
    /// At most 1 TiB. A compaction leaves space for the flush of such a memtable, up to 64 MiB or as much as one holds.
    public var memtableBytes = 64 << 20
    /// How many sealed memtables may wait for their flush; 2. With more the engine asks its writer to pause.
    public var maxSealedMemtables = 2
    /// With how many range deletions a memtable is full; 1,000. Their memory grows with their number, nested or not,
    /// and each is copied O(log n) times while the memtable takes n of them.
    public var maxRangeDeletionsPerMemtable = 1_000
    /// How many range deletions a batch may hold; 1,000. A batch is never split, so a memtable holds at most this many
    /// more than ``maxRangeDeletionsPerMemtable``.
    public var maxRangeDeletionsPerBatch = 1_000

    /// The target size of a block, in bytes; 4 KiB. 128 bytes to 32 KiB. A block ends with the entry that reaches it.
    public var blockBytes = 4096
    /// The target size of a table, in bytes; 8 MiB. A table ends with the key that reaches it.
    public var tableBytes = 8 << 20
    /// How many filter bits a key has in tables above the last level; 16. 0 for no filter.
    public var filterBitsPerKey = 16
    /// How many filter bits a key has in tables of the last level; 10. 0 for no filter.
    public var filterBitsPerKeyInLastLevel = 10
    /// How much of the tables' blocks is kept in memory, in bytes; 64 MiB.
    public var cacheBytes = 64 << 20
    /// How many files of tables are kept open; 512. At least 1. Readers hold a few more for moments.
    public var maxOpenTables = 512
    /// How much memory the indexes and filters of tables take, in bytes; 256 MiB. Those of one table may take more.
    /// With small values they take a fortieth of the tables; with less memory, some reads have to read them again.
    public var tableMemoryBytes = 256 << 20

    /// With how many tables the first level is compacted; 4.
    public var levelZeroTables = 4
    /// With how many tables in the first level, or in the tables waiting for it, the engine asks its writer to pause; 16.
    public var levelZeroTablesToPause = 16
    /// With how many tables in the first level the writer is slowed down if there are more.
    ///
    /// Half of the way from where compaction begins to where writing ends is slack that bursts may use.
    var levelZeroTablesToSlow: Int { levelZeroTables + (levelZeroTablesToPause - levelZeroTables) / 2 }
    /// The target size of the level below the first, in bytes; 64 MiB.
    public var levelBaseBytes: UInt64 = 64 << 20
    /// How many times larger than the level above it a level may become; 10. At least 2.
    public var levelRatio: UInt64 = 10
    /// How many levels there are, the first included; 7. 2 to 16.
    public var levels = 7

    /// After how many bytes of edits the manifest is written anew; 4 MiB.
    public var manifestBytes = 4 << 20

    /// The longest key, in bytes, namespace included; 4 KiB and 64.
    public var maxKeyBytes = (4 << 10) + 64
    /// The longest value, in bytes; 1 MiB.
    public var maxValueBytes = 1 << 20
    /// The longest batch, in bytes of keys, values and overhead; 4 MiB.
    public var maxBatchBytes = 4 << 20

    /// Whether batches go to a write-ahead log of the engine's own. Not under Raft, whose log is enough.
    public var hasWriteAheadLog = false
    /// How much is written to a file of the write-ahead log before the memtable is frozen, in bytes; 64 MiB. The
    /// padding of synced batches does not count; with it, a file has eight times as many bytes at most.
    public var writeAheadLogBytes: UInt64 = 64 << 20

    /// Errors built in on purpose, by which the simulation proves that its judges see what they should.
    package var plantedBugs: EnginePlantedBugs = []

    /// The defaults.
    public init() {}
}

/// Errors that the simulation can build into an engine.
package struct EnginePlantedBugs: OptionSet, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// A compaction drops a deletion although an older value of the key lies in a deeper level.
    package static let tombstonesDroppedEarly = EnginePlantedBugs(rawValue: 1 << 0)
    /// A compaction drops by the newest mark, and not by that of the last durable seal.
    package static let compactionBeyondDurableMark = EnginePlantedBugs(rawValue: 1 << 1)
    /// The manifest names a table that has not been synced.
    package static let manifestBeforeTableSync = EnginePlantedBugs(rawValue: 1 << 2)
    /// The directory is not synced before a new table is named.
    package static let directorySyncLeftOut = EnginePlantedBugs(rawValue: 1 << 3)
}
