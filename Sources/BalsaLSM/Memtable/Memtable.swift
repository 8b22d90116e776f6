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

    // The writer's own.
    /// Every list that a reader may have come upon, the current one last.
    private var tombstoneLists: [TombstoneList] = []
    private var tombstoneBytes = 0
    private(set) var rangeDeletionCount = 0
    /// The lowest sequence number of an entry or a range deletion; 0 where there are none.
    private(set) var smallestSequence: SequenceNumber = 0
    /// The highest sequence number of an entry or a range deletion; 0 where there are none.
    private(set) var largestSequence: SequenceNumber = 0

    /// An empty memtable.
    init() {
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
        note(trailer.sequence)
    }

    /// Adds a range deletion. Takes time in proportion to those there are.
    func deleteRange(_ deletion: RangeDeletion) {
        let list = tombstones.adding(deletion)
        tombstoneLists.append(list)
        // Old lists stay, since a reader may be in one; they count, so that many deletions seal the memtable early.
        tombstoneBytes += list.byteCount
        rangeDeletionCount += 1
        balsa_store_release_64(
            cells + Cell.tombstones,
            UInt64(UInt(bitPattern: Unmanaged.passUnretained(list).toOpaque()))
        )
        note(deletion.sequence)
    }

    private func note(_ sequence: SequenceNumber) {
        if smallestSequence == 0 || sequence < smallestSequence { smallestSequence = sequence }
        if sequence > largestSequence { largestSequence = sequence }
        balsa_store_release_64(cells + Cell.byteCount, UInt64(arena.byteCount + tombstoneBytes))
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

    /// The range deletions there are.
    var tombstones: TombstoneList {
        withTombstones { $0 } ?? .empty
    }

    /// The highest sequence number, up to `sequence`, of a range deletion that covers `key`; 0 for none. Counts no
    /// reference, as taking ``tombstones`` does.
    @inline(__always)
    func covering(_ key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> SequenceNumber {
        withTombstones { $0.covering(key, at: sequence) } ?? 0
    }

    /// Calls `body` with the current list; returns nil where there never was a range deletion.
    @inline(__always)
    private func withTombstones<Result>(_ body: (TombstoneList) -> Result) -> Result? {
        let address = balsa_load_acquire_64(cells + Cell.tombstones)
        // The list lives as long as the memtable, which is alive while this runs.
        return UnsafeRawPointer(bitPattern: UInt(address)).map { pointer in
            Unmanaged<TombstoneList>.fromOpaque(pointer)._withUnsafeGuaranteedRef(body)
        }
    }

    /// A cursor that is at no entry yet.
    func makeCursor() -> MemtableCursor { MemtableCursor(self) }
}
