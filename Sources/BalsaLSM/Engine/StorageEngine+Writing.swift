import BalsaPlatform

extension StorageEngine {
    /// Writes a batch. Readers see all of it when the call returns, and nothing of it before.
    ///
    /// It is durable with the flush of the memtable that is sealed next, and not before: who applies the entries of a log
    /// applies those behind ``durableSeal`` again after a crash.
    ///
    /// - Parameters:
    ///   - batch: the writes. A batch may be empty.
    ///   - sequence: their number, higher than ``lastSequence``.
    /// - Throws: *invalid* for a batch or a number outside of the limits, *closed*. Nothing has been written then.
    public func apply(_ batch: WriteBatch, sequence: SequenceNumber) throws(EngineError) {
        try checkOpen()
        guard commitLog == nil else {
            // After a crash the batches of the log would be there, and those beside it would not.
            throw EngineError(.invalid, "the engine in \(directory) has a write-ahead log, which every batch goes to")
        }
        try check(batch)
        guard sequence > lastSequence, sequence <= largestSequenceNumber else {
            throw EngineError(.invalid, "the sequence \(sequence) does not come after \(lastSequence)")
        }
        insert(batch, sequence)
        lastSequence = sequence
    }

    /// Throws if the batch is outside of the limits or contradicts itself. Called before anything of it is written.
    func check(_ batch: WriteBatch) throws(EngineError) {
        if let fault = batch.fault { throw EngineError(.invalid, fault.text) }
        guard batch.byteCount <= options.maxBatchBytes else {
            throw EngineError(.invalid, "a batch of \(batch.byteCount) bytes is longer than \(options.maxBatchBytes)")
        }
        guard batch.longestKeyBytes <= options.maxKeyBytes else {
            throw EngineError(.invalid, "a key of \(batch.longestKeyBytes) bytes is longer than \(options.maxKeyBytes)")
        }
        guard batch.longestValueBytes <= options.maxValueBytes else {
            throw EngineError(
                .invalid,
                "a value of \(batch.longestValueBytes) bytes is longer than \(options.maxValueBytes)"
            )
        }
        guard batch.rangeDeletionCount <= options.maxRangeDeletionsPerBatch else {
            throw EngineError(
                .invalid,
                """
                a batch of \(batch.rangeDeletionCount) range deletions exceeds the limit of \
                \(options.maxRangeDeletionsPerBatch): use several batches
                """
            )
        }
        if let offset = batch.repetition {
            throw EngineError(
                .invalid,
                "a batch writes the key \(batch.key(at: offset)) twice, and may write each key once"
            )
        }
    }

    /// Puts the writes into the memtable, where readers do not see them until the sequence is published.
    func insert(_ batch: WriteBatch, _ sequence: SequenceNumber) {
        let memtable = activeMemtable
        let put = Trailer(sequence, .put)
        let deletion = Trailer(sequence, .deletion)
        var deletions: [RangeDeletion] = []
        batch.visit { kind, key, value in
            switch kind {
            case .put: memtable.insert(key, value, put)
            case .deletion: memtable.insert(key, value, deletion)
            case .rangeDeletion:
                deletions.append(
                    RangeDeletion(start: Bytes(copying: key), end: Bytes(copying: value), sequence: sequence)
                )
            }
        }
        if !deletions.isEmpty { memtable.deleteRanges(deletions) }
        emptyRanges.inserted(batch, sequence, into: memtable)
    }

    /// Whether the memtable is full and should be sealed after this batch.
    public var wantsSeal: Bool {
        let memtable = activeMemtable
        return memtable.byteCount >= options.memtableBytes
            || memtable.rangeDeletionCount >= options.maxRangeDeletionsPerMemtable
    }

    /// Ends the memtable behind the last batch and gives it to the background work, with what is to be remembered once it has
    /// been flushed.
    ///
    /// A seal of an empty memtable is allowed and only records. Seals become durable in their order.
    ///
    /// - Throws: *invalid* for a record that is older than the last batch or the last seal or whose state is too long, *closed*.
    ///   Nothing has been sealed then.
    public func seal(_ record: SealRecord) throws(EngineError) {
        try checkOpen()
        guard record.sequence >= lastSequence, record.sequence <= largestSequenceNumber else {
            throw EngineError(.invalid, "the seal at \(record.sequence) lies before the last batch, \(lastSequence)")
        }
        guard record.systemState.count <= SealRecord.maxSystemStateBytes else {
            throw EngineError(
                .invalid,
                "a system state of \(record.systemState.count) bytes is longer than \(SealRecord.maxSystemStateBytes)"
            )
        }
        let previous = withShared { $0.seals.last?.record ?? $0.durableSeal }
        guard record.retentionMark <= record.sequence, record.retentionMark >= previous?.retentionMark ?? 0 else {
            throw EngineError(.invalid, "the retention mark \(record.retentionMark) is out of order")
        }
        if let log = commitLog {
            // The batches of this memtable and those of the next one lie in different files, one of which can go first.
            try log.rotate()
        }
        raiseRetentionMark(to: record.retentionMark)
        switchMemtable(record)
        lastSequence = record.sequence
    }

    /// Puts a new memtable in the place of the active one, which joins those that wait for their flush.
    func switchMemtable(_ record: SealRecord) {
        let full = activeMemtable
        guard !full.isEmpty else {
            withShared { shared in
                // What is not being flushed yet can as well be flushed with the newer record.
                if let last = shared.seals.last, !last.isInFlush {
                    last.record = record
                } else {
                    shared.seals.append(SealedMemtable(nil, record))
                }
            }
            return
        }
        let empty = Memtable(epochs: epochs)
        activeMemtable = empty
        withShared { shared in
            shared.seals.append(SealedMemtable(full, record))
            let view = unretainedView.takeUnretainedValue()
            publish(ReadView(memtable: empty, sealed: [full] + view.sealed, version: view.version))
        }
    }

    /// The record of the last flush that is durable: what a crash leaves. Nil before the first.
    public var durableSeal: SealRecord? { withShared { $0.durableSeal } }

    /// Moves the mark below which reads are refused. It never moves back.
    ///
    /// Nothing is dropped by it before a seal that carries it is durable: after a crash the writes behind the last durable
    /// seal are applied again, and reads at that time are as they were.
    ///
    /// - Throws: *invalid* for a mark above ``lastSequence``, at which nothing could be read, and *closed*. The mark
    ///   stays where it was then.
    public func advanceRetentionMark(to mark: SequenceNumber) throws(EngineError) {
        try checkOpen()
        guard mark <= lastSequence else {
            throw EngineError(.invalid, "the retention mark \(mark) is above the last batch, \(lastSequence)")
        }
        raiseRetentionMark(to: mark)
    }

    private func raiseRetentionMark(to mark: SequenceNumber) {
        if mark > retentionMark { retentionMark = mark }
    }

    /// How far the background work is behind.
    public var pressure: Pressure {
        let (waiting, tables) = withShared { shared in
            (
                shared.seals.count { $0.memtable != nil },
                unretainedView.takeUnretainedValue().version.levels.first?.count ?? 0
            )
        }
        // Every memtable that waits will be another table of the first level.
        let debt = tables + waiting
        if waiting > options.maxSealedMemtables || debt >= options.levelZeroTablesToPause { return .stopped }
        let slack = options.levelZeroTablesToSlow
        guard debt > slack else { return .none }
        return .slow(Double(debt - slack) / Double(options.levelZeroTablesToPause - slack))
    }
}
