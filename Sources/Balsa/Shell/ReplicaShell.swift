import BalsaKeyValue
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaTransport
import BalsaWire

/// What a shell tells its store. All calls come from the store's loop.
protocol ReplicaShellDelegate: AnyObject, Sendable {
    /// A request was answered.
    func replied(_ request: RequestID, _ reply: Reply)
    /// Replies were given, and are to be acted on now: no step is under way, and ``ReplicaShell/take(_:_:)`` may be called.
    func settle()
    /// The state may have moved on; called at the end of each turn in which anything happened.
    func turned(_ member: Member, at now: Instant)
    /// Something happened that an operator should hear of.
    func noticed(_ event: StoreEvent)
    /// How long something took.
    func measured(_ measurement: ShellMeasurement)
}

/// How long something took that holds up the rest, in nanoseconds.
enum ShellMeasurement {
    /// Writes to the log, with their sync.
    case logWrite(LogWriter.Timing, count: Int)
    /// A step of the replica that applied entries.
    case apply(UInt64, entries: UInt64)
    /// A turn of the loop, and how much of it the replica took.
    case turn(UInt64, replica: UInt64)
}

/// Drives one member on real threads: its effects are carried out, and what follows comes back as inputs.
///
/// Sockets, core and applying are on the loop's thread; the log is written on a thread of its own; the state machine's
/// background work and the tasks of the log are done by the runtime's workers.
final class ReplicaShell: TransportReceiver, @unchecked Sendable {
    let loop: EventLoop
    private let workers: WorkerThreads
    private let origin: UInt64

    // What follows belongs to the loop's thread.
    private var member: Member?
    private var writer: LogWriter?
    private var transport: (any Transport)?
    private weak var delegate: (any ReplicaShellDelegate)?
    private var effects: [ReplicaEffect] = []
    private var timer: EventLoop.Timer?
    private var refusals = RefusalReports()
    private var firstBoot = FirstBootWatch()
    private var firstBootReasons = FirstBootReasons()
    private var firstBootTimer: EventLoop.Timer?
    private var writes: [ReplicaWrite] = []
    /// How many writes, tasks and steps of work are under way.
    private var underWay = 0
    /// Whether the turn is finished at its end.
    private var isFinishing = false
    /// How long the replica's steps of this turn took, in nanoseconds.
    private var stepNanoseconds: UInt64 = 0
    /// When a failure in the background may be told again.
    private var nextRetryNotice = Instant.zero
    private var isClosing = false
    private var closed: (@Sendable () -> Void)?

    init(loop: EventLoop, workers: WorkerThreads) {
        self.loop = loop
        self.workers = workers
        origin = loop.now
    }

    /// The present moment on the clock of the member. From any thread.
    var now: Instant { Instant(nanoseconds: 1_000_000_000 + loop.now - origin) }

    // MARK: On the loop

    /// Takes over a member that was just opened, with what it wants done first.
    func start(
        _ member: Member,
        _ first: [ReplicaEffect],
        transport: (any Transport)?,
        delegate: any ReplicaShellDelegate
    ) throws(BackgroundThread.StartError) {
        writer = try LogWriter { [weak self, loop] results, timing in
            loop.post { [weak self] in self?.wrote(results, timing) }
        }
        loop.onTurn = { [weak self] nanoseconds in self?.turned(after: nanoseconds) }
        self.member = member
        self.transport = transport
        self.delegate = delegate
        effects = first
        carryOut()
        finishTurn()
        watchFirstBoot()
    }

    /// Looks at what the first boot misses, now and then, until it is over.
    private func watchFirstBoot() {
        guard let member, member.cluster == nil, transport != nil else { return }
        firstBootTimer = loop.schedule(at: loop.now + FirstBootWatch.interval.nanoseconds) { [weak self] in
            guard let self, let member = self.member, member.cluster == nil, member.failure == nil else { return }
            let missing = FirstBootWatch.missing(transportStatus.connections)
            if let news = firstBoot.look(missing, at: now) { delegate?.noticed(.firstBootMisses(news)) }
            watchFirstBoot()
        }
    }

    private func turned(after nanoseconds: UInt64) {
        delegate?.measured(.turn(nanoseconds, replica: stepNanoseconds))
        stepNanoseconds = 0
    }

    /// How the connections stand.
    var transportStatus: TransportStatus { transport?.status ?? TransportStatus() }

    private func wrote(_ results: [LogWriter.Outcome], _ timing: LogWriter.Timing) {
        delegate?.measured(.logWrite(timing, count: results.count))
        for result in results {
            underWay -= 1
            if let error = result.error {
                step(.writeFailed(result.write, error))
            } else {
                step(.written(result.write))
            }
        }
        finishTurn()
    }

    private func step(_ input: ReplicaInput) {
        guard let member else { return }
        let begin = loop.now
        let appliedBefore = member.replica?.appliedIndex ?? 0
        member.step(input, at: now, into: &effects)
        let took = loop.now - begin
        stepNanoseconds += took
        let applied = member.replica?.appliedIndex ?? 0
        if applied > appliedBefore { delegate?.measured(.apply(took, entries: applied - appliedBefore)) }
        carryOut()
    }

    private func carryOut() {
        var list: [ReplicaEffect] = []
        swap(&list, &effects)
        for effect in list { carryOut(effect) }
        // Its memory is used again.
        if effects.isEmpty {
            list.removeAll(keepingCapacity: true)
            effects = list
        }
    }

    private func carryOut(_ effect: ReplicaEffect) {
        switch effect {
        case .send(let peer, let frame, let path):
            transport?.send(frame, to: peer, path)
        case .write(let write):
            underWay += 1
            writes.append(write)
        case .run(let task):
            underWay += 1
            runTask(task)
        case .work(let work):
            underWay += 1
            let box = UncheckedBox(work)
            workers.enqueue { [weak self] in self?.perform(box.value) }
        case .reply(let request, let reply):
            delegate?.replied(request, reply)
        case .wake(let moment):
            setTimer(moment)
        case .standing(let standing):
            delegate?.noticed(.standing(standing))
        case .report(let anomaly):
            delegate?.noticed(.anomaly(anomaly))
        case .retrying(let reason):
            noteRetry(reason)
        case .damagedCopy(let sentence):
            delegate?.noticed(.damaged(sentence))
        case .checkpointRefused(let peer, let sentence):
            delegate?.noticed(.checkpointRefused(from: peer, sentence))
        case .optionsDiffer(let differences):
            delegate?.noticed(.optionsDiffer(differences))
        case .undecodable(let error):
            delegate?.noticed(.frameRefused("\(error)"))
        case .failed(let error):
            // It listens to nobody any more, and has nothing to say but that.
            transport?.withdraw()
            delegate?.noticed(.failed(error))
        case .established(let cluster):
            // Before anything else is sent: nobody would listen to it on the connections there are.
            transport?.introduceAnew()
            delegate?.noticed(.joined(cluster: "\(cluster.id)"))
        case .firstBootWaits(let reason):
            // It is found again with every message.
            if firstBootReasons.isNews(reason, at: now) { delegate?.noticed(.firstBootWaits(reason)) }
        }
    }

    /// Ends what was done since the last time: what it has gathered leaves, and what it has replied is acted on.
    private func finishTurn() {
        flush()
        delegate?.settle()
    }

    /// The same at the end of this turn, once for all who ask for it.
    private func finishAtEndOfTurn() {
        guard !isFinishing else { return }
        isFinishing = true
        loop.runAtEndOfTurn { [weak self] in
            self?.isFinishing = false
            self?.finishTurn()
        }
    }

    /// What was gathered leaves at once: log writes go to their thread together.
    private func flush() {
        if !writes.isEmpty {
            writer?.enqueue(writes)
            writes.removeAll(keepingCapacity: true)
        }
        if let member { delegate?.turned(member, at: now) }
        if isClosing, underWay == 0 { finishClosing() }
    }

    private func setTimer(_ moment: Instant) {
        if let timer { loop.cancel(timer) }
        timer = nil
        guard moment < .never else { return }
        let nanoseconds = moment.nanoseconds - min(moment.nanoseconds, 1_000_000_000)
        // A moment that the loop's clock cannot count to does not come.
        let (due, overflow) = origin.addingReportingOverflow(nanoseconds)
        guard !overflow else { return }
        timer = loop.schedule(at: due) { [weak self] in
            self?.timer = nil
            self?.step(.timer)
            self?.finishTurn()
        }
    }

    // MARK: On workers

    /// Does a step of a task, and queues the next one behind what others have waiting.
    private func runTask(_ task: LogTask) {
        let box = UncheckedBox(task)
        workers.enqueue { [weak self] in
            do throws(FileError) {
                if try box.value.step(budgetBytes: 1 << 20) {
                    self?.give(.taskFinished(box.value))
                } else {
                    self?.runTask(box.value)
                }
            } catch {
                self?.give(.taskFailed(box.value, error))
            }
        }
    }

    private func perform(_ work: StateWork) {
        do throws(StateMachineError) {
            try work.step()
            give(.worked(work))
        } catch {
            give(.workFailed(work, error))
        }
    }

    /// What was begun by an effect has ended.
    private func give(_ input: ReplicaInput) {
        let box = UncheckedBox(input)
        loop.post { [weak self] in
            self?.underWay -= 1
            self?.noteFailure(of: box.value)
            self?.step(box.value)
            self?.finishTurn()
        }
    }

    /// Says that something in the background failed. The replica tries it again, so that nobody would hear of it otherwise.
    private func noteFailure(of input: ReplicaInput) {
        let reason: String
        switch input {
        case .taskFailed(let task, let error): reason = "\(task.summary): \(error)"
        case .workFailed(_, let error) where error.file != nil: reason = error.description
        default: return
        }
        noteRetry(reason)
    }

    private func noteRetry(_ reason: String) {
        guard now >= nextRetryNotice else { return }
        nextRetryNotice = now + .seconds(1)
        delegate?.noticed(.retrying(reason))
    }

    // MARK: The store's calls, on the loop

    /// Gives commands and inputs to the member. Not within a step; what is replied meanwhile is the caller's to settle.
    func take(_ submissions: [Submission], _ inputs: [ReplicaInput]) {
        guard member != nil else {
            for submission in submissions { refuse(submission.id) }
            for case .read(let id, _, _) in inputs { refuse(id) }
            return
        }
        if !submissions.isEmpty { step(.submit(submissions)) }
        for input in inputs { step(input) }
        flush()
    }

    private func refuse(_ request: RequestID) {
        delegate?.replied(request, .failure(RequestError(.notApplied, .closed)))
    }

    // MARK: The transport's calls, on the loop

    func introduction(to peer: MemberID) -> Introduction {
        guard let member else { preconditionFailure("the transport is closed before the member") }
        return member.introduction(to: peer)
    }

    /// Waits for a sync of BOOT where a peer was started anew: a few milliseconds of the loop's time, once a start.
    func judge(_ introduction: Introduction) -> PeerVerdict {
        guard let member else { preconditionFailure("the transport is closed before the member") }
        let verdict = member.connect(introduction, into: &effects)
        // What has failed has effects, and so does a change of BOOT, which the log is to say. Connections must not end
        // within this call.
        if !effects.isEmpty { loop.runAtEndOfTurn { [weak self] in self?.finishStep() } }
        return verdict
    }

    private func finishStep() {
        carryOut()
        finishTurn()
    }

    func agreed(_ agreement: WireAgreement, with peer: MemberID) { member?.agreed(agreement, with: peer) }

    func disconnected(_ peer: MemberID, nonce: UInt64) { member?.disconnected(peer, nonce: nonce) }

    func received(_ frame: Bytes, from peer: MemberID) {
        // Asked for before what the frame has the transport send: log writes are more urgent.
        finishAtEndOfTurn()
        step(.received(frame))
    }

    func receivedFirstBoot(_ frame: Bytes, from peer: MemberID) {
        finishAtEndOfTurn()
        step(.receivedFirstBoot(frame))
    }

    func mislabelled(by peer: MemberID, as sender: MemberID) {
        delegate?.noticed(.frameRefused("a frame of member \(peer) names member \(sender) as its sender"))
    }

    func unreachable(_ peer: MemberID) {
        step(.peerUnreachable(peer))
        finishTurn()
    }

    func refused(_ peer: MemberID, _ refusal: HandshakeRefusal) {
        if refusals.isNews(refusal, of: peer) { delegate?.noticed(.refused(peer, "\(refusal)")) }
        guard let identity = refusal.ofThisMember else { return }
        step(.refused(identity))
        finishTurn()
    }

    func connected(_ peer: MemberID) {
        refusals.forget(peer)
        member?.welcomed(by: peer)
        delegate?.noticed(.connected(peer))
    }

    func troubled(_ trouble: ConnectionTrouble) { delegate?.noticed(.connectionClosed("\(trouble)")) }

    // MARK: Closing

    /// Closes the member: everybody who waits is answered, what is under way ends, files and lock are given up.
    func close(_ completion: @escaping @Sendable () -> Void) {
        let isPosted = loop.post { [self] in
            guard member != nil, !isClosing else {
                completion()
                return
            }
            isClosing = true
            closed = completion
            step(.close)
            finishTurn()
        }
        if !isPosted { completion() }
    }

    private func finishClosing() {
        isClosing = false
        if let timer { loop.cancel(timer) }
        timer = nil
        if let firstBootTimer { loop.cancel(firstBootTimer) }
        firstBootTimer = nil
        transport?.close()
        transport = nil
        member?.close()
        member = nil
        let completion = closed
        closed = nil
        // The thread that ends here may be the one that has just posted to this loop: it is joined elsewhere.
        let writer = UncheckedBox(self.writer)
        self.writer = nil
        // A worker that has just given back the last step may still hold the state, and its files with it.
        workers.enqueueAfterRunning {
            writer.value?.stop()
            completion?()
        }
    }
}

/// Carries a value to the one thread that uses it next.
struct UncheckedBox<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
