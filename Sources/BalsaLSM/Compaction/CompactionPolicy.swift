import BalsaPlatform

/// Which tables to compact next: leveled, by a look at a version. It has no state but the place in each level where the last
/// compaction ended, and changes nothing.
///
/// The first level counts by its tables, because every one of them costs a read; the others by their bytes. The level that
/// is furthest above its target is next.
///
/// Tables of the first level that are small beside what they lie on are merged with each other, and not with that:
/// otherwise a trickle of writes would rewrite the level below again and again.
///
/// Where all levels are within their targets, a table is next that is worth rewriting for what is dead in it or below
/// it, once all of that can be dropped. `CompactionPolicy+Reclaiming` has the rule.
struct CompactionPolicy {
    let version: Version
    let options: EngineOptions
    /// From here on everything is protected: the retention mark, or the oldest snapshot.
    let protected: SequenceNumber
    let targets: LevelTargets
    /// The numbers of damaged tables, ascending: they are left where they are.
    private let quarantined: [UInt64]

    init(_ version: Version, _ options: EngineOptions, protected: SequenceNumber, quarantined: [UInt64] = []) {
        self.quarantined = quarantined
        self.version = version
        self.options = options
        self.protected = protected
        targets = LevelTargets(
            sizes: version.levels.indices.map { version.byteCount(of: $0) },
            levelCount: options.levels,
            options: options
        )
    }

    /// Whether there is anything to compact.
    static func wantsCompaction(
        of version: Version,
        _ options: EngineOptions,
        protected: SequenceNumber,
        quarantined: [UInt64]
    ) -> Bool {
        let policy = CompactionPolicy(version, options, protected: protected, quarantined: quarantined)
        guard quarantined.isEmpty else { return policy.next(after: []) != nil }
        return !policy.urgentLevels.isEmpty || policy.reclaiming() != nil
    }

    /// How much a level is above its target, in thousandths of the target.
    private func urgency(of level: Int) -> UInt64 {
        if level == 0 { return UInt64(version.levels[0].count) * 1_000 / UInt64(options.levelZeroTables) }
        let target = targets.byteCounts[level]
        let size = version.byteCount(of: level)
        // A level that should be empty is more urgent the larger it is.
        guard target > 0 else { return size == 0 ? 0 : 1_000 + size / max(1, options.levelBaseBytes / 1_000) }
        let (scaled, overflow) = size.multipliedReportingOverflow(by: 1_000)
        // At its target a level is left alone, where the first one is not.
        return overflow ? .max : (scaled > 0 ? (scaled - 1) / target : 0)
    }

    /// The levels to compact, the one furthest above its target first.
    private var urgentLevels: [Int] {
        // What lies in the last level or below it has nowhere to go.
        (0..<min(version.levelCount, options.levels - 1)).map { (level: $0, urgency: urgency(of: $0)) }
            .filter { $0.urgency >= 1_000 }
            .sorted { ($1.urgency, $0.level) < ($0.urgency, $1.level) }
            .map { $0.level }
    }

    /// The next compaction; nil where none is needed, or none can be done without a table that is damaged.
    ///
    /// - Parameter cursors: for each level, the highest key that its last compaction has reached.
    func next(after cursors: [Bytes?]) -> CompactionPlan? {
        for level in urgentLevels {
            if level == 0 {
                if let plan = firstLevelPlan() { return plan }
                continue
            }
            let tables = version.levels[level]
            let start = level < cursors.count ? cursors[level] : nil
            let first = tables.firstIndex { table in start.map { table.metadata.largest > $0 } ?? true } ?? 0
            for table in tables[first...] + tables[..<first] {
                if let plan = plan(level, inputs: [table], outputLevel: level + 1) { return plan }
            }
        }
        return reclaiming()
    }

    /// Whether the table can be read, as far as is known.
    func isSound(_ table: TableHandle) -> Bool {
        quarantined.isEmpty || !quarantined.containsSorted(table.metadata.number)
    }

    /// Merges the first level into the one below, or a part of it into one of its own tables.
    func firstLevelPlan() -> CompactionPlan? {
        guard let down = firstLevelPlanDown() else {
            // Damaged tables are in the way of all that would go down.
            let sound = smallNewestTables().prefix(while: isSound)
            return sound.count > 1 ? merging(Array(sound)) : nil
        }
        let beside = smallNewestTables()
        guard !down.isMove, beside.count > 1, beside.allSatisfy(isSound), isSmall(beside: down.overlapping) else {
            return down
        }
        return merging(beside)
    }

    /// Merges the oldest tables of the first level into the one below; younger ones where damaged tables are in the
    /// way.
    private func firstLevelPlanDown() -> CompactionPlan? {
        for table in version.levels[0].reversed() {
            let inputs = firstLevelInputs(with: table)
            if let plan = plan(0, inputs: inputs, outputLevel: targets.baseLevel) { return plan }
            // Without damage the first attempt is a plan.
            if quarantined.isEmpty { return nil }
        }
        return nil
    }

    /// Merges the newest tables of the first level with each other.
    private func merging(_ newest: [TableHandle]) -> CompactionPlan {
        CompactionPlan(
            level: 0,
            inputs: newest,
            outputLevel: 0,
            overlapping: [],
            below: [],
            maxOverlapBytes: .max,
            isMove: false
        )
    }

    /// Whether the first level is so small that merging it with `tables` would be mostly a copy of these.
    private func isSmall(beside tables: [TableHandle]) -> Bool {
        let size = version.byteCount(of: 0)
        let below = tables.reduce(0) { $0 + $1.metadata.byteCount }
        return size < below / 4 && size < options.levelBaseBytes / 4
    }

    /// The newest tables of the first level: two at least, and each older one that is at most twice as long as the
    /// newer ones together. So every entry is copied a number of times that grows with the logarithm of the level's
    /// size.
    private func smallNewestTables() -> [TableHandle] {
        var size: UInt64 = 0
        let count = version.levels[0].prefix { table in
            defer { size += table.metadata.byteCount }
            return size == 0 || table.metadata.byteCount <= 2 * size
        }.count
        return Array(version.levels[0].prefix(max(count, 2)))
    }

    /// A table of the first level, and all that overlap it or one of those.
    ///
    /// A table must not pass an older one with a key in common: the older one's entries would hide the newer ones. Newer
    /// ones go along, because they would have to be merged with the result soon anyway.
    func firstLevelInputs(with table: TableHandle) -> [TableHandle] {
        let tables = version.levels[0]
        var range = KeyRange(of: table.metadata)
        var inputs = [table]
        while true {
            inputs = tables.filter { KeyRange(of: $0.metadata).overlaps(range) }
            guard let wider = KeyRange.covering(inputs), wider != range else { return inputs }
            range = wider
        }
    }

    /// A compaction of `inputs`; nil if a table is damaged that it would read.
    func plan(_ level: Int, inputs: [TableHandle], outputLevel: Int) -> CompactionPlan? {
        guard let range = KeyRange.covering(inputs) else { return nil }
        let overlapping = version.tables(of: outputLevel, overlapping: range)
        guard inputs.allSatisfy(isSound), overlapping.allSatisfy(isSound) else { return nil }
        let below = version.tables(of: outputLevel + 1, overlapping: range)
        let (maxOverlapBytes, overflow) = UInt64(options.tableBytes).multipliedReportingOverflow(by: 10)
        let limit = overflow ? .max : maxOverlapBytes
        return CompactionPlan(
            level: level,
            inputs: inputs,
            outputLevel: outputLevel,
            overlapping: overlapping,
            below: below,
            maxOverlapBytes: limit,
            isMove: overlapping.isEmpty && canMove(inputs, to: outputLevel, below: below, limit)
        )
    }

    /// Whether a table can be given another level as it is.
    ///
    /// Nothing of the level it goes to overlaps its bounds, which range tombstones widen; that alone makes the move right. But a
    /// table that lies on too much of the next level makes a later compaction long, and the tombstones of one that arrives
    /// where nothing is below would stay for ever.
    private func canMove(
        _ inputs: [TableHandle],
        to outputLevel: Int,
        below: [TableHandle],
        _ limit: UInt64
    ) -> Bool {
        guard inputs.count == 1, let table = inputs.first else { return false }
        guard below.reduce(0, { $0 + $1.metadata.byteCount }) <= limit else { return false }
        let hasTombstones = table.metadata.deletionCount > 0 || table.metadata.rangeDeletionCount > 0
        return !hasTombstones || outputLevel + 1 < options.levels
    }
}
