import BalsaPlatform

extension StorageEngine {
    /// The highest sequence number at or below which anything has been dropped. Changes since any sequence that is not below
    /// it are all still there.
    public var floor: SequenceNumber { retainedView().version.floor }

    // MARK: Points

    /// Looks a key up and lends its value to `body`.
    ///
    /// - Parameters:
    ///   - key: the key.
    ///   - sequence: up to where writes are seen; nil, or anything above ``lastSequence``, for all.
    ///   - waiting: whether the disk may be waited for.
    ///   - body: gets the value, valid until it returns, and the number of the batch that wrote it.
    /// - Returns: what `body` returns; nil for a key that has no value.
    /// - Throws: *compacted* for a sequence below the retention mark, *would wait*, or what went wrong with a file.
    @inlinable
    public func get<Found>(
        _ key: UnsafeRawBufferPointer,
        at sequence: SequenceNumber? = nil,
        waiting: Waiting = .allowed,
        _ body: (UnsafeRawBufferPointer, SequenceNumber) -> Found
    ) throws(EngineError) -> Found? {
        var found: Found?
        try find(key, at: sequence, in: nil, waiting: waiting) { found = body($0, $1) }
        return found
    }

    /// Looks a key up and lends its value to `body`.
    @inlinable
    public func get<Found>(
        _ key: Bytes,
        at sequence: SequenceNumber? = nil,
        waiting: Waiting = .allowed,
        _ body: (UnsafeRawBufferPointer, SequenceNumber) -> Found
    ) throws(EngineError) -> Found? {
        try key.withUnsafeBytes { key throws(EngineError) in
            try get(key, at: sequence, waiting: waiting, body)
        }
    }

    /// Looks a key up at the moment of a snapshot, which may lie below the retention mark.
    ///
    /// - Throws: *invalid* for a snapshot that is closed or of another engine; else as ``get(_:at:waiting:_:)``.
    @inlinable
    public func get<Found>(
        _ key: UnsafeRawBufferPointer,
        in snapshot: EngineSnapshot,
        waiting: Waiting = .allowed,
        _ body: (UnsafeRawBufferPointer, SequenceNumber) -> Found
    ) throws(EngineError) -> Found? {
        var found: Found?
        try find(key, at: nil, in: snapshot, waiting: waiting) { found = body($0, $1) }
        return found
    }

    /// A copy of a key's value, with the number of the batch that wrote it; nil for a key that has no value.
    public func get(
        _ key: Bytes,
        at sequence: SequenceNumber? = nil,
        waiting: Waiting = .allowed
    ) throws(EngineError) -> (value: Bytes, sequence: SequenceNumber)? {
        try get(key, at: sequence, waiting: waiting) { (Bytes(copying: $0), $1) }
    }

    /// A copy of a key's value at the moment of a snapshot.
    public func get(
        _ key: Bytes,
        in snapshot: EngineSnapshot,
        waiting: Waiting = .allowed
    ) throws(EngineError) -> (value: Bytes, sequence: SequenceNumber)? {
        try key.withUnsafeBytes { key throws(EngineError) in
            try get(key, in: snapshot, waiting: waiting) { (Bytes(copying: $0), $1) }
        }
    }

    /// What all point reads come to. `body` is called at most once.
    @usableFromInline
    func find(
        _ key: UnsafeRawBufferPointer,
        at sequence: SequenceNumber?,
        in snapshot: EngineSnapshot?,
        waiting: Waiting,
        _ body: (UnsafeRawBufferPointer, SequenceNumber) -> Void
    ) throws(EngineError) {
        try checkOpen()
        let pin = epochs.pin()
        let first: Result<(view: ReadView, sequence: SequenceNumber, miss: TableMiss)?, EngineError>
        do throws(EngineError) {
            first = .success(try findInMemory(key, at: sequence, in: snapshot, body))
        } catch { first = .failure(error) }
        epochs.unpin(pin)
        guard let missing = try first.get() else { return }
        try findWithReads(key, missing.view, at: missing.sequence, missing.miss, waiting, body)
    }

    /// Looks for the key in what is in memory. Called with a pin.
    ///
    /// - Returns: nil if the answer was found; else what has to be read first, and where and at which sequence to go
    ///   on.
    @inline(__always)
    private func findInMemory(
        _ key: UnsafeRawBufferPointer,
        at sequence: SequenceNumber?,
        in snapshot: EngineSnapshot?,
        _ body: (UnsafeRawBufferPointer, SequenceNumber) -> Void
    ) throws(EngineError) -> (view: ReadView, sequence: SequenceNumber, miss: TableMiss)? {
        let (view, last) = currentMoment()
        if let sequence { try checkReadable(sequence, view) }
        try snapshot?.check(snapshots)
        let readSequence = snapshot?.sequence ?? min(sequence ?? last, last)
        // The standard library's call does not pass on what kind of error is thrown.
        let outcome: Result<TableMiss?, EngineError> = view._withUnsafeGuaranteedRef { view in
            do throws(EngineError) {
                return .success(try view.find(key, at: readSequence, nil, body))
            } catch { return .failure(error) }
        }
        guard let miss = try outcome.get() else { return nil }
        return (view.takeUnretainedValue(), readSequence, miss)
    }

    /// Reads what is missing, and looks again, until the answer is found. The view is held and nothing is pinned while
    /// the disk is waited for: what is evicted or replaced meanwhile does not have to wait.
    @inline(never)
    private func findWithReads(
        _ key: UnsafeRawBufferPointer,
        _ view: ReadView,
        at sequence: SequenceNumber,
        _ miss: TableMiss,
        _ waiting: Waiting,
        _ body: (UnsafeRawBufferPointer, SequenceNumber) -> Void
    ) throws(EngineError) {
        let loaded = LoadedParts()
        var missing: TableMiss? = miss
        while let next = missing {
            try loaded.load(next, waiting)
            missing = try epochs.withPin { () throws(EngineError) in try view.find(key, at: sequence, loaded, body) }
        }
    }

    /// A view and the last sequence that was visible while it was the current one. Called with a pin.
    ///
    /// The sequence is read between two looks at the view that find the same one. Were the view older than the sequence,
    /// it would lack writes up to it; were it newer, a compaction might have dropped what the sequence sees.
    @inline(__always)
    private func currentMoment() -> (view: Unmanaged<ReadView>, last: SequenceNumber) {
        while true {
            let view = unretainedView
            let last = lastSequence
            // The pin keeps the view alive, so that an equal address is the same view.
            if view.toOpaque() == unretainedView.toOpaque() { return (view, last) }
        }
    }

    /// Throws where what `sequence` sees may have been dropped.
    ///
    /// The view itself says up to where its compactions have dropped. A check before the view was loaded would not tell
    /// what a compaction has done in between.
    @inline(__always)
    private func checkReadable(_ sequence: SequenceNumber, _ view: Unmanaged<ReadView>) throws(EngineError) {
        let lowest = max(retentionMark, view._withUnsafeGuaranteedRef { $0.version.floor })
        guard sequence >= lowest else {
            throw EngineError(.compacted, "reads at \(sequence) are below the retention mark \(lowest)")
        }
    }

    // MARK: Ranges

    /// A cursor over the keys from `start` up to `end`, which is excluded; nil for no bound. It is at no key yet.
    ///
    /// - Parameters:
    ///   - sequence: up to where writes are seen; nil, or anything above ``lastSequence``, for all.
    ///   - waiting: whether the disk may be waited for.
    /// - Throws: *compacted* for a sequence below the retention mark, *invalid* if `end` is below `start`, *closed*.
    public func makeCursor(
        from start: Bytes? = nil,
        to end: Bytes? = nil,
        at sequence: SequenceNumber? = nil,
        waiting: Waiting = .allowed
    ) throws(EngineError) -> EngineCursor {
        try checkOpen()
        try StorageEngine.checkBounds(start, end)
        let pin = epochs.pin()
        defer { epochs.unpin(pin) }
        let (view, last) = currentMoment()
        if let sequence { try checkReadable(sequence, view) }
        let held = view.takeUnretainedValue()
        let bounds = KeyBounds(from: start, to: end)
        return EngineCursor(held, at: min(sequence ?? last, last), bounds: bounds, waiting: waiting, emptyRanges)
    }

    /// A cursor at the moment of a snapshot, which may lie below the retention mark.
    ///
    /// - Throws: *invalid* for a snapshot that is closed or of another engine, or if `end` is below `start`; *closed*.
    public func makeCursor(
        from start: Bytes? = nil,
        to end: Bytes? = nil,
        in snapshot: EngineSnapshot,
        waiting: Waiting = .allowed
    ) throws(EngineError) -> EngineCursor {
        try checkOpen()
        try StorageEngine.checkBounds(start, end)
        let bounds = KeyBounds(from: start, to: end)
        let view = retainedView()
        try snapshot.check(snapshots)
        return EngineCursor(view, at: snapshot.sequence, bounds: bounds, waiting: waiting, emptyRanges)
    }

    private static func checkBounds(_ start: Bytes?, _ end: Bytes?) throws(EngineError) {
        guard let start, let end, end < start else { return }
        throw EngineError(.invalid, "the range from \(start) to \(end) ends before it begins")
    }

    // MARK: Snapshots

    /// The present moment, kept readable until the snapshot is closed or let go.
    public func snapshot() -> EngineSnapshot { snapshots.take { lastSequence } }
}
