import BalsaPlatform

/// Which part of the keys a cursor is about.
struct KeyBounds {
    /// The lowest key; nil for all.
    var from: Bytes?
    /// The key that all lie below; nil for all.
    var to: Bytes?

    init(from: Bytes? = nil, to: Bytes? = nil) {
        self.from = from
        self.to = to
    }

    /// Whether `key` lies below the upper bound.
    @inline(__always)
    func isBelowEnd(_ key: UnsafeRawBufferPointer) -> Bool {
        guard let to else { return true }
        return to.withUnsafeBytes { KeyOrder.compare(key, $0) < 0 }
    }

    /// Whether `key` is not below the lower bound.
    @inline(__always)
    func isFromStart(_ key: UnsafeRawBufferPointer) -> Bool {
        guard let from else { return true }
        return from.withUnsafeBytes { KeyOrder.compare(key, $0) >= 0 }
    }

    /// Whether a table with these bounds has anything between the bounds.
    func overlaps(_ range: KeyRange) -> Bool {
        if let from, range.isBefore(from) { return false }
        if let to, range.smallest >= to { return false }
        return true
    }
}

/// Merges memtables, tables and levels into one order of entries, in one direction at a time.
///
/// A tournament of losers: each step replays one path of it, from the leaf of the source that has moved to the root. The
/// key of each source is remembered beside it with its first eight bytes behind what the keys of all sources have in common,
/// so that most comparisons are of two numbers. What they have in common is found at every seek, and becomes less when a
/// source comes to a key that lacks it, at most as often as it is long. Sources are struct cursors in memory of the merger's own, told apart by their number
/// and not by a type, so that a step makes no dynamic call and counts no reference.
///
/// Forward, entries come in their order. Backward, keys come in descending order and the entries of one key in no
/// certain order, but the one that a reader sees before older ones: backward the sources are those of a reader, which
/// show one of each key.
///
/// A source that meets damage stands at the first key that the damage may concern, in the direction of the cursor, if
/// the merger defers damage: what the other sources hold before that key can be read, and the error is thrown by the
/// move that leaves it. Behind a bound it is never thrown. Without that order, a jump over deleted keys into a damaged
/// block would hide the keys on its way.
///
/// A direction lasts until the next seek. Turning around by moving every source past the current entry is where such
/// cursors go wrong; whoever wants the other direction seeks.
struct MergingCursor: ~Copyable {
    /// Where a source is.
    private struct Leaf {
        var key: UnsafeRawBufferPointer
        var head: UInt64
        var trailer: UInt64
        var isValid: Bool
    }

    /// What kept a source from going on.
    private struct Failure {
        let error: EngineError
        /// The first key that it may concern, in the direction of the cursor.
        let key: RawMemory
        let keyCount: Int
    }

    private let memtables: UnsafeMutableBufferPointer<MemtableCursor>
    private let tables: UnsafeMutableBufferPointer<TableCursor>
    private let levels: UnsafeMutableBufferPointer<LevelCursor>
    private let leaves: UnsafeMutableBufferPointer<Leaf>
    /// The loser of the match at each inner node.
    private let losers: UnsafeMutableBufferPointer<Int>
    /// The winner of each match, while all of them are played.
    private let winners: UnsafeMutableBufferPointer<Int>
    private let bounds: KeyBounds
    /// Whether damage is thrown only by the move that leaves the first key that it may concern.
    private let defersDamage: Bool
    /// For each source, what kept it from going on; empty as long as no source has failed since the last seek.
    private var failures: [Failure?] = []
    /// What the keys of all sources begin with, and the heads therefore leave out.
    private var prefix = RawBuffer(capacity: 64)
    private var winner = 0
    /// The direction of the last seek.
    private(set) var isForward = true

    /// A merger of cursors whose sources outlive it.
    ///
    /// - Parameter defersDamage: whether damage is thrown only by the move that leaves the first key that it may
    ///   concern. Such an entry has the highest trailer, which no reader sees.
    init(
        memtables: [MemtableCursor],
        tables: [TableCursor],
        levels: [LevelCursor],
        bounds: KeyBounds,
        defersDamage: Bool = false
    ) {
        self.defersDamage = defersDamage
        self.memtables = MergingCursor.buffer(memtables)
        self.tables = MergingCursor.buffer(tables)
        self.levels = MergingCursor.buffer(levels)
        self.bounds = bounds
        let count = memtables.count + tables.count + levels.count
        let nowhere = Leaf(key: UnsafeRawBufferPointer(start: nil, count: 0), head: 0, trailer: 0, isValid: false)
        leaves = MergingCursor.buffer(of: nowhere, count: max(count, 1))
        losers = MergingCursor.buffer(of: 0, count: max(count, 1))
        winners = MergingCursor.buffer(of: 0, count: 2 * count)
    }

    private static func buffer<Element>(of element: Element, count: Int) -> UnsafeMutableBufferPointer<Element> {
        let buffer = UnsafeMutableBufferPointer<Element>.allocate(capacity: count)
        buffer.initialize(repeating: element)
        return buffer
    }

    private static func buffer<Element>(_ elements: [Element]) -> UnsafeMutableBufferPointer<Element> {
        let buffer = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
        _ = buffer.initialize(from: elements)
        return buffer
    }

    deinit {
        memtables.deinitialize().deallocate()
        tables.deinitialize().deallocate()
        levels.deinitialize().deallocate()
        leaves.deinitialize().deallocate()
        losers.deinitialize().deallocate()
        winners.deinitialize().deallocate()
    }

    /// How many sources there are.
    var sourceCount: Int { memtables.count + tables.count + levels.count }

    // MARK: The entry

    /// Whether the cursor is at an entry.
    @inline(__always)
    var isValid: Bool { leaves[winner].isValid }
    /// The entry's user key, lent until the cursor moves.
    @inline(__always)
    var key: UnsafeRawBufferPointer { leaves[winner].key }
    /// The entry's trailer.
    @inline(__always)
    var trailer: Trailer { Trailer(rawValue: leaves[winner].trailer) }
    /// The entry's value, lent until the cursor moves.
    @inline(__always)
    var value: UnsafeRawBufferPointer {
        if winner < memtables.count { return memtables[winner].value }
        let index = winner - memtables.count
        return index < tables.count ? tables[index].value : levels[index - tables.count].value
    }

    // MARK: Moving

    /// Goes to the first entry within the bounds, and forward from there.
    mutating func seekToFirst() throws(EngineError) {
        if let from = bounds.from {
            try from.withUnsafeBytes { from throws(EngineError) in try seek(from, Trailer(rawValue: .max)) }
            return
        }
        begin(isForward: true)
        for index in memtables.indices { memtables.place(index).pointee.seekToFirst() }
        for index in tables.indices {
            do throws(EngineError) { try tables.place(index).pointee.seekToFirst() } catch {
                try fail(table: index, error)
            }
        }
        for index in levels.indices {
            do throws(EngineError) { try levels.place(index).pointee.seekToFirst() } catch {
                try fail(level: index, error)
            }
        }
        playAll()
    }

    /// Goes to the last entry within the bounds, and backward from there.
    mutating func seekToLast() throws(EngineError) {
        if let to = bounds.to {
            try to.withUnsafeBytes { to throws(EngineError) in try seekBefore(to) }
            return
        }
        begin(isForward: false)
        for index in memtables.indices { memtables.place(index).pointee.seekToLast() }
        for index in tables.indices {
            do throws(EngineError) { try tables.place(index).pointee.seekToLast() } catch {
                try fail(table: index, error)
            }
        }
        for index in levels.indices {
            do throws(EngineError) { try levels.place(index).pointee.seekToLast() } catch {
                try fail(level: index, error)
            }
        }
        playAll()
    }

    /// Goes to the first entry that is not before `key` and `trailer`, and forward from there.
    ///
    /// - Precondition: the key is not below the lower bound.
    mutating func seek(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(EngineError) {
        begin(isForward: true)
        for index in memtables.indices { memtables.place(index).pointee.seek(key, trailer) }
        for index in tables.indices {
            do throws(EngineError) { try tables.place(index).pointee.seek(key, trailer) } catch {
                try fail(table: index, error)
            }
        }
        for index in levels.indices {
            do throws(EngineError) { try levels.place(index).pointee.seek(key, trailer) } catch {
                try fail(level: index, error)
            }
        }
        playAll()
    }

    /// Goes to the last entry with a user key before `key`, and backward from there.
    ///
    /// - Precondition: the key is not above the upper bound.
    mutating func seekBefore(_ key: UnsafeRawBufferPointer) throws(EngineError) {
        begin(isForward: false)
        for index in memtables.indices { memtables.place(index).pointee.seekBefore(key) }
        for index in tables.indices {
            do throws(EngineError) { try tables.place(index).pointee.seekBefore(key) } catch {
                try fail(table: index, error)
            }
        }
        for index in levels.indices {
            do throws(EngineError) { try levels.place(index).pointee.seekBefore(key) } catch {
                try fail(level: index, error)
            }
        }
        playAll()
    }

    /// Goes to the next entry in the direction of the last seek.
    ///
    /// - Precondition: the cursor is valid.
    /// - Throws: what kept a source from going on, if it stands where the damage begins.
    mutating func advance() throws(EngineError) {
        let source = winner
        if source < memtables.count {
            if isForward { memtables.place(source).pointee.next() } else { memtables.place(source).pointee.previous() }
        } else {
            if !failures.isEmpty, let failure = failures[source] { throw failure.error }
            do throws(EngineError) { try advance(source - memtables.count) } catch { try fail(source, error) }
        }
        load(source)
        replay(source)
    }

    /// Moves a source that is not a memtable.
    @inline(__always)
    private mutating func advance(_ index: Int) throws(EngineError) {
        if index < tables.count {
            if isForward { try tables.place(index).pointee.next() } else { try tables.place(index).pointee.previous() }
        } else {
            let index = index - tables.count
            if isForward { try levels.place(index).pointee.next() } else { try levels.place(index).pointee.previous() }
        }
    }

    /// Goes on to `key`, or back to what is before it, in every source that holds nothing but entries older than
    /// `sequence`.
    ///
    /// - Parameter memtables: for each memtable the highest sequence number of its entries, or one that is not below
    ///   it.
    mutating func skip(
        to key: UnsafeRawBufferPointer,
        olderThan sequence: SequenceNumber,
        memtables sequences: [SequenceNumber]
    ) throws(EngineError) {
        for index in memtables.indices where sequences[index] < sequence && memtables[index].isValid {
            let order = KeyOrder.compare(memtables[index].key, key)
            if isForward, order < 0 { memtables.place(index).pointee.seek(key, Trailer(rawValue: .max)) }
            if !isForward, order >= 0 { memtables.place(index).pointee.seekBefore(key) }
        }
        for index in tables.indices where !hasFailed(memtables.count + index) {
            do throws(EngineError) {
                try tables.place(index).pointee.skip(to: key, isForward: isForward, olderThan: sequence)
            } catch {
                try fail(table: index, error)
            }
        }
        for index in levels.indices where !hasFailed(memtables.count + tables.count + index) {
            do throws(EngineError) {
                try levels.place(index).pointee.skip(to: key, isForward: isForward, olderThan: sequence)
            } catch {
                try fail(level: index, error)
            }
        }
        playAll()
    }

    // MARK: Damage

    /// Begins a walk: every source is tried again.
    private mutating func begin(isForward: Bool) {
        self.isForward = isForward
        if !failures.isEmpty { failures.removeAll() }
    }

    private mutating func fail(table index: Int, _ error: EngineError) throws(EngineError) {
        try fail(memtables.count + index, error)
    }

    private mutating func fail(level index: Int, _ error: EngineError) throws(EngineError) {
        try fail(memtables.count + tables.count + index, error)
    }

    /// Notes why a source does not go on, or throws that at once where no range is known that it concerns.
    @inline(never)
    private mutating func fail(_ source: Int, _ error: EngineError) throws(EngineError) {
        guard defersDamage, let range = error.quarantine else { throw error }
        if failures.isEmpty { failures = [Failure?](repeating: nil, count: sourceCount) }
        let edge = isForward ? range.smallest : range.largest
        let key = RawMemory(count: edge.count)
        edge.withUnsafeBytes { UnsafeMutableRawBufferPointer(start: key.base, count: edge.count).copyMemory(from: $0) }
        failures[source] = Failure(error: error, key: key, keyCount: edge.count)
    }

    private func hasFailed(_ source: Int) -> Bool { !failures.isEmpty && failures[source] != nil }

    // MARK: The tournament

    /// Notes where a source is. One that has left the bounds has come to its end.
    @inline(__always)
    private mutating func load(_ source: Int) {
        if !failures.isEmpty, let failure = failures[source] {
            let key = UnsafeRawBufferPointer(start: failure.key.base, count: failure.keyCount)
            return store(source, key, Trailer(rawValue: .max))
        }
        if source < memtables.count {
            guard memtables[source].isValid else { return invalidate(source) }
            store(source, memtables[source].key, memtables[source].trailer)
        } else if source - memtables.count < tables.count {
            let index = source - memtables.count
            guard tables[index].isValid else { return invalidate(source) }
            store(source, tables[index].key, tables[index].trailer)
        } else {
            let index = source - memtables.count - tables.count
            guard levels[index].isValid else { return invalidate(source) }
            store(source, levels[index].key, levels[index].trailer)
        }
    }

    @inline(__always)
    private func invalidate(_ source: Int) { leaves[source].isValid = false }

    @inline(__always)
    private mutating func store(_ source: Int, _ key: UnsafeRawBufferPointer, _ trailer: Trailer) {
        guard isForward ? bounds.isBelowEnd(key) : bounds.isFromStart(key) else { return invalidate(source) }
        if key.count < prefix.count || !KeyBytes.areEqual(KeyBytes.start(of: key), prefix.base, prefix.count) {
            // What the source lent before it moved is no longer to be looked at.
            invalidate(source)
            shortenPrefix(by: key)
        }
        leaves[source] = Leaf(key: key, head: head(of: key), trailer: trailer.rawValue, isValid: true)
    }

    /// The first eight bytes of a key behind the prefix that it has.
    @inline(__always)
    private func head(of key: UnsafeRawBufferPointer) -> UInt64 {
        KeyOrder.head64(KeyBytes.start(of: key) + prefix.count, key.count - prefix.count)
    }

    /// Shortens the prefix to what `key` has of it, and remembers all heads anew.
    @inline(never)
    private mutating func shortenPrefix(by key: UnsafeRawBufferPointer) {
        prefix.shorten(to: KeyBytes.commonPrefix(prefix.bytes, key, from: 0))
        for index in leaves.indices where leaves[index].isValid { leaves[index].head = head(of: leaves[index].key) }
    }

    /// Begins with the longest prefix that the first source that is at an entry allows; the others shorten it.
    private mutating func beginPrefix() {
        prefix.removeAll()
        // Without a second source nothing is compared.
        guard sourceCount > 1 else { return }
        if let memtable = memtables.first(where: { $0.isValid }) {
            prefix.append(memtable.key)
        } else if let table = tables.first(where: { $0.isValid }) {
            prefix.append(table.key)
        } else if let level = levels.first(where: { $0.isValid }) {
            prefix.append(level.key)
        }
    }

    /// Whether the entry of the source `left` comes before that of `right` in the direction of the cursor.
    @inline(__always)
    private func wins(_ left: Int, _ right: Int) -> Bool {
        let a = leaves.baseAddress.unsafelyUnwrapped + left
        let b = leaves.baseAddress.unsafelyUnwrapped + right
        guard a.pointee.isValid, b.pointee.isValid else { return a.pointee.isValid }
        if a.pointee.head != b.pointee.head { return (a.pointee.head < b.pointee.head) == isForward }
        let order = KeyOrder.compare(a.pointee.key, b.pointee.key)
        if order != 0 { return (order < 0) == isForward }
        // Newest first, which is by descending trailer.
        return a.pointee.trailer > b.pointee.trailer
    }

    /// Loads every source and plays all matches.
    private mutating func playAll() {
        let count = sourceCount
        for source in 0..<count { invalidate(source) }
        beginPrefix()
        for source in 0..<count { load(source) }
        winner = 0
        guard count > 1 else { return }
        for source in 0..<count { winners[count + source] = source }
        for node in (1..<count).reversed() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1])
            let leftWins = wins(left, right)
            winners[node] = leftWins ? left : right
            losers[node] = leftWins ? right : left
        }
        winner = winners[1]
    }

    /// Plays the matches of a source that has moved.
    @inline(__always)
    private mutating func replay(_ source: Int) {
        var champion = source
        var node = (sourceCount + source) / 2
        while node >= 1 {
            if wins(losers[node], champion) { swap(&losers.place(node).pointee, &champion) }
            node /= 2
        }
        winner = champion
    }
}

extension UnsafeMutableBufferPointer {
    /// Where an element is, for calls that change it in its place. For the same through a subscript, in a type that cannot be
    /// copied, the compiler makes code for the thread sanitizer that it then refuses itself.
    @inline(__always)
    fileprivate func place(_ index: Int) -> UnsafeMutablePointer<Element> {
        assert(indices.contains(index), "there is no such source")
        return baseAddress.unsafelyUnwrapped + index
    }
}
