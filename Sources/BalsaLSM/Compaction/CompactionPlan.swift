import BalsaPlatform

/// A compaction that is to be done: which tables are merged, and where the result goes.
struct CompactionPlan {
    /// The level that the compaction makes smaller.
    let level: Int
    /// The tables of that level.
    let inputs: [TableHandle]
    /// The level that the result goes to: one below, or the same one, where tables of the first level are merged with
    /// each other or a table is rewritten without what is dead in it.
    let outputLevel: Int
    /// The tables of that level that have a key in common with the inputs.
    let overlapping: [TableHandle]
    /// The tables of the level below the result, within the same keys: an output does not span too many of them.
    let below: [TableHandle]
    /// What a table may weigh on the level below before it ends, in bytes.
    let maxOverlapBytes: UInt64
    /// Whether the tables are only given another level.
    let isMove: Bool
    /// Whether the inputs go without being read, and nothing takes their place.
    var isDrop = false

    /// All tables that are read.
    var allInputs: [TableHandle] { inputs + overlapping }
    // No sum overflows: a manifest whose tables have too many bytes together, or a table that counts more entries than it
    // has bytes, is damaged.

    /// How long they are, in bytes.
    var inputByteCount: UInt64 { allInputs.reduce(0) { $0 + $1.metadata.byteCount } }
    /// How much space the compaction takes before it gives any back, in bytes: counted as if nothing were dropped,
    /// since the inputs stay until the outputs are durable. 0 where no table is written.
    var spaceNeeded: UInt64 { isMove || isDrop ? 0 : inputByteCount }
    /// How many entries they hold.
    var inputEntryCount: UInt64 { allInputs.reduce(0) { $0 + $1.metadata.entryCount } }
}
