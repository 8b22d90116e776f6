/// A log without its payloads: the term and the size of every entry.
///
/// This is all that consensus needs to know of a log. Terms are kept as runs, since they change only with leaders; sizes
/// as running totals, so that the bytes of any range are one subtraction. An entry costs 8 bytes of memory, and the
/// number of entries is bounded by the log's own bound.
public struct LogOutline: Equatable, Sendable {
    /// Consecutive entries of one term.
    private struct Run: Equatable {
        var first: LogIndex
        var term: Term
    }

    /// The position before the first entry that is still there. What came before is part of a checkpoint.
    public private(set) var base: LogPosition

    /// The runs, ascending; the first begins at `base.index + 1`.
    private var runs: [Run] = []

    /// `totals[dropped + i]` is the running total of bytes through the entry `base.index + 1 + i`; the slots before
    /// `dropped` belong to entries that were removed and are reclaimed when they are more than half.
    private var totals: [UInt64] = []
    private var dropped = 0
    private var totalBeforeFirst: UInt64 = 0

    /// The outline of a log that begins behind `base` and holds `entries`.
    public init(base: LogPosition = .zero, entries: [EntryMetadata] = []) {
        self.base = base
        totals.reserveCapacity(entries.count)
        for entry in entries { append(entry) }
    }

    /// The number of entries.
    public var count: Int { totals.count - dropped }

    /// The index of the last entry; that of the base where there are none.
    public var lastIndex: LogIndex { base.index + UInt64(count) }

    /// The position of the last entry; the base where there are none.
    public var last: LogPosition { LogPosition(term: runs.last?.term ?? base.term, index: lastIndex) }

    /// The index of the first entry that is there, if any is.
    public var firstIndex: LogIndex { base.index + 1 }

    /// The term of the entry at `index`, which may be the base; nil where the log does not reach.
    ///
    /// - Complexity: logarithmic in the number of terms.
    public func term(at index: LogIndex) -> Term? {
        guard index != base.index else { return base.term }
        guard index > base.index, index <= lastIndex else { return nil }
        return runs[run(of: index)].term
    }

    /// Whether the log holds the entry `position`, or it is the base.
    public func contains(_ position: LogPosition) -> Bool { term(at: position.index) == position.term }

    /// The run that holds `index`, which the log holds.
    private func run(of index: LogIndex) -> Int {
        var low = 0
        var high = runs.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if runs[middle].first <= index { low = middle } else { high = middle }
        }
        return low
    }

    /// The last position at or before `index` whose term is at most `term`; the base where none is.
    ///
    /// Each side of a conflict uses this to skip a whole term at a time: the entry at `index` on the other side has the
    /// term `term`, and since terms never fall along a log, nothing later than the result can match.
    public func lastPosition(at index: LogIndex, termAtMost term: Term) -> LogPosition {
        guard index > base.index, count > 0 else { return base }
        let start = min(index, lastIndex)
        var candidate = run(of: start)
        if runs[candidate].term <= term { return LogPosition(term: runs[candidate].term, index: start) }
        while candidate > 0 {
            candidate -= 1
            if runs[candidate].term <= term {
                return LogPosition(term: runs[candidate].term, index: runs[candidate + 1].first - 1)
            }
        }
        return base
    }

    /// Adds an entry behind the last.
    ///
    /// - Precondition: its term is not below that of the last.
    public mutating func append(_ entry: EntryMetadata) {
        let last = last
        precondition(entry.term >= last.term, "terms never fall along a log")
        if runs.last?.term != entry.term { runs.append(Run(first: last.index + 1, term: entry.term)) }
        totals.append((totals.last ?? totalBeforeFirst) + UInt64(entry.byteCount))
    }

    /// Removes every entry behind `index`.
    ///
    /// - Precondition: the log reaches `index`.
    public mutating func truncate(after index: LogIndex) {
        precondition(index >= base.index && index <= lastIndex, "a log is truncated within its bounds")
        totals.removeLast(Int(lastIndex - index))
        while let run = runs.last, run.first > index { runs.removeLast() }
        if totals.count == dropped { reclaim() }
    }

    /// Removes the entries through `position`, which becomes the base.
    ///
    /// - Precondition: the log holds the entry `position`.
    public mutating func compact(through position: LogPosition) {
        precondition(contains(position), "a log is compacted through an entry that it holds")
        let removed = Int(position.index - base.index)
        guard removed > 0 else { return }
        while runs.count > 1, runs[1].first <= position.index + 1 { runs.removeFirst() }
        dropped += removed
        base = position
        if count == 0 { runs.removeAll() } else { runs[0].first = position.index + 1 }
        if dropped > totals.count / 2 { reclaim() }
    }

    /// Removes every entry; the log goes on behind `base`.
    public mutating func reset(to base: LogPosition) {
        self = LogOutline(base: base)
    }

    private mutating func reclaim() {
        guard dropped > 0 else { return }
        totalBeforeFirst = totals[dropped - 1]
        totals.removeFirst(dropped)
        dropped = 0
    }

    /// The running total of bytes through `index`, which is the base or an entry of the log.
    private func total(through index: LogIndex) -> UInt64 {
        let slot = dropped + Int(index - base.index) - 1
        return slot < 0 ? totalBeforeFirst : totals[slot]
    }

    /// The size of the entries `first ... last`, in bytes; 0 where the range is empty.
    ///
    /// - Precondition: the log holds them.
    public func byteCount(from first: LogIndex, through last: LogIndex) -> UInt64 {
        guard first <= last else { return 0 }
        precondition(first > base.index && last <= lastIndex, "the log holds the entries that are measured")
        return total(through: last) - total(through: first - 1)
    }

    /// The index of the last entry of the longest run from `first` on that is not larger than `maxBytes`, and of `first`
    /// itself in any case.
    ///
    /// - Precondition: the log holds the entry `first`.
    /// - Complexity: logarithmic in the number of entries.
    public func lastIndex(from first: LogIndex, within maxBytes: UInt64) -> LogIndex {
        precondition(first > base.index && first <= lastIndex, "the log holds the entry that a run begins with")
        let limit = total(through: first - 1).addingReportingOverflow(maxBytes)
        guard !limit.overflow else { return lastIndex }
        var low = first
        var high = lastIndex
        while low < high {
            let middle = low + (high - low + 1) / 2
            if total(through: middle) <= limit.partialValue { low = middle } else { high = middle - 1 }
        }
        return low
    }

    /// Whether two outlines describe the same log; how their memory is arranged does not count.
    public static func == (left: LogOutline, right: LogOutline) -> Bool {
        guard left.base == right.base, left.count == right.count, left.runs == right.runs else { return false }
        for index in left.base.index...left.lastIndex where index > left.base.index {
            if left.byteCount(from: index, through: index) != right.byteCount(from: index, through: index) {
                return false
            }
        }
        return true
    }
}
