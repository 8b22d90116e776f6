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
    /// Call ``ClientSession/timer(at:into:)`` at this moment. It replaces the one asked for before.
    case wake(at: Instant)
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
        /// Its number in the session; 0 until it has one.
        var number: UInt64 = 0
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
    private var session: SessionID?
    private var lastNumber: UInt64 = 0
    private var lastRequest: UInt64 = 0
    private var nonces: RandomSource
    /// Calls with a number, by number.
    private var numbered: [Call] = []
    /// Calls that wait for one.
    private var waiting: [Call] = []
    private var waitingBytes = 0
    /// The attempt to open a session, while one is under way.
    private var opening: Call?
    private var isClosed = false

    /// - Parameters:
    ///   - seed: a random number.
    ///   - window: how many commands of the session may be outstanding; not more than the machine's window.
    ///   - maxWaitingBytes: how many bytes of commands may wait for their turn.
    init(seed: UInt64, window: Int, maxWaitingBytes: Int) {
        nonces = RandomSource(seed: seed)
        self.window = window
        self.maxWaitingBytes = maxWaitingBytes
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
        waiting.append(Call(id: id, operation: operation, deadline: deadline))
        admit(at: now, into: &effects)
    }

    /// A user does not wait any more. What has not been sent is not applied; of the rest nobody can know.
    mutating func cancel(_ id: CallID, into effects: inout [ClientEffect]) {
        if let place = waiting.firstIndex(where: { $0.id == id }) {
            waitingBytes -= waiting[place].operation.byteCount
            waiting.remove(at: place)
            effects.append(.complete(id, .failure(RequestError(.notApplied, .cancelled))))
        } else if let place = numbered.firstIndex(where: { $0.id == id }), !numbered[place].isCancelled {
            // Its number stays in use until it is answered: a later one must not run ahead of it.
            numbered[place].isCancelled = true
            effects.append(.complete(id, .failure(RequestError(.unknown, .cancelled))))
        }
    }

    /// The store closes: everybody is told.
    mutating func close(into effects: inout [ClientEffect]) {
        isClosed = true
        for call in waiting { effects.append(.complete(call.id, .failure(RequestError(.notApplied, .closed)))) }
        for call in numbered where !call.isCancelled {
            let isSent = call.mayHaveHappened || call.request != 0
            effects.append(.complete(call.id, .failure(RequestError(isSent ? .unknown : .notApplied, .closed))))
        }
        waiting.removeAll()
        numbered.removeAll()
        opening = nil
    }

    /// Gives numbers to those that wait, and hands them over.
    private mutating func admit(at now: Instant, into effects: inout [ClientEffect]) {
        guard let session else {
            openSession(at: now, into: &effects)
            return
        }
        while !waiting.isEmpty, numbered.count < window {
            var call = waiting.removeFirst()
            waitingBytes -= call.operation.byteCount
            lastNumber += 1
            call.number = lastNumber
            numbered.append(call)
            send(numbered.count - 1, in: session, into: &effects)
        }
    }

    private mutating func send(_ place: Int, in session: SessionID, into effects: inout [ClientEffect]) {
        lastRequest += 1
        numbered[place].request = lastRequest
        let command = Command(
            identity: RequestIdentity(session: session, number: numbered[place].number),
            lowestOutstanding: numbered[0].number,
            operation: numbered[place].operation
        )
        let request = RequestID(lastRequest)
        effects.append(.submit(Submission(request, command.encoded(), deadline: numbered[place].deadline)))
    }

    private mutating func openSession(at now: Instant, into effects: inout [ClientEffect]) {
        guard opening == nil, let deadline = waiting.map(\.deadline).max() else { return }
        opening = Call(id: CallID(number: 0), operation: .openSession, deadline: deadline)
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
        } else if let place = numbered.firstIndex(where: { $0.request == request.number }) {
            numbered[place].request = 0
            replied(place, reply, at: now, into: &effects)
        }
        wake(into: &effects)
    }

    private mutating func openingReplied(_ reply: Reply, at now: Instant, into effects: inout [ClientEffect]) {
        switch reply {
        case .success(let bytes, _):
            guard let reply = try? CommandReply(decoding: bytes), reply.outcome == .sessionOpened else { break }
            session = SessionID(rawValue: reply.revision)
            lastNumber = 0
            opening = nil
            admit(at: now, into: &effects)
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
        // Whatever the reason, those that wait were not sent; whose deadline has passed is told by the timer.
    }

    private mutating func replied(
        _ place: Int,
        _ reply: Reply,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        switch reply {
        case .success(let bytes, _):
            guard let answer = try? CommandReply(decoding: bytes) else {
                end(place, .failure(RequestError(.unknown, .invalid)), into: &effects)
                break
            }
            switch answer.outcome {
            case .sessionExpired, .requestTooOld:
                sessionEnded(at: now, into: &effects)
                return
            case .windowExceeded:
                again(place, RequestError(.notApplied, .busy), at: now, into: &effects)
            default:
                end(place, .success(answer), into: &effects)
            }
        case .failure(let error):
            if error.outcome == .unknown { numbered[place].mayHaveHappened = true }
            switch error.reason {
            case .tooLarge, .invalid, .closed, .failed:
                let outcome: RequestError.Outcome = numbered[place].mayHaveHappened ? .unknown : .notApplied
                end(place, .failure(RequestError(outcome, error.reason, leader: error.leader)), into: &effects)
            default:
                again(place, error, at: now, into: &effects)
            }
        case .readable:
            break
        }
        admit(at: now, into: &effects)
    }

    private mutating func end(
        _ place: Int,
        _ result: Result<CommandReply, RequestError>,
        into effects: inout [ClientEffect]
    ) {
        let call = numbered.remove(at: place)
        if !call.isCancelled { effects.append(.complete(call.id, result)) }
    }

    /// Tries a command again a little later, if there is time.
    private mutating func again(
        _ place: Int,
        _ error: RequestError,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        numbered[place].lastError = error
        guard now < numbered[place].deadline else {
            end(place, .failure(overdue(numbered[place])), into: &effects)
            return
        }
        numbered[place].retryAt = now + numbered[place].pause
        numbered[place].pause = min(numbered[place].pause * 2, ClientSession.longestPause)
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
        let calls = numbered
        numbered = []
        for var call in calls {
            if call.isCancelled { continue }
            if call.mayHaveHappened || call.request != 0 {
                effects.append(.complete(call.id, .failure(RequestError(.unknown, .sessionExpired))))
                continue
            }
            call.number = 0
            waitingBytes += call.operation.byteCount
            waiting.append(call)
        }
        admit(at: now, into: &effects)
    }

    /// Time has passed.
    mutating func timer(at now: Instant, into effects: inout [ClientEffect]) {
        if let opening, opening.request == 0, now >= opening.retryAt {
            if waiting.isEmpty { self.opening = nil } else { sendOpening(into: &effects) }
        }
        if let session {
            for place in numbered.indices.reversed() where numbered[place].request == 0 {
                if now >= numbered[place].deadline {
                    end(place, .failure(overdue(numbered[place])), into: &effects)
                } else if now >= numbered[place].retryAt {
                    send(place, in: session, into: &effects)
                }
            }
        }
        for call in waiting where now >= call.deadline {
            waitingBytes -= call.operation.byteCount
            let error = opening?.lastError ?? RequestError(.notApplied, .deadlineExceeded)
            effects.append(.complete(call.id, .failure(RequestError(.notApplied, error.reason, leader: error.leader))))
        }
        waiting.removeAll { now >= $0.deadline }
        admit(at: now, into: &effects)
        wake(into: &effects)
    }

    private func wake(into effects: inout [ClientEffect]) {
        var next = Instant.never
        if let opening, opening.request == 0 { next = min(next, opening.retryAt) }
        for call in numbered where call.request == 0 { next = min(next, call.retryAt, call.deadline) }
        for call in waiting { next = min(next, call.deadline) }
        if next < .never { effects.append(.wake(at: next)) }
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
