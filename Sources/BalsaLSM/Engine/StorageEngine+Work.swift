import BalsaPlatform

extension StorageEngine {
    /// Whether a call of ``work(budget:)`` would have something to do.
    public var hasWork: Bool {
        // Asked in each step of a replica, and most often there is nothing: one look tells so, but of removals.
        let (isWaiting, mayReclaim) = withShared { shared in
            (
                !shared.seals.isEmpty || shared.wantsManifest || shared.wantsCompaction || shared.wantsLogRemoval,
                compactionMark(&shared) > shared.reclaimedThrough
            )
        }
        return isWaiting || removals.count > 0 || mayReclaim && wantsReclaiming
    }

    /// What is being worked on at this moment; nil between two calls of ``work(budget:)``.
    package var currentWork: WorkKind? { withShared { $0.currentWork } }

    /// Does a bounded part of the background work: flushes first, then compactions.
    ///
    /// A step that fails undoes what its job had done. A later call begins it again, so the engine goes on when the
    /// cause is gone, be it a full disk or another failure of a file. A caller that gets an error waits a while before
    /// the next call.
    ///
    /// A full disk does not stop what frees space: while flushes fail or have no space, compactions and removals go on.
    /// A flush begins only if the file system has space for it. Flushes and compactions that fail again and again are
    /// attempted less often: at least once in 16 calls that have nothing else to do. Such a call without an attempt
    /// throws the error of the last one.
    ///
    /// - Parameter budget: about how many bytes of input to work through; at least one step is done.
    /// - Returns: what was done.
    /// - Throws: what went wrong. The engine holds what it held, and can be read and written.
    /// - Precondition: no other call of this method is under way.
    public func work(budget: Int) throws(EngineError) -> WorkResult {
        try checkOpen()
        withShared { shared in
            precondition(!shared.isWorking, "one thread at a time does an engine's background work")
            shared.isWorking = true
        }
        defer {
            withShared { shared in
                shared.isWorking = false
                shared.currentWork = nil
            }
        }
        epochs.collect()
        do throws(EngineError) {
            guard let kind = try step(budget: max(budget, 1)) else { return .idle }
            return .worked(kind)
        } catch {
            withShared { $0.metrics.failures += 1 }
            throw error
        }
    }

    private func step(budget: Int) throws(EngineError) -> WorkKind? {
        // Removals come first because they may be what makes room for the others.
        if !worker.hasRemovalFailed, let name = removals.first { return try remove(name) }
        // A manifest that has only become long can be written to; a disk that has no room for another may have some for a
        // flush or a compaction, which can be what makes room.
        let yieldsManifest = worker.hasReplacementFailed && !worker.isManifestUncertain
        worker.hasReplacementFailed = false
        if !yieldsManifest, try replaceManifestIfWanted() { return .manifest }
        var refusal: EngineError?
        if let seal = withShared({ $0.seals.first }) {
            refusal = worker.flushBackoff.restingError
            if refusal == nil { refusal = missingSpace(for: seal) }
            if refusal == nil {
                try attemptFlush(seal, budget: budget)
                return .flush
            }
        }
        if !worker.hasRemovalFailed, try removeLogFilesIfWanted() { return .removal }
        if let resting = worker.compactionBackoff.restingError {
            refusal = refusal ?? resting
        } else {
            switch try attemptCompaction(budget: budget, isFlushWaiting: refusal != nil) {
            case .done: return .compaction
            case .none: break
            case .refused(let missing): refusal = refusal ?? missing
            }
        }
        if yieldsManifest, try replaceManifestIfWanted() { return .manifest }
        if let refusal { try pass(refusal) }
        if let name = removals.first { return try remove(name) }
        return try removeLogFilesIfWanted() ? .removal : nil
    }

    private func replaceManifestIfWanted() throws(EngineError) -> Bool {
        guard worker.isManifestUncertain || worker.isManifestTooLong(options) else { return false }
        note(.manifest)
        try replaceManifest()
        withShared { $0.metrics.manifests += 1 }
        return true
    }

    private func removeLogFilesIfWanted() throws(EngineError) -> Bool {
        guard withShared({ $0.wantsLogRemoval }) else { return false }
        note(.removal)
        worker.hasRemovalFailed = true
        try removeLogFiles()
        worker.hasRemovalFailed = false
        worker.next?.refusals.endRest()
        return true
    }

    private func note(_ kind: WorkKind) { withShared { $0.currentWork = kind } }

    // MARK: Removing

    private func remove(_ name: String) throws(EngineError) -> WorkKind {
        note(.removal)
        worker.hasRemovalFailed = true
        try filed { () throws(FileError) in try removals.remove(name) }
        worker.hasRemovalFailed = false
        worker.next?.refusals.endRest()
        return .removal
    }

    // MARK: Failing

    /// Goes on with a flush, and notes how that went.
    private func attemptFlush(_ seal: SealedMemtable, budget: Int) throws(EngineError) {
        note(.flush)
        do throws(EngineError) {
            guard try flush(seal, budget: budget) else { return }
            worker.flushBackoff.succeeded()
            // Where a flush found space, a compaction may find some.
            worker.compactionBackoff.endRest()
        } catch {
            worker.flushBackoff.failed(error)
            worker.hasRemovalFailed = false
            throw error
        }
    }

    /// Goes on with a compaction, and notes how that went.
    private func attemptCompaction(budget: Int, isFlushWaiting: Bool) throws(EngineError) -> CompactionAttempt {
        do throws(EngineError) {
            let attempt = try compact(budget: budget, isFlushWaiting: isFlushWaiting)
            guard case .done = attempt else { return attempt }
            if worker.compaction == nil {
                worker.compactionBackoff.succeeded()
                // The files of its inputs are removed before the next flush is attempted.
                worker.flushBackoff.endRest()
            }
            return attempt
        } catch {
            worker.hasRemovalFailed = false
            if leave(error) { return .done }
            worker.compactionBackoff.failed(error)
            throw error
        }
    }

    /// Whether a compaction that failed is given up, because a table that it reads is damaged: the next one is done
    /// without that table. A device may recover, and gets some attempts.
    private func leave(_ error: EngineError) -> Bool {
        guard let range = error.quarantine else { return false }
        if error.code != .damaged {
            guard worker.compactionBackoff.failuresInARow >= StorageEngine.readsOfADevice else { return false }
            let all = retainedView().version.levels.joined()
            guard let table = all.first(where: { range.file.hasSuffix("/" + $0.metadata.fileName) }) else {
                return false
            }
            table.table.quarantine(range)
        }
        // A table that was just written and is damaged is gone already.
        guard tables.quarantine.ranges.contains(where: { $0.file == range.file }) else { return false }
        worker.compactionBackoff.succeeded()
        withShared { shared in
            shared.metrics.failures += 1
            shared.wantsCompaction = true
        }
        return true
    }

    /// How often a compaction is attempted that a device fails, before its table counts as damaged.
    private static let readsOfADevice = 4

    /// Ends a call in which nothing could be done: the next one first tries again to remove what could not be removed.
    private func pass(_ refusal: EngineError) throws(EngineError) {
        worker.flushBackoff.passCall()
        worker.compactionBackoff.passCall()
        worker.hasRemovalFailed = false
        throw refusal
    }

    // MARK: Flushing

    private var factory: TableFactory {
        TableFactory(
            directory: directory,
            fileSystem: fileSystem,
            options: options,
            takeNumber: { [unowned self] in takeFileNumber() },
            takeID: { [unowned self] in worker.takeTableID() }
        )
    }

    /// Goes on with the flush of the oldest seal. Seals are flushed in their order and never past one that failed: the
    /// record of a later one would say that the earlier one's writes are in tables.
    ///
    /// - Returns: whether it is done.
    private func flush(_ seal: SealedMemtable, budget: Int) throws(EngineError) -> Bool {
        withShared { _ in seal.isInFlush = true }
        var edit = VersionEdit()
        edit.seal = seal.record
        guard let memtable = seal.memtable else {
            try install(edit, added: [], kind: .flush(0))
            return true
        }
        let job = worker.flush ?? FlushJob(seal, memtable, factory)
        worker.flush = job
        var handles: [TableHandle] = []
        do throws(EngineError) {
            guard let table = try job.step(budget: budget) else { return false }
            handles = [try openNewTable(table)]
            edit.added = [VersionEdit.Placed(level: 0, table: table)]
        } catch {
            job.abandon()
            worker.flush = nil
            if let name = job.fileName { removals.add(name) }
            throw error
        }
        worker.flush = nil
        try install(edit, added: handles, kind: .flush(handles.reduce(0) { $0 + $1.metadata.byteCount }))
        return true
    }

    // MARK: Compacting

    /// What became of an attempt to compact.
    private enum CompactionAttempt {
        /// There was nothing to do.
        case none
        /// Something was done.
        case done
        /// It was not begun, for want of space.
        case refused(EngineError)
    }

    /// Goes on with the compaction under way, or begins the next one.
    private func compact(budget: Int, isFlushWaiting: Bool) throws(EngineError) -> CompactionAttempt {
        if worker.compaction == nil {
            let version = retainedView().version
            let protected = lowestProtected()
            let damaged = self.tables.quarantine.damaged
            guard var plan = nextCompaction(in: version, protected: protected, damaged: damaged) else {
                withShared { shared in
                    shared.wantsCompaction = false
                    shared.reclaimedThrough = protected
                }
                return .none
            }
            switch choice(for: plan, in: version, isFlushWaiting: isFlushWaiting) {
            case .begin(let chosen): plan = chosen
            case .refuse(let missing): return .refused(missing)
            }
            note(.compaction)
            if plan.isMove {
                try move(plan)
                return .done
            }
            if plan.isDrop {
                try drop(plan)
                return .done
            }
            worker.compaction = CompactionJob(
                plan,
                version: version,
                mark: compactionMark,
                snapshots: snapshots.sequences(),
                damaged: damaged,
                factory: factory
            )
        }
        note(.compaction)
        guard let job = worker.compaction else { return .none }
        if giveUpAcrossDamage(job) { return .done }
        var handles: [TableHandle] = []
        let tables: [TableMetadata]
        do throws(EngineError) {
            guard let finished = try job.step(budget: budget) else { return .done }
            tables = finished
            for table in tables {
                handles.append(try openNewTable(table))
            }
        } catch {
            giveUp(job)
            throw error
        }
        if giveUpAcrossDamage(job) { return .done }
        worker.compaction = nil
        try install(job.edit(tables, options), added: handles, kind: .compaction(job))
        return .done
    }

    /// Undoes what the compaction under way has done.
    private func giveUp(_ job: CompactionJob) {
        job.abandon()
        worker.compaction = nil
        for name in job.fileNames { removals.add(name) }
    }

    /// Gives the compaction under way up if a table turned out to be damaged that its inputs overlap: a repair needs
    /// what it drops there. The next one drops nothing between the bounds of that table.
    ///
    /// - Returns: whether it was given up.
    private func giveUpAcrossDamage(_ job: CompactionJob) -> Bool {
        guard job.mayDropAcross(tables.quarantine.damaged) else { return false }
        giveUp(job)
        withShared { shared in
            shared.metrics.failures += 1
            shared.wantsCompaction = true
        }
        return true
    }

    /// Up to where a compaction may drop what is hidden.
    private var compactionMark: SequenceNumber { withShared(compactionMark) }

    private func compactionMark(_ shared: inout Shared) -> SequenceNumber {
        if options.plantedBugs.contains(.compactionBeyondDurableMark) { return retentionMark }
        return shared.durableSeal?.retentionMark ?? 0
    }

    /// From where on everything is protected: what is hidden there can be dropped.
    ///
    /// - Parameter seal: a record that is about to be the durable one.
    func lowestProtected(_ seal: SealRecord? = nil) -> SequenceNumber {
        let mark = max(compactionMark, seal?.retentionMark ?? 0)
        return min(mark, snapshots.lowest ?? mark)
    }

    /// Whether a snapshot was closed since the tables were looked at last, and something dead can be dropped now.
    var wantsReclaiming: Bool {
        let protected = lowestProtected()
        guard withView({ $0.version.deadSequence }) <= protected else { return false }
        return withShared { protected > $0.reclaimedThrough }
    }

    /// Lets tables go that range tombstones delete.
    private func drop(_ plan: CompactionPlan) throws(EngineError) {
        var edit = VersionEdit()
        edit.removed = plan.inputs.map { VersionEdit.Removed(level: plan.level, number: $0.metadata.number) }
        // The error that can be built in does not know that it drops too much.
        if !options.plantedBugs.contains(.compactionBeyondDurableMark) { edit.floor = compactionMark }
        try install(edit, added: [], kind: .drop(plan))
    }

    /// Gives a table another level.
    private func move(_ plan: CompactionPlan) throws(EngineError) {
        var edit = VersionEdit()
        for table in plan.inputs {
            edit.removed.append(VersionEdit.Removed(level: plan.level, number: table.metadata.number))
            edit.added.append(VersionEdit.Placed(level: plan.outputLevel, table: table.metadata))
        }
        try install(edit, added: [], kind: .move(plan))
    }
}

extension CompactionJob {
    /// What the manifest says when the compaction has made `tables`.
    fileprivate func edit(_ tables: [TableMetadata], _ options: EngineOptions) -> VersionEdit {
        var edit = VersionEdit()
        edit.removed += plan.inputs.map { VersionEdit.Removed(level: plan.level, number: $0.metadata.number) }
        edit.removed += plan.overlapping.map {
            VersionEdit.Removed(level: plan.outputLevel, number: $0.metadata.number)
        }
        edit.added = tables.map { VersionEdit.Placed(level: plan.outputLevel, table: $0) }
        // The error that can be built in does not know that it drops too much.
        let dropsKnowingly = !options.plantedBugs.contains(.compactionBeyondDurableMark)
        if dropsKnowingly, entriesDropped > 0 || dropsTombstones { edit.floor = mark }
        return edit
    }
}
