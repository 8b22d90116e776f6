import BalsaPlatform
import CBalsaPlatform

/// Walks over the entries of a table in their order, all versions of all keys, in both directions.
///
/// Key and value are lent until the cursor moves. The cursor holds the table's body from its first seek on, and the
/// block that it is in; it needs no pin, and both stay valid when a cache drops them and when the table is closed.
/// Moving costs no allocation but for a block that is read, or a key longer than all before.
///
/// A cursor for a reader shows, of every key, the newest entry that the reader sees. It may also show entries that the
/// reader does not see, which the caller ignores, but never a second one that it sees. A key with many versions costs a
/// search, in place of a step for each of them.
///
/// A copy shares the memory in which the key is put together with the original: only one of them may be used.
struct TableCursor {
    /// Whether moves may wait for the disk.
    var waiting = Waiting.allowed

    /// After how many versions of a key a search takes the place of steps.
    private static let maxSteps = 4

    private var table: Table
    /// The table's index, from the first seek on.
    private var body: TableBody?
    private let fillsCache: Bool
    /// Gets what is read; nil if nobody asks.
    private let work: CursorWork?
    /// Up to where the reader sees; nil if all entries are visited.
    private let sequence: SequenceNumber?
    /// The trailer before all that the reader sees; nil if all entries are visited, or if the reader sees all of them
    /// and no key has two.
    private var ceiling: Trailer?
    /// The block that the cursor is in. It may keep one when it is invalid, to find the way back without the cache.
    private var block: Block?
    private var view: BlockView?
    private var number = -1
    /// Where in the block; at least ``count`` or negative where the cursor is invalid.
    private var position = -1
    private var count = 0

    /// Where the key is put together from the block's prefix and the entry's rest.
    private var keyMemory: RawMemory
    private var keyCount = 0
    /// A key that is looked for after the cursor has left its block.
    private var oldKeyMemory: RawMemory?

    /// The trailer of the entry, while the cursor is valid.
    private(set) var trailer = Trailer(rawValue: 0)
    /// The value of the entry, while the cursor is valid; lent until the cursor moves.
    private(set) var value = UnsafeRawBufferPointer(start: nil, count: 0)

    init(
        _ table: Table,
        fillsCache: Bool,
        visibleAt sequence: SequenceNumber? = nil,
        noting work: CursorWork? = nil
    ) {
        self.table = table
        self.fillsCache = fillsCache
        self.work = work
        self.sequence = sequence
        ceiling = TableCursor.ceiling(of: table, sequence)
        keyMemory = RawMemory(count: 64)
    }

    private static func ceiling(of table: Table, _ sequence: SequenceNumber?) -> Trailer? {
        guard let sequence, table.metadata.hasVersions || table.metadata.largestEntrySequence > sequence else {
            return nil
        }
        return .seek(min(sequence, largestSequenceNumber))
    }

    /// Goes over to another table, in which the cursor is nowhere yet.
    mutating func enter(_ table: Table) {
        self.table = table
        ceiling = TableCursor.ceiling(of: table, sequence)
        body = nil
        block = nil
        view = nil
        number = -1
        position = -1
        count = 0
    }

    /// The table's body; nil for a table without entries, which is not opened.
    private mutating func opened() throws(EngineError) -> TableBody? {
        if let body { return body }
        position = -1
        guard table.hasEntries else { return nil }
        let body = try table.body(waiting, noting: work)
        self.body = body
        return body
    }

    /// Whether the cursor is at an entry.
    @inline(__always)
    var isValid: Bool { position >= 0 }

    /// The key of the entry, while the cursor is valid; lent until the cursor moves.
    @inline(__always)
    var key: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: keyMemory.base, count: keyCount) }

    // MARK: Moving

    /// Moves to the first entry; invalid where there is none.
    mutating func seekToFirst() throws(EngineError) {
        guard try opened() != nil else { return }
        try settle(at: 0) { _ in 0 }
        if let ceiling { try showVisible(ceiling) }
    }

    /// Moves to the last entry; invalid where there is none.
    mutating func seekToLast() throws(EngineError) {
        guard let body = try opened() else { return }
        try settle(at: body.index.count - 1) { view in view.count - 1 }
        if let ceiling { try showNewestVisible(ceiling) }
    }

    /// Moves to the first entry that is not before (`key`, `trailer`); invalid where there is none.
    mutating func seek(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(EngineError) {
        guard let body = try opened() else { return }
        let number = body.index.find(key, trailer)
        try settle(at: number) { view in view.lowerBound(key, trailer) }
        if let ceiling { try showVisible(ceiling) }
    }

    /// Moves to the last entry whose key is before `key`; invalid where there is none.
    mutating func seekBefore(_ key: UnsafeRawBufferPointer) throws(EngineError) {
        // The entry behind it is the first of `key` or of what follows, the trailer being the one before all others.
        let newest = Trailer(rawValue: .max)
        guard let body = try opened() else { return }
        let number = body.index.find(key, newest)
        guard number < body.index.count else { return try seekToLast() }
        try settle(at: number) { view in view.lowerBound(key, newest) - 1 }
        if let ceiling { try showNewestVisible(ceiling) }
    }

    /// Moves to the next entry; becomes invalid behind the last.
    ///
    /// - Precondition: the cursor is valid.
    /// - Throws: where the cursor is then is not said: only a seek finds the way.
    mutating func next() throws(EngineError) {
        precondition(position >= 0, "only a valid cursor can move on")
        if let ceiling { return try nextVisible(ceiling) }
        guard position + 1 < count else { return try step(to: number + 1) { _ in 0 } }
        position += 1
        show()
    }

    /// Moves to the previous entry; becomes invalid before the first.
    ///
    /// - Precondition: the cursor is valid.
    /// - Throws: where the cursor is then is not said: only a seek finds the way.
    mutating func previous() throws(EngineError) {
        precondition(position >= 0, "only a valid cursor can move back")
        if let ceiling { return try previousVisible(ceiling) }
        guard position > 0 else { return try step(to: number - 1) { view in view.count - 1 } }
        position -= 1
        show()
    }

    /// Goes on to `key`, or back to what is before it, if all entries of the table are older than `sequence`.
    mutating func skip(
        to key: UnsafeRawBufferPointer,
        isForward: Bool,
        olderThan sequence: SequenceNumber
    ) throws(EngineError) {
        guard position >= 0, table.metadata.largestEntrySequence < sequence else { return }
        let order = KeyOrder.compare(self.key, key)
        guard isForward ? order < 0 : order >= 0 else { return }
        if isForward { try seek(key, Trailer(rawValue: .max)) } else { try seekBefore(key) }
    }

    // MARK: What a reader sees

    /// Goes forward to the newest visible entry of the next key.
    private mutating func nextVisible(_ ceiling: Trailer) throws(EngineError) {
        if trailer <= ceiling {
            try leaveForward()
        } else if position + 1 < count {
            position += 1
            show()
        } else {
            try step(to: number + 1) { _ in 0 }
        }
        try showVisible(ceiling)
    }

    /// Goes back to the newest visible entry of the key before.
    private mutating func previousVisible(_ ceiling: Trailer) throws(EngineError) {
        try leaveBackward()
        try showNewestVisible(ceiling)
    }

    /// Where the cursor is at an entry that the reader does not see, goes to an older one of the key that it sees. It
    /// may be at another entry that it does not see afterwards.
    @inline(__always)
    private mutating func showVisible(_ ceiling: Trailer) throws(EngineError) {
        if position >= 0, trailer > ceiling { try findVisible(ceiling) }
    }

    private mutating func findVisible(_ ceiling: Trailer) throws(EngineError) {
        guard let view, let body else { return }
        for _ in 0..<TableCursor.maxSteps {
            guard position + 1 < count else { break }
            guard isSameKey(view, position, position + 1) else { return show() }
            position += 1
            if view.entry(position).trailer <= ceiling { return show() }
        }
        show()
        let key = rememberKey()
        try settle(at: body.index.find(key, ceiling)) { view in view.lowerBound(key, ceiling) }
    }

    /// From the oldest entry of a key, goes back to the newest one that the reader sees.
    private mutating func showNewestVisible(_ ceiling: Trailer) throws(EngineError) {
        guard position >= 0, trailer <= ceiling, let view, let body else { return }
        let start = position
        while position > 0, start - position < TableCursor.maxSteps {
            guard isSameKey(view, start, position - 1), view.entry(position - 1).trailer <= ceiling else {
                if position < start { show() }
                return
            }
            position -= 1
        }
        // The versions may go on in the block before.
        show()
        let key = rememberKey()
        try settle(at: body.index.find(key, ceiling)) { view in view.lowerBound(key, ceiling) }
    }

    /// Goes forward to the first entry of the next key.
    private mutating func leaveForward() throws(EngineError) {
        guard let view, let body else { return }
        let start = position
        while position + 1 < count, position - start < TableCursor.maxSteps {
            position += 1
            if !isSameKey(view, start, position) { return show() }
        }
        show()
        let key = rememberKey()
        if position + 1 >= count {
            try step(to: number + 1) { _ in 0 }
            guard position >= 0, KeyOrder.isEqual(self.key, key) else { return }
        }
        // Below all versions, whose sequence numbers begin at 1.
        let last = Trailer(rawValue: 0)
        try settle(at: body.index.find(key, last)) { view in view.lowerBound(key, last) }
    }

    /// Goes back to the oldest entry of the key before.
    private mutating func leaveBackward() throws(EngineError) {
        guard let view, let body else { return }
        let start = position
        while position > 0, start - position < TableCursor.maxSteps {
            position -= 1
            if !isSameKey(view, start, position) { return show() }
        }
        show()
        let key = rememberKey()
        if position == 0 {
            try step(to: number - 1) { view in view.count - 1 }
            guard position >= 0, KeyOrder.isEqual(self.key, key) else { return }
        }
        let newest = Trailer(rawValue: .max)
        try settle(at: body.index.find(key, newest)) { view in view.lowerBound(key, newest) - 1 }
    }

    /// Whether two entries of the block have the same key.
    @inline(__always)
    private func isSameKey(_ view: BlockView, _ left: Int, _ right: Int) -> Bool {
        let (left, right) = (view.entry(left), view.entry(right))
        return left.suffixLength == right.suffixLength
            && KeyBytes.areEqual(left.suffix, right.suffix, left.suffixLength)
    }

    /// A copy of the key, valid until the next call.
    private mutating func rememberKey() -> UnsafeRawBufferPointer {
        let memory: RawMemory
        if let old = oldKeyMemory, old.count >= keyCount {
            memory = old
        } else {
            memory = RawMemory(count: max(keyCount, 256))
            oldKeyMemory = memory
        }
        memory.base.copyMemory(from: keyMemory.base, byteCount: keyCount)
        return UnsafeRawBufferPointer(start: memory.base, count: keyCount)
    }

    // MARK: Parts

    /// Goes into the block with this number and to the position that `choose` says; into a neighbour where that lies
    /// just outside of the block.
    private mutating func settle(at number: Int, _ choose: (BlockView) -> Int) throws(EngineError) {
        position = -1
        guard let body, number >= 0, number < body.index.count else { return }
        let block = try load(number, of: body)
        // Chosen before anything is taken: the key that is looked for may be the one that this cursor has lent.
        let chosen = choose(block.view)
        if chosen < 0 {
            try step(to: number - 1) { view in view.count - 1 }
        } else if chosen >= block.view.count {
            try step(to: number + 1) { _ in 0 }
        } else {
            take(block, number)
            position = chosen
            show()
        }
    }

    /// Goes into the block with this number, if there is one, and to the position that `choose` says.
    private mutating func step(to number: Int, _ choose: (BlockView) -> Int) throws(EngineError) {
        guard let body, number >= 0, number < body.index.count else {
            position = -1
            return
        }
        let block = try load(number, of: body)
        take(block, number)
        body.prefetchBlock(number + 1)
        position = choose(block.view)
        show()
    }

    /// The block with this number. The cursor stays as it is.
    private func load(_ number: Int, of body: TableBody) throws(EngineError) -> Block {
        if number == self.number, let block { return block }
        return try table.block(number, of: body, waiting, fillsCache: fillsCache, noting: work)
    }

    /// Goes over to a block.
    private mutating func take(_ block: Block, _ number: Int) {
        guard number != self.number else { return }
        let view = block.view
        if block.maxKeyBytes > keyMemory.count { keyMemory = RawMemory(count: max(block.maxKeyBytes, 256)) }
        keyMemory.base.copyMemory(from: view.prefix, byteCount: view.prefixLength)
        self.block = block
        self.view = view
        self.number = number
        count = view.count
    }

    /// Puts the key together and notes where the value lies.
    @inline(__always)
    private mutating func show() {
        guard let view else { return }
        let entry = view.entry(position)
        KeyBytes.copy(entry.suffix, to: keyMemory.base + view.prefixLength, entry.suffixLength)
        keyCount = view.prefixLength + entry.suffixLength
        trailer = entry.trailer
        value = entry.value
        if position + 2 < count { balsa_prefetch(view.entries + view.offset(position + 2)) }
    }
}
