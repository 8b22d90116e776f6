import BalsaPlatform

/// Which tables to compact next: leveled, by a look at a version. It has no state but the place in each level where the last
/// compaction ended, and changes nothing.
///
/// The first level counts by its tables, because every one of them costs a read; the others by their bytes. The level that
/// is furthest above its target is next.
///
/// Tables of the first level that are small beside what they lie on are merged with each other, and not with that.
/// `CompactionPolicy+FirstLevel` has the rule.
///
/// Before all that, tables go that range tombstones delete whole; `CompactionPolicy+Dropping` says which. Where all
/// levels are within their targets, a table is next that is worth rewriting for what is dead in it or below it, once
/// all of that can be dropped. `CompactionPolicy+Reclaiming` has the rule.
struct CompactionPolicy {
    let version: Version
    let options: EngineOptions
    /// From here on everything is protected: the retention mark, or the oldest snapshot.
    let protected: SequenceNumber
    let targets: LevelTargets
    /// The damaged tables. They are left where they are, and nothing is dropped between their bounds.
    let damaged: DamagedTables

    init(_ version: Version, _ options: EngineOptions, protected: SequenceNumber, damaged: DamagedTables = .none) {
        self.damaged = damaged
        self.version = version
        self.options = options
        self.protected = protected
        targets = LevelTargets(
            sizes: version.levels.indices.map { version.byteCount(of: $0) },
            levelCount: options.levels,
            options: options
        )
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
    var urgentLevels: [Int] {
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
        // First what costs next to nothing, and makes other compactions shorter.
        if let plan = dropping() { return plan }
        for level in urgentLevels {
            if level == 0 {
                if let plan = firstLevelPlan() { return plan }
                continue
            }
            for table in tables(of: level, after: cursors) {
                if let plan = plan(level, inputs: [table], outputLevel: level + 1) { return plan }
            }
        }
        return reclaiming()
    }

    /// The tables of a level, beginning behind the key that its last compaction has reached.
    func tables(of level: Int, after cursors: [Bytes?]) -> [TableHandle] {
        let tables = version.levels[level]
        let start = level < cursors.count ? cursors[level] : nil
        let first = tables.firstIndex { table in start.map { table.metadata.largest > $0 } ?? true } ?? 0
        return Array(tables[first...] + tables[..<first])
    }

    /// Whether the table can be read, as far as is known.
    func isSound(_ table: TableHandle) -> Bool { !damaged.contains(table.metadata.number) }

    /// Whether a compaction drops what is dead in `range`: not between the bounds of a damaged table.
    func canDrop(in range: KeyRange) -> Bool { !damaged.overlap(range) }

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
