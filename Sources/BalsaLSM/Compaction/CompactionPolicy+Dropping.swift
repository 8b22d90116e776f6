import BalsaPlatform

/// Which tables go without being read, because range tombstones delete all of each.
///
/// All protected readers see the tombstones, and so nothing of such a table. The tombstones stay where they are until a
/// compaction finds nothing below them. So a wide deletion gives its space back by a few edits, however much it
/// deletes; what is left to merge are tables that it deletes in part.
extension CompactionPolicy {
    /// How many tables an edit drops at most, so that it takes its time from no other work.
    static let maxDroppedTables = 256

    /// Drops tables of one level; nil where no table is deleted as a whole.
    ///
    /// None is dropped that overlaps the bounds of a damaged one.
    func dropping() -> CompactionPlan? {
        guard version.deadSequence <= protected else { return nil }
        for (level, tables) in version.levels.enumerated() {
            for (index, table) in tables.enumerated() where !table.deletesNoTable && isDue(table) {
                if let plan = dropping(by: table, index, of: level) { return plan }
                table.deletesNoTable = true
            }
        }
        return nil
    }

    private func dropping(by table: TableHandle, _ index: Int, of level: Int) -> CompactionPlan? {
        let runs = table.table.tombstones.runs
        guard !runs.isEmpty else { return nil }
        if level == 0 {
            let deleted = version.levels[0][(index + 1)...].filter { older in
                runs.contains { $0.deletes(older) } && canDrop(in: KeyRange(of: older.metadata))
            }
            if !deleted.isEmpty { return CompactionPlan(dropping: deleted, of: 0) }
        }
        for below in max(level + 1, 1)..<max(version.levelCount, level + 1) {
            var deleted: [TableHandle] = []
            for run in runs where deleted.count < CompactionPolicy.maxDroppedTables {
                let indices = version.indices(of: below, overlapping: KeyRange(of: run))
                let tables = version.levels[below][indices].lazy.filter {
                    run.deletes($0) && canDrop(in: KeyRange(of: $0.metadata))
                }
                deleted += tables.prefix(CompactionPolicy.maxDroppedTables - deleted.count)
            }
            if !deleted.isEmpty { return CompactionPlan(dropping: deleted, of: below) }
        }
        return nil
    }
}

extension CompactionPlan {
    fileprivate init(dropping tables: [TableHandle], of level: Int) {
        self.init(
            level: level,
            inputs: tables,
            outputLevel: level,
            overlapping: [],
            below: [],
            maxOverlapBytes: .max,
            isMove: false,
            isDrop: true
        )
    }
}

extension TombstoneList.Run {
    /// Whether a table has nothing that a reader of all these tombstones sees.
    fileprivate func deletes(_ table: TableHandle) -> Bool {
        let range = KeyRange(of: table.metadata)
        return table.metadata.largestSequence < sequence && start <= range.smallest && range.isBefore(end)
    }
}
