import BalsaPlatform

/// Walks over the keys that have a value at one sequence number, with their values, in both directions.
///
/// ```swift
/// var cursor = try engine.makeCursor(from: "user/", to: "user0")
/// try cursor.seekToFirst()
/// while cursor.isValid {
///     consume(cursor.key, cursor.value)
///     try cursor.next()
/// }
/// ```
///
/// Key and value are lent: they are valid until the cursor moves. A cursor sees one moment of the engine, whatever is
/// written, flushed or compacted meanwhile, and keeps the tables and memtables of that moment in existence: hold it
/// shortly. One thread at a time uses a cursor.
///
/// A move that throws leaves the cursor invalid; another seek may succeed. Damage is thrown in the order of the keys: a
/// cursor has shown all keys before those that cannot be read, and none behind them. ``EngineError/Code/wouldWait``
/// concerns no range of keys: with ``Waiting/forbidden``, the move that comes to it throws it at once.
///
/// The cursor is a handle of one word, and what it stands for lies in memory of its own: of a larger struct the compiler makes
/// a copy at each look at key or value from another module, which took longer than the step itself.
public struct EngineCursor: ~Copyable {
    private let cursor: UnsafeMutablePointer<VisibleCursor>

    init(
        _ view: ReadView,
        at sequence: SequenceNumber,
        bounds: KeyBounds,
        waiting: Waiting,
        _ emptyRanges: EmptyRanges
    ) {
        cursor = .allocate(capacity: 1)
        cursor.initialize(to: VisibleCursor(view, at: sequence, bounds: bounds, waiting: waiting, emptyRanges))
    }

    deinit {
        cursor.deinitialize(count: 1)
        cursor.deallocate()
    }

    /// The sequence number up to which writes are seen.
    public var readSequence: SequenceNumber { cursor.pointee.readSequence }

    // MARK: The entry

    /// Whether the cursor is at a key.
    public var isValid: Bool { cursor.pointee.isValid }

    /// The key, lent until the cursor moves.
    ///
    /// - Precondition: the cursor is valid.
    public var key: UnsafeRawBufferPointer { cursor.pointee.key }

    /// The value, lent until the cursor moves.
    ///
    /// - Precondition: the cursor is valid.
    public var value: UnsafeRawBufferPointer { cursor.pointee.value }

    /// The number of the batch that wrote the value.
    ///
    /// - Precondition: the cursor is valid.
    public var sequence: SequenceNumber { cursor.pointee.sequence }

    // MARK: Work

    /// How many entries the cursor may pass without showing any of them: deleted keys, and entries of a key besides the
    /// visible one. At the limit the cursor pauses: it becomes invalid, and ``pause`` says where to go on. There is no
    /// limit at first.
    ///
    /// A block that has to be read on the way counts as many entries as pass in the time, and so does a jump over a
    /// range that is deleted: a block of 4 KiB counts 32 entries.
    ///
    /// Keys that were deleted cost a move what they cost to pass, so a move can take long. A caller with a deadline
    /// sets a limit. It is at least 1, and counts all moves of the cursor, so that a cursor that has paused is of no
    /// further use.
    public mutating func limitHiddenEntries(to count: Int) { cursor.pointee.hiddenLimit = max(count, 1) }

    /// How many entries the cursor has passed without showing them.
    public var hiddenEntries: Int { cursor.pointee.hiddenEntries }

    /// Where a scan goes on if the cursor is invalid because it has paused; else nil. Forward this is the first key of
    /// the rest. Backward it is the excluded end of the rest.
    public var pause: Bytes? { cursor.pointee.pause }

    // MARK: Seeking

    /// Goes to the first key within the bounds.
    public mutating func seekToFirst() throws(EngineError) { try cursor.pointee.seekToFirst() }

    /// Goes to the last key within the bounds.
    public mutating func seekToLast() throws(EngineError) { try cursor.pointee.seekToLast() }

    /// Goes to the first key within the bounds that is not below `key`.
    public mutating func seek(_ key: UnsafeRawBufferPointer) throws(EngineError) { try cursor.pointee.seek(key) }

    /// Goes to the first key within the bounds that is not below `key`.
    public mutating func seek(_ key: Bytes) throws(EngineError) {
        try key.withUnsafeBytes { key throws(EngineError) in try seek(key) }
    }

    /// Goes to the last key within the bounds that is below `key`.
    public mutating func seekBefore(_ key: UnsafeRawBufferPointer) throws(EngineError) {
        try cursor.pointee.seekBefore(key)
    }

    /// Goes to the last key within the bounds that is below `key`.
    public mutating func seekBefore(_ key: Bytes) throws(EngineError) {
        try key.withUnsafeBytes { key throws(EngineError) in try seekBefore(key) }
    }

    // MARK: Moving

    /// Goes to the next key; becomes invalid behind the last.
    ///
    /// - Precondition: the cursor is valid.
    public mutating func next() throws(EngineError) { try cursor.pointee.next() }

    /// Goes to the key before; becomes invalid before the first.
    ///
    /// - Precondition: the cursor is valid.
    public mutating func previous() throws(EngineError) { try cursor.pointee.previous() }
}
