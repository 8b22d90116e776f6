import BalsaPlatform

extension StorageEngine {
    /// Figures as of now.
    public var metrics: EngineMetrics {
        let view = retainedView()
        var metrics = withShared { shared in
            var metrics = shared.metrics
            metrics.sealsWaiting = shared.seals.count
            return metrics
        }
        metrics.levels = view.version.levels.map { tables in
            var level = EngineMetrics.Level()
            for table in tables {
                level.tableCount += 1
                level.byteCount += table.metadata.byteCount
                level.entryCount += table.metadata.entryCount
            }
            return level
        }
        let held = snapshots.sequences()
        metrics.memtableBytes = view.memtable.byteCount
        metrics.snapshotCount = snapshots.count
        metrics.oldestSnapshot = held.first
        metrics.cacheBytes = cache.byteCount
        metrics.cacheHits = cache.hits
        metrics.cacheMisses = cache.misses
        metrics.openTables = tables.fileCount
        metrics.tableOpenings = tables.fileOpenings
        metrics.tableMemoryBytes = tables.byteCount
        metrics.tableReads = tables.bodyReads
        metrics.hiddenEntries = emptyRanges.passedEntries
        metrics.quarantined = tables.quarantine.ranges
        metrics.quarantines = metrics.quarantined.count
        metrics.filesToRemove = removals.count
        return metrics
    }

    /// What of the tables cannot be read, as far as reads and compactions have found out: one range for each table.
    public var quarantines: [QuarantinedRange] { tables.quarantine.ranges }

    /// The same without the first `count` that were found since the engine was opened.
    public func quarantines(after count: Int) -> [QuarantinedRange] { tables.quarantine.ranges(after: count) }

    /// How many such tables were found since the engine was opened, those that are gone included. Cheap.
    public var quarantinesFound: Int { tables.quarantine.found }

    /// Whether a table is known to have such a range now.
    public var isDamaged: Bool { !tables.quarantine.isEmpty }

    /// The lowest retention mark above `mark` at which something dead in a table could be dropped; nil if nothing waits
    /// for a later mark. Complexity: O(n) for n tables.
    public func reclaimingMark(above mark: SequenceNumber) -> SequenceNumber? {
        var lowest: SequenceNumber?
        for table in retainedView().version.levels.joined() where table.metadata.deadSequence > mark {
            lowest = min(lowest ?? .max, table.metadata.deadSequence)
        }
        return lowest
    }

    /// Whether a memtable holds range deletions, which no table can tell of yet. The writer's own.
    public var holdsRangeDeletions: Bool {
        withView { view in
            view.memtable.rangeDeletionCount > 0 || view.sealed.contains { $0.rangeDeletionCount > 0 }
        }
    }

    /// What is wrong with the levels; nil where nothing is. Costs no reads.
    public func checkInvariants() -> String? { retainedView().version.checkInvariants() }

    /// Reads every block of every table from the disk and verifies it.
    ///
    /// An opening reads no blocks: whoever has received the files calls this right behind it, before relying on them. Any
    /// thread may call it. Nothing goes into the cache, and what is there takes the place of no read.
    ///
    /// - Throws: *damaged* with the name of the file.
    public func verifyAll() throws(EngineError) {
        try checkOpen()
        for table in retainedView().version.levels.joined() { try table.table.verify() }
    }
}
