import BalsaPlatform

/// Which tables to compact next: leveled, by a look at a version. It has no state but the place in each level where the last
/// compaction ended, and changes nothing.
///
/// The first level counts by its tables, because every one of them costs a read; the others by their bytes. The level that
/// is furthest above its target is next.
struct CompactionPolicy {
    private let version: Version
    private let options: EngineOptions
    private let targets: LevelTargets

    init(_ version: Version, _ options: EngineOptions) {
        self.version = version
        self.options = options
        targets = LevelTargets(
            sizes: version.levels.indices.map { version.byteCount(of: $0) },
            levelCount: options.levels,
            options: options
        )
    }

    /// Whether there is anything to compact.
    static func wantsCompaction(of version: Version, _ options: EngineOptions) -> Bool {
        CompactionPolicy(version, options).mostUrgentLevel != nil
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
        guard let level = mostUrgentLevel else { return nil }
        if level == 0 { return plan(0, inputs: firstLevelInputs(), outputLevel: targets.baseLevel) }
        let tables = version.levels[level]
        let start = level < cursors.count ? cursors[level] : nil
        let table = tables.first { table in start.map { table.metadata.largest > $0 } ?? true } ?? tables[0]
        return plan(level, inputs: [table], outputLevel: level + 1)
    }

    /// The oldest table of the first level, and all that overlap it or one of those.
    ///
    /// A table must not pass an older one with a key in common: the older one's entries would hide the newer ones. Newer
    /// ones go along, because they would have to be merged with the result soon anyway.
    private func firstLevelInputs() -> [TableHandle] {
        let tables = version.levels[0]
        guard let oldest = tables.last else { return [] }
        var range = KeyRange(of: oldest.metadata)
        var inputs = [oldest]
        while true {
            inputs = tables.filter { KeyRange(of: $0.metadata).overlaps(range) }
            guard let wider = KeyRange.covering(inputs), wider != range else { return inputs }
            range = wider
        }
    }

    private func plan(_ level: Int, inputs: [TableHandle], outputLevel: Int) -> CompactionPlan? {
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
