/// The number of a batch of writes. Batches are applied in the order of their numbers, which grow and may have gaps; under
/// Raft it is the index of the entry. Every write of a batch has the batch's number.
public typealias SequenceNumber = UInt64

/// The largest sequence number: 56 bits, which leave a byte for the kind of the entry.
public let largestSequenceNumber: SequenceNumber = (1 << 56) - 1

/// What an entry does to its key.
public enum ValueKind: UInt8, Sendable {
    /// The key has no value from here on.
    case deletion = 0
    /// The key has this value from here on.
    case put = 1
    /// The keys from the entry's key up to its value, which is excluded, have no value from here on. It hides what has a
    /// strictly lower sequence number. Range deletions are kept apart from the entries of keys.
    case rangeDeletion = 2
}

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

    static func < (left: Trailer, right: Trailer) -> Bool { left.rawValue < right.rawValue }
}
