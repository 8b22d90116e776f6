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
        let (view, last) = currentMoment()
        var readSequence = last
        if sequence != nil || snapshot != nil {
            // Apart, because most reads come without, and errors are large to hand on.
            if let refusal = readRefusal(at: sequence, in: snapshot, view) {
                epochs.unpin(pin)
                throw refusal
            }
            readSequence = snapshot?.sequence ?? min(sequence ?? last, last)
        }
        guard let miss = view._withUnsafeGuaranteedRef({ $0.find(key, at: readSequence, nil, body) }) else {
            return epochs.unpin(pin)
        }
        let held = view.takeUnretainedValue()
        epochs.unpin(pin)
        try findWithReads(key, held, at: readSequence, miss, waiting, body)
    }

    /// Why a read at `sequence` or in `snapshot` is refused; nil if it is not. Called with a pin.
    @inline(never)
    private func readRefusal(
        at sequence: SequenceNumber?,
        in snapshot: EngineSnapshot?,
        _ view: Unmanaged<ReadView>
    ) -> EngineError? {
        do throws(EngineError) {
            if let sequence { try checkReadable(sequence, view) }
            try snapshot?.check(snapshots)
            return nil
        } catch { return error }
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
            missing = epochs.withPin { view.find(key, at: sequence, loaded, body) }
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
