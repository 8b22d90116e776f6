import BalsaPlatform

/// The tables at one moment, in levels. Immutable.
///
/// The first level holds tables as they were flushed, newest first: they overlap, and none has a sequence number within the
/// range of another. The tables of every other level are sorted and disjoint. What a higher level says of a key is
/// newer than what any deeper level says of it, range tombstones included, so that a reader goes down and stops at the
/// first answer.
final class Version: @unchecked Sendable {
    /// The tables, the first level first.
    let levels: [[TableHandle]]
    /// The highest sequence number at or below which anything has been dropped: reads below it may be wrong.
    let floor: SequenceNumber
    /// The lowest retention mark at which something dead in a table can be dropped; the highest number there is if
    /// nothing can.
    let deadSequence: SequenceNumber
    /// Whether each level has range tombstones.
    let levelsWithTombstones: [Bool]
    /// All tables one behind the other, for searches that count no references.
    private let slots: UnsafeMutablePointer<TableSlot>
    /// Where in ``slots`` each level ends.
    private let ends: UnsafeMutablePointer<Int>
    /// For each level the sums of its first tables: of none, of one, and so on, up to all of them.
    private let sums: [[Sum]]

    /// What some tables have together.
    struct Sum {
        /// How long they are, in bytes.
        var byteCount: UInt64 = 0
        /// How many entries they have.
        var entryCount: UInt64 = 0
    }

    init(levels: [[TableHandle]], floor: SequenceNumber) {
        self.levels = levels
        self.floor = floor
        deadSequence = levels.joined().reduce(.max) { lowest, table in
            table.metadata.deadSequence > 0 ? min(lowest, table.metadata.deadSequence) : lowest
        }
        levelsWithTombstones = levels.map { $0.contains { !$0.table.tombstones.isEmpty } }
        sums = levels.map { tables in
            var sum = Sum()
            // No sum overflows: a manifest whose tables have too many bytes together, or a table that counts more
            // entries than it has bytes, is damaged.
            return [sum]
                + tables.map { table in
                    sum.byteCount += table.metadata.byteCount
                    sum.entryCount += table.metadata.entryCount
                    return sum
                }
        }
        slots = .allocate(capacity: max(1, levels.reduce(0) { $0 + $1.count }))
        ends = .allocate(capacity: max(1, levels.count))
        var count = 0
        for (level, tables) in levels.enumerated() {
            for table in tables {
                (slots + count).initialize(to: table.slot)
                count += 1
            }
            (ends + level).initialize(to: count)
        }
    }

    deinit {
        slots.deallocate()
        ends.deallocate()
    }

    /// How many levels there are, the empty ones included.
    var levelCount: Int { levels.count }

    /// Has every table know its level, for what is said about damage in it.
    func noteLevels() {
        for (level, tables) in levels.enumerated() {
            // Readers look at the same line of memory, which a store takes away from them.
            for table in tables where table.table.level != level { table.table.level = level }
        }
    }

    // MARK: Finding

    /// The tables of a level, valid while the version lives.
    @inline(__always)
    func slots(of level: Int) -> UnsafeBufferPointer<TableSlot> {
        let start = level == 0 ? 0 : ends[level - 1]
        return UnsafeBufferPointer(start: slots + start, count: ends[level] - start)
    }

    /// The tables of a level that have a key in common with `range`, in the level's order.
    ///
    /// Complexity: linear in the tables of the first level; O(log n) and what is returned for the others.
    func tables(of level: Int, overlapping range: KeyRange) -> [TableHandle] {
        guard level < levels.count else { return [] }
        guard level > 0 else { return levels[0].filter { KeyRange(of: $0.metadata).overlaps(range) } }
        return Array(levels[level][indices(of: level, overlapping: range)])
    }

    /// Where in a level below the first the tables are that have a key in common with `range`.
    ///
    /// Complexity: O(log n).
    func indices(of level: Int, overlapping range: KeyRange) -> Range<Int> {
        precondition(level > 0, "the tables of the first level are in no order of keys")
        guard level < levels.count else { return 0..<0 }
        let slots = slots(of: level)
        let first = range.smallest.withUnsafeBytes { slots.firstIndex(notEndingBefore: $0) }
        let end = range.largest.withUnsafeBytes { largest in
            let end = slots.firstIndex(beginningFrom: largest)
            // One table at most begins at the highest key itself.
            guard !range.largestIsExclusive, end < slots.count else { return end }
            return KeyOrder.compare(slots[end].smallest, largest) == 0 ? end + 1 : end
        }
        return first..<max(first, end)
    }

    /// What some neighbours of a level have together. Complexity: O(1).
    func sum(of level: Int, _ indices: Range<Int>) -> Sum {
        guard level < levels.count else { return Sum() }
        let (before, all) = (sums[level][indices.lowerBound], sums[level][indices.upperBound])
        return Sum(byteCount: all.byteCount - before.byteCount, entryCount: all.entryCount - before.entryCount)
    }

    /// How long the tables of a level are together, in bytes.
    func byteCount(of level: Int) -> UInt64 { sums[level].last?.byteCount ?? 0 }

    // MARK: Changing

    /// The version after `edit`, whose new tables are `added`.
    ///
    /// - Precondition: the manifest's state has accepted the edit, so the tables lie in their levels as it says.
    func applying(_ edit: VersionEdit, added: [TableHandle]) -> Version {
        var levels = levels
        let gone = edit.removed.map(\.number).sorted()
        for level in levels.indices where edit.removed.contains(where: { $0.level == level }) {
            levels[level].removeAll { gone.containsSorted($0.metadata.number) }
        }
        for placed in edit.added {
            let known = added.first { $0.metadata.number == placed.table.number }
            // A table that is only moved is in this version already.
            let moved = known == nil ? self.levels.joined().first { $0.metadata.number == placed.table.number } : nil
            guard let handle = known ?? moved else { preconditionFailure("a new version's tables have been opened") }
            while levels.count <= placed.level { levels.append([]) }
            let index = Version.index(of: handle.metadata, among: levels[placed.level], in: placed.level) {
                $0.metadata
            }
            levels[placed.level].insert(handle, at: index)
        }
        return Version(levels: levels, floor: max(floor, edit.floor ?? 0))
    }

    // MARK: The order of a level

    /// Whether a table comes before another one of its level: the newest first in the first level, by key in the
    /// others.
    static func isBefore(_ left: TableMetadata, _ right: TableMetadata, in level: Int) -> Bool {
        guard level == 0 else { return left.smallest < right.smallest }
        return (left.largestSequence, left.number) > (right.largestSequence, right.number)
    }

    /// Where a table belongs among those of its level, which are in their order.
    static func index<Element>(
        of table: TableMetadata,
        among tables: [Element],
        in level: Int,
        _ metadata: (Element) -> TableMetadata
    ) -> Int {
        var low = 0
        var high = tables.count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(metadata(tables[middle]), table, in: level) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    // MARK: Checking

    /// What is wrong with the levels; nil where nothing is.
    func checkInvariants() -> String? { Version.checkInvariants(levels.map { $0.map(\.metadata) }) }

    /// What is wrong with `levels`; nil where nothing is.
    static func checkInvariants(_ levels: [[TableMetadata]]) -> String? {
        for (level, tables) in levels.enumerated() {
            if let fault = fault(in: level, of: tables[...]) { return fault }
        }
        let numbers = levels.joined().map(\.number).sorted()
        for (left, right) in zip(numbers, numbers.dropFirst()) where left == right {
            return "table-\(left) is there twice"
        }
        return nil
    }

    /// What is wrong with neighbours in a level; nil where nothing is.
    static func fault(in level: Int, of tables: ArraySlice<TableMetadata>) -> String? {
        for table in tables where table.smallest > table.largest || table.smallestSequence > table.largestSequence {
            return "the bounds of \(table.fileName) are the wrong way round"
        }
        for (left, right) in zip(tables, tables.dropFirst()) {
            if level == 0, left.smallestSequence <= right.largestSequence {
                return "\(left.fileName) is not newer than \(right.fileName)"
            }
            if level > 0, !KeyRange(of: left).isBefore(right.smallest) {
                return "\(left.fileName) and \(right.fileName) of level \(level) overlap"
            }
        }
        return nil
    }
}

extension [UInt64] {
    /// Whether `number` is among these, which ascend.
    func containsSorted(_ number: UInt64) -> Bool {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < number { low = middle + 1 } else { high = middle }
        }
        return low < count && self[low] == number
    }
}
