import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// What a replica is in the middle of, as far as it matters to know where it died.
package enum ReplicaPhase {
    case stepping
    case receiving
    case installing
}

/// One member's share of a group: consensus, log, state machine and waiting callers, composed as one instance.
///
/// Like the core that it contains, a replica decides and does not wait: it takes one ``ReplicaInput`` at a time with the
/// present moment and appends ``ReplicaEffect``s. It reads and writes files itself where that is part of a step; writes
/// and syncs of log and vote, and background work, are effects that take their time. The production shell
/// and the simulation carry out the same effects; there is no third kind of replica.
///
/// The parts:
///
/// - `Replica+Opening`: from a directory to a member that takes part;
/// - this file: how a step runs;
/// - `Replica+Effects`: how the core's effects are carried out;
/// - `Replica+Persisting`: what the core wants durable, in order, on log and vote;
/// - `Replica+Requests`: commands and reads, from the caller to the reply;
/// - `Replica+State`: the state machine: applying, sealing, background work, and the log that becomes superfluous;
/// - `Replica+Transfer`: sending, receiving and installing checkpoints.
public final class Replica {
    /// The group that the replica belongs to. One group a member, for now.
    static let group: GroupID = 1

    /// This member.
    public let member: MemberID
    let options: ReplicaOptions
    /// The cluster, whose table is the payload of entry 1; nil where that is none.
    let identity: ClusterIdentity?
    /// Opens state machines.
    let provider: any StateMachineProvider
    /// The state. It is another one after a checkpoint was installed.
    public internal(set) var machine: any StateMachine

    // What it is composed of.
    /// Consensus.
    public internal(set) var raft: Raft
    var log: Log
    var vote: VoteFile
    var generations: GenerationStore
    let lock: any FileLock

    /// What was agreed on with the peers.
    var agreements = WireAgreements()

    // What is on its way.
    var persists = PersistPipeline()
    var requests: RequestTable
    var reads = ReadTable()
    var clock = LogicalClock()
    /// The frame that is being handled, whose entries the core's effects may name.
    var arrived: Envelope?
    /// The commands of the proposal that is being handled.
    var proposed: [Bytes] = []
    /// The callers of that proposal, or the member that passed its command on, with that member's number for it.
    var submitted: [Submission] = []
    var forwarder: (peer: MemberID, number: UInt64)?
    /// Which of the commands that members passed on this leader has handled.
    var handled = ForwardedNumbers()
    var lastProposal: UInt64 = 0
    /// The name of the last question for a read index.
    var lastRead: ReadID
    /// The background task of the log, while one runs.
    var isTaskRunning = false
    /// When a task that failed may be tried again.
    var taskRetryAt = Instant.zero

    // The state and its seals. The log has seals, too, which are frames: `logSealDeadline`.
    /// What the state contains.
    public internal(set) var applied: StatePosition
    /// How far the core allows to apply.
    var applyTarget: LogIndex
    /// Whether the options that the member was opened with were compared with those in force.
    var hasComparedOptions = false
    /// The last position that was sealed, durably or not.
    var sealed: LogPosition
    /// The durable seal by which the log was last dropped.
    var dropped: LogIndex = 0
    /// How much log was written when the state was last sealed.
    var logBytesAtSeal: UInt64 = 0
    /// How much log the opening found behind the last seal, about. It counts until the next one: else a member that is
    /// opened often, each time for a short while, would never seal its state, and its log would grow with every
    /// opening.
    var unsealedBytesFound: UInt64
    /// When the state is sealed at the latest, while something was applied behind its last seal.
    var stateSealDeadline = Instant.never
    /// Whether a step of background work is under way, and when one that failed may be tried again.
    var isWorking = false
    /// Whether ROOT has yet to be told that the received state is that of the others. Where it never is, a later start
    /// finds that out once more.
    var isConfirmationDue = false
    var workRetryAt = Instant.zero
    /// When a note for ROOT that failed may be tried again, and how many failed in a row because the device did. The
    /// state machine's work does not wait for a note that cannot be written.
    var confirmationRetryAt = Instant.zero
    var confirmationFailures = 0
    /// When it is to be noted on disk that the state differs; never where that is done, or is not so.
    var divergenceMarkAt = Instant.never
    /// How many steps of it failed in a row because the device did.
    var deviceFailures = 0
    /// When an entry is tried again that needs what the device did not read, and how often it was tried.
    var applyRetryAt = Instant.zero
    var applyAttempts = 0
    /// When this leader may next hand over because it cannot read what it is asked for.
    var giveWayAt = Instant.zero

    /// The last entry of the log as a leader saw it last, and when it proposes something itself if none follows.
    var idleIndex: LogIndex = 0
    var idleDeadline = Instant.never

    // Checkpoints.
    /// The live generation of the state.
    var generation: UInt64
    /// The states that checkpoints have replaced while work of the first of them is still under way.
    var replaced: [(machine: any StateMachine, generation: UInt64)] = []
    var senders: [CheckpointSender] = []
    var lastTransfer: UInt64 = 0
    var transferPauses = TransferPauses()
    /// Checkpoints that were delivered, and until when the log behind them is kept.
    var delivered: [(index: LogIndex, until: Instant)] = []
    var incoming: CheckpointReceiver?
    var incomingGeneration: UInt64 = 0
    /// The last refusal of a checkpoint that the observer was told, until one has arrived whole.
    var toldRefusal: ToldRefusal?

    // The judges of the simulation listen.
    /// What the replica is in the middle of, should a file call be its last.
    package internal(set) var phase = ReplicaPhase.stepping
    /// Told of every batch right after it was applied, with the replies.
    package var onApply: ((EntryBatch, [AppliedCommand]) -> Void)?
    /// Told of every batch right before it enters the log.
    package var onStage: ((EntryBatch) -> Void)?
    /// Told when a checkpoint has taken the place of the state.
    package var onInstall: (() -> Void)?

    // Time.
    var now = Instant.zero
    /// When the core wants to be woken.
    var raftDeadline = Instant.never
    /// When the log is sealed, if nothing more is written to it until then.
    var logSealDeadline = Instant.never
    /// When the shell was last asked to wake the replica.
    var armed = Instant.never

    /// Whether it was told to close. Its core is silent then: what it took, it could never answer.
    var isClosed = false
    /// Why the replica has failed, if it has.
    public private(set) var failure: ReplicaError?
    /// Counts what the replica did since it was opened.
    public internal(set) var metrics = ReplicaMetrics()

    var raftEffects = Effects()

    init(
        parts: consuming OpenedParts,
        member: MemberID,
        options: ReplicaOptions,
        provider: any StateMachineProvider,
        identity: ClusterIdentity?,
        nonce: UInt64
    ) {
        self.member = member
        self.identity = identity
        requests = RequestTable(origin: nonce)
        lastRead = ReadID(member: member, nonce: nonce, number: 0)
        self.options = options
        self.provider = provider
        machine = parts.machine
        raft = parts.raft
        log = parts.log
        vote = parts.vote
        generations = parts.generations
        generation = parts.generations.root?.generation ?? 0
        lock = parts.lock
        applied = parts.machine.durable
        applyTarget = parts.raft.appliedIndex
        sealed = applied.position
        metrics.recovery = parts.report
        let (first, last) = (raft.log.base.index, raft.log.lastIndex)
        let (entries, unsealed) = (last - first, last - min(last, max(first, sealed.index)))
        // Entries of one log are of about one size.
        unsealedBytesFound = entries == 0 ? 0 : UInt64(Double(log.liveBytes) * Double(unsealed) / Double(entries))
    }

    /// The log's counters.
    public var logMetrics: LogMetrics { log.metrics }
    /// The highest index known to be committed.
    public var commitIndex: LogIndex { raft.commitIndex }
    /// The index through which the state contains everything.
    public var appliedIndex: LogIndex { raft.appliedIndex }
    /// Whether the state was found to differ from that of the majority, and waits for a checkpoint.
    public var isDiverged: Bool { raft.isDiverged && !raft.isUnreadable }
    /// Whether apply has stopped before an entry that needs what cannot be read, and waits for a checkpoint.
    public var isUnreadable: Bool { raft.isUnreadable }
    /// What must hold between any two steps; nil where it does, else a sentence about what does not.
    public func brokenInvariant() -> String? { raft.brokenInvariant() }

    /// Begins to take part. Called once, before any step.
    func start(at now: Instant, into effects: inout [ReplicaEffect]) {
        self.now = now
        raft.start(at: now, into: &raftEffects)
        finishStep(&effects)
    }

    /// This member and a peer have introduced themselves to each other, and agree on this. No step: nothing follows
    /// from it.
    public func agreed(_ agreement: WireAgreement, with peer: MemberID) { agreements.note(agreement, with: peer) }

    /// Takes one input and appends what follows from it to `effects`.
    public func step(_ input: ReplicaInput, at moment: Instant, into effects: inout [ReplicaEffect]) {
        now = max(now, moment)
        phase = .stepping
        guard failure == nil else {
            refuse(input, &effects)
            return
        }
        do throws(ReplicaError) {
            try handle(input, &effects)
        } catch {
            fail(error, &effects)
        }
        finishStep(&effects)
    }

    /// Gives up files and locks. Nothing is called afterwards, and nothing is under way any more. What was not acknowledged
    /// may be lost, as in a crash; a caller that closes in order gives ``ReplicaInput/close`` first.
    public func close() {
        machine.close()
        for (machine, _) in replaced { machine.close() }
        lock.release()
    }

    private func handle(_ input: ReplicaInput, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        switch input {
        case .received(let frame):
            receive(frame, isFirstBootOnly: false, &effects)
        case .receivedFirstBoot(let frame):
            receive(frame, isFirstBootOnly: true, &effects)
        case .refused:
            // What follows from it is the member's to decide, which knows whom it can do without.
            break
        case .submit(let submissions):
            submit(submissions, &effects)
        case .read(let id, let consistency, let deadline):
            ask(id, consistency, deadline: deadline, &effects)
        case .written(let write):
            written(write)
        case .writeFailed(let write, let error):
            try writeFailed(write, error)
        case .taskFinished(let task):
            isTaskRunning = false
            log.taskFinished(task)
        case .taskFailed(let task, let error):
            isTaskRunning = false
            log.taskFailed(task, error)
            metrics.tasksFailed += 1
            taskRetryAt = now + options.deadlineGranularity
            if let failure = log.failure { throw ReplicaError(failure) }
            // To try again would change nothing, and what is acknowledged meanwhile might not be found.
            if error.number == .exchanged { throw ReplicaError(error) }
        case .worked(let work):
            worked(work)
        case .workFailed(let work, let error):
            try workFailed(work, error, &effects)
        case .peerUnreachable(let peer):
            tell(.peerUnreachable(peer))
            // What was passed on to it may be lost with the connection, and its answer is nothing to wait for.
            if requests.hasForwarded, raft.currentStanding.leader == peer {
                requests.leaderChanged(to: peer, &effects)
            }
        case .timer:
            armed = .never
            timerFired(&effects)
        case .close:
            isClosed = true
            tell(.close)
            requests.failAll(.closed, &effects)
            reads.failAll(.closed, &effects)
            sealLogSoon()
        }
    }

    private func receive(_ bytes: Bytes, isFirstBootOnly: Bool, _ effects: inout [ReplicaEffect]) {
        do throws(DecodingError) {
            let frame = try PeerFrame(decoding: bytes, options: .formatMaximum)
            guard frame.group == Replica.group else { return }
            if case .firstBoot(let message) = frame.content {
                answer(message, from: frame.from, &effects)
                return
            }
            guard !isFirstBootOnly, isHeard(frame, &effects) else { return }
            switch frame.content {
            case .message(.append(let append), _) where append.entries != nil && isLogFull:
                // As if it was lost. The leader sends it again, until the log is replaced.
                metrics.appendsRefused += 1
            case .message:
                arrived = frame.envelope
                if let envelope = arrived { tell(.message(envelope.message, entries: envelope.entryMetadata)) }
            case .checkpointChunk(let chunk):
                receive(chunk, from: frame.from, term: frame.term, &effects)
            case .checkpointChunkResponse(let response):
                receive(response, from: frame.from, &effects)
            case .forward(let forwarded):
                receive(forwarded, from: frame.from, sentIn: frame.term, &effects)
            case .forwardResponse(let response):
                receive(response, &effects)
            case .firstBoot:
                preconditionFailure("it was answered above")
            }
        } catch {
            metrics.framesRefused += 1
            effects.append(.undecodable(error))
        }
    }

    /// Whether a frame counts. The core holds its own messages against the same rule.
    private func isHeard(_ frame: PeerFrame, _ effects: inout [ReplicaEffect]) -> Bool {
        if case .message = frame.content { return true }
        guard frame.to == member, frame.from != member else { return false }
        if raft.configuration.contains(frame.from) { return true }
        effects.append(.report(.unknownPeer(frame.from)))
        return false
    }

    /// Tells who is still in its first boot which cluster there is.
    private func answer(_ message: FirstBootMessage, from peer: MemberID, _ effects: inout [ReplicaEffect]) {
        guard let identity, let answer = FirstBoot.answer(to: message, of: identity) else { return }
        send(PeerFrame(group: Replica.group, from: member, to: peer, term: 0, content: .firstBoot(answer)), &effects)
    }

    /// BOOT has changed, durably. The log says so with its next frame, or is sealed to say so: in 10 ms at the latest,
    /// whether a step comes until then or not.
    func noted(bootRevision: UInt64, into effects: inout [ReplicaEffect]) {
        guard failure == nil else { return }
        log.note(bootRevision: bootRevision)
        if logSealDeadline == .never { sealLogSoon() }
        arm(&effects)
    }

    private func timerFired(_ effects: inout [ReplicaEffect]) {
        if now >= raftDeadline {
            raftDeadline = .never
            tell(.timer)
        }
        if now >= logSealDeadline {
            logSealDeadline = .never
            if log.needsSeal { log.stageSeal() }
        }
        requests.expire(at: now, granularity: options.deadlineGranularity, &effects)
        reads.expire(at: now, granularity: options.deadlineGranularity, &effects)
    }

    /// Gives an input to the core. What follows from it is carried out before the step ends.
    func tell(_ input: Input) {
        raft.step(input, at: now, into: &raftEffects)
    }

    /// Carries out what the core wants, and what follows from that, until nothing is left; then hands the log's work to
    /// the shell.
    private func finishStep(_ effects: inout [ReplicaEffect]) {
        do throws(ReplicaError) {
            // To move on may give the core something to do again, and that something to move on.
            while failure == nil {
                var current = Effects()
                swap(&current, &raftEffects)
                for effect in current.list { try carryOut(effect, &effects) }
                if raftEffects.list.isEmpty { try advance(&effects) }
                if raftEffects.list.isEmpty { break }
            }
        } catch {
            fail(error, &effects)
        }
        raftEffects.removeAll()
        arrived = nil
        proposed.removeAll(keepingCapacity: true)
        arm(&effects)
    }

    /// Moves on what the disk allows: persists, the state, reads that have become answerable, log writes, work.
    private func advance(_ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        stagePersists()
        if let id = try releasePersists(&effects) { tell(.persisted(id)) }
        try markDivergence()
        try applyPages(&effects)
        compareOptions(&effects)
        askForReads()
        // What was found to differ just now is not read any more.
        if !isDiverged { reads.applied(raft.appliedIndex, &effects) }
        try sealIfDue()
        dropLog()
        discardIncomingIfOvertaken()
        continueTransfers(&effects)
        proposeIfIdle()
        startWrites(&effects)
        startWork(&effects)
    }

    /// Asks to be woken when the next thing is due.
    private func arm(_ effects: inout [ReplicaEffect]) {
        guard failure == nil else { return }
        var deadline = min(raftDeadline, logSealDeadline, requests.nextExpiry)
        deadline = min(deadline, reads.nextExpiry, transferDeadline)
        deadline = min(deadline, idleDeadline)
        // One that has passed waits for the state machine, which is overloaded: the end of its work comes as a step.
        if stateSealDeadline > now { deadline = min(deadline, stateSealDeadline) }
        if isTaskBlocked { deadline = min(deadline, taskRetryAt) }
        if divergenceMarkAt > now { deadline = min(deadline, divergenceMarkAt) }
        if workRetryAt > now { deadline = min(deadline, workRetryAt) }
        if isConfirmationDue, confirmationRetryAt > now { deadline = min(deadline, confirmationRetryAt) }
        if applyRetryAt > now { deadline = min(deadline, applyRetryAt) }
        if deadline < armed {
            armed = deadline
            effects.append(.wake(at: deadline))
        }
    }

    /// Stops: nothing is sent, written or applied any more. Callers whose command is in the log cannot know.
    func fail(_ error: ReplicaError, _ effects: inout [ReplicaEffect]) {
        guard failure == nil else { return }
        failure = error
        // What the core has to say of it is still heard; what it wants done is not.
        for effect in raftEffects.list {
            switch effect {
            case .report(let anomaly): effects.append(.report(anomaly))
            case .standing(let standing): effects.append(.standing(standing))
            default: break
            }
        }
        raftEffects.removeAll()
        for submission in submitted {
            effects.append(.reply(submission.id, .failure(RequestError(.unknown, .failed))))
        }
        submitted.removeAll()
        requests.failAll(.failed, &effects)
        reads.failAll(.failed, &effects)
        effects.append(.failed(error))
    }

    private func refuse(_ input: ReplicaInput, _ effects: inout [ReplicaEffect]) {
        let refusal = Reply.failure(RequestError(.notApplied, .failed))
        switch input {
        case .submit(let submissions):
            for submission in submissions { effects.append(.reply(submission.id, refusal)) }
        case .read(let id, _, _):
            effects.append(.reply(id, refusal))
        default:
            break
        }
    }
}
