import BalsaPlatform
import CBalsaPlatform

/// An entry that a memtable found. Its value stays where it is for as long as the memtable lives.
struct MemtableHit {
    let trailer: Trailer
    let value: UnsafeRawBufferPointer
}

/// The writes that are not in a table yet, in order, in memory.
///
/// One writer at a time; any number of readers at the same time, who never wait. A reader at a sequence number finds
/// all entries up to that number if they were complete when it learned the number, by an acquiring load or a lock.
final class Memtable: @unchecked Sendable {
    /// The cells below, each of them a word. Those that the writer changes all the time lie in another cache line than
    /// what readers come for.
    private enum Cell {
        static let tombstones = 0
        static let entryCount = 64
        static let byteCount = 72
        static let lineBytes = 64
        static let count = 128
    }

    let tree: AdaptiveRadixTree

    private let cells: UnsafeMutableRawPointer
    private let arena: Arena
    /// What old sets of range deletions wait for.
    let epochs: Epochs

    // The writer's own.
    /// The set that readers find; nil before the first range deletion.
    private var tombstoneSet: TombstoneSet?
    private(set) var rangeDeletionCount = 0
    /// The lowest sequence number of an entry or a range deletion; 0 where there are none.
    private(set) var smallestSequence: SequenceNumber = 0
    /// The highest sequence number of an entry or a range deletion; 0 where there are none.
    private(set) var largestSequence: SequenceNumber = 0
    /// The highest sequence number of an entry; 0 without entries. Readers ask once nothing more is written.
    private(set) var largestEntrySequence: SequenceNumber = 0

    /// An empty memtable, whose readers pin `epochs`.
    init(epochs: Epochs = Epochs()) {
        self.epochs = epochs
        arena = Arena()
        tree = AdaptiveRadixTree(in: arena)
        cells = .allocate(byteCount: Cell.count, alignment: Cell.lineBytes)
        cells.initializeMemory(as: UInt8.self, repeating: 0, count: Cell.count)
    }

    deinit {
        cells.deallocate()
        arena.free()
    }

    /// How much memory keys, values and all that is kept with them take, in bytes. Any thread may ask.
    var byteCount: Int { Int(balsa_load_relaxed_64(cells + Cell.byteCount)) }

    /// How many entries there are, without range deletions. Any thread may ask.
    var entryCount: Int { Int(balsa_load_relaxed_64(cells + Cell.entryCount)) }

    /// Whether nothing was written. For the writer.
    var isEmpty: Bool { entryCount == 0 && rangeDeletionCount == 0 }

    // MARK: Writing

    /// Adds a put or a deletion. The sequence number must be higher than that of any entry of the key.
    func insert(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ trailer: Trailer) {
        precondition(
            trailer.kind == .put || trailer.kind == .deletion,
            "a range deletion was inserted among the entries"
        )
        precondition(
            key.count <= Int32.max && value.count <= Int32.max,
            "a key or a value is longer than the lengths of a memtable can say"
        )
        tree.insert(key, value, trailer)
        balsa_store_release_64(cells + Cell.entryCount, UInt64(entryCount + 1))
        largestEntrySequence = max(largestEntrySequence, trailer.sequence)
        note(trailer.sequence)
    }

    /// Adds a range deletion.
    ///
    /// Complexity: O(log n) copies of it, amortized over the n deletions of the memtable.
    func deleteRange(_ deletion: RangeDeletion) { deleteRanges([deletion]) }

    /// Adds the range deletions of a batch, at the cost of one.
    func deleteRanges(_ deletions: [RangeDeletion]) {
        let old = tombstoneSet
        let new = (old ?? .empty).adding(TombstoneList(deletions))
        tombstoneSet = new
        rangeDeletionCount += deletions.count
        balsa_store_release_64(
            cells + Cell.tombstones,
            UInt64(UInt(bitPattern: Unmanaged.passUnretained(new).toOpaque()))
        )
        if let old {
            epochs.retire(old)
            // A collection looks at the slots of all readers, so not every deletion pays for one.
            if rangeDeletionCount % Memtable.deletionsBetweenCollections < deletions.count { epochs.collect() }
        }
        for deletion in deletions { note(deletion.sequence) }
    }

    private static let deletionsBetweenCollections = 16

    private func note(_ sequence: SequenceNumber) {
        if smallestSequence == 0 || sequence < smallestSequence { smallestSequence = sequence }
        if sequence > largestSequence { largestSequence = sequence }
        balsa_store_release_64(cells + Cell.byteCount, UInt64(arena.byteCount + (tombstoneSet?.byteCount ?? 0)))
    }

    // MARK: Reading

    /// The newest entry of `key` whose sequence number is at most `sequence`; nil if there is none. Range deletions are
    /// not looked at.
    ///
    /// What it points to stays valid while the memtable lives: the caller holds it, or has an epoch pinned.
    func find(_ key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> MemtableHit? {
        guard let version = tree.leaf(key)?.version(atMost: .seek(sequence)) else { return nil }
        return MemtableHit(trailer: version.trailer, value: version.value)
    }

    /// The range deletions there are, in one list. Merges all lists, for the one time that the memtable is flushed.
    var tombstones: TombstoneList { TombstoneList.merging(tombstoneLists) }

    /// The range deletions there are, in O(log n) lists.
    var tombstoneLists: [TombstoneList] {
        // Most memtables have none, and their readers need no pin.
        guard balsa_load_acquire_64(cells + Cell.tombstones) != 0 else { return [] }
        return epochs.withPin { withTombstones { $0.lists } ?? [] }
    }

    /// The highest sequence number, up to `sequence`, of a range deletion that covers `key`; 0 for none. Counts no
    /// reference, as taking ``tombstoneLists`` does. The caller has pinned the epochs.
    @inline(__always)
    func covering(_ key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> SequenceNumber {
        withTombstones { $0.covering(key, at: sequence) } ?? 0
    }

    /// Calls `body` with the current set; returns nil where there never was a range deletion. The caller has pinned the
    /// epochs.
    @inline(__always)
    private func withTombstones<Result>(_ body: (TombstoneSet) -> Result) -> Result? {
        let address = balsa_load_acquire_64(cells + Cell.tombstones)
        // A set that has been replaced is retired, and lives as long as the pin.
        return UnsafeRawPointer(bitPattern: UInt(address)).map { pointer in
            Unmanaged<TombstoneSet>.fromOpaque(pointer)._withUnsafeGuaranteedRef(body)
        }
    }

    /// A cursor that is at no entry yet: over all entries, or over what a reader at `sequence` sees.
    func makeCursor(visibleAt sequence: SequenceNumber? = nil) -> MemtableCursor {
        MemtableCursor(self, visibleAt: sequence)
    }
}
