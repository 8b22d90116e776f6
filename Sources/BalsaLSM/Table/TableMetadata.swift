import BalsaPlatform

/// What the engine knows of a table without opening it: the manifest keeps it, and an opened file is held against it.
struct TableMetadata: Equatable, Sendable {
    /// The number in the file's name, ``fileName``.
    var number: UInt64
    /// The identity of the file's contents. It goes into the checksum of every block, so that a block of another table,
    /// or of an earlier life of the number, never passes.
    var id: UInt64
    /// The size of the file, in bytes.
    var byteCount: UInt64
    /// The lowest user key of an entry or start of a range tombstone.
    var smallest: Bytes
    /// The highest user key of an entry or end of a range tombstone.
    var largest: Bytes
    /// Whether ``largest`` is the end of a tombstone and no entry's key: nothing in the table concerns the key itself.
    var largestIsExclusive: Bool
    /// The lowest sequence number of an entry or tombstone.
    var smallestSequence: SequenceNumber
    /// The highest sequence number of an entry or tombstone.
    var largestSequence: SequenceNumber
    /// How many entries there are, deletions included and tombstones not.
    var entryCount: UInt64
    /// How many of the entries are deletions.
    var deletionCount: UInt64
    /// How many range tombstones there are: one for every range and sequence number, as they are stored.
    var rangeDeletionCount: UInt64
    /// How many different keys the entries have.
    var keyCount: UInt64
    /// The highest sequence number of an entry, tombstones left out; 0 without entries.
    var largestEntrySequence: SequenceNumber
    /// How many bytes of entries can be dropped, as far as the table itself shows, from ``deadSequence`` on.
    var deadBytes: UInt64
    /// From which retention mark on everything dead in the table, and every tombstone over nothing, can be dropped; 0
    /// if there is nothing dead.
    var deadSequence: SequenceNumber

    /// Whether some key has several entries.
    var hasVersions: Bool { keyCount < entryCount }

    /// The name of the file of the table with `number`.
    static func fileName(_ number: UInt64) -> String { "table-\(number)" }

    /// The name of the table's file.
    var fileName: String { TableMetadata.fileName(number) }
}
