import BalsaPlatform

/// What is recorded with a memtable when it is sealed: the tables hold exactly the batches up to ``sequence``, and this is
/// what their owner needs to go on from there.
///
/// Under Raft the sequence is an index, and the term, the stamp and the system state belong to the replica: the engine
/// keeps them and looks at none of them.
public struct SealRecord: Equatable, Sendable {
    /// The number of the last batch, or of something later that wrote nothing.
    public var sequence: SequenceNumber
    /// The owner's, opaque.
    public var term: UInt64
    /// The owner's, opaque.
    public var stamp: UInt64
    /// Up to where old versions may be dropped once the record is durable: reads at this sequence and later stay right.
    public var retentionMark: SequenceNumber
    /// The owner's, opaque; at most 16 MiB.
    public var systemState: Bytes

    /// The longest system state, in bytes.
    public static let maxSystemStateBytes = 16 << 20

    /// A record.
    public init(
        sequence: SequenceNumber,
        term: UInt64 = 0,
        stamp: UInt64 = 0,
        retentionMark: SequenceNumber = 0,
        systemState: Bytes = Bytes()
    ) {
        self.sequence = sequence
        self.term = term
        self.stamp = stamp
        self.retentionMark = retentionMark
        self.systemState = systemState
    }
}
