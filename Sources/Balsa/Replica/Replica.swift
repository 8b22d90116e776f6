import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// One member's share of a group: consensus, log, state machine and waiting callers, composed as one instance.
///
/// Like the core that it contains, a replica decides and does not wait: it takes one ``ReplicaInput`` at a time with the
/// present moment and appends ``ReplicaEffect``s. It reads and writes files itself where that is part of a step; writes
/// and syncs of log and vote, and background tasks, are effects that take their time. A production shell,
/// which is still to come, and the simulation carry out the same effects; there is no third kind of replica.
///
/// The parts:
///
/// - `Replica+Opening`: from a directory to a member that takes part;
/// - this file: how a step runs, and how the core's effects are carried out;
/// - `Replica+Persisting`: what the core wants durable, in order, on log and vote;
/// - `Replica+Requests`: commands and queries, from the caller to the reply;
/// - `Replica+Checkpoints`: taking, sending and installing checkpoints.
public final class Replica {
    /// The group that the replica belongs to. One group a member, for now.
    static let group: GroupID = 1

    /// This member.
    public let member: MemberID
    let options: ReplicaOptions
    /// The state.
    public let machine: any StateMachine

    // What it is composed of.
    /// Consensus.
    public internal(set) var raft: Raft
    var log: Log
    var vote: VoteFile
    var checkpoints: CheckpointStore
    let lock: any FileLock

    // What is on its way.
    var persists = PersistPipeline()
    var requests = RequestTable()
    var clock = LogicalClock()
    /// The frame that is being handled, whose entries or checkpoint the core's effects may name.
    var arrived: Envelope?
    /// The commands of the proposal that is being handled.
    var proposed: [Bytes] = []
    /// The caller of that proposal.
    var submitted: Submission?
    /// The name of the last read.
    var lastRead = ReadID(member: 0, nonce: 0, number: 0)
    /// Told of every batch right after it was applied. The judges of the simulation listen.
    package var onApply: ((EntryBatch) -> Void)?
    /// Told of every batch right before it enters the log.
    package var onStage: ((EntryBatch) -> Void)?
    /// The background task of the log, while one runs.
    var isTaskRunning = false
    /// When a task that failed may be tried again.
    var taskRetryAt = Instant.zero
    /// When a checkpoint that failed may be tried again.
    var checkpointRetryAt = Instant.zero

    // Time.
    var now = Instant.zero
    var raftDeadline = Instant.never
    var sealDeadline = Instant.never
    var armed = Instant.never

    /// Why the replica has failed, if it has.
    public private(set) var failure: ReplicaError?
    /// Counts what the replica did since it was opened.
    public internal(set) var metrics = ReplicaMetrics()
    /// How much log was written when the state was last checkpointed.
    var logBytesAtCheckpoint: UInt64 = 0
    /// The stamp of the last entry that was applied.
    var appliedStamp: UInt64

    private var raftEffects = Effects()

    init(parts: consuming OpenedParts, member: MemberID, options: ReplicaOptions, machine: any StateMachine) {
        self.member = member
        self.options = options
        self.machine = machine
        raft = parts.raft
        log = parts.log
        vote = parts.vote
        checkpoints = parts.checkpoints
        lock = parts.lock
        appliedStamp = parts.appliedStamp
        metrics.recovery = parts.report
    }

    /// The log's counters.
    public var logMetrics: LogMetrics { log.metrics }
    /// The highest index known to be committed.
    public var commitIndex: LogIndex { raft.commitIndex }
    /// The index through which the state contains everything.
    public var appliedIndex: LogIndex { raft.appliedIndex }
    /// What must hold between any two steps; nil where it does, else a sentence about what does not.
    public func brokenInvariant() -> String? { raft.brokenInvariant() }

    /// Begins to take part. Called once, before any step.
    func start(at now: Instant, into effects: inout [ReplicaEffect]) {
        self.now = now
        raft.start(at: now, into: &raftEffects)
        finishStep(&effects)
    }

    /// Takes one input and appends what follows from it to `effects`.
    public func step(_ input: ReplicaInput, at moment: Instant, into effects: inout [ReplicaEffect]) {
        now = max(now, moment)
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

    private func handle(_ input: ReplicaInput, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        switch input {
        case .received(let frame):
            receive(frame, &effects)
        case .submit(let id, let command, let deadline):
            submit(id, command, deadline: deadline, &effects)
        case .query(let id, let query, let deadline):
            ask(id, query, deadline: deadline, &effects)
        case .written(let write):
            written(write)
        case .writeFailed(let write, let error):
            if write.isVote {
                vote.changeFailed(error)
            } else {
                log.writeFailed(write.write.number, error)
            }
            tell(.persistFailed(PersistID(number: 0)))
            throw ReplicaError(error)
        case .taskFinished(let task):
            isTaskRunning = false
            log.taskFinished(task)
        case .taskFailed(let task, let error):
            isTaskRunning = false
            log.taskFailed(task, error)
            metrics.tasksFailed += 1
            taskRetryAt = now + options.deadlineGranularity
            if let failure = log.failure { throw ReplicaError(failure) }
        case .peerUnreachable(let peer):
            tell(.peerUnreachable(peer))
        case .timer:
            armed = .never
            timerFired(&effects)
        case .close:
            tell(.close)
            requests.failAll(.closed, &effects)
        }
    }

    private func receive(_ frame: Bytes, _ effects: inout [ReplicaEffect]) {
        do throws(DecodingError) {
            let envelope = try Envelope(decoding: frame, options: options.wire)
            guard envelope.group == Replica.group else { return }
            arrived = envelope
            tell(.message(envelope.message, entries: envelope.entryMetadata))
        } catch {
            metrics.framesRefused += 1
            effects.append(.undecodable(error))
        }
    }

    private func timerFired(_ effects: inout [ReplicaEffect]) {
        if now >= raftDeadline {
            raftDeadline = .never
            tell(.timer)
        }
        if now >= sealDeadline {
            sealDeadline = .never
            if log.needsSeal { log.stageSeal() }
        }
        requests.expire(at: now, granularity: options.deadlineGranularity, &effects)
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

    /// Moves on what the disk allows: persists, reads that have become answerable, checkpoints, log writes, tasks.
    private func advance(_ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        stagePersists()
        if let id = releasePersists(&effects) { tell(.persisted(id)) }
        answerReads(&effects)
        try checkpointIfDue()
        startWrites(&effects)
    }

    private func carryOut(_ effect: Effect, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        switch effect {
        case .send(let message):
            try send(message, &effects)
        case .persist(let persist):
            try enqueue(persist)
            stagePersists()
        case .apply(let position):
            try apply(through: position, &effects)
        case .respond(let response):
            respond(response, &effects)
        case .sendSnapshot(let peer):
            sendCheckpoint(to: peer, &effects)
        case .installSnapshot(let position):
            try installCheckpoint(position, &effects)
        case .wake(let moment):
            raftDeadline = moment
        case .standing(let standing):
            effects.append(.standing(standing))
        case .report(let anomaly):
            effects.append(.report(anomaly))
            if case .committedEntryContradicted(let index) = anomaly {
                throw ReplicaError(.contradiction, "entry \(index) is committed here and another one on the leader")
            }
        }
    }

    /// Sends a message, with the entries that it names.
    func send(_ message: Message, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        var entries: EntryBatch?
        if case .append(let append) = message.body, let range = append.entries {
            guard raft.log.contains(range.last), range.first > raft.log.base.index else { return }
            entries = try read(from: range.first, through: range.last.index)
        }
        send(Envelope(group: Replica.group, message: message, entries: entries), &effects)
    }

    /// Sends a frame. Returns false where it is larger than a frame may be, which no waiting would mend.
    @discardableResult
    func send(_ envelope: Envelope, _ effects: inout [ReplicaEffect]) -> Bool {
        do throws(DecodingError) {
            effects.append(.send(to: envelope.message.to, try envelope.encoded(options: options.wire)))
            return true
        } catch {
            metrics.framesTooLarge += 1
            return false
        }
    }

    /// The entries `first ... last`, all of them.
    func read(from first: LogIndex, through last: LogIndex) throws(ReplicaError) -> EntryBatch {
        do {
            var parts = [try log.entries(Replica.group, from: first, through: last, maxBytes: .max)]
            while let end = parts.last?.lastIndex, end < last {
                parts.append(try log.entries(Replica.group, from: end + 1, through: last, maxBytes: .max))
            }
            return parts.count == 1 ? parts[0] : EntryBatch.joining(parts)
        } catch {
            throw ReplicaError(error)
        }
    }

    /// Asks to be woken when the next thing is due.
    private func arm(_ effects: inout [ReplicaEffect]) {
        guard failure == nil else { return }
        var deadline = min(raftDeadline, sealDeadline, requests.nextExpiry)
        if isTaskBlocked { deadline = min(deadline, taskRetryAt) }
        if checkpointRetryAt > now { deadline = min(deadline, checkpointRetryAt) }
        if deadline < armed {
            armed = deadline
            effects.append(.wake(at: deadline))
        }
    }

    /// Stops: nothing is sent, written or applied any more. Callers whose command is in the log cannot know.
    private func fail(_ error: ReplicaError, _ effects: inout [ReplicaEffect]) {
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
        requests.failAll(.failed, &effects)
        effects.append(.failed(error))
    }

    private func refuse(_ input: ReplicaInput, _ effects: inout [ReplicaEffect]) {
        switch input {
        case .submit(let id, _, _), .query(let id, _, _):
            effects.append(.reply(id, .failure(RequestError(.notApplied, .failed))))
        default:
            break
        }
    }
}

/// What a replica has counted since it was opened.
public struct ReplicaMetrics: Sendable {
    /// What opening the log found.
    public internal(set) var recovery = RecoveryReport()
    /// Commands applied.
    public internal(set) var commandsApplied = 0
    /// Checkpoints taken.
    public internal(set) var checkpointsTaken = 0
    /// Checkpoints that could not be written, read or sent. They are tried again.
    public internal(set) var checkpointsFailed = 0
    /// Checkpoints sent to peers.
    public internal(set) var checkpointsSent = 0
    /// Checkpoints installed.
    public internal(set) var checkpointsInstalled = 0
    /// Entries that were cut off because a leader had others.
    public internal(set) var entriesTruncated = 0
    /// Frames that could not be decoded.
    public internal(set) var framesRefused = 0
    /// Frames that were not sent because they were larger than a frame may be.
    public internal(set) var framesTooLarge = 0
    /// Background tasks that failed.
    public internal(set) var tasksFailed = 0
}
