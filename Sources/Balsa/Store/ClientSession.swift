import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// The name of a call of a store's user, unique within the store.
struct CallID: Hashable {
    var number: UInt64
}

/// What a ``ClientSession`` wants done.
enum ClientEffect {
    /// Hand this to the replica.
    case submit(Submission)
    /// Tell the caller.
    case complete(CallID, Result<CommandReply, RequestError>)
    /// A command that is completed with the next effect took long: this is how it went.
    case slow(CommandTrace)
    /// Call ``ClientSession/timer(at:into:)`` at this moment. It replaces the one asked for before.
    case wake(at: Instant)
}

/// How a command went.
struct CommandTrace: Equatable {
    /// How long it took in all.
    var took: TimeSpan
    /// How long it waited until it was handed to the replica for the first time.
    var waited: TimeSpan
    /// How often it was.
    var attempts: Int
    /// Why the last attempt but the one that was answered had no result, if there were several.
    var refusal: RequestError.Reason?
}

/// The exactly-once half of a store: opens a session, numbers the commands of its user, and sends a command again under its
/// number until it is answered or its deadline has passed.
///
/// A value like the core: it is given calls, replies and the time, and appends what is to be done. A command that was sent and
/// not answered may have taken effect; since every copy of it has the same number, sending it again is safe, and a copy that
/// is answered says what became of the first. Only when the deadline passes without an answer is the outcome unknown.
struct ClientSession {
    /// How long to wait before a command is tried again, at first and at most.
    static let firstPause = TimeSpan.milliseconds(5)
    static let longestPause = TimeSpan.milliseconds(100)

    private struct Call {
        var id: CallID
        var operation: Command.Operation
        var deadline: Instant
        var calledAt: Instant
        /// When it was handed to the replica for the first time, and how often it was.
        var sentAt = Instant.never
        var attempts = 0
        /// The request under which the present attempt was handed to the replica; 0 while it waits.
        var request: UInt64 = 0
        var pause = ClientSession.firstPause
        var retryAt = Instant.zero
        /// Whether an attempt may have had an effect.
        var mayHaveHappened = false
        var isCancelled = false
        var lastError = RequestError(.notApplied, .notLeader)
    }

    private let window: Int
    private let maxWaitingBytes: Int
    private let slowAfter: TimeSpan
    private var session: SessionID?
    private var lastRequest: UInt64 = 0
    private var nonces: RandomSource
    /// Calls with a number.
    private var numbered = CallWindow<Call>()
    /// The numbers of those that were handed to the replica, by request.
    private var numberByRequest = LookupTable<UInt64, UInt64>()
    /// Calls that wait for a number.
    private var waiting = CallQueue<Call>()
    private(set) var waitingBytes = 0
    /// The attempt to open a session, while one is under way.
    private var opening: Call?
    private var isClosed = false
    /// Nothing is due before this moment.
    private var dueAt = Instant.never
    /// For when a call of ``timer(at:into:)`` is asked for.
    private var armedAt = Instant.never

    /// - Parameters:
    ///   - seed: a random number.
    ///   - window: how many commands of the session may be outstanding; not more than the machine's window.
    ///   - maxWaitingBytes: how many bytes of commands may wait for their turn.
    ///   - slowAfter: from when on a command counts as slow.
    init(
        seed: UInt64,
        window: Int,
        maxWaitingBytes: Int,
        slowAfter: TimeSpan = TimeSpan(nanoseconds: .max)
    ) {
        nonces = RandomSource(seed: seed)
        self.window = window
        self.maxWaitingBytes = maxWaitingBytes
        self.slowAfter = slowAfter
    }

    /// How many calls have not been completed.
    var outstandingCount: Int { numbered.count + waiting.count }

    /// A user wants a command applied.
    mutating func call(
        _ id: CallID,
        _ operation: Command.Operation,
        deadline: Instant,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        guard !isClosed else {
            effects.append(.complete(id, .failure(RequestError(.notApplied, .closed))))
            return
        }
        guard waitingBytes + operation.byteCount <= maxWaitingBytes else {
            effects.append(.complete(id, .failure(RequestError(.notApplied, .busy))))
            return
        }
        waitingBytes += operation.byteCount
        waiting.append(Call(id: id, operation: operation, deadline: deadline, calledAt: now))
        admit(at: now, into: &effects)
        // What waits for its turn has a deadline, which nothing else may come before.
        guard !waiting.isEmpty else { return }
        dueAt = min(dueAt, deadline)
        wake(into: &effects)
    }

    /// A user does not wait any more. What has not been sent is not applied; of the rest nobody can know.
    mutating func cancel(_ id: CallID, into effects: inout [ClientEffect]) {
        for call in waiting.removeAll(where: { $0.id == id }) {
            waitingBytes -= call.operation.byteCount
            effects.append(.complete(id, .failure(RequestError(.notApplied, .cancelled))))
            return
        }
        guard let number = numbered.calls.first(where: { $0.call.id == id && !$0.call.isCancelled })?.number else {
            return
        }
        // Its number stays in use until it is answered: a later one must not run ahead of it.
        numbered[number]?.isCancelled = true
        effects.append(.complete(id, .failure(RequestError(.unknown, .cancelled))))
    }

    /// The store closes: everybody is told.
    mutating func close(into effects: inout [ClientEffect]) {
        isClosed = true
        for call in waiting.removeAll() {
            effects.append(.complete(call.id, .failure(RequestError(.notApplied, .closed))))
        }
        for (_, call) in numbered.calls where !call.isCancelled {
            let isSent = call.mayHaveHappened || call.request != 0
            effects.append(.complete(call.id, .failure(RequestError(isSent ? .unknown : .notApplied, .closed))))
        }
        numbered = CallWindow()
        numberByRequest.removeAll()
        opening = nil
    }

    /// Gives numbers to those that wait, and hands them over.
    private mutating func admit(at now: Instant, into effects: inout [ClientEffect]) {
        guard let session else {
            openSession(at: now, into: &effects)
            return
        }
        // The machine refuses what is too far ahead of the lowest number, so that it is not sent before.
        while numbered.span < window, let call = waiting.popFirst() {
            waitingBytes -= call.operation.byteCount
            let number = numbered.next
            numbered.append(call)
            send(number, in: session, at: now, into: &effects)
        }
    }

    private mutating func send(
        _ number: UInt64,
        in session: SessionID,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        guard var call = numbered[number] else { return }
        lastRequest += 1
        call.request = lastRequest
        call.sentAt = min(call.sentAt, now)
        call.attempts += 1
        numbered[number] = call
        numberByRequest.insert(number, for: lastRequest)
        let command = Command(
            identity: RequestIdentity(session: session, number: number),
            lowestOutstanding: numbered.lowest,
            operation: call.operation
        )
        let request = RequestID(lastRequest)
        effects.append(.submit(Submission(request, command.encoded(), deadline: call.deadline)))
    }

    private mutating func openSession(at now: Instant, into effects: inout [ClientEffect]) {
        guard opening == nil, let deadline = waiting.elements.map(\.deadline).max() else { return }
        opening = Call(id: CallID(number: 0), operation: .openSession, deadline: deadline, calledAt: now)
        sendOpening(into: &effects)
    }

    private mutating func sendOpening(into effects: inout [ClientEffect]) {
        guard let deadline = opening?.deadline else { return }
        lastRequest += 1
        opening?.request = lastRequest
        let identity = RequestIdentity(session: .none, number: nonces.next())
        let command = Command(identity: identity, operation: .openSession)
        effects.append(.submit(Submission(RequestID(lastRequest), command.encoded(), deadline: deadline)))
    }

    /// Whether a request is one of this session.
    func isOwn(_ request: RequestID) -> Bool { request.number <= lastRequest }

    /// The replica has answered a request.
    mutating func replied(_ request: RequestID, _ reply: Reply, at now: Instant, into effects: inout [ClientEffect]) {
        if opening?.request == request.number {
            openingReplied(reply, at: now, into: &effects)
        } else if let number = numberByRequest.remove(request.number) {
            numbered[number]?.request = 0
            replied(number, reply, at: now, into: &effects)
        }
        wake(into: &effects)
    }

    private mutating func openingReplied(_ reply: Reply, at now: Instant, into effects: inout [ClientEffect]) {
        switch reply {
        case .success(let bytes, _):
            guard let reply = try? CommandReply(decoding: bytes), reply.outcome == .sessionOpened else { break }
            session = SessionID(rawValue: reply.revision)
            numbered = CallWindow()
            opening = nil
            admit(at: now, into: &effects)
            return
        case .failure(let error) where error.reason == .failed:
            // It does not come round until it is opened anew: nothing is to be waited for.
            opening = nil
            for call in waiting.removeAll() {
                waitingBytes -= call.operation.byteCount
                effects.append(.complete(call.id, .failure(RequestError(.notApplied, .failed))))
            }
            return
        case .failure(let error):
            opening?.lastError = error
        case .readable:
            break
        }
        guard var attempt = opening else { return }
        attempt.request = 0
        attempt.retryAt = now + attempt.pause
        attempt.pause = min(attempt.pause * 2, ClientSession.longestPause)
        opening = attempt
        dueAt = min(dueAt, attempt.retryAt)
        // Whatever the reason, those that wait were not sent; whose deadline has passed is told by the timer.
    }

    private mutating func replied(
        _ number: UInt64,
        _ reply: Reply,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        switch reply {
        case .success(let bytes, _):
            guard let answer = try? CommandReply(decoding: bytes) else {
                end(number, .failure(RequestError(.unknown, .invalid)), at: now, into: &effects)
                break
            }
            switch answer.outcome {
            case .sessionExpired, .requestTooOld:
                sessionEnded(at: now, into: &effects)
                return
            case .windowExceeded:
                again(number, RequestError(.notApplied, .busy), at: now, into: &effects)
            default:
                end(number, .success(answer), at: now, into: &effects)
            }
        case .failure(let error):
            if error.outcome == .unknown { numbered[number]?.mayHaveHappened = true }
            switch error.reason {
            case .tooLarge, .invalid, .closed, .failed:
                let isUnknown = numbered[number]?.mayHaveHappened ?? true
                let outcome: RequestError.Outcome = isUnknown ? .unknown : .notApplied
                let failure = RequestError(outcome, error.reason, leader: error.leader)
                end(number, .failure(failure), at: now, into: &effects)
            default:
                again(number, error, at: now, into: &effects)
            }
        case .readable:
            break
        }
        admit(at: now, into: &effects)
    }

    private mutating func end(
        _ number: UInt64,
        _ result: Result<CommandReply, RequestError>,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        guard let call = numbered.remove(number), !call.isCancelled else { return }
        note(call, at: now, into: &effects)
        effects.append(.complete(call.id, result))
    }

    /// Tells how a call went that took long.
    private func note(_ call: Call, at now: Instant, into effects: inout [ClientEffect]) {
        let took = now - call.calledAt
        guard took >= slowAfter else { return }
        let trace = CommandTrace(
            took: took,
            waited: min(call.sentAt, now) - call.calledAt,
            attempts: call.attempts,
            refusal: call.attempts > 1 ? call.lastError.reason : nil
        )
        effects.append(.slow(trace))
    }

    /// Tries a command again a little later, if there is time.
    private mutating func again(
        _ number: UInt64,
        _ error: RequestError,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        guard var call = numbered[number] else { return }
        call.lastError = error
        guard now < call.deadline else {
            end(number, .failure(overdue(call)), at: now, into: &effects)
            return
        }
        call.retryAt = now + call.pause
        call.pause = min(call.pause * 2, ClientSession.longestPause)
        numbered[number] = call
        dueAt = min(dueAt, call.retryAt, call.deadline)
    }

    private func overdue(_ call: Call) -> RequestError {
        // Busy or without a leader all the time is worth telling; a plain deadline is not worth more than its name.
        let reason: RequestError.Reason = call.mayHaveHappened ? .deadlineExceeded : call.lastError.reason
        return RequestError(
            call.mayHaveHappened ? .unknown : .notApplied,
            reason == .superseded ? .deadlineExceeded : reason,
            leader: call.lastError.leader
        )
    }

    /// The session is no more. What was never sent out into uncertainty begins anew in another one; of the rest nobody can
    /// say what became of it.
    private mutating func sessionEnded(at now: Instant, into effects: inout [ClientEffect]) {
        session = nil
        let calls = numbered.calls
        numbered = CallWindow()
        numberByRequest.removeAll()
        for (_, call) in calls where !call.isCancelled {
            if call.mayHaveHappened || call.request != 0 {
                effects.append(.complete(call.id, .failure(RequestError(.unknown, .sessionExpired))))
                continue
            }
            waitingBytes += call.operation.byteCount
            waiting.append(call)
            dueAt = min(dueAt, call.deadline)
        }
        admit(at: now, into: &effects)
    }

    /// Time has passed.
    mutating func timer(at now: Instant, into effects: inout [ClientEffect]) {
        armedAt = .never
        if let opening, opening.request == 0, now >= opening.retryAt {
            if waiting.isEmpty { self.opening = nil } else { sendOpening(into: &effects) }
        }
        if let session {
            for (number, call) in numbered.calls where call.request == 0 {
                if now >= call.deadline {
                    end(number, .failure(overdue(call)), at: now, into: &effects)
                } else if now >= call.retryAt {
                    send(number, in: session, at: now, into: &effects)
                }
            }
        }
        for call in waiting.removeAll(where: { now >= $0.deadline }) {
            waitingBytes -= call.operation.byteCount
            let error = opening?.lastError ?? RequestError(.notApplied, .deadlineExceeded)
            note(call, at: now, into: &effects)
            effects.append(.complete(call.id, .failure(RequestError(.notApplied, error.reason, leader: error.leader))))
        }
        admit(at: now, into: &effects)
        findDue()
        wake(into: &effects)
    }

    /// Looks through all calls for what is due next. In between it is only noted that something may be due earlier.
    private mutating func findDue() {
        dueAt = .never
        if let opening, opening.request == 0 { dueAt = opening.retryAt }
        for (_, call) in numbered.calls where call.request == 0 { dueAt = min(dueAt, call.retryAt, call.deadline) }
        for call in waiting.elements { dueAt = min(dueAt, call.deadline) }
    }

    private mutating func wake(into effects: inout [ClientEffect]) {
        guard dueAt < armedAt else { return }
        armedAt = dueAt
        effects.append(.wake(at: dueAt))
    }
}

extension Command.Operation {
    /// About how much memory the operation takes, in bytes.
    var byteCount: Int {
        switch self {
        case .openSession, .closeSession: 64
        case .put(let key, let value), .append(let key, let value): 64 + key.count + value.count
        case .delete(let key), .add(let key, _): 64 + key.count
        case .deleteRange(let from, let to): 64 + from.count + (to?.count ?? 0)
        case .compareAndSet(let key, let condition, let change):
            64 + key.count + condition.byteCount + change.byteCount
        }
    }
}

extension Command.Condition {
    fileprivate var byteCount: Int {
        if case .value(let value) = self { return value.count }
        return 0
    }
}

extension Command.Change {
    fileprivate var byteCount: Int {
        if case .put(let value) = self { return value.count }
        return 0
    }
}
