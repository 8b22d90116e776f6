import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// What a member's files say of each other: which copies of an earlier moment of the same opening it has to refuse.
package struct FileClaims {
    /// What the log says of VOTE and BOOT.
    package var said: DirectoryMark
    /// Up to where the log is.
    package var logEnd: LogPlace
    /// Up to where VOTE says that it is.
    package var votedLogEnd: LogPlace
    /// Which generation ROOT names.
    package var generation: UInt64
    /// Whether no other generation has files any more.
    package var isOnlyGeneration: Bool
}

extension Replica {
    /// Takes over a persist of the core, with the bytes of its entries.
    func enqueue(_ persist: Persist) throws(ReplicaError) {
        var changes: [PersistPipeline.Change] = []
        if let index = persist.truncation {
            changes.append(.truncate(after: index))
        }
        if let range = persist.entries {
            changes.append(.append(try entries(of: range, from: persist.source)))
        }
        persists.items.append(
            PersistPipeline.Item(id: persist.id, hardState: persist.hardState, changes: changes, then: persist.then)
        )
    }

    /// Takes a change of the log that is no persist of the core, behind all that were asked for before.
    func enqueue(_ change: PersistPipeline.Change) {
        persists.items.append(PersistPipeline.Item(id: nil, hardState: nil, changes: [change], then: []))
    }

    private func entries(of range: EntryRange, from source: EntrySource) throws(ReplicaError) -> EntryBatch {
        let batch: EntryBatch
        switch source {
        case .message:
            guard let arrived = arrived?.entries else { preconditionFailure("the core persists what arrived") }
            let slice = arrived.slice(from: range.first, through: range.last.index)
            // A small part of a large frame does not keep all of it in memory.
            batch = slice.byteCount * 2 < arrived.byteCount ? slice.compact() : slice
        case .proposal:
            batch = build(range, kind: .command, payloads: proposed)
        case .noOp:
            // The first entry of a leader: its logical time begins here, after the last stamp in its log. It goes on at
            // later empty entries of the same term.
            if raft.log.term(at: range.first - 1) != range.last.term {
                clock.begin(at: now, after: try stamp(before: range.first))
            }
            // The very first entry says who the members are, each with the incarnation of its directory, and under
            // which options the state begins.
            if range.first == 1, let identity {
                let founding = FoundingEntry(table: identity.table, options: provider.foundingOptions)
                batch = build(range, kind: .configuration, payloads: [founding.encoded])
            } else {
                batch = build(range, kind: .noOp, payloads: [Bytes()])
            }
        case .none:
            preconditionFailure("entries come from somewhere")
        }
        precondition(batch.firstIndex == range.first && batch.last == range.last, "the bytes are those of the entries")
        return batch
    }

    /// Encodes entries of this leader: once, for its log, its peers and its state machine.
    private func build(_ range: EntryRange, kind: EntryKind, payloads: [Bytes]) -> EntryBatch {
        let previousIndex = range.first - 1
        guard let previousTerm = raft.log.term(at: previousIndex) else {
            preconditionFailure("the log holds what comes before its last entries")
        }
        let byteCount = payloads.reduce(0) { $0 + EntryHeader.encodedByteCount + $1.count }
        let previous = LogPosition(term: previousTerm, index: previousIndex)
        var builder = EntryBatch.Builder(group: Replica.group, previous: previous, capacityBytes: byteCount)
        let stamp = clock.stamp(at: now)
        for payload in payloads {
            builder.append(term: range.last.term, stamp: stamp, kind: kind, payload: payload)
        }
        return builder.finish()
    }

    /// Stages in the log what no vote holds up.
    func stagePersists() {
        while persists.voteUnderWay == nil, let slot = persists.firstWaiting {
            if let state = persists.items[slot].hardState, state != vote.state {
                let change = vote.change(to: state, logEnd: log.durableEnd)
                persists.voteUnderWay = change
                persists.nextVoteWrite = change.first
                return
            }
            for change in persists.items[slot].changes { stage(change) }
            persists.items[slot].changes = []
            persists.items[slot].mark = log.mark
        }
    }

    private func stage(_ change: PersistPipeline.Change) {
        switch change {
        case .truncate(let index):
            metrics.entriesTruncated += Int(clamping: log.last(Replica.group).index - index)
            log.truncate(Replica.group, after: index)
        case .append(let batch):
            onStage?(batch)
            log.append(batch)
        case .reset(let base, let stamp):
            log.reset(Replica.group, to: base, stamp: stamp)
        case .compact(let position):
            // The log may have been reset or compacted further since this was asked for.
            if position.index > log.base(Replica.group).index { log.compact(Replica.group, through: position) }
        }
    }

    /// Notes that a write is durable.
    func written(_ write: ReplicaWrite) {
        switch write.target {
        case .log:
            log.writeFinished(write.write.number)
            sealLogSoon()
        case .vote:
            guard let change = persists.voteUnderWay else { return }
            if write.write.number == change.first.number {
                // Only now that one copy is whole is the other one touched.
                persists.nextVoteWrite = change.second
            } else {
                let isPromise = change.state != vote.state
                vote.changeFinished()
                persists.voteUnderWay = nil
                // An older copy has forgotten it. The last write before the end of a member promises nothing.
                if isPromise { log.note(voteSequence: vote.sequence) }
                sealLogSoon()
            }
        }
    }

    /// Has the log sealed after a short rest, in case more is written until then; at once, where nothing more will be. Who closes
    /// in order so leaves a log in which damage cannot be taken for a write that a crash has torn.
    func sealLogSoon() {
        guard log.needsSeal else { return }
        if isClosed {
            log.stageSeal()
        } else {
            logSealDeadline = now + options.sealLogAfter
        }
    }

    /// Whether everything that was promised is durable, and the files say of each other how new they are.
    private var isBound: Bool {
        failure == nil && persists.voteUnderWay == nil && persists.firstWaiting == nil && !log.hasUnwritten
    }

    /// The durable term and vote.
    package var votedState: HardState { vote.state }

    /// What VOTE, BOOT and the log durably say of each other; nil while VOTE is being changed.
    package var fileClaims: FileClaims? {
        guard failure == nil, persists.voteUnderWay == nil else { return nil }
        return FileClaims(
            said: log.said,
            logEnd: log.durableEnd,
            votedLogEnd: vote.logEnd,
            generation: generation,
            isOnlyGeneration: replaced.isEmpty && metrics.generationsLeftBehind == 0
        )
    }

    /// Writes VOTE once more when the member closes, with the end of the log: then an older copy of the log is refused,
    /// whatever was appended since the last vote. Its state is the same, so that the log need not say so.
    func bindVoteToLog() {
        guard isClosed, isBound, vote.failure == nil, vote.logEnd < log.durableEnd else { return }
        let change = vote.change(to: vote.state, logEnd: log.durableEnd)
        persists.voteUnderWay = change
        persists.nextVoteWrite = change.first
    }

    /// Completes the persists that are durable, and sends what waited for them. Returns the last of the core's among them.
    func releasePersists(_ effects: inout [ReplicaEffect]) throws(ReplicaError) -> PersistID? {
        var last: PersistID?
        var count = 0
        while count < persists.items.count, let mark = persists.items[count].mark, mark <= log.durableMark {
            for message in persists.items[count].then { try send(message, &effects) }
            last = persists.items[count].id ?? last
            count += 1
        }
        persists.items.removeFirst(count)
        return last
    }

    /// Hands what the log and the vote want written to the shell, and a background task if there is one.
    func startWrites(_ effects: inout [ReplicaEffect]) {
        bindVoteToLog()
        if let write = persists.nextVoteWrite {
            persists.nextVoteWrite = nil
            effects.append(.write(ReplicaWrite(target: .vote, write: write, commit: 0)))
        }
        // While changes are held back by a vote, the core's log is ahead of the disk's: what is committed there may still be
        // another entry here, which a note would turn into a committed one after a crash. What is durable of the core's
        // log is the same on disk.
        log.noteCommit(Replica.group, min(raft.commitIndex, raft.durableIndex))
        if logSealDeadline == .never { sealLogSoon() }
        while let write = log.nextWrite() {
            logSealDeadline = .never
            let commit = log.writtenCommit(Replica.group)
            effects.append(.write(ReplicaWrite(target: .log, write: write, commit: commit)))
        }
        // Who closes begins none, unless the seal or what is before it has no other place to go.
        let isTaskWanted = !isClosed || log.awaitsSegment
        if !isTaskRunning, now >= taskRetryAt, isTaskWanted, let task = log.nextTask() {
            isTaskRunning = true
            effects.append(.run(task))
        }
    }

    /// Whether a task, if there is one to do, waits for the time at which one may be tried again after a failure.
    var isTaskBlocked: Bool { !isTaskRunning && now < taskRetryAt }

    /// The stamp of the last entry before `index`, or of the state where the log holds none: then all is applied.
    private func stamp(before index: LogIndex) throws(ReplicaError) -> UInt64 {
        guard index - 1 > raft.log.base.index else { return applied.stamp }
        do throws(LogError) {
            return try page(from: index - 1, through: index - 1).header(at: index - 1).stamp
        } catch {
            throw ReplicaError(error)
        }
    }
}
