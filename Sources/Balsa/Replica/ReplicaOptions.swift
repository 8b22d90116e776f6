import BalsaLog
import BalsaRaft
import BalsaWire

/// The limits of a replica. Every one of them is a field, so that a simulation can make it tiny.
public struct ReplicaOptions: Sendable {
    /// The times and limits of consensus.
    public var raft = RaftOptions()
    /// The limits of the log.
    public var log = LogOptions()
    /// The limits of what crosses the network.
    public var wire = WireOptions()

    /// The largest command, in bytes; 2 MiB less the entry header.
    public var maxCommandBytes = (2 << 20) - EntryHeader.encodedByteCount
    /// How many bytes of commands and queries may wait in all; 64 MiB. More are refused with *busy*.
    public var maxWaitingBytes = 64 << 20
    /// How much log is written before the state is checkpointed, in bytes; 64 MiB.
    public var checkpointAfterBytes: UInt64 = 64 << 20
    /// How many entries are kept behind a checkpoint, so that a peer that is a little behind needs none of it; 10,000.
    /// While the log is over its bound, none are.
    public var entriesKeptBehindCheckpoint: UInt64 = 10_000
    /// How long the log rests before its last batch is sealed; 10 ms.
    public var sealAfter: TimeSpan = .milliseconds(10)
    /// How often requests are looked at whose deadline may have passed; 100 ms. It is also the pause before a background task
    /// that failed is tried again; a checkpoint that failed waits ten times as long.
    public var deadlineGranularity: TimeSpan = .milliseconds(100)

    /// The defaults.
    public init() {}

    /// Throws a sentence about the first limit that does not fit the others.
    public func validate() throws(ReplicaError) {
        do throws(ConfigurationError) { try raft.validate() } catch { throw ReplicaError(.invalid, error.description) }
        do throws(LogError) { try log.validate() } catch { throw ReplicaError(.invalid, error.description) }
        let frame = wire.maxFrameBytes - WireOptions.roomForFields
        guard maxCommandBytes >= 0, maxCommandBytes + EntryHeader.encodedByteCount <= frame else {
            throw ReplicaError(.invalid, "a command of \(maxCommandBytes) bytes does not fit into a wire frame")
        }
        guard raft.maxAppendBytes <= UInt64(max(0, frame)) else {
            throw ReplicaError(.invalid, "an append of \(raft.maxAppendBytes) bytes does not fit into a wire frame")
        }
        guard deadlineGranularity > .zero, maxWaitingBytes > 0 else {
            throw ReplicaError(.invalid, "the granularity of deadlines and the room for requests must be positive")
        }
    }
}
