import BalsaPlatform

/// A write-ahead log for several threads, with group commit.
///
/// Batches are appended by one writer at a time, in the order of their numbers. Their syncs are shared: whoever finds none
/// under way performs one for all batches written so far, outside of the lock, and those that come meanwhile gather
/// for the next. The order of the steps is that of ``GroupCommit``; here are the lock and the waiting, and nothing else.
///
/// Only ``wait(for:)`` waits for other threads. A simulation uses ``step()`` instead, in its own order.
final class CommitLog: @unchecked Sendable {
    // Both are touched with the condition held, and nowhere else.
    private let log: WriteAheadLog
    private var commits: GroupCommit
    private let condition = Condition()

    /// How much the file that is being written counts towards its limit, in bytes. For the writer, who alone makes it
    /// grow or begins another file, and so needs no lock.
    private(set) var byteCount: UInt64

    /// Takes over a log that was opened, and that nobody else uses from now on.
    init(_ log: WriteAheadLog) {
        self.log = log
        byteCount = log.byteCount
        commits = GroupCommit(durableThrough: log.syncedThrough, origin: log.origin)
    }

    /// Writes a batch, which has reached the kernel when this returns.
    ///
    /// - Parameter syncing: whether somebody wants the batch to be durable. Otherwise it becomes so with a later one.
    func append(
        _ batch: UnsafeRawBufferPointer,
        sequence: SequenceNumber,
        syncing: Bool
    ) throws(EngineError) -> CommitTicket {
        try condition.withLock { () throws(EngineError) in
            do throws(EngineError) {
                try log.append(batch, sequence: sequence)
            } catch {
                follow()
                throw error
            }
            byteCount = log.byteCount
            return commits.wrote(sequence, syncing: syncing)
        }
    }

    /// What is known of a batch.
    func state(of ticket: CommitTicket) -> CommitState {
        condition.withLock { commits.state(of: ticket) }
    }

    /// Whether somebody wants batches to be durable that are not, and no sync is under way.
    var wantsSync: Bool { condition.withLock { commits.wantsSync } }

    /// Performs a sync if one is wanted and none is under way.
    ///
    /// - Returns: whether one was performed.
    @discardableResult
    func step() throws(EngineError) -> Bool {
        guard let sync = try beginSync() else { return false }
        try perform(sync)
        return true
    }

    /// Begins a sync if one is wanted and none is under way. Then ``perform(_:)`` must be called, by any thread; others
    /// may write, begin another file and remove old ones before.
    func beginSync() throws(EngineError) -> WriteAheadLogSync? {
        try condition.withLock { () throws(EngineError) in try begin() }
    }

    /// Waits until a batch is durable, and performs the sync if nobody else does.
    ///
    /// - Throws: the failure of a sync, after which it is unknown whether the batch is durable; *invalid* for the
    ///   ticket of another engine or of an earlier opening.
    func wait(for ticket: CommitTicket) throws(EngineError) {
        condition.withLock { commits.want(ticket) }
        while true {
            let sync = try condition.withLock { () throws(EngineError) -> WriteAheadLogSync? in
                while true {
                    switch commits.state(of: ticket) {
                    case .durable: return nil
                    case .failed(let error): throw error
                    case .pending:
                        if let sync = try begin() { return sync }
                        condition.wait()
                    }
                }
            }
            guard let sync else { return }
            try perform(sync)
        }
    }

    /// Calls `body` with the log, alone: to remove files, to seal.
    func withLog<Result>(_ body: (WriteAheadLog) throws(EngineError) -> Result) throws(EngineError) -> Result {
        try condition.withLock { () throws(EngineError) in
            defer { follow() }
            return try body(log)
        }
    }

    /// Begins a new file: see ``WriteAheadLog/rotate()``. For the writer.
    func rotate() throws(EngineError) {
        try withLog { log throws(EngineError) in
            defer { byteCount = log.byteCount }
            try log.rotate()
        }
    }

    /// Begins a sync if one is wanted.
    private func begin() throws(EngineError) -> WriteAheadLogSync? {
        guard commits.wantsSync else { return nil }
        guard let sync = try log.beginSync() else {
            preconditionFailure("a batch that is not durable is in the file being written")
        }
        commits.begin()
        return sync
    }

    /// Waits for the disk, without the lock, and tells everybody.
    ///
    /// The file may have got a successor since the sync began. Then it has been synced by the thread that began that,
    /// and may have been removed: what becomes of this sync of it does not matter.
    func perform(_ sync: WriteAheadLogSync) throws(EngineError) {
        let result = Result { () throws(FileError) in try sync.perform() }
        try condition.withLock { () throws(EngineError) in
            defer { follow() }
            if case .failure(let error) = result, !log.isSuperseded(sync) {
                log.failSync(sync, error)
                commits.fail(log.failure ?? EngineError(error))
                throw EngineError(error)
            }
            log.finishSync(sync)
            commits.finish()
        }
    }

    /// Notes what the log has made durable by itself or has failed with, and wakes those that wait.
    private func follow() {
        commits.synced(through: log.syncedThrough)
        if let failure = log.failure { commits.fail(failure) }
        condition.notifyAll()
    }
}
