import BalsaPlatform

/// Merges the tables of a plan into new ones, in steps. The inputs stay as they are.
final class CompactionJob {
    let plan: CompactionPlan
    /// From where on everything is protected.
    let mark: SequenceNumber
    /// The tables that were damaged when the job began. It drops nothing between their bounds.
    private let damaged: DamagedTables
    // What the rules and the cursors point into.
    private let inputVersion: Version
    private let sources: Version
    private let rules: DroppingRules
    private var outputs: CompactionOutputs
    private var merger: MergingCursor
    private var hasBegun = false
    /// The key that the merger was at last.
    private var lastKey = RawBuffer(capacity: 64)
    /// The sequence of the last entry of that key; nil before the first.
    private var lastSequence: SequenceNumber?
    private var entriesRead: UInt64 = 0
    /// How many entries have been dropped.
    private(set) var entriesDropped: UInt64 = 0
    /// Whether range tombstones have been dropped.
    let dropsTombstones: Bool

    /// A compaction.
    ///
    /// - Parameters:
    ///   - plan: what is merged.
    ///   - version: the version that the plan was made for.
    ///   - mark: from where on everything is protected.
    ///   - snapshots: the snapshots that are held.
    ///   - damaged: the damaged tables, between whose bounds nothing is dropped.
    ///   - factory: begins the outputs.
    init(
        _ plan: CompactionPlan,
        version: Version,
        mark: SequenceNumber,
        snapshots: [SequenceNumber],
        damaged: DamagedTables,
        factory: TableFactory
    ) {
        self.plan = plan
        self.mark = mark
        self.damaged = damaged
        inputVersion = version
        let tombstones = TombstoneList.merging(plan.allInputs.map(\.table.tombstones))
        var deeper = (plan.outputLevel + 1..<max(version.levelCount, plan.outputLevel + 1)).map {
            version.slots(of: $0)
        }
        if plan.outputLevel == 0 {
            // The older tables of the first level overlap each other.
            let slots = version.slots(of: 0)
            deeper += slots.indices.dropFirst(plan.inputs.count).map {
                UnsafeBufferPointer(rebasing: slots[$0..<$0 + 1])
            }
        }
        rules = DroppingRules(
            mark: mark,
            snapshots: snapshots,
            tombstones: tombstones,
            deeper: deeper,
            quarantined: damaged.bounds,
            ignoresDeeper: factory.options.plantedBugs.contains(.tombstonesDroppedEarly)
        )
        let kept = TombstoneList(rules.keptTombstones())
        dropsTombstones = kept.deletions != tombstones.deletions
        outputs = CompactionOutputs(
            plan,
            tombstones: kept,
            isLastLevel: deeper.allSatisfy(\.isEmpty),
            factory: factory
        )
        // Blocks that a compaction reads are not worth keeping: their tables are about to go.
        sources = Version(levels: [[], plan.level == 0 ? [] : plan.inputs, plan.overlapping], floor: 0)
        let tables = plan.level == 0 ? plan.inputs.map { $0.table.makeCursor(fillsCache: false) } : []
        let levels = [sources.slots(of: 1), sources.slots(of: 2)].filter { !$0.isEmpty }.map {
            LevelCursor($0, fillsCache: false, waiting: .allowed)
        }
        merger = MergingCursor(memtables: [], tables: tables, levels: levels, bounds: KeyBounds())
    }

    /// The names of the files that have been made.
    var fileNames: [String] { outputs.fileNames }

    /// Does the next part of the work.
    ///
    /// - Parameter budget: about how many bytes to read.
    /// - Returns: the new tables, when all are finished and synced.
    func step(budget: Int) throws(EngineError) -> [TableMetadata]? {
        if !hasBegun {
            try merger.seekToFirst()
            hasBegun = true
        }
        var consumed = 0
        while merger.isValid, consumed < budget {
            consumed += merger.key.count + merger.value.count + 16
            try takeEntry()
            try merger.advance()
        }
        guard !merger.isValid else { return nil }
        // A cursor that ends early would drop everything behind it, with the inputs.
        guard entriesRead == plan.inputEntryCount else {
            throw EngineError(
                .damaged,
                "a compaction found \(entriesRead) of the \(plan.inputEntryCount) entries of its tables"
            )
        }
        return try outputs.finish()
    }

    private func takeEntry() throws(EngineError) {
        let key = merger.key
        let trailer = merger.trailer
        entriesRead += 1
        if lastSequence == nil || !KeyOrder.isEqual(key, lastKey.bytes) {
            lastSequence = nil
            lastKey.removeAll()
            lastKey.append(key)
            try outputs.begin(key)
        }
        if rules.drops(key, trailer, newer: lastSequence) {
            entriesDropped += 1
        } else {
            try outputs.add(key, trailer, merger.value)
        }
        lastSequence = trailer.sequence
    }

    /// Whether the job may have dropped something between the bounds of a table that is damaged now, and was not known
    /// to be when the job began.
    func mayDropAcross(_ damaged: DamagedTables) -> Bool {
        guard damaged != self.damaged, let range = KeyRange.covering(plan.allInputs) else { return false }
        return damaged.overlap(range, besides: self.damaged)
    }

    /// Gives the files up.
    func abandon() { outputs.abandon() }
}
