import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaRaft
import BalsaTransport

/// A replicated key-value store on a directory of this machine.
///
/// ```swift
/// let store = try await ReplicatedStore.open(at: "/var/lib/service/store")
/// try await store.put("greeting", "hello")
/// let entry = try await store.get("greeting")
/// await store.close()
/// ```
///
/// When a write returns, it is durable on a majority of the members. Reads are linearizable unless they ask for less: they see
/// every write that had returned before they were called, whichever member it went through. Every call has a deadline. An error
/// of a write says whether the write took effect; *unknown* means that it may have, or may still.
///
/// A store may be used from any number of tasks and threads. Its calls never block the thread that they are made on: what has
/// to wait for the disk is done by threads of the ``StoreRuntime``. A call whose task is cancelled returns at once, with the
/// reason *cancelled*; a write that had been sent by then may take effect all the same, and the error says so.
public final class ReplicatedStore: Sendable {
    let core: StoreCore
    private let timeout: Duration
    private let drainLimit: Duration
    private let slowCall: TimeSpan
    private let lastCall = Locked<UInt64>(0)
    /// Through it go all calls. It is closed when the store begins to close.
    private let gate = Gate()
    private let closing = Locked(Closing())

    /// How far the store has come with closing.
    private struct Closing {
        var hasBegun = false
        var isDone = false
        /// Those who also want it closed.
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    init(core: StoreCore, options: StoreOptions) {
        self.core = core
        timeout = options.timeout
        drainLimit = options.drainLimit
        slowCall = TimeSpan(options.slow.call)
    }

    deinit {
        // Whoever forgets to close a store gets what a crash would give, and the lock back.
        guard !closing.withLock({ $0.hasBegun }) else { return }
        let core = core
        core.shell.loop.post { core.close() }
        core.shell.close { core.shell.loop.stop() }
    }

    // MARK: Writes

    /// Gives a key a value, whatever it had.
    ///
    /// - Returns: the revision of the write.
    @discardableResult
    public func put(_ key: Bytes, _ value: Bytes, timeout: Duration? = nil) async throws(StoreError) -> UInt64 {
        try await applied(.put(key: key, value: value), timeout).revision
    }

    /// Takes a key's value away, if it has one.
    ///
    /// - Returns: the revision of the deletion.
    @discardableResult
    public func delete(_ key: Bytes, timeout: Duration? = nil) async throws(StoreError) -> UInt64 {
        try await applied(.delete(key: key), timeout).revision
    }

    /// Takes away the values of the keys from `from` up to `to`, which is excluded; to the last key where it is nil.
    ///
    /// - Throws: ``StoreError`` with *invalid* where the range ends before it begins; nothing has happened then.
    @discardableResult
    public func delete(from: Bytes, to: Bytes?, timeout: Duration? = nil) async throws(StoreError) -> UInt64 {
        if let to, to < from {
            throw StoreError(.notApplied, .invalid, "the range from \(from) to \(to) ends before it begins")
        }
        return try await applied(.deleteRange(from: from, to: to), timeout).revision
    }

    /// Changes a key if its state is the expected one.
    ///
    /// - Returns: the revision of the change; nil where the state was another one, and nothing has changed.
    public func compareAndSet(
        _ key: Bytes,
        if condition: Command.Condition,
        then change: Command.Change,
        timeout: Duration? = nil
    ) async throws(StoreError) -> UInt64? {
        let operation = Command.Operation.compareAndSet(key: key, condition: condition, then: change)
        let reply = try await execute(operation, timeout)
        if reply.outcome == .conditionFailed { return nil }
        return try StoreError.check(reply, of: operation, core.replicatedOptions).revision
    }

    /// Puts bytes behind the value of a key.
    @discardableResult
    public func append(_ bytes: Bytes, to key: Bytes, timeout: Duration? = nil) async throws(StoreError) -> UInt64 {
        try await applied(.append(key: key, bytes: bytes), timeout).revision
    }

    /// Adds to a counter, which is a value of eight bytes.
    ///
    /// - Returns: the sum.
    @discardableResult
    public func add(_ amount: Int64, to key: Bytes, timeout: Duration? = nil) async throws(StoreError) -> Int64 {
        try await applied(.add(key: key, amount: amount), timeout).number ?? 0
    }

    private func applied(_ operation: Command.Operation, _ timeout: Duration?) async throws(StoreError) -> CommandReply
    {
        try StoreError.check(try await execute(operation, timeout), of: operation, core.replicatedOptions)
    }

    private func execute(_ operation: Command.Operation, _ timeout: Duration?) async throws(StoreError) -> CommandReply
    {
        guard gate.enter() else { throw StoreError(.notApplied, .closed) }
        defer { gate.leave() }
        try StoreError.check(operation)
        let call = CallID(
            number: lastCall.withLock { last in
                last += 1
                return last
            }
        )
        let deadline = core.shell.now + TimeSpan(timeout ?? self.timeout)
        let core = core
        let result: Result<CommandReply, RequestError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard !Task.isCancelled else {
                    continuation.resume(returning: .failure(RequestError(.notApplied, .cancelled)))
                    return
                }
                core.execute(call, operation, deadline: deadline) { continuation.resume(returning: $0) }
                // Cancelled in between, it was told to a loop that did not know the call yet.
                if Task.isCancelled { core.cancel(call) }
            }
        } onCancel: {
            core.cancel(call)
        }
        switch result {
        case .success(let reply): return reply
        case .failure(let error): throw core.storeError(error, of: operation)
        }
    }

    // MARK: Options

    /// The replicated options in force, with the revision that set them.
    ///
    /// - Parameters:
    ///   - consistency: how recent the answer has to be.
    ///   - timeout: how long the call may take.
    public func options(
        consistency: ReadConsistency = .linearizable,
        timeout: Duration? = nil
    ) async throws(StoreError) -> ReplicatedOptionsEntry {
        try await read(consistency, timeout) { machine, _ throws(KeyValueError) in machine.replicatedOptions }
    }

    /// Replaces the replicated options of all members, if those in force are of the expected revision. Every entry
    /// behind the change is decided by the new ones.
    ///
    /// ```swift
    /// var entry = try await store.options()
    /// entry.options.maxValueBytes = 4 << 20
    /// try await store.changeOptions(entry.options, expecting: entry.revision)
    /// ```
    ///
    /// - Parameters:
    ///   - options: the new ones.
    ///   - revision: that of the options in force, as ``options(consistency:timeout:)`` gives it.
    ///   - timeout: how long the call may take.
    /// - Returns: the revision of the new options.
    /// - Throws: ``StoreError``: *conflict* where the options in force have another revision, which the message names;
    ///   *invalid* where options are outside of their bounds or do not fit together, with the rule that is broken. In
    ///   both cases nothing has changed.
    @discardableResult
    public func changeOptions(
        _ options: ReplicatedOptions,
        expecting revision: UInt64,
        timeout: Duration? = nil
    ) async throws(StoreError) -> UInt64 {
        let operation = Command.Operation.changeOptions(options, expecting: revision)
        let reply = try await execute(operation, timeout)
        guard reply.outcome == .conditionFailed else {
            return try StoreError.check(reply, of: operation, core.replicatedOptions).revision
        }
        throw StoreError(
            .notApplied,
            .conflict,
            "the options in force are of revision \(reply.number ?? 0), and \(revision) was expected: read them again"
        )
    }

    // MARK: Reads

    /// The value of a key with the revision that wrote it; nil where it has none.
    ///
    /// - Parameters:
    ///   - key: the key.
    ///   - consistency: how recent the answer has to be.
    ///   - timeout: how long the call may take.
    public func get(
        _ key: Bytes,
        consistency: ReadConsistency = .linearizable,
        timeout: Duration? = nil
    ) async throws(StoreError) -> KeyValueEntry? {
        try StoreError.check(key: key)
        return try await read(consistency, timeout) { machine, waiting throws(KeyValueError) in
            try machine.get(key, waiting: waiting)
        }
    }

    /// A page of the pairs from `from` up to `to`, which is excluded, all of one revision.
    ///
    /// - Parameters:
    ///   - from: the lowest key; nil for the first.
    ///   - to: the key behind the highest; nil for no bound.
    ///   - limit: how many pairs at most; at least 1. A page is also full with 1 MiB of keys and values, and ends early
    ///     where many deleted keys follow a pair. It has a pair if the range has one.
    ///   - order: in which order.
    ///   - revision: as of which revision; what is applied where it is nil. The pages of a scan are read at the revision of
    ///     the first.
    ///   - consistency: how recent the answer has to be.
    ///   - timeout: how long the call may take.
    /// - Throws: ``StoreError``: *invalid* where the range ends before it begins or the limit is below 1, *compacted* where the
    ///   revision is too old to be read, *future revision* where this member has not applied it.
    public func scan(
        from: Bytes? = nil,
        to: Bytes? = nil,
        limit: Int = 1_000,
        order: ScanOrder = .ascending,
        at revision: UInt64? = nil,
        consistency: ReadConsistency = .linearizable,
        timeout: Duration? = nil
    ) async throws(StoreError) -> ScanPage {
        for bound in [from, to] { if let bound { try StoreError.check(key: bound) } }
        let deadline = core.shell.now + TimeSpan(timeout ?? self.timeout)
        var page = try await read(consistency, timeout) { machine, waiting throws(KeyValueError) in
            try machine.scan(from: from, to: to, limit: limit, order: order, at: revision, waiting: waiting)
        }
        // The machine bounds the work of a page, so that deadline and cancellation are looked at meanwhile.
        while page.pairs.isEmpty, let next = page.continuation {
            let (from, to) = order == .ascending ? (next, to) : (from, next)
            let revision = page.revision
            let now = core.shell.now
            guard now < deadline else { throw StoreError(.notApplied, .deadlineExceeded) }
            page = try await read(.local, Duration(deadline - now)) { machine, waiting throws(KeyValueError) in
                try machine.scan(from: from, to: to, limit: limit, order: order, at: revision, waiting: waiting)
            }
        }
        return page
    }

    /// Waits until the state may be read, and reads it: on the caller's thread where memory has the answer, on a worker where
    /// the disk has to be waited for.
    private func read<Value: Sendable>(
        _ consistency: ReadConsistency,
        _ timeout: Duration?,
        _ body: @escaping @Sendable (KeyValueMachine, Waiting) throws(KeyValueError) -> Value
    ) async throws(StoreError) -> Value {
        guard gate.enter() else { throw StoreError(.notApplied, .closed) }
        defer { gate.leave() }
        let begin = core.shell.now
        let deadline = begin + TimeSpan(timeout ?? self.timeout)
        var permission = TimeSpan.zero
        defer {
            let took = core.shell.now - begin
            if took >= slowCall { core.readEnded(after: took, permission: permission) }
        }
        while true {
            guard !Task.isCancelled else { throw StoreError(.notApplied, .cancelled) }
            guard core.shell.now < deadline else { throw StoreError(.notApplied, .deadlineExceeded) }
            // Before the member belongs to a cluster there is nothing to read yet, however old it may be.
            let isThere = core.published.withLock { $0.machine != nil }
            if consistency != .local || !isThere {
                let asked = core.shell.now
                defer { permission = permission + (core.shell.now - asked) }
                try await readable(consistency, deadline)
            }
            guard let machine = core.published.withLock({ $0.machine }) else {
                guard core.shell.now < deadline else { throw StoreError(.notApplied, .startingUp) }
                continue
            }
            let result = try await perform(body, on: machine, by: deadline)
            switch result {
            case .success(let value):
                return value
            case .failure(let error):
                // Meanwhile a checkpoint may have taken the place of the state, or the store have failed or been
                // closed. What a read finds in files that are on their way out is no damage.
                let isReplaced = core.published.withLock { $0.machine } !== machine
                guard !isReplaced else { continue }
                if error.code == .damaged { core.metDamage(error.description) }
                throw StoreError(error)
            }
        }
    }

    private func perform<Value: Sendable>(
        _ body: @escaping @Sendable (KeyValueMachine, Waiting) throws(KeyValueError) -> Value,
        on machine: KeyValueMachine,
        by deadline: Instant
    ) async throws(StoreError) -> Result<Value, KeyValueError> {
        do throws(KeyValueError) {
            return .success(try body(machine, .forbidden))
        } catch {
            guard error.code == .wouldWait else { return .failure(error) }
        }
        return try await core.workerReads.read(by: deadline) {
            do throws(KeyValueError) { return .success(try body(machine, .allowed)) } catch { return .failure(error) }
        }
    }

    private func readable(_ consistency: ReadConsistency, _ deadline: Instant) async throws(StoreError) {
        let promise = Promise<Result<LogIndex, RequestError>>()
        core.read(consistency, deadline: deadline) { promise.give($0) }
        let result = await withTaskCancellationHandler {
            await promise.value()
        } onCancel: {
            promise.give(.failure(RequestError(.notApplied, .cancelled)))
        }
        if case .failure(let error) = result { throw core.storeError(error) }
    }

    // MARK: The store itself

    /// What the store does, now and whenever it changes, in order, until the store is closed.
    ///
    /// Each call gives a sequence of its own. One that is not read keeps the 16 newest states and no more.
    public var states: AsyncStream<StoreState> {
        AsyncStream(bufferingPolicy: .bufferingNewest(16)) { continuation in
            let core = core
            let id = core.published.withLock { published in
                published.lastStream += 1
                continuation.yield(published.state)
                if published.state != .closed {
                    published.streams.append((published.lastStream, continuation))
                }
                return published.state == .closed ? nil : published.lastStream
            }
            guard let id else { return continuation.finish() }
            continuation.onTermination = { _ in
                core.published.withLock { published in published.streams.removeAll { $0.id == id } }
            }
        }
    }

    /// What the store does now.
    public var state: StoreState { core.published.withLock { $0.state } }

    /// The store's figures of this moment; of its last one, where it is closed. They are gathered when they are asked for, on the
    /// store's own thread.
    public func status() async -> StoreStatus {
        var status = await core.status()
        status.callsUnderWay = gate.count
        return status
    }

    /// Closes the store in order: no more calls are taken, those that are under way are answered, and directory and ports are
    /// given back. Returns when all of that has happened; so does every further call.
    ///
    /// A call that has not ended within the limit gets an error with the reason *closed*, which says whether it may have had an
    /// effect. A store that nobody holds any more and that was not closed ends as in a crash: nothing that was acknowledged
    /// is lost.
    ///
    /// The last step waits for what the threads of the store's ``StoreRuntime`` are in, which may be work of another
    /// store: a call to the disk that hangs there holds this one up as well.
    ///
    /// - Parameter limit: how long to wait for calls that are under way; ``StoreOptions/drainLimit`` unless given.
    public func close(drainingFor limit: Duration? = nil) async {
        let isFirst = closing.withLock { closing in
            defer { closing.hasBegun = true }
            return !closing.hasBegun
        }
        guard isFirst else { return await closed() }
        await drained(within: limit ?? drainLimit)
        let core = core
        core.shell.loop.post { core.close() }
        await withCheckedContinuation { continuation in
            core.shell.close {
                // The loop's thread is waited for here and not on the caller's.
                core.shell.loop.stop()
                continuation.resume()
            }
        }
        let waiting = closing.withLock { closing in
            closing.isDone = true
            defer { closing.waiting = [] }
            return closing.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Takes no more calls, and waits until those under way have been answered or the limit has passed.
    private func drained(within limit: Duration) async {
        let promise = Promise<Void>()
        gate.close { promise.give(()) }
        let loop = core.shell.loop
        loop.post { _ = loop.schedule(at: loop.now + TimeSpan(limit).nanoseconds) { promise.give(()) } }
        await promise.value()
    }

    /// Waits until whoever closes the store has done so.
    private func closed() async {
        await withCheckedContinuation { continuation in
            let isDone = closing.withLock { closing in
                if !closing.isDone { closing.waiting.append(continuation) }
                return closing.isDone
            }
            if isDone { continuation.resume() }
        }
    }
}
