import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

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
    /// How long to wait at most before another session is opened, where sessions end before anything is answered.
    static let longestOpeningPause = TimeSpan.seconds(1)

    /// An attempt to open a session.
    private struct Opening {
        /// The request under which it was handed to the replica; 0 while it waits.
        var request: UInt64 = 0
        var pause = ClientSession.firstPause
        var retryAt = Instant.zero
        var lastError = RequestError(.notApplied, .notLeader)
    }

    /// How many commands may be outstanding, and how far their numbers may run ahead in the present session.
    private let maxOutstanding: Int
    private var window: Int
    private let maxWaitingBytes: Int
    private let maxNumberedBytes: Int
    private let slowAfter: TimeSpan
    private var session: SessionID?
    private var lastRequest: UInt64 = 0
    private var nonces: RandomSource
    /// Calls with a number.
    private var numbered = CallWindow<ClientCall>()
    private var numberedBytes = 0
    /// The numbers of those that were handed to the replica, by request.
    private var numberByRequest = LookupTable<UInt64, UInt64>()
    /// Calls that wait for a number.
    private var waiting = WaitingCalls()
    /// Calls that were handed to the replica under earlier sessions.
    private var former = FormerCalls()
    /// About how much memory all calls take that have not been answered, in bytes.
    private(set) var outstandingBytes = 0
    /// The attempt to open a session, while one is under way.
    private var opening: Opening?
    /// Another session is not opened before this moment. With the first one that answers a command the pause is over.
    private var openAgainAt = Instant.zero
    private var openingPause = TimeSpan.zero
    /// Nothing is handed over before this moment, since the replica had no room.
    private var resumeAt = Instant.zero
    private var busyPause = ClientSession.firstPause
    private var isClosed = false
    /// Nothing is due before this moment.
    private var dueAt = Instant.never
    /// For when a call of ``timer(at:into:)`` is asked for.
    private var armedAt = Instant.never

    /// - Parameters:
    ///   - seed: a random number.
    ///   - window: how many commands of the session may be outstanding; fewer where its window is smaller.
    ///   - maxWaitingBytes: how many bytes of commands may wait for their turn or their answer. A quarter of it may have
    ///     been handed to the replica.
    ///   - slowAfter: from when on a command counts as slow.
    init(
        seed: UInt64,
        window: Int,
        maxWaitingBytes: Int,
        slowAfter: TimeSpan = TimeSpan(nanoseconds: .max)
    ) {
        nonces = RandomSource(seed: seed)
        maxOutstanding = window
        self.window = window
        self.maxWaitingBytes = maxWaitingBytes
        maxNumberedBytes = maxWaitingBytes / 4
        self.slowAfter = slowAfter
    }

    /// How many calls have not been completed.
    var outstandingCount: Int { numbered.count + waiting.count + former.count }

    /// About how much memory the calls take that wait for their turn, in bytes.
    var waitingBytes: Int { waiting.byteCount }

    /// A user wants a command applied.
    mutating func call(
        _ id: CallID,
        _ operation: Command.Operation,
        deadline: Instant,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        func refuse(_ reason: RequestError.Reason) {
            effects.append(.complete(id, .failure(RequestError(.notApplied, reason))))
        }
        guard !isClosed else { return refuse(.closed) }
        guard now < deadline else { return refuse(.deadlineExceeded) }
        let call = ClientCall(id, operation, deadline: deadline, calledAt: now)
        guard call.byteCount <= maxWaitingBytes else { return refuse(.tooLarge) }
        guard outstandingBytes + call.byteCount <= maxWaitingBytes else { return refuse(.busy) }
        outstandingBytes += call.byteCount
        if let session, waiting.isEmpty, hasTurn(call, at: now) {
            number(call, in: session, at: now, into: &effects)
            return
        }
        waiting.append(call)
        admit(at: now, into: &effects)
        // What waits for its turn has a deadline, which nothing else may come before.
        guard !waiting.isEmpty else { return }
        dueAt = min(dueAt, deadline)
        wake(into: &effects)
    }

    /// A user does not wait any more. What has not been sent is not applied; of the rest nobody can know.
    mutating func cancel(_ id: CallID, into effects: inout [ClientEffect]) {
        if let call = waiting.remove(id) {
            outstandingBytes -= call.byteCount
            effects.append(.complete(id, .failure(RequestError(.notApplied, .cancelled))))
        } else if let number = numbered.number(where: { $0.id == id && !$0.isCancelled }) {
            // Its number stays in use until it is answered: a later one must not run ahead of it.
            numbered[number]?.isCancelled = true
            effects.append(.complete(id, .failure(RequestError(.unknown, .cancelled))))
        } else if let call = former.remove(id) {
            outstandingBytes -= call.byteCount
            effects.append(.complete(id, .failure(RequestError(.unknown, .cancelled))))
        }
    }

    /// The store closes: everybody is told.
    mutating func close(into effects: inout [ClientEffect]) {
        isClosed = true
        for call in waiting.removeAll() {
            effects.append(.complete(call.id, .failure(RequestError(.notApplied, .closed))))
        }
        for call in former.removeAll() + numbered.calls.map(\.call) where !call.isCancelled {
            let isSent = call.mayHaveHappened || call.request != 0
            effects.append(.complete(call.id, .failure(RequestError(isSent ? .unknown : .notApplied, .closed))))
        }
        numbered = CallWindow()
        numberedBytes = 0
        numberByRequest.removeAll()
        outstandingBytes = 0
        opening = nil
    }

    /// Gives numbers to those that wait, and hands them over.
    private mutating func admit(at now: Instant, into effects: inout [ClientEffect]) {
        guard let session else {
            openSession(at: now, into: &effects)
            return
        }
        while let call = waiting.first, hasTurn(call, at: now) {
            _ = waiting.popFirst()
            if now < call.deadline {
                number(call, in: session, at: now, into: &effects)
            } else {
                complete(call, .failure(RequestError(.notApplied, .deadlineExceeded)), at: now, into: &effects)
            }
        }
        if !waiting.isEmpty, now < resumeAt { dueAt = min(dueAt, resumeAt) }
    }

    /// Whether a call may be given a number now.
    private func hasTurn(_ call: ClientCall, at now: Instant) -> Bool {
        // The machine refuses what is too far ahead of the lowest number, so that it is not sent before.
        guard now >= resumeAt, numbered.span < window else { return false }
        return numbered.count == 0 || numberedBytes + call.byteCount <= maxNumberedBytes
    }

    private mutating func number(
        _ call: ClientCall,
        in session: SessionID,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        let number = numbered.next
        numbered.append(call)
        numberedBytes += call.byteCount
        send(number, in: session, at: now, into: &effects)
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
        let encoded = call.encoded ?? encode(call, number, in: session)
        call.encoded = encoded
        numbered[number] = call
        numberByRequest.insert(number, for: lastRequest)
        effects.append(.submit(Submission(RequestID(lastRequest), encoded, deadline: call.deadline)))
    }

    private func encode(_ call: ClientCall, _ number: UInt64, in session: SessionID) -> Bytes {
        let identity = RequestIdentity(session: session, number: number)
        return Command(identity: identity, lowestOutstanding: numbered.lowest, operation: call.operation).encoded()
    }

    private mutating func openSession(at now: Instant, into effects: inout [ClientEffect]) {
        guard opening == nil, !waiting.isEmpty else { return }
        guard now >= openAgainAt else {
            dueAt = min(dueAt, openAgainAt)
            return
        }
        opening = Opening()
        sendOpening(at: now, into: &effects)
    }

    /// Hands an attempt to open a session over, for those that wait by now.
    private mutating func sendOpening(at now: Instant, into effects: inout [ClientEffect]) {
        // With a deadline that has passed it would be answered at once, and be of use to nobody.
        guard !waiting.isEmpty, now < waiting.latestDeadline else {
            opening = nil
            return
        }
        lastRequest += 1
        opening?.request = lastRequest
        let identity = RequestIdentity(session: .none, number: nonces.next())
        let command = Command(identity: identity, operation: .openSession).encoded()
        effects.append(.submit(Submission(RequestID(lastRequest), command, deadline: waiting.latestDeadline)))
    }

    /// Whether a request is one of this session.
    func isOwn(_ request: RequestID) -> Bool { request.number <= lastRequest }

    /// The replica has answered a request.
    mutating func replied(_ request: RequestID, _ reply: Reply, at now: Instant, into effects: inout [ClientEffect]) {
        if opening?.request == request.number {
            openingReplied(reply, at: now, into: &effects)
        } else if let number = numberByRequest.remove(request.number) {
            numbered[number]?.request = 0
            replied(number, AttemptVerdict(reply), at: now, into: &effects)
            admit(at: now, into: &effects)
        } else if let call = former.remove(request: request.number) {
            replied(call, AttemptVerdict(reply), at: now, into: &effects)
            admit(at: now, into: &effects)
        }
        wake(into: &effects)
    }

    private mutating func openingReplied(_ reply: Reply, at now: Instant, into effects: inout [ClientEffect]) {
        switch reply {
        case .success(let bytes, _):
            guard let reply = try? CommandReply(decoding: bytes), reply.outcome == .sessionOpened else { break }
            session = SessionID(rawValue: reply.revision)
            // The machine refuses a number that is a window above the lowest outstanding one. The window of a session
            // stays what it was when it was opened.
            window = max(1, min(maxOutstanding, Int(clamping: reply.number ?? .max) - 1))
            opening = nil
            openAgainAt = now + openingPause
            openingPause = min(max(openingPause * 2, ClientSession.firstPause), ClientSession.longestOpeningPause)
            admit(at: now, into: &effects)
            return
        case .failure(let error) where error.reason == .failed:
            // It does not come round until it is opened anew: nothing is to be waited for.
            opening = nil
            for call in waiting.removeAll() {
                outstandingBytes -= call.byteCount
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

    /// An attempt of a call with a number was answered.
    private mutating func replied(
        _ number: UInt64,
        _ verdict: AttemptVerdict,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        switch verdict {
        case .answered(let answer):
            busyPause = ClientSession.firstPause
            openAgainAt = .zero
            openingPause = .zero
            end(number, .success(answer), at: now, into: &effects)
        case .failed(let error):
            guard let call = numbered[number] else { return }
            end(number, .failure(call.failure(error)), at: now, into: &effects)
        case .sessionEnded:
            sessionEnded(at: now, into: &effects)
        case .refused(let error):
            again(number, error, at: now, into: &effects)
        }
    }

    /// An attempt of a call under an earlier session was answered.
    private mutating func replied(
        _ call: ClientCall,
        _ verdict: AttemptVerdict,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        switch verdict {
        case .answered(let answer):
            complete(call, .success(answer), at: now, into: &effects)
        case .failed(let error):
            complete(call, .failure(call.failure(error)), at: now, into: &effects)
        case .sessionEnded:
            beginAnew(call, at: now, into: &effects)
        case .refused(let error):
            var call = call
            call.lastError = error
            if error.outcome == .unknown { call.mayHaveHappened = true }
            beginAnew(call, at: now, into: &effects)
        }
    }

    /// A call with a number has been answered.
    private mutating func end(
        _ number: UInt64,
        _ result: Result<CommandReply, RequestError>,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        guard let call = numbered.remove(number) else { return }
        numberedBytes -= call.byteCount
        complete(call, result, at: now, into: &effects)
    }

    /// Tells the caller, unless it was told before that its call is cancelled.
    private mutating func complete(
        _ call: ClientCall,
        _ result: Result<CommandReply, RequestError>,
        at now: Instant,
        into effects: inout [ClientEffect]
    ) {
        outstandingBytes -= call.byteCount
        guard !call.isCancelled else { return }
        note(call, at: now, into: &effects)
        effects.append(.complete(call.id, result))
    }

    /// Tells how a call went that took long.
    private func note(_ call: ClientCall, at now: Instant, into effects: inout [ClientEffect]) {
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
        if error.outcome == .unknown { call.mayHaveHappened = true }
        if error.reason == .busy {
            // Where one had no room, the others will have none either: all of them pause together.
            if now >= resumeAt {
                resumeAt = now + busyPause
                busyPause = min(busyPause * 2, ClientSession.longestPause)
            }
            call.retryAt = resumeAt
        } else {
            call.retryAt = now + call.pause
            call.pause = min(call.pause * 2, ClientSession.longestPause)
        }
        numbered[number] = call
        guard now < call.deadline else {
            end(number, .failure(call.overdue), at: now, into: &effects)
            return
        }
        dueAt = min(dueAt, call.retryAt, call.deadline)
    }

    /// The session is no more. What the replica still has will be answered; what it has not begins anew in another one.
    private mutating func sessionEnded(at now: Instant, into effects: inout [ClientEffect]) {
        session = nil
        let calls = numbered.calls
        numbered = CallWindow()
        numberedBytes = 0
        numberByRequest.removeAll()
        for (_, call) in calls {
            if call.isCancelled || call.request == 0 {
                beginAnew(call, at: now, into: &effects)
            } else {
                former.append(call)
            }
        }
    }

    /// Puts a call back whose session is no more. Only one of which it is certain that no attempt had an effect, or will have:
    /// in another session nothing would tell that it was executed before.
    private mutating func beginAnew(_ call: ClientCall, at now: Instant, into effects: inout [ClientEffect]) {
        guard !call.isCancelled, !call.mayHaveHappened else {
            let reason: RequestError.Reason = now < call.deadline ? .sessionExpired : .deadlineExceeded
            complete(call, .failure(RequestError(.unknown, reason)), at: now, into: &effects)
            return
        }
        var call = call
        call.request = 0
        call.encoded = nil
        waiting.append(call)
        dueAt = min(dueAt, call.deadline)
    }

    /// Time has passed.
    mutating func timer(at now: Instant, into effects: inout [ClientEffect]) {
        armedAt = .never
        let refusal = opening?.lastError ?? RequestError(.notApplied, .deadlineExceeded)
        for call in waiting.removeOverdue(at: now) {
            // None of them was sent. What became of an attempt to open a session is not told as what became of theirs.
            let isPassing = refusal.reason == .superseded || refusal.reason == .overtakenByCheckpoint
            let reason: RequestError.Reason = isPassing ? .deadlineExceeded : refusal.reason
            let error = RequestError(.notApplied, reason, leader: refusal.leader)
            complete(call, .failure(error), at: now, into: &effects)
        }
        if let opening, opening.request == 0, now >= opening.retryAt { sendOpening(at: now, into: &effects) }
        if let session {
            for (number, call) in numbered.calls where call.request == 0 {
                if now >= call.deadline {
                    end(number, .failure(call.overdue), at: now, into: &effects)
                } else if now >= max(call.retryAt, resumeAt) {
                    send(number, in: session, at: now, into: &effects)
                }
            }
        }
        admit(at: now, into: &effects)
        findDue(at: now)
        wake(into: &effects)
    }

    /// Looks through the calls for what is due next. In between it is only noted that something may be due earlier.
    private mutating func findDue(at now: Instant) {
        dueAt = waiting.earliestDeadline
        if !waiting.isEmpty, now < resumeAt { dueAt = min(dueAt, resumeAt) }
        if let opening, opening.request == 0 { dueAt = min(dueAt, opening.retryAt) }
        if session == nil, opening == nil, !waiting.isEmpty { dueAt = min(dueAt, openAgainAt) }
        for (_, call) in numbered.calls where call.request == 0 {
            dueAt = min(dueAt, max(call.retryAt, resumeAt), call.deadline)
        }
    }

    private mutating func wake(into effects: inout [ClientEffect]) {
        guard dueAt < armedAt else { return }
        armedAt = dueAt
        effects.append(.wake(at: dueAt))
    }
}
