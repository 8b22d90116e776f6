import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaTransport

/// The part of a store that lives on its loop: the session, the reads that wait, and what is published to other threads.
final class StoreCore: ReplicaShellDelegate, @unchecked Sendable {
    typealias CommandCompletion = @Sendable (Result<CommandReply, RequestError>) -> Void
    typealias ReadCompletion = @Sendable (Result<LogIndex, RequestError>) -> Void

    private struct Read {
        var consistency: ReadConsistency
        var deadline: Instant
        var pause = ClientSession.firstPause
        var completion: ReadCompletion
    }

    /// What any thread may look at.
    struct Published {
        var machine: KeyValueMachine?
        var state = StoreState.recovering
        var status = StoreStatus()
        var streams: [(id: UInt64, continuation: AsyncStream<StoreState>.Continuation)] = []
        var lastStream: UInt64 = 0
    }

    /// Reads have names of their own, far from those of the session's commands.
    private static let readOrigin: UInt64 = 1 << 62

    let shell: ReplicaShell
    let published = Locked(Published())
    private let observer: (any StoreObserver)?
    private let member: MemberID

    // What follows belongs to the loop's thread.
    private var session: ClientSession
    private var commands = LookupTable<CallID, CommandCompletion>()
    private var lastCall: UInt64 = 0
    private var reads = LookupTable<UInt64, Read>()
    private var lastRead = StoreCore.readOrigin
    private var effects: [ClientEffect] = []
    private var submissions: [Submission] = []
    private var timer: EventLoop.Timer?
    private var failure: String?
    private var isClosed = false
    private var standing = Standing(role: .follower, term: 0, leader: 0)
    private var hasHadLeader = false

    init(shell: ReplicaShell, member: MemberID, options: StoreOptions, seed: UInt64) {
        self.shell = shell
        self.member = member
        observer = options.observer
        session = ClientSession(
            seed: seed,
            window: min(options.maxOutstandingCommands, options.keyValue.limits.sessionWindow - 1),
            maxWaitingBytes: options.maxWaitingBytes
        )
    }

    // MARK: From any thread

    /// Has a command executed.
    func execute(
        _ call: CallID,
        _ operation: Command.Operation,
        deadline: Instant,
        _ completion: @escaping CommandCompletion
    ) {
        let isPosted = shell.loop.post { [self] in
            commands.insert(completion, for: call)
            session.call(call, operation, deadline: deadline, at: shell.now, into: &effects)
            carryOut()
        }
        if !isPosted { completion(.failure(RequestError(.notApplied, .closed))) }
    }

    /// A caller does not wait for its command any more.
    func cancel(_ call: CallID) {
        shell.loop.post { [self] in
            session.cancel(call, into: &effects)
            carryOut()
        }
    }

    /// Asks when the state may be read.
    func read(_ consistency: ReadConsistency, deadline: Instant, _ completion: @escaping ReadCompletion) {
        let isPosted = shell.loop.post { [self] in
            ask(Read(consistency: consistency, deadline: deadline, completion: completion))
        }
        if !isPosted { completion(.failure(RequestError(.notApplied, .closed))) }
    }

    /// Answers everybody who waits. Called on the loop.
    func close() {
        session.close(into: &effects)
        carryOut()
        isClosed = true
        setState(.closed)
        published.withLock { published in
            published.machine = nil
            for (_, continuation) in published.streams { continuation.finish() }
            published.streams = []
        }
    }

    // MARK: On the loop

    private func ask(_ read: Read) {
        lastRead += 1
        reads.insert(read, for: lastRead)
        shell.post(.read(RequestID(lastRead), read.consistency, deadline: read.deadline))
    }

    private func carryOut() {
        while !effects.isEmpty {
            var list: [ClientEffect] = []
            swap(&list, &effects)
            for effect in list {
                switch effect {
                case .submit(let submission):
                    submissions.append(submission)
                case .complete(let call, let result):
                    commands.remove(call)?(result)
                case .wake(let moment):
                    setTimer(moment)
                }
            }
        }
        guard !submissions.isEmpty else { return }
        shell.submit(submissions)
        submissions.removeAll(keepingCapacity: true)
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
        if request.number > StoreCore.readOrigin {
            readReplied(request.number, reply)
        } else {
            session.replied(request, reply, at: shell.now, into: &effects)
            carryOut()
        }
    }

    private func readReplied(_ number: UInt64, _ reply: Reply) {
        guard var read = reads.remove(number) else { return }
        switch reply {
        case .readable(let index):
            read.completion(.success(index))
        case .failure(let error):
            // A read has no effect, so that it can be asked again for as long as there is time.
            let isWorthAskingAgain = [.notLeader, .superseded, .startingUp].contains(error.reason)
            guard isWorthAskingAgain, shell.now + read.pause < read.deadline else {
                read.completion(.failure(error))
                return
            }
            let pause = read.pause
            read.pause = min(pause * 2, ClientSession.longestPause)
            _ = shell.loop.schedule(at: shell.loop.now + pause.nanoseconds) { [weak self] in self?.ask(read) }
        case .success:
            read.completion(.failure(RequestError(.notApplied, .invalid)))
        }
    }

    func noticed(_ event: StoreEvent) {
        observer?.noticed(event)
        switch event {
        case .standing(let changed):
            standing = changed
            if changed.leader != 0 { hasHadLeader = true }
        case .failed(let error):
            failure = error.description
        default:
            break
        }
    }

    func turned(_ member: Member, at now: Instant) {
        guard let replica = member.replica else {
            // It belongs to no cluster yet: there is nothing to tell but that.
            published.withLock { $0.status.member = self.member }
            setState(currentState)
            return
        }
        let machine = (replica.machine as? KeyValueStateMachine)?.machine
        var status = StoreStatus()
        status.member = self.member
        status.term = replica.raft.term
        status.commitIndex = replica.commitIndex
        status.appliedIndex = replica.appliedIndex
        status.durableIndex = replica.machine.durable.position.index
        status.digest = replica.machine.digest
        status.outstandingCommands = session.outstandingCount
        status.metrics = replica.metrics
        status.state = currentState
        published.withLock { published in
            if published.machine !== machine { published.machine = machine }
            published.status = status
        }
        setState(currentState)
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

    private func setState(_ state: StoreState) {
        let isNew = published.withLock { published in
            guard published.state != state else { return false }
            published.state = state
            published.status.state = state
            for (_, continuation) in published.streams { continuation.yield(state) }
            return true
        }
        if isNew { observer?.stateChanged(state) }
    }
}
