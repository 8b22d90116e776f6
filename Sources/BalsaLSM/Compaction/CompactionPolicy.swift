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

    init(_ version: Version, _ options: EngineOptions, protected: SequenceNumber) {
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
        protected: SequenceNumber
    ) -> Bool {
        let policy = CompactionPolicy(version, options, protected: protected)
        return policy.mostUrgentLevel != nil || policy.reclaiming() != nil
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

    /// The level to compact; nil where all are within their targets.
    private var mostUrgentLevel: Int? {
        // What lies in the last level or below it has nowhere to go.
        let candidates = (0..<min(version.levelCount, options.levels - 1)).map { (level: $0, urgency: urgency(of: $0)) }
        var best: (level: Int, urgency: UInt64)?
        for candidate in candidates where candidate.urgency >= 1_000 && candidate.urgency > best?.urgency ?? 0 {
            best = candidate
        }
        return best?.level
    }

    /// The next compaction; nil where none is needed.
    ///
    /// - Parameter cursors: for each level, the highest key that its last compaction has reached.
    func next(after cursors: [Bytes?]) -> CompactionPlan? {
        guard let level = mostUrgentLevel else { return reclaiming() }
        if level == 0 { return firstLevelPlan() }
        let tables = version.levels[level]
        let start = level < cursors.count ? cursors[level] : nil
        let table = tables.first { table in start.map { table.metadata.largest > $0 } ?? true } ?? tables[0]
        return plan(level, inputs: [table], outputLevel: level + 1)
    }

    /// Merges the first level into the one below, or a part of it into one of its own tables.
    func firstLevelPlan() -> CompactionPlan? {
        let inputs = firstLevelInputs()
        guard let down = plan(0, inputs: inputs, outputLevel: targets.baseLevel) else { return nil }
        let beside = smallNewestTables()
        guard !down.isMove, beside.count > 1, isSmall(beside: down.overlapping) else { return down }
        return CompactionPlan(
            level: 0,
            inputs: beside,
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

    /// The oldest table of the first level, and all that overlap it or one of those.
    ///
    /// A table must not pass an older one with a key in common: the older one's entries would hide the newer ones. Newer
    /// ones go along, because they would have to be merged with the result soon anyway.
    func firstLevelInputs() -> [TableHandle] { version.levels[0].last.map(firstLevelInputs) ?? [] }

    /// A table of the first level, and all that overlap it or one of those.
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

    func plan(_ level: Int, inputs: [TableHandle], outputLevel: Int) -> CompactionPlan? {
        guard let range = KeyRange.covering(inputs) else { return nil }
        let overlapping = version.tables(of: outputLevel, overlapping: range)
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
