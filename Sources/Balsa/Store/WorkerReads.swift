import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// The reads that workers do, since the disk has to be waited for, each with the deadline of its call.
///
/// A caller waits for the worker, for its deadline, for the end of its task or for the closing of the store, whichever
/// comes first. A read that nobody waits for any more is not begun when its turn comes; one that has begun ends in its
/// own time. It counts until then, so that callers who give up and come again do not fill the queue of workers that
/// stand still.
final class WorkerReads: Sendable {
    /// What a caller waits for.
    private enum Answer<Value: Sendable>: Sendable {
        case read(Result<Value, KeyValueError>)
        case givenUp(RequestError.Reason)
    }

    private struct Caller {
        var deadline: Instant
        var giveUp: @Sendable (RequestError.Reason) -> Void
    }

    private struct State {
        var callers: [UInt64: Caller] = [:]
        var last: UInt64 = 0
        /// Reads that are queued or under way, whether anybody waits for them or not.
        var count = 0
        /// When the loop next looks for deadlines that have passed.
        var armedAt = Instant.never
        var isClosed = false
    }

    /// How far two looks for deadlines are apart at least.
    private static let granularity = TimeSpan.milliseconds(5)

    private let state = Locked(State())
    private let shell: ReplicaShell
    private let workers: WorkerThreads
    private let limit: Int

    /// - Parameters:
    ///   - shell: whose loop keeps the deadlines.
    ///   - workers: do the reads.
    ///   - limit: how many reads may be queued or under way. More are refused with *busy*.
    init(shell: ReplicaShell, workers: WorkerThreads, limit: Int) {
        self.shell = shell
        self.workers = workers
        self.limit = limit
    }

    /// How many reads are queued or under way.
    var count: Int { state.withLock { $0.count } }

    /// Has a worker read, and waits for it.
    ///
    /// - Throws: ``StoreError`` of outcome *not applied* where nothing was read: *deadline exceeded*, *cancelled*,
    ///   *closed*, *busy*.
    func read<Value: Sendable>(
        by deadline: Instant,
        _ body: @escaping @Sendable () -> Result<Value, KeyValueError>
    ) async throws(StoreError) -> Result<Value, KeyValueError> {
        let promise = Promise<Answer<Value>>()
        let number = try enter(deadline) { promise.give(.givenUp($0)) }
        workers.enqueue { [self] in
            if isAwaited(number) { promise.give(.read(body())) }
            ended(number)
        }
        let answer = await withTaskCancellationHandler {
            await promise.value()
        } onCancel: {
            giveUp(number, .cancelled)
        }
        switch answer {
        case .read(let result): return result
        case .givenUp(let reason): throw StoreError(.notApplied, reason)
        }
    }

    /// Tells all callers that the store is closed. What a worker is in the middle of goes on.
    func close() {
        let callers = state.withLock { state in
            state.isClosed = true
            defer { state.callers = [:] }
            return state.callers
        }
        for caller in callers.values { caller.giveUp(.closed) }
    }

    private func enter(
        _ deadline: Instant,
        _ giveUp: @escaping @Sendable (RequestError.Reason) -> Void
    ) throws(StoreError) -> UInt64 {
        let (refusal, number, mustArm) = state.withLock { state -> (RequestError.Reason?, UInt64, Bool) in
            if state.isClosed { return (.closed, 0, false) }
            guard state.count < limit else { return (.busy, 0, false) }
            state.count += 1
            state.last += 1
            state.callers[state.last] = Caller(deadline: deadline, giveUp: giveUp)
            guard deadline < state.armedAt else { return (nil, state.last, false) }
            state.armedAt = deadline
            return (nil, state.last, true)
        }
        if let refusal { throw StoreError(.notApplied, refusal) }
        if mustArm { shell.loop.post { [weak self] in self?.arm(at: deadline) } }
        return number
    }

    /// Whether a read is to be begun, now that its turn has come.
    private func isAwaited(_ number: UInt64) -> Bool {
        guard let caller = state.withLock({ $0.callers[number] }) else { return false }
        guard shell.now < caller.deadline else {
            giveUp(number, .deadlineExceeded)
            return false
        }
        return true
    }

    private func ended(_ number: UInt64) {
        state.withLock { state in
            state.count -= 1
            state.callers[number] = nil
        }
    }

    private func giveUp(_ number: UInt64, _ reason: RequestError.Reason) {
        state.withLock { $0.callers.removeValue(forKey: number) }?.giveUp(reason)
    }

    // MARK: On the loop

    private func arm(at moment: Instant) {
        let now = shell.now
        let wait = TimeSpan(nanoseconds: moment.nanoseconds - min(moment.nanoseconds, now.nanoseconds))
        _ = shell.loop.schedule(at: shell.loop.now + wait.nanoseconds) { [weak self] in self?.expire() }
    }

    /// Tells those whose deadline has passed.
    private func expire() {
        let now = shell.now
        let (overdue, next) = state.withLock { state -> ([Caller], Instant) in
            var overdue: [Caller] = []
            var next = Instant.never
            for (number, caller) in state.callers {
                if caller.deadline <= now {
                    overdue.append(caller)
                    state.callers[number] = nil
                } else {
                    next = min(next, caller.deadline)
                }
            }
            if next < .never { next = max(next, now + WorkerReads.granularity) }
            state.armedAt = next
            return (overdue, next)
        }
        for caller in overdue { caller.giveUp(.deadlineExceeded) }
        if next < .never { arm(at: next) }
    }
}
