/// What the core knows of an entry: everything but its payload.
public struct EntryMetadata: Hashable, Sendable {
    /// The term in which the entry was created.
    public var term: Term
    /// What the entry is: a no-op, a command or a configuration, as the entry format numbers them.
    public var kind: UInt8
    /// The size of the encoded entry, header included, in bytes.
    public var byteCount: UInt32

    /// The metadata of an entry.
    public init(term: Term, kind: UInt8, byteCount: UInt32) {
        self.term = term
        self.kind = kind
        self.byteCount = byteCount
    }

    /// The kind of the empty entry with which a leader begins its term.
    public static let noOpKind: UInt8 = 1
    /// The kind of an entry whose payload is a command for the state machine.
    public static let commandKind: UInt8 = 2
    /// The size of an encoded entry without a payload, in bytes.
    public static let headerByteCount: UInt32 = 56

    /// The empty entry with which the leader of `term` begins it.
    static func noOp(term: Term) -> EntryMetadata {
        EntryMetadata(term: term, kind: noOpKind, byteCount: headerByteCount)
    }
}

/// A run of consecutive entries, named by its ends. The shell attaches the bytes, and checks by the last term that the
/// log has not moved on since.
public struct EntryRange: Hashable, Sendable, CustomStringConvertible {
    /// The index of the first entry.
    public var first: LogIndex
    /// The position of the last entry.
    public var last: LogPosition

    /// The entries `first ... last.index`, of which the last has the term `last.term`.
    ///
    /// - Precondition: there is at least one.
    public init(first: LogIndex, last: LogPosition) {
        precondition(first >= 1 && first <= last.index, "a range of entries holds at least one")
        self.first = first
        self.last = last
    }

    /// The number of entries.
    public var count: UInt64 { last.index - first + 1 }

    /// First and last index, and the last term.
    public var description: String { "\(first)...\(last.index)@\(last.term)" }
}
