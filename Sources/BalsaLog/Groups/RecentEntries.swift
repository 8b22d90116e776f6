import BalsaRaft
import BalsaWire

/// The newest entries of a group, in memory: always those that are not durable yet, and a few more.
///
/// The batches are consecutive and end with the group's last entry, so that an entry is either here or, being durable, in
/// a file.
struct RecentEntries: Sendable {
    /// A batch, and the number of the operation that staged it.
    private struct Item: Sendable {
        var batch: EntryBatch
        var mark: UInt64
    }

    private var items: [Item] = []
    private var head = 0

    /// The index of the first entry in memory; nil where there is none.
    var firstIndex: LogIndex? { head < items.count ? items[head].batch.firstIndex : nil }

    /// The number of the operation that staged the first batch in memory.
    var firstMark: UInt64? { head < items.count ? items[head].mark : nil }

    /// Adds the batch staged by operation `mark`.
    mutating func append(_ batch: EntryBatch, mark: UInt64) { items.append(Item(batch: batch, mark: mark)) }

    /// Forgets the entries behind `index`.
    ///
    /// - Returns: how many bytes were forgotten.
    mutating func truncate(after index: LogIndex) -> Int {
        var freed = 0
        while head < items.count, let item = items.last, item.batch.lastIndex > index {
            items.removeLast()
            if item.batch.firstIndex > index {
                freed += item.batch.byteCount
            } else {
                let kept = item.batch.slice(from: item.batch.firstIndex, through: index)
                freed += item.batch.byteCount - kept.byteCount
                items.append(Item(batch: kept, mark: item.mark))
                break
            }
        }
        return freed
    }

    /// Forgets the oldest batch if it was staged by operation `mark`.
    ///
    /// - Returns: how many bytes were forgotten.
    mutating func removeFirst(stagedBy mark: UInt64) -> Int {
        guard head < items.count, items[head].mark == mark else { return 0 }
        return removeFirst()
    }

    /// Forgets the batches that end at or before `index`.
    ///
    /// - Returns: how many bytes were forgotten.
    mutating func compact(through index: LogIndex) -> Int {
        var freed = 0
        while head < items.count, items[head].batch.lastIndex <= index { freed += removeFirst() }
        return freed
    }

    private mutating func removeFirst() -> Int {
        let freed = items[head].batch.byteCount
        head += 1
        // The removed batches are let go a few at a time, so that each is moved once on average.
        if head == items.count || head > items.count / 2 {
            items.removeSubrange(0..<head)
            head = 0
        }
        return freed
    }

    /// The entries from `first` through at most `last`, of at most `maxBytes` but at least one entry.
    ///
    /// - Precondition: `first` is in memory.
    func entries(from first: LogIndex, through last: LogIndex, maxBytes: Int) -> EntryBatch {
        var low = head
        var high = items.count
        while low < high {
            let middle = (low + high) / 2
            if items[middle].batch.lastIndex < first { low = middle + 1 } else { high = middle }
        }
        precondition(low < items.count && items[low].batch.firstIndex <= first, "the entries are not in memory")
        var parts: [EntryBatch] = []
        var room = maxBytes
        while low < items.count, items[low].batch.firstIndex <= last {
            let batch = items[low].batch
            let whole = batch.slice(from: max(first, batch.firstIndex), through: min(last, batch.lastIndex))
            let part = whole.prefix(maxBytes: room)
            if !parts.isEmpty && part.byteCount > room { break }
            parts.append(part)
            room -= part.byteCount
            if part.count < whole.count || room <= 0 { break }
            low += 1
        }
        return EntryBatch.joining(parts)
    }
}
