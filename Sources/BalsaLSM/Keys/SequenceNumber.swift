/// The number of a batch of writes. Batches are applied in the order of their numbers, which grow and may have gaps; under
/// Raft it is the index of the entry. Every write of a batch has the batch's number.
public typealias SequenceNumber = UInt64

/// The largest sequence number: 56 bits, which leave a byte for the kind of the entry.
public let largestSequenceNumber: SequenceNumber = (1 << 56) - 1
