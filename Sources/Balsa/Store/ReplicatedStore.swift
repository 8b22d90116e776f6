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
/// to wait for the disk is done by threads of the ``StoreRuntime``.
public final class ReplicatedStore: Sendable {
    private let core: StoreCore
    private let workers: WorkerThreads
    private let timeout: Duration
    private let lastCall = Locked<UInt64>(0)
    private let isClosed = Locked(false)

    init(core: StoreCore, workers: WorkerThreads, timeout: Duration) {
        self.core = core
        self.workers = workers
        self.timeout = timeout
    }

    deinit {
        // Whoever forgets to close a store gets what a crash would give, and the lock back.
        guard !isClosed.withLock({ $0 }) else { return }
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
        if let to, to < from { throw StoreError(.notApplied, .invalid, "the range ends before it begins") }
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
        return try StoreError.check(reply).revision
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
        try StoreError.check(try await execute(operation, timeout))
    }

    private func execute(_ operation: Command.Operation, _ timeout: Duration?) async throws(StoreError) -> CommandReply
    {
        let call = CallID(
            number: lastCall.withLock { last in
                last += 1
                return last
            }
        )
        let deadline = deadline(timeout)
        let core = core
        let result: Result<CommandReply, RequestError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard !Task.isCancelled else {
                    continuation.resume(returning: .failure(RequestError(.notApplied, .cancelled)))
                    return
                }
                core.execute(call, operation, deadline: deadline) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            core.cancel(call)
        }
        switch result {
        case .success(let reply): return reply
        case .failure(let error): throw StoreError(error)
        }
    }

    private func deadline(_ timeout: Duration?) -> Instant { core.shell.now + TimeSpan(timeout ?? self.timeout) }

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
        try await read(consistency, timeout) { machine, waiting throws(KeyValueError) in
            try machine.get(key, waiting: waiting)
        }
    }

    /// A page of the pairs from `from` up to `to`, which is excluded, all of one revision.
    ///
    /// - Throws: ``StoreError`` with *invalid* where the range ends before it begins.
    public func scan(
        from: Bytes? = nil,
        to: Bytes? = nil,
        limit: Int = 1_000,
        order: ScanOrder = .ascending,
        at revision: UInt64? = nil,
        consistency: ReadConsistency = .linearizable,
        timeout: Duration? = nil
    ) async throws(StoreError) -> ScanPage {
        try await read(consistency, timeout) { machine, waiting throws(KeyValueError) in
            try machine.scan(from: from, to: to, limit: limit, order: order, at: revision, waiting: waiting)
        }
    }

    /// Waits until the state may be read, and reads it: on the caller's thread where memory has the answer, on a worker where
    /// the disk has to be waited for.
    private func read<Value: Sendable>(
        _ consistency: ReadConsistency,
        _ timeout: Duration?,
        _ body: @escaping @Sendable (KeyValueMachine, Waiting) throws(KeyValueError) -> Value
    ) async throws(StoreError) -> Value {
        let deadline = deadline(timeout)
        while true {
            // Before the member belongs to a cluster there is nothing to read yet, however old it may be.
            let isThere = core.published.withLock { $0.machine != nil }
            if consistency != .local || !isThere { try await readable(consistency, deadline) }
            guard let machine = core.published.withLock({ $0.machine }) else {
                guard core.shell.now < deadline else { throw StoreError(.notApplied, .startingUp) }
                continue
            }
            let result = await perform(body, on: machine)
            switch result {
            case .success(let value):
                return value
            case .failure(let error):
                // A checkpoint may have taken the place of the state in between.
                let isReplaced = core.published.withLock { $0.machine } !== machine
                guard isReplaced, core.shell.now < deadline else { throw StoreError(error) }
            }
        }
    }

    private func perform<Value: Sendable>(
        _ body: @escaping @Sendable (KeyValueMachine, Waiting) throws(KeyValueError) -> Value,
        on machine: KeyValueMachine
    ) async -> Result<Value, KeyValueError> {
        do throws(KeyValueError) {
            return .success(try body(machine, .forbidden))
        } catch {
            guard error.code == .wouldWait else { return .failure(error) }
        }
        return await withCheckedContinuation { continuation in
            workers.enqueue {
                do throws(KeyValueError) {
                    continuation.resume(returning: .success(try body(machine, .allowed)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
    }

    private func readable(_ consistency: ReadConsistency, _ deadline: Instant) async throws(StoreError) {
        let result: Result<LogIndex, RequestError> = await withCheckedContinuation { continuation in
            core.read(consistency, deadline: deadline) { continuation.resume(returning: $0) }
        }
        if case .failure(let error) = result { throw StoreError(error) }
    }

    // MARK: The store itself

    /// What the store does, now and whenever it changes, until the store is closed.
    public var states: AsyncStream<StoreState> {
        AsyncStream(bufferingPolicy: .bufferingNewest(16)) { continuation in
            let core = core
            let id = core.published.withLock { published in
                published.lastStream += 1
                continuation.yield(published.state)
                if published.state == .closed {
                    continuation.finish()
                } else {
                    published.streams.append((published.lastStream, continuation))
                }
                return published.lastStream
            }
            continuation.onTermination = { _ in
                core.published.withLock { published in published.streams.removeAll { $0.id == id } }
            }
        }
    }

    /// What the store does now.
    public var state: StoreState { core.published.withLock { $0.state } }

    /// The store's figures.
    public var status: StoreStatus { core.published.withLock { $0.status } }

    /// Closes the store: no more calls are taken, those that wait are told, and directory and ports are given back. Returns
    /// when all of that has happened. Further calls do nothing.
    public func close() async {
        let isFirst = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return !isClosed
        }
        guard isFirst else { return }
        let core = core
        core.shell.loop.post { core.close() }
        await withCheckedContinuation { continuation in
            core.shell.close { continuation.resume() }
        }
        core.shell.loop.stop()
    }
}

extension StoreError {
    /// Throws where a command was executed and refused.
    fileprivate static func check(_ reply: CommandReply) throws(StoreError) -> CommandReply {
        switch reply.outcome {
        case .applied: return reply
        case .keyTooLarge, .valueTooLarge: throw StoreError(.notApplied, .tooLarge)
        default: throw StoreError(.notApplied, .invalid, reply.outcome.description)
        }
    }
}
