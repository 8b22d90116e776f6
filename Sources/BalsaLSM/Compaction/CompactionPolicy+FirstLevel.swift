import BalsaPlatform

/// What becomes of the first level.
///
/// A flush pays for tables in proportion to its own length. Otherwise a trickle of writes would rewrite the level below
/// again and again, and the few tables that a load leaves in the first level, with all that they lie on. So the tables
/// of the level form *runs*. The first one begins with the newest table. A run ends before the first table that is more
/// than twice as long as all newer ones of the run together, and the next run begins with that.
///
/// - The level goes down where it is one run, and is not small beside what it lies on. It goes down, too, once its last
///   run has as many tables as the level may have.
/// - Else the first run is merged with itself as soon as it has as many tables as the level may have.
/// - The oldest table gets another level at once where it needs no merge with older ones, nor with its own run.
/// - A level that is short altogether goes down as a whole: that costs next to nothing.
///
/// A table that is merged into a run grows by half at least, or is the newest. So an entry is copied at most
/// 1 + log₁.₅(n) times before it goes down, where n is how many times as long as its first table the level is then.
/// Two merges are exceptions: one at the limit at which writers are slowed down, below, and one for want of space.
///
/// Each run begins with a table that is more than twice as long as the run before it. So the level's length bounds how
/// many tables wait. Before they are so many that writers are slowed down, the first run is merged, however short.
/// Where that is one table, those newest ones are merged that copy the least for what they grow by, which may be a
/// table more than twice as long as all newer ones together; the oldest ones, as many as may always wait, are not among
/// them. Where nothing else helps, the level goes down.
extension CompactionPolicy {
    /// Merges the first level into the one below, or some of its tables into one of its own; nil if it is to wait, or
    /// if damaged tables are in the way.
    func firstLevelPlan() -> CompactionPlan? {
        let tables = version.levels[0]
        guard let down = firstLevelPlanDown() else {
            // Damaged tables are in the way of all that would go down.
            return runAmongSound().map { CompactionPlan(mergingNewest: $0) }
        }
        guard !down.isMove, tables.count > 1, tables.allSatisfy(isSound) else { return down }
        let sizes = tables.map(\.metadata.byteCount)
        let isSmall = isSmall(beside: down.overlapping)
        if !isSmall {
            let last = FirstLevelRun.last(of: sizes)
            let isDue = last == sizes.count || last >= options.levelZeroTables
            if isDue || down.inputByteCount < options.levelBaseBytes / 4 { return down }
            if let move = moveOfOldest(in: tables.suffix(last)) { return move }
        }
        let run = FirstLevelRun.merged(of: sizes, options)
        if run > 1 { return CompactionPlan(mergingNewest: Array(tables.prefix(run))) }
        return tables.count >= options.levelZeroTablesToSlow ? down : nil
    }

    /// Gives the oldest table another level, where that is all that it needs; nil where not.
    ///
    /// Newer tables may lie on it. Those of its run do not, for they would soon be merged with it.
    private func moveOfOldest(in run: ArraySlice<TableHandle>) -> CompactionPlan? {
        guard let oldest = run.last else { return nil }
        let range = KeyRange(of: oldest.metadata)
        guard !run.dropLast().contains(where: { KeyRange(of: $0.metadata).overlaps(range) }) else { return nil }
        let plan = plan(0, inputs: [oldest], outputLevel: targets.baseLevel)
        return plan?.isMove == true ? plan : nil
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

    /// Whether the first level is so small that merging it with `tables` would be mostly a copy of these: it is less
    /// than half as long.
    private func isSmall(beside tables: [TableHandle]) -> Bool {
        let size = version.byteCount(of: 0)
        let below = tables.reduce(0) { $0 + $1.metadata.byteCount }
        return size < below / 2 && size < options.levelBaseBytes / 4
    }

    /// Which of the newest tables to merge with each other where the level cannot go down, because a damaged table is
    /// in the way or there is no space; nil for none.
    func runAmongSound() -> [TableHandle]? {
        let tables = version.levels[0]
        let sound = tables.prefix(while: isSound)
        let sizes = sound.map(\.metadata.byteCount)
        var run = FirstLevelRun.length(of: sizes)
        if run == 1, tables.count >= options.levelZeroTablesToSlow { run = FirstLevelRun.cheapest(of: sizes) }
        return run > 1 ? Array(sound.prefix(run)) : nil
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

extension CompactionPlan {
    /// Merges the newest tables of the first level with each other.
    init(mergingNewest tables: [TableHandle]) {
        self.init(
            level: 0,
            inputs: tables,
            outputLevel: 0,
            overlapping: [],
            below: [],
            maxOverlapBytes: .max,
            isMove: false
        )
    }
}

/// How many of the newest tables of the first level belong together, by their lengths alone, the newest first.
enum FirstLevelRun {
    /// How many tables the first run has: each is at most twice as long as all newer ones together.
    static func length(of sizes: some Collection<UInt64>) -> Int {
        var newer: UInt64 = 0
        for (index, size) in sizes.enumerated() {
            guard index == 0 || size <= 2 * newer else { return index }
            newer += size
        }
        return sizes.count
    }

    /// How many tables the last run has.
    static func last(of sizes: [UInt64]) -> Int {
        var rest = sizes[...]
        while true {
            let run = length(of: rest)
            guard run < rest.count else { return run }
            rest = rest.dropFirst(run)
        }
    }

    /// How many of the newest tables are merged where the oldest of them is the shortest beside all newer ones.
    static func cheapest(of sizes: some Collection<UInt64>) -> Int {
        var newer: UInt64 = 0
        var cheapest = (length: 0, ratio: Double.infinity)
        for (index, size) in sizes.enumerated() {
            let ratio = Double(size) / Double(max(newer, 1))
            if index > 0, ratio < cheapest.ratio { cheapest = (index + 1, ratio) }
            newer += size
        }
        return cheapest.length
    }

    /// How many of the newest tables are merged with each other in a level that does not go down; 0 for none.
    static func merged(of sizes: [UInt64], _ options: EngineOptions) -> Int {
        let run = length(of: sizes)
        if run > 1, run >= options.levelZeroTables { return run }
        guard sizes.count >= options.levelZeroTablesToSlow else { return 0 }
        return run > 1 ? run : cheapest(of: sizes.dropLast(options.levelZeroTables - 1))
    }
}
