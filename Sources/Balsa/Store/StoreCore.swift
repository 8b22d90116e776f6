import BalsaKeyValue
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaTransport

/// The part of a store that lives on its loop: the session, the reads that wait, and what is published to other threads.
final class StoreCore: ReplicaShellDelegate, @unchecked Sendable {
    typealias CommandCompletion = @Sendable (Result<CommandReply, RequestError>) -> Void

    /// What users call for.
    private enum Call {
        case command(CallID, Command.Operation, deadline: Instant, CommandCompletion)
        case cancel(CallID)
        case read(ReadConsistency, deadline: Instant, SharedRead.Completion)
    }

    /// The calls that wait for the loop, which takes all of them with one job.
    private struct Inbox {
        var calls: [Call] = []
        var isScheduled = false
    }

    /// What any thread may look at.
    struct Published {
        var machine: KeyValueMachine?
        var state = StoreState.recovering
        /// Why the store has failed, with the file where there is one; empty while it has not.
        var failure = ""
        /// The figures that were the last ones, once the store is closed.
        var lastStatus = StoreStatus()
        var streams: [(id: UInt64, continuation: AsyncStream<StoreState>.Continuation)] = []
        var lastStream: UInt64 = 0
    }

    let shell: ReplicaShell
    let workerReads: WorkerReads
    let published = Locked(Published())
    private let inbox = Locked(Inbox())
    private let observer: (any StoreObserver)?
    private let member: MemberID
    private let waitingLimit: Int

    // What follows belongs to the loop's thread.
    private var session: ClientSession
    private var commands = LookupTable<CallID, CommandCompletion>()
    private var reads: SharedReads
    private var effects: [ClientEffect] = []
    private var readEffects: [ReadEffect] = []
    private var submissions: [Submission] = []
    private var questions: [ReplicaInput] = []
    private var timer: EventLoop.Timer?
    private var failure: String?
    private var isClosed = false
    private var standing = Standing(role: .follower, term: 0, leader: 0)
    private var hasHadLeader = false
    private var replica: Replica?
    private var slow: SlowWatch
    private var stall = StallWatch()
    private var damage: RepetitionWatch

    init(
        shell: ReplicaShell,
        workerReads: WorkerReads,
        member: MemberID,
        options: StoreOptions,
        seed: UInt64 = SystemRandom.seed()
    ) {
        self.shell = shell
        self.workerReads = workerReads
        waitingLimit = options.maxWaitingBytes
        self.member = member
        observer = options.observer
        slow = SlowWatch(options.slow)
        damage = RepetitionWatch(interval: options.slow.reportInterval)
        session = ClientSession(
            seed: seed,
            window: options.maxOutstandingCommands,
            maxWaitingBytes: options.maxWaitingBytes,
            slowAfter: TimeSpan(options.slow.call)
        )
        reads = SharedReads(limit: options.replica.maxWaitingReads)
    }

    // MARK: From any thread

    /// Has a command executed.
    func execute(
        _ call: CallID,
        _ operation: Command.Operation,
        deadline: Instant,
        _ completion: @escaping CommandCompletion
    ) {
        enqueue(.command(call, operation, deadline: deadline, completion))
    }

    /// A caller does not wait for its command any more.
    func cancel(_ call: CallID) { enqueue(.cancel(call)) }

    /// Asks when the state may be read.
    func read(_ consistency: ReadConsistency, deadline: Instant, _ completion: @escaping SharedRead.Completion) {
        enqueue(.read(consistency, deadline: deadline, completion))
    }

    /// What a caller is told for the error of a request, with what there is to say beyond its reason.
    func storeError(_ error: RequestError, of operation: Command.Operation? = nil) -> StoreError {
        switch error.reason {
        case .failed:
            return StoreError(error, published.withLock { $0.failure })
        case .tooLarge:
            guard let operation else { return StoreError(error) }
            return StoreError(
                error,
                StoreError.sentence(ofTooLarge: operation, replicatedOptions, waitingLimit: waitingLimit)
            )
        default:
            return StoreError(error)
        }
    }

    /// The replicated options that this member has applied; nil where it has no state that may be read.
    var replicatedOptions: ReplicatedOptions? {
        guard let entry = published.withLock({ $0.machine })?.replicatedOptions, entry.revision > 0 else { return nil }
        return entry.options
    }

    private func enqueue(_ call: Call) {
        let mustPost = inbox.withLock { inbox in
            inbox.calls.append(call)
            defer { inbox.isScheduled = true }
            return !inbox.isScheduled
        }
        guard mustPost, !shell.loop.post({ [self] in takeCalls() }) else { return }
        // The loop has ended, for this call and for all that counted on its job.
        let error = RequestError(.notApplied, .closed)
        for call in emptyInbox() {
            switch call {
            case .command(_, _, _, let completion): completion(.failure(error))
            case .read(_, _, let completion): completion(.failure(error))
            case .cancel: break
            }
        }
    }

    private func emptyInbox() -> [Call] {
        inbox.withLock { inbox in
            defer { inbox = Inbox() }
            return inbox.calls
        }
    }

    /// Answers everybody who waits. Called on the loop.
    func close() {
        session.close(into: &effects)
        reads.close(into: &readEffects)
        carryOut()
        workerReads.close()
        isClosed = true
        var last = figures()
        last.state = .closed
        replica = nil
        setState(.closed)
        let streams = published.withLock { published in
            published.machine = nil
            published.lastStatus = last
            defer { published.streams = [] }
            return published.streams.map { $0.continuation }
        }
        // Outside of the lock: a stream that ends takes itself out of the list.
        for continuation in streams { continuation.finish() }
    }

    /// The store's figures.
    func status() async -> StoreStatus {
        await withCheckedContinuation { continuation in
            let isPosted = shell.loop.post { [self] in
                continuation.resume(returning: isClosed ? published.withLock { $0.lastStatus } : figures())
            }
            if !isPosted { continuation.resume(returning: published.withLock { $0.lastStatus }) }
        }
    }

    /// A read of a caller took this long.
    func readEnded(after took: TimeSpan, permission: TimeSpan) {
        shell.loop.post { [self] in
            let reading = took.nanoseconds - min(permission.nanoseconds, took.nanoseconds)
            let parts = [
                SlowOperation.Part("until it was permitted", Duration(permission)),
                SlowOperation.Part("reading", Duration(TimeSpan(nanoseconds: reading))),
            ]
            tell(slow.ended(.read, after: took, at: shell.now, parts: parts))
        }
    }

    /// A read of a caller met bytes that are not what was written.
    func metDamage(_ sentence: String) {
        shell.loop.post { [self] in
            // Reads meet damage as often as callers ask, and in as many blocks.
            guard damage.isNews(sentence, at: shell.now, limit: 8) else { return }
            let count = damage.takeUnreportedCount()
            notify(.damaged(count > 0 ? "\(sentence); \(count) more since the last report" : sentence))
        }
    }

    // MARK: On the loop

    /// Takes what was called for since the last time.
    private func takeCalls() {
        let now = shell.now
        for call in emptyInbox() {
            switch call {
            case .command(let id, let operation, let deadline, let completion):
                commands.insert(completion, for: id)
                session.call(id, operation, deadline: deadline, at: now, into: &effects)
            case .cancel(let id):
                session.cancel(id, into: &effects)
            case .read(let consistency, let deadline, let completion):
                reads.add(consistency, deadline: deadline, into: &readEffects, completion)
            }
        }
        reads.askGathered(into: &readEffects)
        carryOut()
    }

    /// Carries out what follows from calls, replies and time. Not within a step of the replica, since it begins others.
    private func carryOut() {
        while !effects.isEmpty || !readEffects.isEmpty {
            var list: [ClientEffect] = []
            swap(&list, &effects)
            for effect in list { carryOut(effect) }
            var readList: [ReadEffect] = []
            swap(&readList, &readEffects)
            for effect in readList { carryOut(effect) }
            guard !submissions.isEmpty || !questions.isEmpty else { continue }
            // Replies may come before it returns.
            shell.take(submissions, questions)
            submissions.removeAll(keepingCapacity: true)
            questions.removeAll(keepingCapacity: true)
        }
    }

    private func carryOut(_ effect: ClientEffect) {
        switch effect {
        case .submit(let submission): submissions.append(submission)
        case .complete(let call, let result): commands.remove(call)?(result)
        case .slow(let trace): commandWasSlow(trace)
        case .wake(let moment): setTimer(moment)
        }
    }

    private func carryOut(_ effect: ReadEffect) {
        switch effect {
        case .ask(let request, let consistency, let deadline):
            questions.append(.read(request, consistency, deadline: deadline))
        case .complete(let completion, let result):
            completion(result)
        case .askAgain(let number, let pause):
            _ = shell.loop.schedule(at: shell.loop.now + pause.nanoseconds) { [weak self] in
                guard let self else { return }
                reads.askAgain(number, into: &readEffects)
                carryOut()
            }
        }
    }

    private func setTimer(_ moment: Instant) {
        if let timer { shell.loop.cancel(timer) }
        let now = shell.now
        timer = shell.loop.schedule(at: shell.loop.now + (moment - now).nanoseconds) { [weak self] in
            guard let self else { return }
            timer = nil
            session.timer(at: shell.now, into: &effects)
            carryOut()
        }
    }

    func replied(_ request: RequestID, _ reply: Reply) {
        if reads.isOwn(request) {
            reads.replied(request, reply, at: shell.now, into: &readEffects)
        } else {
            session.replied(request, reply, at: shell.now, into: &effects)
        }
    }

    func settle() { carryOut() }

    func noticed(_ event: StoreEvent) {
        // The replica names each damaged table once, so that none is left out.
        if case .damaged(let sentence) = event, !damage.isNews(sentence, at: shell.now, limit: 1_000) { return }
        notify(event)
        switch event {
        case .standing(let changed):
            standing = changed
            if changed.leader != 0 { hasHadLeader = true }
        case .failed(let error):
            failure = error.description
            // Before those who wait are told, whose errors say why.
            published.withLock { $0.failure = error.description }
            if error.code == .damaged { notify(.damaged(error.description)) }
        default:
            break
        }
    }

    func turned(_ member: Member, at now: Instant) {
        // What was published is taken back, and stays so.
        guard !isClosed else { return }
        guard failure == nil, let replica = member.replica else {
            // It belongs to no cluster yet; or it has failed, and what it holds is not to be believed any more.
            published.withLock { $0.machine = nil }
            setState(currentState)
            return
        }
        // A state that differs from the others' is not read: the replica says when it has been replaced.
        let machine = replica.isDiverged ? nil : (replica.machine as? KeyValueStateMachine)?.machine
        published.withLock { published in
            if published.machine !== machine { published.machine = machine }
        }
        setState(currentState)
        if self.replica !== replica { self.replica = replica }
        for event in stall.look(replica.stall, at: now) { notify(event) }
    }

    func measured(_ measurement: ShellMeasurement) {
        switch measurement {
        case .logWrite(let timing, let count):
            report(.logWrite, timing.writeNanoseconds + timing.syncNanoseconds, "\(count) writes") {
                [part("writing", timing.writeNanoseconds), part("syncing", timing.syncNanoseconds)]
            }
        case .apply(let nanoseconds, let entries):
            report(.apply, nanoseconds, "\(entries) entries") { [] }
        case .turn(let nanoseconds, let replica):
            report(.turn, nanoseconds) {
                [part("the replica", replica), part("sockets and callers", nanoseconds - min(replica, nanoseconds))]
            }
        }
    }

    /// Tells what was slow. Nearly nothing is, and then this must cost nearly nothing.
    private func report(
        _ kind: SlowOperation.Kind,
        _ nanoseconds: UInt64,
        _ detail: @autoclosure () -> String = "",
        _ parts: () -> [SlowOperation.Part]
    ) {
        let took = TimeSpan(nanoseconds: nanoseconds)
        guard slow.isSlow(kind, after: took) else { return }
        tell(slow.ended(kind, after: took, at: shell.now, parts: parts(), detail: detail()))
    }

    private func commandWasSlow(_ trace: CommandTrace) {
        var detail = trace.attempts == 1 ? "one attempt" : "\(trace.attempts) attempts"
        if let refusal = trace.refusal { detail += ", of which one ended with '\(refusal)'" }
        detail += "; the store is \(currentState)"
        if let reason = stall.reason { detail += ", stalled by \(reason.rawValue)" }
        let waited = trace.waited.nanoseconds
        report(.command, trace.took.nanoseconds, detail) {
            [part("until it was sent", waited), part("until it was answered", trace.took.nanoseconds - waited)]
        }
    }

    private func part(_ name: String, _ nanoseconds: UInt64) -> SlowOperation.Part {
        SlowOperation.Part(name, Duration(TimeSpan(nanoseconds: nanoseconds)))
    }

    /// Tells the observer, to whom nothing is told after the last state. On the loop.
    private func notify(_ event: StoreEvent) {
        if !isClosed { observer?.noticed(event) }
    }

    private func tell(_ operation: SlowOperation?) {
        if let operation { notify(.slow(operation)) }
    }

    /// The figures of this moment, on the loop.
    private func figures() -> StoreStatus {
        var status = StoreStatus()
        status.member = member
        status.state = currentState
        status.outstandingCommands = session.outstandingCount
        status.queuedBytes = session.waitingBytes
        status.waitingReads = reads.count + workerReads.count
        let transport = shell.transportStatus
        status.connections = transport.connections
        status.transport = transport.metrics
        guard let replica else { return status }
        status.term = replica.raft.term
        status.leader = standing.leader
        status.commitIndex = replica.commitIndex
        status.appliedIndex = replica.appliedIndex
        status.durableIndex = replica.raft.durableIndex
        status.flushedIndex = replica.machine.durable.position.index
        status.isDiverged = replica.isDiverged
        status.digest = replica.machine.digest
        if let machine = (replica.machine as? KeyValueStateMachine)?.machine {
            status.retentionMark = machine.retentionMark
            status.sessionCount = machine.sessionCount
            status.engine = machine.metrics
            status.pressure = machine.pressure
        }
        status.stall = stall.reason
        status.log.firstIndex = replica.raft.log.base.index + 1
        status.log.lastIndex = replica.raft.log.lastIndex
        status.log.liveBytes = replica.log.liveBytes
        status.log.boundBytes = UInt64(replica.options.log.boundBytes)
        status.log.metrics = replica.logMetrics
        status.replicatingBytes = replica.requests.waitingBytes
        status.metrics = replica.metrics
        return status
    }

    private var currentState: StoreState {
        if isClosed { return .closed }
        if let failure { return .failed(failure) }
        switch standing.role {
        case .leader: return .leader
        case .follower where standing.leader != 0: return .follower(of: standing.leader)
        default: return hasHadLeader ? .noQuorum : .recovering
        }
    }

    /// Notes what the store does, and tells whoever listens, where it is something else than before. On the loop.
    func setState(_ state: StoreState) {
        let isNew = published.withLock { published in
            guard published.state != state else { return false }
            published.state = state
            for (_, continuation) in published.streams { continuation.yield(state) }
            return true
        }
        if isNew { observer?.stateChanged(state) }
    }
}
