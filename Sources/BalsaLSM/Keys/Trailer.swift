/// What tells the entries of one key apart: the sequence number, and the kind in the low byte.
///
/// The entries of a key are ordered newest first, which is by descending trailer.
struct Trailer: Hashable, Comparable {
    /// The sequence number above, the kind below.
    let rawValue: UInt64

    init(rawValue: UInt64) { self.rawValue = rawValue }

    init(_ sequence: SequenceNumber, _ kind: ValueKind) {
        precondition(sequence <= largestSequenceNumber, "a sequence number has 56 bits")
        rawValue = sequence << 8 | UInt64(kind.rawValue)
    }

    /// The trailer before all those of entries that a reader at `sequence` may see.
    static func seek(_ sequence: SequenceNumber) -> Trailer { Trailer(rawValue: sequence << 8 | 0xff) }

    var sequence: SequenceNumber { rawValue >> 8 }

    /// The kind; nil where the byte is none, as a damaged block's may be.
    var kind: ValueKind? { ValueKind(rawValue: UInt8(truncatingIfNeeded: rawValue)) }

    /// Whether an entry of a table may have this trailer. Range deletions are not entries. Asked for every entry that is read:
    /// one comparison, as long as the kinds of entries are those up to *put*.
    @inline(__always)
    var isOfEntry: Bool { rawValue & 0xff <= UInt64(ValueKind.put.rawValue) }

    static func < (left: Trailer, right: Trailer) -> Bool { left.rawValue < right.rawValue }
}
