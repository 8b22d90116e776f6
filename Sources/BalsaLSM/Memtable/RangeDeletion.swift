import BalsaPlatform

/// A tombstone for the keys in `start ..< end`: it hides what has a strictly lower sequence number.
struct RangeDeletion: Equatable, Sendable {
    /// The first key that is deleted.
    let start: Bytes
    /// The first key after `start` that is not.
    let end: Bytes
    /// The number of the batch that deleted them.
    let sequence: SequenceNumber
}
