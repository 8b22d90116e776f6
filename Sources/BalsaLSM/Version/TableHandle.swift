import BalsaPlatform

/// A table as versions share it.
///
/// Versions, jobs and cursors hold a table by reference. When a table that the manifest no longer names loses its last
/// reference, its file goes to the list of files to remove: no earlier, because somebody was still reading it, and no later,
/// because nobody can find it any more.
final class TableHandle: @unchecked Sendable {
    let table: Table
    let metadata: TableMetadata
    private let removals: FileRemovals
    // Set once, by who installs the version without the table, before its own reference goes. Read behind the last one.
    private var isObsolete = false
    /// Whether it was found that a compaction for the space that the table holds is not worth it. It stays so until a
    /// table with a key in common comes or goes. Of the thread that works.
    var isNotWorthwhile = false
    /// Whether it was found that the table's range tombstones delete no other table as a whole. As above.
    var deletesNoTable = false
    /// Copies of the bounds at an address that never changes, for searches that count no references.
    private let bounds: UnsafeMutableRawPointer

    init(_ table: Table, removals: FileRemovals) {
        self.table = table
        self.metadata = table.metadata
        self.removals = removals
        let smallest = metadata.smallest
        let largest = metadata.largest
        bounds = .allocate(byteCount: smallest.count + largest.count + 1, alignment: 1)
        let memory = UnsafeMutableRawBufferPointer(start: bounds, count: smallest.count + largest.count)
        smallest.withUnsafeBytes { memory.copyMemory(from: $0) }
        largest.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(rebasing: memory[smallest.count...]).copyMemory(from: $0)
        }
    }

    deinit {
        table.close()
        bounds.deallocate()
        if isObsolete { removals.add(metadata.fileName) }
    }

    /// Says that the manifest no longer names the table, and that this is durable.
    func retire() { isObsolete = true }

    /// What a search without reference counts needs. Valid while the handle lives.
    var slot: TableSlot {
        TableSlot(
            smallest: UnsafeRawBufferPointer(start: bounds, count: metadata.smallest.count),
            largest: UnsafeRawBufferPointer(start: bounds + metadata.smallest.count, count: metadata.largest.count),
            largestIsExclusive: metadata.largestIsExclusive,
            hasEntries: table.hasEntries,
            hasTombstones: !table.tombstones.isEmpty,
            largestEntrySequence: metadata.largestEntrySequence,
            table: Unmanaged.passUnretained(table),
            tombstones: Unmanaged.passUnretained(table.tombstones)
        )
    }
}

/// A table of a version, for searches that count no references. Valid while the version lives.
struct TableSlot {
    let smallest: UnsafeRawBufferPointer
    let largest: UnsafeRawBufferPointer
    let largestIsExclusive: Bool
    let hasEntries: Bool
    let hasTombstones: Bool
    /// The highest sequence number of an entry; 0 without entries.
    let largestEntrySequence: SequenceNumber
    let table: Unmanaged<Table>
    let tombstones: Unmanaged<TombstoneList>

    /// The highest sequence number, up to `sequence`, of a tombstone that covers `key`; 0 for none.
    @inline(__always)
    func covering(_ key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> SequenceNumber {
        hasTombstones ? tombstones._withUnsafeGuaranteedRef { $0.covering(key, at: sequence) } : 0
    }

    /// Whether the table ends before `key`.
    @inline(__always)
    func ends(before key: UnsafeRawBufferPointer) -> Bool {
        let order = KeyOrder.compare(largest, key)
        return order < 0 || (order == 0 && largestIsExclusive)
    }
}

extension UnsafeBufferPointer<TableSlot> {
    /// The first of tables that are sorted and disjoint that does not end before `key`; their number where all do.
    @inline(__always)
    func firstIndex(notEndingBefore key: UnsafeRawBufferPointer) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].ends(before: key) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The first of tables that are sorted and disjoint that begins at `key` or behind it; their number where none does.
    @inline(__always)
    func firstIndex(beginningFrom key: UnsafeRawBufferPointer) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if KeyOrder.compare(self[middle].smallest, key) < 0 { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The one of tables that are sorted and disjoint that concerns `key`; nil where none does.
    @inline(__always)
    func slot(for key: UnsafeRawBufferPointer) -> UnsafePointer<TableSlot>? {
        let index = firstIndex(notEndingBefore: key)
        guard index < count, let base = baseAddress else { return nil }
        return KeyOrder.compare(base[index].smallest, key) <= 0 ? base + index : nil
    }

    /// Those of tables that are sorted and disjoint that have anything between the bounds.
    func within(_ bounds: KeyBounds) -> UnsafeBufferPointer<TableSlot> {
        let first = bounds.from.map { $0.withUnsafeBytes { firstIndex(notEndingBefore: $0) } } ?? 0
        let end = bounds.to.map { $0.withUnsafeBytes { firstIndex(beginningFrom: $0) } } ?? count
        return UnsafeBufferPointer(rebasing: self[first..<Swift.max(first, end)])
    }
}
