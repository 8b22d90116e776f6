import BalsaPlatform

/// What becomes of the first level.
///
/// Tables that are small beside what they lie on are merged with each other, and not with that: otherwise a trickle of
/// writes would rewrite the level below again and again. Which of them are merged decides how often an entry is copied
/// before it goes down:
///
/// - The run to merge begins with the newest table. It ends with the oldest table that is at most twice as long as all
///   newer ones together.
/// - So a table that is merged into a run grows by half at least, or is followed in it by a longer one. An entry is
///   copied at most 2 + log₁.₅(n) times before it goes down, where n is how many times as long as its first table the
///   level is then.
/// - Where no table ends such a run, the level waits for the next flush. Every table is then more than twice as long as
///   all newer ones together, so that the level's length bounds their number: it triples with each.
/// - Before they are so many that writers are slowed down, the run is merged that copies the least for what it grows
///   by.
extension CompactionPolicy {
    /// Merges the first level into the one below, or some of its tables into one of its own; nil if it is to wait, or
    /// if damaged tables are in the way.
    func firstLevelPlan() -> CompactionPlan? {
        guard let down = firstLevelPlanDown() else {
            // Damaged tables are in the way of all that would go down.
            return runToMerge(of: version.levels[0].prefix(while: isSound)).map(merging)
        }
        let tables = version.levels[0]
        guard !down.isMove, tables.count > 1, tables.allSatisfy(isSound), isSmall(beside: down.overlapping) else {
            return down
        }
        return runToMerge(of: tables[...]).map(merging)
    }

    /// Merges the oldest tables of the first level into the one below; younger ones where damaged tables are in the
    /// way.
    private func firstLevelPlanDown() -> CompactionPlan? {
        for table in version.levels[0].reversed() {
            let inputs = firstLevelInputs(with: table)
            if let plan = plan(0, inputs: inputs, outputLevel: targets.baseLevel) { return plan }
            // Without damage the first attempt is a plan.
            if damaged.isEmpty { return nil }
            // A damaged table of the base level is gone around on its upper side, where the levels are empty.
            if targets.baseLevel > 1, let plan = plan(0, inputs: inputs, outputLevel: targets.baseLevel - 1) {
                return plan
            }
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

    /// Which of the newest tables of the first level to merge with each other; nil for none.
    private func runToMerge(of newest: ArraySlice<TableHandle>) -> [TableHandle]? {
        let isFull = version.levels[0].count >= options.levelZeroTablesToSlow
        let run = FirstLevelRun.length(of: newest.map { $0.metadata.byteCount }, isFull: isFull)
        return run > 1 ? Array(newest.prefix(run)) : nil
    }

    /// A table of the first level, and all that overlap it or one of those.
    ///
    /// A table must not pass an older one with a key in common: the older one's entries would hide the newer ones.
    /// Newer ones go along, because they would have to be merged with the result soon anyway; but only those that are
    /// older than the damaged table before `table`, if there is one.
    func firstLevelInputs(with table: TableHandle) -> [TableHandle] {
        let all = version.levels[0]
        let newer = all.prefix { $0 !== table }
        let tables = all[((newer.lastIndex { !isSound($0) } ?? -1) + 1)...]
        var range = KeyRange(of: table.metadata)
        var inputs = [table]
        while true {
            inputs = tables.filter { KeyRange(of: $0.metadata).overlaps(range) }
            guard let wider = KeyRange.covering(inputs), wider != range else { return inputs }
            range = wider
        }
    }
}

/// How many of the newest tables of the first level are merged with each other.
enum FirstLevelRun {
    /// - Parameters:
    ///   - sizes: how long the tables are, the newest first.
    ///   - isFull: whether the level must not wait for another table.
    /// - Returns: how many of the newest ones are merged; 0 if none are.
    static func length(of sizes: [UInt64], isFull: Bool) -> Int {
        guard sizes.count > 1 else { return 0 }
        var newer = sizes[0]
        var longest = 0
        var cheapest = (length: 2, ratio: Double.infinity)
        for (index, size) in sizes.enumerated().dropFirst() {
            if size <= 2 * newer { longest = index + 1 }
            let ratio = Double(size) / Double(max(newer, 1))
            if ratio < cheapest.ratio { cheapest = (index + 1, ratio) }
            newer += size
        }
        return longest > 0 || !isFull ? longest : cheapest.length
    }
}
