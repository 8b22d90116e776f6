import BalsaPlatform

/// What else can be compacted where the file system has no space for the next compaction.
struct CompactionAlternatives {
    /// The compaction that frees space, whatever else is more urgent.
    let reclaiming: CompactionPlan?
    /// What is to become of the first level, if it is due.
    let firstLevel: CompactionPlan?
    /// The tables of the first level that may be merged with each other, the newest first; none or at least two.
    let newest: [TableHandle]
    /// For each further level above its target, the most urgent one first, the compaction that reads least.
    let shortest: [CompactionPlan]

    /// The merge of as many of the newest tables of the first level as `byteCount` bytes are enough for; nil if these
    /// are not two. It shortens the level at the least cost, so that writers can go on.
    func merge(within byteCount: UInt64) -> CompactionPlan? {
        var rest = byteCount
        let tables = newest.prefix { table in
            let (left, overflow) = rest.subtractingReportingOverflow(table.metadata.byteCount)
            rest = left
            return !overflow
        }
        return tables.count > 1 ? CompactionPlan(mergingNewest: Array(tables)) : nil
    }

    /// The merge of the newest two: the least that shortens the level.
    var leastMerge: CompactionPlan? {
        newest.isEmpty ? nil : CompactionPlan(mergingNewest: Array(newest.prefix(2)))
    }
}

extension CompactionPolicy {
    /// How many tables of a level are looked at for the compaction that reads least.
    private static let mostTablesCompared = 1_000

    /// What can be compacted in place of the next compaction. It is looked for where there is no space for that.
    ///
    /// - Parameter cursors: for each level, the highest key that its last compaction has reached.
    /// - Complexity: O(n log m) for n looks at tables, at most a thousand a level, and m tables of the next level.
    func alternatives(after cursors: [Bytes?]) -> CompactionAlternatives {
        let levels = urgentLevels
        return CompactionAlternatives(
            reclaiming: reclaiming(),
            firstLevel: levels.contains(0) ? firstLevelPlan() : nil,
            newest: levels.contains(0) ? runAmongSound() ?? [] : [],
            shortest: levels.filter { $0 > 0 }.compactMap { shortestPlan(of: $0, after: cursors) }
        )
    }

    /// The compaction of one table of a level that reads least.
    private func shortestPlan(of level: Int, after cursors: [Bytes?]) -> CompactionPlan? {
        tables(of: level, after: cursors).prefix(CompactionPolicy.mostTablesCompared).lazy
            .compactMap { plan(level, inputs: [$0], outputLevel: level + 1) }
            .min { $0.spaceNeeded < $1.spaceNeeded }
    }
}
