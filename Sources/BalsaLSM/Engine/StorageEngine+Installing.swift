import BalsaPlatform

/// What an edit of the manifest comes from.
enum EditKind {
    /// The flush of the oldest seal, which wrote so many bytes.
    case flush(UInt64)
    /// A compaction.
    case compaction(CompactionJob)
    /// A move of a table.
    case move(CompactionPlan)
    /// Tables that went unread.
    case drop(CompactionPlan)
}

extension StorageEngine {
    /// Makes an edit durable, and then the version that follows from it the current one.
    ///
    /// The order is what a crash is survived by: the tables have been synced; their names are made durable; the edit is
    /// written and synced; and only then are tables that it removes let go. Where the write of the edit fails, it may be in
    /// the manifest or not: the job is undone, its files are held, and a new manifest decides.
    ///
    /// - Parameter added: the open tables that the edit adds, but for those that it moves.
    func install(_ edit: VersionEdit, added: [TableHandle], kind: EditKind) throws(EngineError) {
        let names = added.map(\.metadata.fileName)
        var edit = edit
        edit.nextFileNumber = withShared { $0.nextFileNumber }
        var state = worker.state
        do throws(EngineError) {
            // What contradicts itself is refused before it is durable.
            if let fault = state.apply(edit) {
                throw EngineError(.failed, "an edit of the manifest is wrong: \(fault)")
            }
            if !added.isEmpty, !options.plantedBugs.contains(.directorySyncLeftOut) {
                try filed { () throws(FileError) in try fileSystem.syncDirectory(directory) }
            }
        } catch {
            for name in names { removals.add(name) }
            throw error
        }
        do throws(EngineError) {
            try worker.manifest.append(edit)
        } catch {
            worker.isManifestUncertain = true
            worker.heldFiles += names
            withShared { $0.wantsManifest = true }
            throw error
        }
        worker.state = state
        publish(edit, added: added, kind: kind)
    }

    /// Makes the version after a durable edit the current one.
    private func publish(_ edit: VersionEdit, added: [TableHandle], kind: EditKind) {
        // Held until the tables that go know that they do.
        let before = retainedView()
        let gone = edit.removed.map(\.number).sorted()
        let removed = before.version.levels.joined().filter { gone.containsSorted($0.metadata.number) }
        for table in removed where !edit.added.contains(where: { $0.table.number == table.metadata.number }) {
            table.retire()
        }
        let version = before.version.applying(edit, added: added)
        version.noteLevels()
        version.forgetLooks(at: removed.map { KeyRange(of: $0.metadata) } + edit.added.map { KeyRange(of: $0.table) })
        noteProgress(kind)
        let protected = lowestProtected(edit.seal)
        let damaged = tables.quarantine.damaged
        let wantsCompaction = nextCompaction(in: version, protected: protected, damaged: damaged) != nil
        let wantsManifest = worker.isManifestTooLong(options)
        let manifestBytes = worker.manifest.byteCount
        withShared { shared in
            let view = unretainedView.takeUnretainedValue()
            var sealed = view.sealed
            if case .flush = kind {
                let seal = shared.seals.removeFirst()
                if seal.memtable != nil { sealed.removeLast() }
            }
            publish(ReadView(memtable: view.memtable, sealed: sealed, version: version))
            if let seal = edit.seal {
                shared.durableSeal = seal
                shared.wantsLogRemoval = commitLog != nil
            }
            // One that has begun goes on, whatever is worth it now.
            shared.wantsCompaction = wantsCompaction || worker.compaction != nil
            shared.reclaimedThrough = protected
            shared.wantsManifest = wantsManifest
            shared.metrics.count(kind, edit)
            shared.metrics.manifestBytes = manifestBytes
        }
        epochs.collect()
    }

    /// Notes how far the compactions of a level have got.
    private func noteProgress(_ kind: EditKind) {
        switch kind {
        case .flush, .drop: break
        case .compaction(let job):
            worker.noteCompaction(of: job.plan.level, through: KeyRange.covering(job.plan.inputs)?.largest)
        case .move(let plan):
            worker.noteCompaction(of: plan.level, through: KeyRange.covering(plan.inputs)?.largest)
        }
    }

    /// What to compact next in `version`; nil for nothing. It is looked for once for a version, a mark and what is
    /// known to be damaged.
    func nextCompaction(
        in version: Version,
        protected: SequenceNumber,
        damaged: DamagedTables
    ) -> CompactionPlan? {
        if let next = worker.next, next.version === version, next.protected == protected, next.damaged == damaged {
            return next.plan
        }
        let policy = CompactionPolicy(version, options, protected: protected, damaged: damaged)
        let plan = policy.next(after: worker.compactionCursors)
        worker.next = NextCompaction(version: version, protected: protected, damaged: damaged, plan: plan)
        worker.looksForCompactions += 1
        return plan
    }

    /// Writes a manifest again and makes it the live one. After that it is certain what the manifest says.
    ///
    /// What fails before CURRENT is renamed leaves the old manifest live, and nothing of the new one. A failure of the
    /// rename, or of the sync behind it, leaves unknown which of the two is.
    func replaceManifest() throws(EngineError) {
        withShared { $0.wantsManifest = true }
        worker.hasReplacementFailed = true
        let manifest = try publishManifest()
        worker.manifest.close()
        removals.add(EngineFileName.manifestName(worker.manifest.number))
        for name in worker.heldFiles { removals.add(name) }
        worker.manifest = manifest
        worker.uncertainManifest = nil
        worker.heldFiles = []
        worker.isManifestUncertain = false
        worker.hasReplacementFailed = false
        withShared { $0.wantsManifest = false }
    }

    /// Publishes the manifest that is uncertain, or writes and publishes one.
    private func publishManifest() throws(EngineError) -> Manifest {
        let manifest: Manifest
        let unknown: EngineError?
        if let uncertain = worker.uncertainManifest {
            // It says what a new one would: while it is uncertain which one is live, no edit is made.
            manifest = uncertain
            unknown = try uncertain.publish(engineID: engineID, in: directory, fileSystem)
        } else {
            try removals.removeManifests()
            let number = takeFileNumber()
            worker.state.nextFileNumber = withShared { $0.nextFileNumber }
            (manifest, unknown) = try Manifest.begin(
                worker.state,
                number: number,
                engineID: engineID,
                directory: directory,
                fileSystem: fileSystem,
                removals: removals
            )
        }
        guard let unknown else { return manifest }
        // CURRENT may name either. Both say the same, as long as nothing more is written to the old one.
        worker.uncertainManifest = manifest
        worker.isManifestUncertain = true
        throw unknown
    }
}

extension EngineMetrics {
    fileprivate mutating func count(_ kind: EditKind, _ edit: VersionEdit) {
        switch kind {
        case .flush(let byteCount):
            if byteCount > 0 { flushes += 1 }
            flushedBytes += byteCount
        case .compaction(let job):
            compactions += 1
            compactedBytesIn += job.plan.inputByteCount
            compactedBytesOut += edit.added.reduce(0) { $0 + $1.table.byteCount }
            entriesDropped += job.entriesDropped
        case .move:
            compactions += 1
            moves += 1
        case .drop(let plan):
            compactions += 1
            entriesDropped += plan.inputEntryCount
        }
    }
}
