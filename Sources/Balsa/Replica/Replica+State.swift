import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

extension Replica {
    /// Applies what is committed and durable here, page by page, until all is or the state machine is overloaded; and seals
    /// the state on the way where it is full.
    func applyPages(_ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        let appliedBefore = applied.position.index
        while applied.position.index < applyTarget, mayApply {
            let (next, target) = (applied.position.index + 1, applyTarget)
            guard let batch = try readLog({ () throws(LogError) in try page(from: next, through: target) }) else {
                applyRetryAt = now + pause(after: .max)
                effects.append(.retrying("entry \(next) cannot be applied: no file descriptor is left to read it with"))
                break
            }
            while applied.position.index < batch.lastIndex, mayApply {
                let first = applied.position.index + 1
                let last = digestIndex(from: first, in: batch)
                try apply(batch.slice(from: first, through: min(batch.lastIndex, last)), &effects)
                // First, since what turns out to differ is not made durable.
                if applied.position.index >= first { recordDigest(in: batch) }
                if machine.wantsSeal, !isDiverged { try seal() }
            }
        }
        if applied.position.index > appliedBefore { tell(.applied(through: applied.position.index)) }
    }

    private var mayApply: Bool { !machine.isOverloaded && !raft.isDiverged && now >= applyRetryAt }

    /// The entry after the last one that was applied needs what cannot be read here: apply stops before it.
    ///
    /// A device may recover, and is tried again, less and less often. Damage stays: a checkpoint of a peer replaces the
    /// state, and until then the member votes, acknowledges entries, and serves what it has applied.
    private func stopBeforeNextEntry(_ error: StateMachineError, _ effects: inout [ReplicaEffect]) {
        let entry = "entry \(applied.position.index + 1) needs keys that cannot be read"
        applyAttempts += 1
        if error.file != nil, applyAttempts < Replica.mostApplyAttempts {
            applyRetryAt = now + pause(after: applyAttempts)
            effects.append(.retrying("\(entry): \(error)"))
            return
        }
        metrics.unreadableEntries += 1
        let isAlone = raft.configuration.members == [member]
        let outlook =
            isAlone
            ? "and no other member could send a checkpoint, so that this one applies nothing more"
            : "which a checkpoint of another member will replace"
        effects.append(.damagedCopy("\(error); \(entry), \(outlook)"))
        reads.failAll(.damaged, &effects)
        tell(.stateUnreadable)
        // A core that was told to close asks for nothing any more.
        if !raft.isUnreadable { applyRetryAt = .never }
    }

    /// How often an entry is tried that needs what the device does not read, before a checkpoint is asked for.
    private static let mostApplyAttempts = 5

    /// How long to wait after so many failures in a row: it doubles, up to 16 times the shortest.
    private func pause(after failures: Int) -> TimeSpan {
        options.deadlineGranularity * (1 << UInt64(min(max(failures, 1), 5) - 1))
    }

    /// The first index from `first` on at which the digest of the state is recorded.
    private func digestIndex(from first: LogIndex, in batch: EntryBatch) -> LogIndex {
        let interval = options.digestInterval
        let multiple = (first - 1) / interval * interval + interval
        return (first...min(multiple, batch.lastIndex)).first { isEmpty($0, in: batch) } ?? multiple
    }

    /// Whether the entry is an empty one, with which a term begins or its leader has the states compared. By the digest
    /// there a leader finds out soon whether its state is that of the others, also where nothing is written.
    private func isEmpty(_ index: LogIndex, in batch: EntryBatch) -> Bool {
        batch.encodedByteCount(at: index) == EntryHeader.encodedByteCount && batch.header(at: index).kind == .noOp
    }

    /// Records the digest of the state where it is due: at the same indexes on every member.
    private func recordDigest(in batch: EntryBatch) {
        let index = applied.position.index
        guard index % options.digestInterval == 0 || isEmpty(index, in: batch) else { return }
        tell(.applied(through: index))
        tell(.digest(StateDigest(index: index, value: machine.digest)))
    }

    /// Tells once that the member was opened with other replicated options than are in force: as soon as it follows or
    /// leads, and has applied what it knows to be committed.
    func compareOptions(_ effects: inout [ReplicaEffect]) {
        guard !hasComparedOptions, raft.currentStanding.leader != 0, applied.position.term == raft.term,
            applied.position.index == raft.commitIndex
        else { return }
        hasComparedOptions = true
        let differences = machine.optionDifferences
        if !differences.isEmpty { effects.append(.optionsDiffer(differences)) }
    }

    private func apply(_ batch: EntryBatch, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        if batch.firstIndex == 1 { try checkFounders(batch) }
        // Moved out while the state machine calls back, so that two do not change the same list.
        var replies: [ReplicaEffect] = []
        swap(&replies, &effects)
        defer { swap(&replies, &effects) }
        var results: [AppliedCommand] = []
        let last: LogIndex
        do {
            last = try machine.apply(batch) { index, result in
                requests.applied(batch.header(at: index).position, result: result, &replies)
                if requests.hasForwarded, let identity = machine.identity(of: batch.payload(at: index)) {
                    requests.applied(identity, at: index, result: result, &replies)
                }
                metrics.commandsApplied += 1
                if onApply != nil { results.append(AppliedCommand(index: index, result: result)) }
            }
        } catch {
            guard error.isUnreadable else { throw ReplicaError(error) }
            return stopBeforeNextEntry(error, &replies)
        }
        applyAttempts = 0
        precondition(last >= batch.firstIndex && last <= batch.lastIndex, "a state machine applies what it is given")
        let header = batch.header(at: last)
        requests.passed(header.position, &replies)
        applied = StatePosition(position: header.position, stamp: header.stamp)
        onApply?(batch.slice(from: batch.firstIndex, through: last), results)
    }

    /// Throws where entry 1 names other members, or other lives of their directories, than this member's identity does: then
    /// the log is that of another cluster.
    private func checkFounders(_ batch: EntryBatch) throws(ReplicaError) {
        guard let identity else { return }
        try Replica.checkFounders(batch.payload(at: 1), batch.header(at: 1).kind, are: identity.table)
    }

    /// Throws where entry 1, of that payload and kind, does not name the members of `table`.
    static func checkFounders(_ payload: Bytes, _ kind: EntryKind, are table: MemberTable) throws(ReplicaError) {
        var founding: FoundingEntry?
        do throws(DecodingError) {
            founding = try FoundingEntry(decoding: payload)
        } catch {
            // What this release cannot read may be right.
            if error.reason == .version { throw ReplicaError(.upgradeRequired, "entry 1 of the log: \(error)") }
        }
        guard kind == .configuration, founding?.table == table else {
            throw ReplicaError(
                .refused,
                "entry 1 of the log names other members than IDENTITY does, so that the two are of different clusters: put "
                    + "back what belongs together"
            )
        }
    }

    /// The entries from `first` on, a page of them: after a restart all of the log may be waiting.
    func page(from first: LogIndex, through last: LogIndex) throws(LogError) -> EntryBatch {
        try log.entries(Replica.group, from: first, through: last, maxBytes: options.applyPageBytes)
    }

    /// Reads from the log; nil where the process has no descriptor left to open a segment with. That passes, and does
    /// not say that anything is wrong with the log.
    func readLog(_ read: () throws(LogError) -> EntryBatch) throws(ReplicaError) -> EntryBatch? {
        do throws(LogError) {
            return try read()
        } catch {
            guard error.cause?.isOutOfDescriptors == true else { throw ReplicaError(error) }
            metrics.logReadsPutOff += 1
            return nil
        }
    }

    private func seal() throws(ReplicaError) {
        do { try machine.seal() } catch { throw ReplicaError(error) }
        sealed = applied.position
        logBytesAtSeal = log.metrics.bytes
        unsealedBytesFound = 0
        stateSealDeadline = .never
        metrics.seals += 1
    }

    /// Seals the state when enough log was written since the last time, when it is long ago, or when the log is over its
    /// bound and could not be dropped far enough otherwise.
    func sealIfDue() throws(ReplicaError) {
        // What differs from the others' is not made durable: applied again, it may come out right.
        guard applied.position.index > sealed.index, !raft.isDiverged else { return }
        let written = log.metrics.bytes - logBytesAtSeal + unsealedBytesFound
        let isAwaited = log.isOverBound && machine.durable.position.index >= sealed.index
        let isDue = written >= options.sealStateAfterBytes || isAwaited || now >= stateSealDeadline
        let isSoon = !isDue && machine.wantsSealSoon
        // The overload is asked last: every step comes here, and few have something to do.
        guard isDue || isSoon || stateSealDeadline == .never, !machine.isOverloaded else { return }
        if isDue {
            try seal()
        } else {
            let wait = isSoon ? min(options.sealStateAfter, Replica.sealSoonInterval) : options.sealStateAfter
            stateSealDeadline = min(stateSealDeadline, now + wait)
        }
    }

    /// How long a state machine that wants a seal soon waits for it at most.
    static let sealSoonInterval = TimeSpan.seconds(60)

    /// Has the state machine's background work go on. Who closes waits for the step that is under way, and not for all that
    /// there is to do: the next opening goes on with it.
    func startWork(_ effects: inout [ReplicaEffect]) {
        for sentence in machine.takeDamage() {
            metrics.damagedTablesFound += 1
            effects.append(.damagedCopy(sentence))
        }
        guard !isClosed, !isWorking else { return }
        if isConfirmationDue, now >= confirmationRetryAt {
            if let note = generations.confirmation() {
                isWorking = true
                return effects.append(.work(StateWork(note, generation: generation)))
            }
            isConfirmationDue = false
        }
        // A note that could not be written is not due for a while: meanwhile the state machine goes on, whose work may
        // be what frees the space.
        guard now >= workRetryAt, machine.hasWork else { return }
        isWorking = true
        effects.append(.work(StateWork(machine, generation: generation, budget: options.workBudgetBytes)))
    }

    /// A step of the background work has ended.
    ///
    /// - Returns: whether it was work for the present state.
    private func workEnded(_ work: StateWork) -> Bool {
        isWorking = false
        guard work.generation != generation else { return true }
        // It was work for a state that has been replaced meanwhile. Nothing holds its files any more.
        closeReplaced()
        return false
    }

    /// A step of the background work is done.
    func worked(_ work: StateWork) {
        guard workEnded(work) else { return }
        guard let note = work.confirmation else {
            deviceFailures = 0
            return
        }
        confirmationFailures = 0
        // Where ROOT was written meanwhile for another reason, the note is due still.
        generations.confirmed(note)
    }

    /// A step of the background work has failed.
    func workFailed(
        _ work: StateWork,
        _ error: StateMachineError,
        _ effects: inout [ReplicaEffect]
    ) throws(ReplicaError) {
        guard workEnded(work) else { return }
        let number = error.file?.number
        let mayPass = error.isUnreadable || error.isDamaged || number != nil
        if !mayPass || number == .exchanged { throw ReplicaError(error) }
        metrics.workFailed += 1
        // Most likely there is no space, and more may come soon. A device that fails is not asked again all the time.
        let isDevice = error.isDamaged || number == .inputOutput
        if work.confirmation != nil {
            confirmationFailures = isDevice ? confirmationFailures + 1 : 0
            confirmationRetryAt = now + pause(after: confirmationFailures)
        } else {
            deviceFailures = isDevice ? deviceFailures + 1 : 0
            workRetryAt = now + pause(after: deviceFailures)
        }
        if error.isDamaged { effects.append(.damagedCopy(error.description)) }
    }

    /// Whether so much is committed and not applied that nothing more should be committed: the state machine has fallen
    /// behind, and what it does not take the log has to keep.
    var isBacklogged: Bool {
        guard raft.commitIndex > applied.position.index, applied.position.index >= raft.log.base.index else {
            return false
        }
        let bytes = raft.log.byteCount(from: applied.position.index + 1, through: raft.commitIndex)
        return bytes > options.maxBacklogBytes
    }

    /// Whether the log takes no entries of the leader: it is far above its bound, and nothing of it is dropped before a
    /// checkpoint has taken the place of the state. The disk would be full at last, and the member fail.
    var isLogFull: Bool {
        guard raft.isDiverged, raft.role != .leader else { return false }
        let (limit, overflow) = UInt64(options.log.boundBytes).multipliedReportingOverflow(by: Replica.mostLogBounds)
        return !overflow && log.liveBytes > limit
    }

    /// How many times its bound the log may have while the state waits for a checkpoint.
    private static let mostLogBounds: UInt64 = 4

    /// Drops the log that a durable seal covers, but for the entries that peers who are a little behind will want.
    ///
    /// The bound wins over those peers: they get a checkpoint.
    func dropLog() {
        let durable = machine.durable.position.index
        let first = raft.log.base.index
        guard durable > first, durable > dropped || log.isOverBound else { return }
        var target = durable
        if !log.isOverBound {
            target -= min(target, options.entriesKeptBehindSeal)
            // A checkpoint that is on its way is of use only together with what follows it.
            target = min(target, lowestCheckpointUnderWay)
        }
        // Not entry by entry: each drop is a record in the log.
        guard target > first, let term = raft.log.term(at: target) else { return }
        dropped = durable
        let base = LogPosition(term: term, index: target)
        metrics.entriesDropped += base.index - first
        enqueue(.compact(through: base))
        tell(.compacted(through: base))
        stagePersists()
    }
}

/// A command that was applied, and what its caller is told.
package struct AppliedCommand {
    package var index: LogIndex
    package var result: Bytes
}
