import BalsaLSM
import BalsaPlatform

extension KeyValueMachine {
    /// The value of a key. Any thread may ask.
    ///
    /// - Parameters:
    ///   - key: the key.
    ///   - revision: as of which revision; what is applied where it is nil.
    ///   - waiting: whether the answer may wait for the disk.
    /// - Returns: the value and the revision that wrote it; nil where the key has none.
    /// - Throws: ``KeyValueError``: *compacted* where the revision is below ``retentionMark``, *future revision* where it
    ///   has not been applied here, *would wait*, *invalid* where the key is longer than keys may be.
    public func get(
        _ key: Bytes,
        at revision: UInt64? = nil,
        waiting: Waiting = .allowed
    ) throws(KeyValueError) -> KeyValueEntry? {
        try withValue(of: key, at: revision, waiting: waiting) { value, revision in
            KeyValueEntry(value: Bytes(copying: value), revision: revision)
        }
    }

    /// Calls `body` with the value of a key, which is valid only until it returns, and the revision that wrote it. As
    /// ``get(_:at:waiting:)`` else, without a copy.
    ///
    /// - Returns: what `body` returned; nil where the key has no value.
    public func withValue<Result>(
        of key: Bytes,
        at revision: UInt64? = nil,
        waiting: Waiting = .allowed,
        _ body: (UnsafeRawBufferPointer, UInt64) -> Result
    ) throws(KeyValueError) -> Result? {
        guard key.count <= ReplicatedOptions.largestKeyBytes else {
            throw KeyValueError(
                .invalid,
                "a key of \(key.count) bytes; no options allow more than \(ReplicatedOptions.largestKeyBytes)"
            )
        }
        let sequence: UInt64? = if let revision { try sequence(of: revision) } else { nil }
        return try KeyValueMachine.engineCall { () throws(EngineError) in
            try key.withUnsafeBytes { key throws(EngineError) in
                try EngineKey.withUser(key) { key throws(EngineError) in
                    try engine.get(key, at: sequence, waiting: waiting, body)
                }
            }
        }
    }

    /// A page of the pairs whose keys are in a range. Any thread may ask.
    ///
    /// - Parameters:
    ///   - from: the lowest key; nil for the first.
    ///   - to: the key behind the highest; nil for no bound.
    ///   - limit: how many pairs at most; at least 1.
    ///   - order: in which order.
    ///   - maxBytes: how many bytes of keys and values at most. The first pair is given however long it is.
    ///   - maxHiddenEntries: how many deleted keys, and entries besides those that are given, the page passes at most;
    ///     at least 1. A page that has passed them ends early, perhaps without a pair, and says where to go on. A block
    ///     that has to be read on the way, and a jump, count as many entries as pass meanwhile. So many as the default
    ///     take a fraction of a millisecond.
    ///   - revision: as of which revision; what is applied where it is nil. The pages of a scan are read at the revision of
    ///     the first.
    ///   - waiting: whether the answer may wait for the disk.
    /// - Throws: ``KeyValueError``: *invalid* where the range ends before it begins or the limit is below 1; else as
    ///   ``get(_:at:waiting:)``.
    public func scan(
        from: Bytes? = nil,
        to: Bytes? = nil,
        limit: Int = .max,
        order: ScanOrder = .ascending,
        maxBytes: Int = 1 << 20,
        maxHiddenEntries: Int = 1_000,
        at revision: UInt64? = nil,
        waiting: Waiting = .allowed
    ) throws(KeyValueError) -> ScanPage {
        guard limit >= 1 else { throw KeyValueError(.invalid, "the limit of a page must be at least 1, not \(limit)") }
        if let from, let to, to < from {
            throw KeyValueError(.invalid, "the range from \(from) to \(to) ends before it begins")
        }
        let longest = max(from?.count ?? 0, to?.count ?? 0)
        guard longest <= ReplicatedOptions.largestKeyBytes else {
            throw KeyValueError(
                .invalid,
                "a bound of \(longest) bytes; no options allow a key of more than \(ReplicatedOptions.largestKeyBytes)"
            )
        }

        let lower = (from ?? Bytes()).withUnsafeBytes { EngineKey.user($0) }
        let upper = to.map { to in to.withUnsafeBytes { EngineKey.user($0) } } ?? EngineKey.userEnd
        let request = PageRequest(limit: limit, order: order, maxBytes: maxBytes, maxHiddenEntries: maxHiddenEntries)
        if let revision {
            let sequence = try sequence(of: revision)
            return try KeyValueMachine.engineCall { () throws(EngineError) in
                var cursor = try engine.makeCursor(from: lower, to: upper, at: sequence, waiting: waiting)
                return try page(&cursor, request, revision: revision)
            }
        }
        // The state at the snapshot is that of the last applied entry, which may have written nothing.
        let applied = applied.index
        let snapshot = engine.snapshot()
        let snapshotRevision = max(applied, snapshot.sequence)
        return try KeyValueMachine.engineCall { () throws(EngineError) in
            var cursor = try engine.makeCursor(from: lower, to: upper, in: snapshot, waiting: waiting)
            return try page(&cursor, request, revision: snapshotRevision)
        }
    }

    /// What a page is to be like.
    private struct PageRequest {
        let limit: Int
        let order: ScanOrder
        let maxBytes: Int
        let maxHiddenEntries: Int
    }

    /// The users' keys between which a range lies that cannot be read, both included. Without a largest key it goes on
    /// behind the last one, as a deletion without an upper bound does.
    public static func userKeys(of range: QuarantinedRange) -> (smallest: Bytes, largest: Bytes?) {
        (userKey(range.smallest), range.largest < EngineKey.userEnd ? userKey(range.largest) : nil)
    }

    private static func userKey(_ key: Bytes) -> Bytes {
        key.withUnsafeBytes { Bytes(copying: EngineKey.userKey(of: $0)) }
    }

    /// A page. Where a damaged table is in the way, it ends before the keys that cannot be read; only a page that would
    /// begin with them fails.
    private func page(
        _ cursor: inout EngineCursor,
        _ request: PageRequest,
        revision: UInt64
    ) throws(EngineError) -> ScanPage {
        let (limit, order, maxBytes) = (request.limit, request.order, request.maxBytes)
        cursor.limitHiddenEntries(to: request.maxHiddenEntries)
        var page = ScanPage(pairs: [], revision: revision, continuation: nil)
        var byteCount = 0
        switch order {
        case .ascending: try cursor.seekToFirst()
        case .descending: try cursor.seekToLast()
        }
        while cursor.isValid {
            let key = EngineKey.userKey(of: cursor.key)
            let value = cursor.value
            byteCount += key.count + value.count
            if let last = page.pairs.last, page.pairs.count >= limit || byteCount > maxBytes {
                page.continuation = order == .ascending ? Bytes(copying: key) : last.key
                break
            }
            let pair = KeyValuePair(key: Bytes(copying: key), value: Bytes(copying: value), revision: cursor.sequence)
            page.pairs.append(pair)
            do throws(EngineError) {
                switch order {
                case .ascending: try cursor.next()
                case .descending: try cursor.previous()
                }
            } catch {
                guard error.quarantine != nil else { throw error }
                // What was found is right. The next page begins with what cannot be read.
                page.continuation = order == .ascending ? KeyValueMachine.successor(of: pair.key) : pair.key
                page.isCutShort = page.continuation != nil
                return page
            }
        }
        if let pause = cursor.pause {
            page.continuation = KeyValueMachine.userKey(pause)
        }
        return page
    }

    /// The smallest key after `key`: the same and a zero byte, unless no key may be that long; nil where there is none.
    static func successor(of key: Bytes) -> Bytes? {
        var bytes = [UInt8](key)
        guard bytes.count >= ReplicatedOptions.largestKeyBytes else { return Bytes(bytes + [0]) }
        while bytes.last == .max { bytes.removeLast() }
        guard let last = bytes.popLast() else { return nil }
        return Bytes(bytes + [last + 1])
    }

    /// At which sequence number of the engine the state of a revision is read.
    private func sequence(of revision: UInt64) throws(KeyValueError) -> UInt64 {
        let (applied, mark) = published.withLock { ($0.applied.index, $0.retentionMark) }
        let last = engine.lastSequence
        // The engine is ahead of what is published while an entry is under way, whose revision a scan may have seen.
        guard revision <= max(applied, last) else {
            throw KeyValueError(.futureRevision, "revision \(revision) is ahead of \(applied)")
        }
        guard revision >= mark else {
            throw KeyValueError(.compacted, "revision \(revision) is below \(mark): begin again without `at:`")
        }
        // Entries behind the last one that wrote something have left the state as it is.
        return min(revision, last)
    }
}
