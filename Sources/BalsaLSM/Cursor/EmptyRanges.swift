import BalsaPlatform
import CBalsaPlatform

/// Ranges of keys that cursors have found to hold nothing but what is deleted, so that later ones jump over them. The
/// front of a queue is such a range: without this every look at it passes all that was ever taken from the queue, until
/// a compaction.
///
/// Why a jump is right, in three sentences. A range with the sequence s says that none of its keys has a value at s,
/// which a cursor has seen, and that nothing has been put into it since, because the writer takes every key that it
/// puts out of the ranges before it publishes the batch. A key has a value at a later sequence r only if it had one at
/// s or was put in between, so none of the range has one at r either. A cursor at r looks for ranges after r was
/// published, when the writer has taken out of them all that was put up to r, and uses those with s <= r.
///
/// How a range gets into the list while the writer writes. A range is *watched* first: the writer cuts off what it
/// puts. The writer inserts into the memtable, stores the number of the batch (1), looks whether anything is listed or
/// watched (2), and takes its keys out under the lock if so. A cursor begins to watch (a), loads the number n of the
/// last batch inserted (b), and reads the range at n. All of 1, 2, a and b are sequentially consistent. If 2 comes
/// before a, then b loads that batch or a later one, and the cursor sees all of it; else the writer sees the watch. So
/// what is left of the watch at the end of the walk has had no value from n on. A cursor whose own sequence is not
/// below n has walked already.
///
/// The list holds ``capacity`` ranges at most, with keys of ``maxKeyBytes`` at most. While it is empty, neither readers
/// nor the writer take the lock.
final class EmptyRanges: @unchecked Sendable {
    /// How cursors use the list. Tests choose smaller numbers.
    struct Limits {
        /// After how many entries in a row that it does not show a cursor looks for a range.
        var entriesBeforeLooking = 4
        /// After how many a cursor adds one.
        var entriesBeforeAdding = 256
    }

    /// What every batch or every cursor looks at, in cache lines of their own.
    private enum Cell {
        /// The number of the last batch that was inserted.
        static let inserted = 0
        /// The memtable that it was inserted into.
        static let memtable = 8
        /// How many ranges are listed or watched.
        static let count = 64
        /// How many entries cursors have passed without showing them.
        static let passed = 128
        static let byteCount = 192
    }

    static let capacity = 64
    static let maxKeyBytes = 1_024

    /// Set before any cursor is made.
    var limits = Limits()
    private let cells: UnsafeMutableRawPointer
    private let lock = Lock()

    // Under the lock.
    private var list: EmptyRangeList
    /// What a cursor walks over that wants to add it. There is one at a time.
    private var watched: EmptyRange?
    private var uses: UInt64 = 0
    /// Counts uses and additions.
    private var clock: UInt64 = 0

    /// Nothing is known.
    ///
    /// - Parameters:
    ///   - sequence: the number of the last batch there is.
    ///   - memtable: what the next one is inserted into.
    init(through sequence: SequenceNumber, _ memtable: Memtable, capacity: Int = EmptyRanges.capacity) {
        list = EmptyRangeList(capacity: capacity)
        cells = .allocate(byteCount: Cell.byteCount, alignment: 64)
        cells.initializeMemory(as: UInt8.self, repeating: 0, count: Cell.byteCount)
        balsa_store_64(cells + Cell.memtable, EmptyRanges.address(of: memtable))
        balsa_store_64(cells + Cell.inserted, sequence)
    }

    deinit { cells.deallocate() }

    private static func address(of memtable: Memtable) -> UInt64 {
        UInt64(UInt(bitPattern: Unmanaged.passUnretained(memtable).toOpaque()))
    }

    /// Whether no range is listed or watched.
    @inline(__always)
    var isEmpty: Bool { balsa_load_64(cells + Cell.count) == 0 }

    /// The ranges that are listed.
    var ranges: [EmptyRange] { lock.withLock { list.ranges } }

    /// How often a cursor has jumped over a range.
    var useCount: UInt64 { lock.withLock { uses } }

    // MARK: Writing

    /// Takes what a batch puts out of the ranges. Called for every batch, after it was inserted into the memtable and
    /// before readers can see it.
    func inserted(_ batch: WriteBatch, _ sequence: SequenceNumber, into memtable: Memtable) {
        balsa_store_release_64(cells + Cell.memtable, EmptyRanges.address(of: memtable))
        balsa_store_64(cells + Cell.inserted, sequence)
        if isEmpty { return }
        lock.withLock {
            batch.visit { kind, key, _ in
                guard kind == .put else { return }
                list.remove(key)
                if let range = watched, range.contains(key) { watched?.end = Bytes(copying: key) }
            }
            publishCount()
        }
    }

    // MARK: Reading

    /// The range that `key` lies in, for a reader at `sequence`.
    func range(around key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> EmptyRange? {
        lock.withLock { use(list.index(of: key), at: sequence) }
    }

    /// The range that the keys right before `key` lie in, for a reader at `sequence`.
    func range(before key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> EmptyRange? {
        lock.withLock { use(list.index(before: key), at: sequence) }
    }

    /// Notes the use of a range. Called with the lock.
    private func use(_ index: Int?, at sequence: SequenceNumber) -> EmptyRange? {
        guard let index, list.ranges[index].sequence <= sequence else { return nil }
        uses += 1
        clock += 1
        list.noteUse(of: index, clock)
        return list.ranges[index]
    }

    /// How many entries cursors have passed without showing them.
    var passedEntries: UInt64 { balsa_load_relaxed_64(cells + Cell.passed) }

    /// Counts entries that a cursor has passed without showing them.
    func notePassed(_ count: Int) { _ = balsa_fetch_add_64(cells + Cell.passed, UInt64(count)) }

    // MARK: Adding

    /// Adds a range that a reader has found empty, if nothing was inserted since its sequence.
    ///
    /// - Returns: whether the range was added.
    func add(_ range: EmptyRange) -> Bool {
        lock.withLock {
            // From here on the writer looks into the list.
            balsa_store_64(cells + Cell.count, UInt64(list.ranges.count + 1))
            defer { publishCount() }
            guard balsa_load_64(cells + Cell.inserted) <= range.sequence else { return false }
            insert(range)
            return true
        }
    }

    /// Begins to watch a range that is about to be read. ``endWatch(through:)`` follows.
    ///
    /// - Parameters:
    ///   - range: the range; its sequence means nothing.
    ///   - memtable: the one that the reader takes for the active one.
    /// - Returns: at which sequence the range is to be read; nil if another one is watched, or if the reader's memtable
    ///   has been replaced, so that it could not see everything.
    func watch(_ range: EmptyRange, _ memtable: Memtable) -> SequenceNumber? {
        lock.withLock {
            guard watched == nil else { return nil }
            watched = range
            publishCount()
            let sequence = balsa_load_64(cells + Cell.inserted)
            guard balsa_load_acquire_64(cells + Cell.memtable) == EmptyRanges.address(of: memtable) else {
                watched = nil
                publishCount()
                return nil
            }
            watched?.sequence = sequence
            return sequence
        }
    }

    /// Ends the watch, and adds what it has left of the range.
    ///
    /// - Parameter end: up to where the range was found empty; nil if it was not read.
    func endWatch(through end: Bytes?) {
        lock.withLock {
            defer {
                watched = nil
                publishCount()
            }
            guard let end, var range = watched else { return }
            range.end = min(range.end, end)
            insert(range)
        }
    }

    private func insert(_ range: EmptyRange) {
        guard range.start < range.end, max(range.start.count, range.end.count) <= EmptyRanges.maxKeyBytes else {
            return
        }
        clock += 1
        var range = range
        range.lastUse = clock
        list.add(range)
    }

    private func publishCount() {
        balsa_store_64(cells + Cell.count, UInt64(list.ranges.count + (watched == nil ? 0 : 1)))
    }
}
