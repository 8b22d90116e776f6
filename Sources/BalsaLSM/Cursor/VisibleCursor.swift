import BalsaPlatform

/// What an ``EngineCursor`` is a handle of: the merger of all sources, and which of its entries are visible.
struct VisibleCursor: ~Copyable {
    /// Where the cursor is.
    private enum Place {
        /// At no key.
        case nowhere
        /// At the entry of the merger, which goes forward.
        case merged
        /// At the key and value that were saved; the merger, which goes backward, is before all versions of the key.
        case saved
    }

    /// The sequence number up to which writes are seen.
    let readSequence: SequenceNumber
    // What the merger's sources belong to.
    private let view: ReadView
    private let bounds: KeyBounds
    private let tombstones: TombstoneCover
    private let hasTombstones: Bool
    private var merger: MergingCursor
    private var place = Place.nowhere
    /// Going forward, the key whose older versions are skipped; going backward, the key itself.
    private var savedKey = RawBuffer(capacity: 64)
    private var savedValue = RawBuffer(capacity: 64)
    private var savedSequence: SequenceNumber = 0

    init(_ view: ReadView, at sequence: SequenceNumber, bounds: KeyBounds, waiting: Waiting) {
        self.view = view
        self.bounds = bounds
        readSequence = sequence
        var tombstones = TombstoneCover()
        var memtables = [view.memtable.makeCursor()]
        tombstones.add(view.memtable)
        for memtable in view.sealed {
            memtables.append(memtable.makeCursor())
            tombstones.add(memtable)
        }
        var tables: [TableCursor] = []
        var levels: [LevelCursor] = []
        let version = view.version
        for table in version.levels.first ?? [] where bounds.overlaps(KeyRange(of: table.metadata)) {
            var cursor = table.table.makeCursor(fillsCache: true)
            cursor.waiting = waiting
            tables.append(cursor)
            tombstones.add(table.table.tombstones)
        }
        for level in 1..<max(1, version.levelCount) {
            let within = version.slots(of: level).within(bounds)
            guard !within.isEmpty else { continue }
            levels.append(LevelCursor(within, fillsCache: true, waiting: waiting))
            if version.levelsWithTombstones[level] { tombstones.add(within) }
        }
        self.tombstones = tombstones
        hasTombstones = !tombstones.isEmpty
        merger = MergingCursor(memtables: memtables, tables: tables, levels: levels, bounds: bounds)
    }

    // MARK: The entry

    /// Whether the cursor is at a key.
    @inline(__always)
    var isValid: Bool { place != .nowhere }

    /// The key, lent until the cursor moves.
    ///
    /// - Precondition: the cursor is valid.
    @inline(__always)
    var key: UnsafeRawBufferPointer {
        precondition(isValid, "a cursor that is at no key has none")
        return place == .merged ? merger.key : savedKey.bytes
    }

    /// The value, lent until the cursor moves.
    ///
    /// - Precondition: the cursor is valid.
    @inline(__always)
    var value: UnsafeRawBufferPointer {
        precondition(isValid, "a cursor that is at no key has no value")
        return place == .merged ? merger.value : savedValue.bytes
    }

    /// The number of the batch that wrote the value.
    ///
    /// - Precondition: the cursor is valid.
    @inline(__always)
    var sequence: SequenceNumber {
        precondition(isValid, "a cursor that is at no key has no sequence number")
        return place == .merged ? merger.trailer.sequence : savedSequence
    }

    // MARK: Seeking

    /// Goes to the first key within the bounds.
    mutating func seekToFirst() throws(EngineError) {
        place = .nowhere
        try merger.seekToFirst()
        try findForward(skippingSavedKey: false)
    }

    /// Goes to the last key within the bounds.
    mutating func seekToLast() throws(EngineError) {
        place = .nowhere
        try merger.seekToLast()
        try findBackward()
    }

    /// Goes to the first key within the bounds that is not below `key`.
    mutating func seek(_ key: UnsafeRawBufferPointer) throws(EngineError) {
        place = .nowhere
        guard bounds.isFromStart(key) else { return try seekToFirst() }
        guard bounds.isBelowEnd(key) else { return }
        try merger.seek(key, .seek(largestSequenceNumber))
        try findForward(skippingSavedKey: false)
    }

    /// Goes to the last key within the bounds that is below `key`.
    mutating func seekBefore(_ key: UnsafeRawBufferPointer) throws(EngineError) {
        place = .nowhere
        guard bounds.isBelowEnd(key) else { return try seekToLast() }
        guard bounds.isFromStart(key) else { return }
        try merger.seekBefore(key)
        try findBackward()
    }

    // MARK: Moving

    /// Goes to the next key; becomes invalid behind the last.
    ///
    /// - Precondition: the cursor is valid.
    mutating func next() throws(EngineError) {
        let before = place
        precondition(before != .nowhere, "a cursor that is at no key has no next one")
        place = .nowhere
        if before == .merged {
            saveKey()
            try merger.advance()
        } else {
            // To turn around, the merger seeks behind the key's newest possible version and skips the others.
            try merger.seek(savedKey.bytes, .seek(largestSequenceNumber))
        }
        try findForward(skippingSavedKey: true)
    }

    /// Goes to the key before; becomes invalid before the first.
    ///
    /// - Precondition: the cursor is valid.
    mutating func previous() throws(EngineError) {
        let before = place
        precondition(before != .nowhere, "a cursor that is at no key has none before it")
        place = .nowhere
        if before == .merged {
            saveKey()
            try merger.seekBefore(savedKey.bytes)
        }
        try findBackward()
    }

    // MARK: Visibility

    /// Goes forward, from where the merger is, to the first entry that is the newest visible one of its key and a value.
    private mutating func findForward(skippingSavedKey: Bool) throws(EngineError) {
        var isSkipping = skippingSavedKey
        while merger.isValid {
            let trailer = merger.trailer
            let isHidden =
                trailer.sequence > readSequence || (isSkipping && KeyOrder.isEqual(merger.key, savedKey.bytes))
            if !isHidden {
                if try isValue(trailer, merger.key) {
                    place = .merged
                    return
                }
                saveKey()
                isSkipping = true
            }
            try merger.advance()
        }
    }

    /// Goes backward, from where the merger is, to the first key whose newest visible entry is a value.
    private mutating func findBackward() throws(EngineError) {
        while merger.isValid {
            saveKey()
            var newest: Trailer?
            // The versions of the key come oldest first.
            repeat {
                let trailer = merger.trailer
                if trailer.sequence <= readSequence {
                    newest = trailer
                    savedValue.removeAll()
                    savedValue.append(merger.value)
                }
                try merger.advance()
            } while merger.isValid && KeyOrder.isEqual(merger.key, savedKey.bytes)
            if let newest, try isValue(newest, savedKey.bytes) {
                savedSequence = newest.sequence
                place = .saved
                return
            }
        }
    }

    private mutating func saveKey() {
        savedKey.removeAll()
        savedKey.append(merger.key)
    }

    /// Whether the newest visible entry of a key is a value that no range deletion hides.
    @inline(__always)
    private func isValue(_ trailer: Trailer, _ key: UnsafeRawBufferPointer) throws(EngineError) -> Bool {
        switch trailer.kind {
        case .put: return !hasTombstones || tombstones.covering(key, at: readSequence) <= trailer.sequence
        case .deletion: return false
        case .rangeDeletion, nil: throw EngineError(.damaged, "a table holds an entry of no known kind")
        }
    }
}

extension KeyOrder {
    /// Whether both are the same key. Keys of different lengths are told apart without looking at them.
    @inline(__always)
    static func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        left.count == right.count
            && KeyBytes.areEqual(KeyBytes.start(of: left), KeyBytes.start(of: right), left.count)
    }
}
