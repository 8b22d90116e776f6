import BalsaPlatform

/// Which table to rewrite for the space that it holds.
///
/// A table knows how many of its bytes are dead and from which retention mark on they can be dropped. What its
/// tombstones delete below is estimated: whole tables in a deleted range, and an entry for each deletion. A table is
/// worth its rewriting if that is a quarter of what is read for it.
///
/// A table over nothing is rewritten where it is, which drops all that is dead in it. Any other one is merged with the
/// level below, so that its tombstones come to what they delete. Both ends: nothing dead that can be dropped is left in
/// the result, or the result lies a level deeper.
extension CompactionPolicy {
    /// The compaction that frees space; nil if none is worth it yet.
    func reclaiming() -> CompactionPlan? {
        guard version.deadSequence <= protected else { return nil }
        if let plan = reclaimingFirstLevel() { return plan }
        for level in 1..<max(1, version.levelCount) {
            for table in version.levels[level] where isDue(table) {
                if let plan = reclaiming(table, of: level) { return plan }
            }
        }
        return nil
    }

    private func isDue(_ table: TableHandle) -> Bool {
        table.metadata.deadSequence > 0 && table.metadata.deadSequence <= protected
    }

    /// A table of the first level goes down with all others that it overlaps.
    private func reclaimingFirstLevel() -> CompactionPlan? {
        for table in version.levels.first ?? [] where isDue(table) {
            let inputs = firstLevelInputs(with: table)
            guard let plan = plan(0, inputs: inputs, outputLevel: targets.baseLevel) else { continue }
            let gain = inputs.filter(isDue).reduce(0) { $0 + self.gain(of: $1, level: 0) }
            if gain > 0, plan.isMove || isWorthwhile(gain, plan) { return plan }
        }
        return nil
    }

    private func reclaiming(_ table: TableHandle, of level: Int) -> CompactionPlan? {
        let gain = gain(of: table, level: level)
        guard gain > 0, isSound(table) else { return nil }
        let range = KeyRange(of: table.metadata)
        let isOverNothing = !(level + 1..<max(version.levelCount, level + 1)).contains {
            !version.tables(of: $0, overlapping: range).isEmpty
        }
        guard !isOverNothing, level + 1 < options.levels else {
            // What lies below the last level of the options, from an opening with more, is found by compactions of
            // these.
            guard isOverNothing else { return nil }
            let plan = CompactionPlan(
                level: level,
                inputs: [table],
                outputLevel: level,
                overlapping: [],
                below: [],
                maxOverlapBytes: .max,
                isMove: false
            )
            return isWorthwhile(gain, plan) ? plan : nil
        }
        guard let plan = plan(level, inputs: [table], outputLevel: level + 1) else { return nil }
        return plan.isMove || isWorthwhile(gain, plan) ? plan : nil
    }

    private func isWorthwhile(_ gain: UInt64, _ plan: CompactionPlan) -> Bool { gain >= plan.inputByteCount / 4 }

    /// About how many bytes a table keeps from being freed.
    private func gain(of table: TableHandle, level: Int) -> UInt64 {
        // A table of nothing but tombstones is all dead.
        if table.metadata.entryCount == 0, !hasAnythingBelow(table, level) { return table.metadata.byteCount }
        var gain = min(table.metadata.deadBytes, table.metadata.byteCount)
        for below in level + 1..<max(version.levelCount, level + 1) {
            gain += deletedBytes(of: below, by: table)
        }
        return gain
    }

    private func hasAnythingBelow(_ table: TableHandle, _ level: Int) -> Bool {
        (level + 1..<max(version.levelCount, level + 1)).contains {
            !version.tables(of: $0, overlapping: KeyRange(of: table.metadata)).isEmpty
        }
    }

    /// About how many bytes of a level a table's tombstones and deletions delete.
    private func deletedBytes(of level: Int, by table: TableHandle) -> UInt64 {
        let tables = version.tables(of: level, overlapping: KeyRange(of: table.metadata))
        guard !tables.isEmpty else { return 0 }
        let size = tables.reduce(0) { $0 + $1.metadata.byteCount }
        let entries = tables.reduce(0) { $0 + $1.metadata.entryCount }
        var bytes: UInt64 = 0
        if table.metadata.rangeDeletionCount > 0 {
            let fragments = table.table.tombstones.fragments
            for other in tables {
                let range = KeyRange(of: other.metadata)
                let isDeleted = fragments.contains { $0.start <= range.smallest && range.isBefore($0.end) }
                if isDeleted { bytes += other.metadata.byteCount }
            }
        }
        if entries > 0 { bytes += min(table.metadata.deletionCount, entries) * (size / entries) }
        return min(bytes, size)
    }
}
