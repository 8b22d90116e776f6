import BalsaPlatform

/// An engine that stands alone, with a write-ahead log of its own in place of a replicated one.
///
/// It numbers its batches itself, seals its memtable itself, and keeps old versions for snapshots only. After a crash all
/// batches are there whose ticket was durable, and of the others a prefix.
extension StorageEngine {
    /// Opens the log, and puts the batches that no table holds into memtables.
    func openLog() throws(EngineError) {
        let log = try WriteAheadLog.open(
            directory,
            engineID: engineID,
            flushedThrough: lastSequence,
            fileSystem: fileSystem,
            options: options
        ) { sequence, encoded throws(EngineError) in
            let batch: WriteBatch
            do throws(DecodingError) {
                batch = try WriteBatch(decoding: encoded)
            } catch { throw EngineError(error, in: directory) }
            guard sequence > lastSequence else {
                throw EngineError(.damaged, "the write-ahead log in \(directory) repeats the batch \(sequence)")
            }
            // A log that is longer than a memtable becomes several, as it was.
            if wantsSeal { switchMemtable(ownSeal) }
            insert(batch, sequence)
            lastSequence = sequence
        }
        commitLog = CommitLog(log)
        withShared { $0.wantsLogRemoval = true }
    }

    /// Removes files of the log whose batches are all in tables.
    func removeLogFiles() throws(EngineError) {
        guard let commitLog else { return }
        let flushed = durableSeal?.sequence ?? 0
        try commitLog.withLog { log throws(EngineError) in try log.removeFiles(flushedThrough: flushed) }
        withShared { $0.wantsLogRemoval = false }
    }

    /// What an engine that stands alone records at a seal: nothing but up to where its tables hold everything. Readers of
    /// the past hold snapshots; without one, there is nothing to keep old versions for.
    private var ownSeal: SealRecord { SealRecord(sequence: lastSequence, retentionMark: lastSequence) }

    /// Gives the file back, with everything in it durable if the disk allows it.
    func closeLog() {
        guard let commitLog else { return }
        do throws(EngineError) {
            try commitLog.withLog { log throws(EngineError) in
                defer { log.close() }
                try log.seal()
            }
        } catch {
            // Nobody was told that these batches are durable. The next opening finds what a crash would have left.
            withShared { $0.metrics.failures += 1 }
        }
    }

    /// Writes a batch, which readers see, and which has reached the kernel, when the call returns: it survives the end of the
    /// process. The ticket tells when it survives a power loss.
    ///
    /// A full memtable is sealed before the batch is written, which waits for a sync.
    ///
    /// - Parameters:
    ///   - batch: the writes.
    ///   - syncing: whether the batch is to become durable soon. Otherwise it does so with a later one.
    /// - Returns: the ticket, for ``commitState(of:)`` and ``waitForCommit(of:)``.
    /// - Throws: *invalid* for a batch outside of the limits or an engine without a write-ahead log, *closed*, or the error of
    ///   the log. Nothing has been written then, but for an error of the file: after that the batch may be there when the
    ///   engine is opened anew.
    public func write(_ batch: WriteBatch, syncing: Bool) throws(EngineError) -> CommitTicket {
        try checkOpen()
        guard let commitLog else {
            throw EngineError(.invalid, "the engine in \(directory) has no write-ahead log")
        }
        try check(batch)
        if wantsSeal || commitLog.byteCount >= options.writeAheadLogBytes { try seal(ownSeal) }
        let sequence = lastSequence + 1
        guard sequence <= largestSequenceNumber else {
            throw EngineError(.invalid, "the engine in \(directory) has used up its sequence numbers")
        }
        let ticket = try batch.withEncoded { encoded throws(EngineError) in
            try commitLog.append(encoded, sequence: sequence, syncing: syncing)
        }
        insert(batch, sequence)
        lastSequence = sequence
        return ticket
    }

    /// What is known of a batch; *failed* with *invalid* if this engine has not given the ticket since it was opened.
    /// Any thread may ask.
    public func commitState(of ticket: CommitTicket) -> CommitState {
        commitLog?.state(of: ticket) ?? .failed(CommitTicket.isForeign)
    }

    /// Waits until a batch survives a power loss. Any thread may wait; one sync serves all that do.
    ///
    /// - Throws: the failure of a sync, after which it is unknown until the engine is opened again whether the batch is
    ///   durable; *invalid* if this engine has not given the ticket since it was opened.
    public func waitForCommit(of ticket: CommitTicket) throws(EngineError) {
        guard let commitLog else { throw CommitTicket.isForeign }
        try commitLog.wait(for: ticket)
    }

    /// Performs a sync of the log if somebody wants one and none is under way: what ``waitForCommit(of:)`` does, for callers
    /// that never wait for other threads.
    ///
    /// - Returns: whether one was performed.
    /// - Throws: the failure of the sync; *invalid* for an engine without a write-ahead log.
    @discardableResult
    public func commitStep() throws(EngineError) -> Bool {
        guard let commitLog else {
            throw EngineError(.invalid, "the engine in \(directory) has no write-ahead log")
        }
        return try commitLog.step()
    }
}
