import BalsaPlatform

/// A cursor over the tables of a level below the first, or over any other sorted and disjoint tables, one behind the other.
///
/// A table is opened for reading when the cursor gets there. All versions of all keys are visited, in the order of
/// entries, or what a reader sees: ``TableCursor`` says how.
struct LevelCursor {
    private let tables: UnsafeBufferPointer<TableSlot>
    private var index = 0
    private var cursor: TableCursor
    /// Whether the cursor is in one of the tables, and not before or behind all of them.
    private var isInside = false

    /// A cursor over `tables`, of which there are some, which are sorted and disjoint, and which outlive it.
    init(
        _ tables: UnsafeBufferPointer<TableSlot>,
        fillsCache: Bool,
        waiting: Waiting,
        visibleAt sequence: SequenceNumber? = nil,
        noting work: CursorWork? = nil
    ) {
        precondition(!tables.isEmpty, "a level without tables is left out")
        self.tables = tables
        let first = tables[0].table.takeUnretainedValue()
        cursor = first.makeCursor(fillsCache: fillsCache, visibleAt: sequence, noting: work)
        cursor.waiting = waiting
    }

    /// Whether the cursor is at an entry.
    @inline(__always)
    var isValid: Bool { isInside && cursor.isValid }
    /// The entry's user key, lent until the cursor moves.
    @inline(__always)
    var key: UnsafeRawBufferPointer { cursor.key }
    /// The entry's trailer.
    @inline(__always)
    var trailer: Trailer { cursor.trailer }
    /// The entry's value, lent until the cursor moves.
    @inline(__always)
    var value: UnsafeRawBufferPointer { cursor.value }

    // MARK: Moving

    /// Goes to the first entry.
    mutating func seekToFirst() throws(EngineError) {
        enter(0)
        if isInside { try cursor.seekToFirst() }
        try skipEmptyForward()
    }

    /// Goes to the last entry.
    mutating func seekToLast() throws(EngineError) {
        enter(tables.count - 1)
        if isInside { try cursor.seekToLast() }
        try skipEmptyBackward()
    }

    /// Goes to the first entry that is not before `key` and `trailer`.
    mutating func seek(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(EngineError) {
        enter(tables.firstIndex(notEndingBefore: key))
        if isInside { try cursor.seek(key, trailer) }
        try skipEmptyForward()
    }

    /// Goes to the last entry with a user key before `key`.
    mutating func seekBefore(_ key: UnsafeRawBufferPointer) throws(EngineError) {
        enter(tables.firstIndex(beginningFrom: key) - 1)
        if isInside { try cursor.seekBefore(key) }
        try skipEmptyBackward()
    }

    /// Goes to the next entry.
    mutating func next() throws(EngineError) {
        try cursor.next()
        if !isValid { try skipEmptyForward() }
    }

    /// Goes to the entry before.
    mutating func previous() throws(EngineError) {
        try cursor.previous()
        if !isValid { try skipEmptyBackward() }
    }

    /// Goes on to `key`, or back to what is before it, past entries of tables that hold nothing but what is older than
    /// `sequence`. Stops at the first other table. Tables that are skipped are not read.
    mutating func skip(
        to key: UnsafeRawBufferPointer,
        isForward: Bool,
        olderThan sequence: SequenceNumber
    ) throws(EngineError) {
        guard isValid, tables[index].largestEntrySequence < sequence else { return }
        var target = index
        if isForward {
            while target < tables.count, tables[target].largestEntrySequence < sequence,
                tables[target].ends(before: key)
            { target += 1 }
        } else {
            while target >= 0, tables[target].largestEntrySequence < sequence,
                KeyOrder.compare(tables[target].smallest, key) >= 0
            { target -= 1 }
        }
        if target != index {
            enter(target)
            if isInside { if isForward { try cursor.seekToFirst() } else { try cursor.seekToLast() } }
        }
        if isValid { try cursor.skip(to: key, isForward: isForward, olderThan: sequence) }
        if isForward { try skipEmptyForward() } else { try skipEmptyBackward() }
    }

    // MARK: Tables

    private mutating func enter(_ newIndex: Int) {
        isInside = tables.indices.contains(newIndex)
        guard isInside, index != newIndex else { return }
        index = newIndex
        cursor.enter(tables[index].table.takeUnretainedValue())
    }

    /// Goes on to later tables until the cursor is at an entry; a table may hold nothing but range tombstones.
    private mutating func skipEmptyForward() throws(EngineError) {
        while isInside, !cursor.isValid {
            enter(index + 1)
            if isInside { try cursor.seekToFirst() }
        }
    }

    private mutating func skipEmptyBackward() throws(EngineError) {
        while isInside, !cursor.isValid {
            enter(index - 1)
            if isInside { try cursor.seekToLast() }
        }
    }
}
