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
    /// Whether each level has range tombstones.
    let levelsWithTombstones: [Bool]
    /// All tables one behind the other, for searches that count no references.
    private let slots: UnsafeMutablePointer<TableSlot>
    /// Where in ``slots`` each level ends.
    private let ends: UnsafeMutablePointer<Int>

    init(levels: [[TableHandle]], floor: SequenceNumber) {
        self.levels = levels
        self.floor = floor
        levelsWithTombstones = levels.map { $0.contains { !$0.table.tombstones.isEmpty } }
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

    // MARK: Finding

    /// The tables of a level, valid while the version lives.
    @inline(__always)
    func slots(of level: Int) -> UnsafeBufferPointer<TableSlot> {
        let start = level == 0 ? 0 : ends[level - 1]
        return UnsafeBufferPointer(start: slots + start, count: ends[level] - start)
    }

    /// The tables of a level that have a key in common with `range`, in the level's order.
    func tables(of level: Int, overlapping range: KeyRange) -> [TableHandle] {
        guard level < levels.count else { return [] }
        return levels[level].filter { KeyRange(of: $0.metadata).overlaps(range) }
    }

    /// How long the tables of a level are together, in bytes.
    func byteCount(of level: Int) -> UInt64 { levels[level].reduce(0) { $0 + $1.metadata.byteCount } }

    // MARK: Changing

    /// The version after `edit`, whose new tables are `added`.
    func applying(_ edit: VersionEdit, added: [TableHandle]) -> Version {
        var levels = levels
        for removed in edit.removed { levels[removed.level].removeAll { $0.metadata.number == removed.number } }
        for placed in edit.added {
            let known = added.first { $0.metadata.number == placed.table.number }
            // A table that is only moved is in this version already.
            let moved = known == nil ? self.levels.joined().first { $0.metadata.number == placed.table.number } : nil
            guard let handle = known ?? moved else { preconditionFailure("a new version's tables have been opened") }
            while levels.count <= placed.level { levels.append([]) }
            levels[placed.level].append(handle)
        }
        return Version(levels: levels.enumerated().map(Version.sorted), floor: max(floor, edit.floor ?? 0))
    }

    /// The tables of a level in their order.
    static func sorted(_ level: Int, _ tables: [TableHandle]) -> [TableHandle] {
        guard level == 0 else { return tables.sorted { $0.metadata.smallest < $1.metadata.smallest } }
        return tables.sorted {
            ($0.metadata.largestSequence, $0.metadata.number) > ($1.metadata.largestSequence, $1.metadata.number)
        }
    }

    // MARK: Checking

    /// What is wrong with the levels; nil where nothing is.
    func checkInvariants() -> String? {
        var metadata: [[TableMetadata]] = []
        for tables in levels {
            var level: [TableMetadata] = []
            for table in tables { level.append(table.metadata) }
            metadata.append(level)
        }
        return Version.checkInvariants(metadata)
    }

    /// What is wrong with `levels`; nil where nothing is.
    static func checkInvariants(_ levels: [[TableMetadata]]) -> String? {
        // Plain loops: this runs at every edit of every test, where nothing is optimized.
        var numbers: [UInt64] = []
        for level in 0..<levels.count {
            let tables = levels[level]
            for table in tables {
                if table.smallest > table.largest || table.smallestSequence > table.largestSequence {
                    return "the bounds of \(table.fileName) are the wrong way round"
                }
                numbers.append(table.number)
            }
            var next = 1
            while next < tables.count {
                let (left, right) = (tables[next - 1], tables[next])
                if level == 0, left.smallestSequence <= right.largestSequence {
                    return "\(left.fileName) is not newer than \(right.fileName)"
                }
                if level > 0, !KeyRange(of: left).isBefore(right.smallest) {
                    return "\(left.fileName) and \(right.fileName) of level \(level) overlap"
                }
                next += 1
            }
        }
        numbers.sort()
        var next = 1
        while next < numbers.count {
            if numbers[next - 1] == numbers[next] { return "table-\(numbers[next]) is there twice" }
            next += 1
        }
        return nil
    }
}
