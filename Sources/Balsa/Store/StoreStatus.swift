import BalsaLSM
import BalsaLog
import BalsaRaft
import BalsaTransport

/// A store's figures at one moment, for an operator. Nothing decides by them.
public struct StoreStatus: Sendable {
    /// The log of a member at one moment.
    public struct LogFigures: Equatable, Sendable {
        /// The index of the first entry that is kept.
        public var firstIndex: LogIndex = 1
        /// The index of the last entry, durable or not.
        public var lastIndex: LogIndex = 0
        /// How long the files are that hold entries which are still needed, in bytes.
        public var liveBytes: UInt64 = 0
        /// How long they should be together at most, in bytes.
        public var boundBytes: UInt64 = 0
        /// What was counted since the store was opened.
        public var metrics = LogMetrics()

        /// No entries.
        public init() {}
    }

    // The member in its group.

    /// The member.
    public var member: MemberID = 0
    /// What it does.
    public var state = StoreState.recovering
    /// The term that it is in.
    public var term: Term = 0
    /// The member that leads the term, as far as this one knows; 0 where it does not.
    public var leader: MemberID = 0
    /// The highest index that it knows to be committed.
    public var commitIndex: LogIndex = 0
    /// The index through which its state contains everything: the revision that a local read sees.
    public var appliedIndex: LogIndex = 0
    /// The index through which its log is synced: what a crash leaves it.
    public var durableIndex: LogIndex = 0
    /// The flush point: the index through which the files of its state hold everything. An opening applies again what
    /// the log holds above it; 0 until the first flush, since a log alone is as durable.
    public var flushedIndex: LogIndex = 0
    /// Whether its state was found to differ from that of the majority: it serves nothing until a checkpoint has
    /// replaced the state.
    public var isDiverged = false
    /// Equal on two members that have applied the same index when they have changed keys and values, and replied,
    /// alike. It says nothing of what the files hold, nor of sessions and the retention mark.
    public var digest: UInt64 = 0

    // The state.

    /// Revisions below this one cannot be read any more.
    public var retentionMark: UInt64 = 0
    /// How many sessions the state has: one for each store that has written, until it rests too long.
    public var sessionCount = 0
    /// The storage engine: memtable, levels, cache, flushes and compactions.
    public var engine = EngineMetrics()
    /// How far the engine's background work is behind.
    public var pressure = Pressure.none
    /// What the member waits for, if it takes less than it is offered.
    public var stall: StallReason?

    // The log.

    /// The log.
    public var log = LogFigures()

    // What waits.

    /// How many calls of this store's user are under way.
    public var callsUnderWay = 0
    /// How many commands of this store's user have no answer yet.
    public var outstandingCommands = 0
    /// How long the commands are that wait for their turn to be handed to the replica, in bytes.
    public var queuedBytes = 0
    /// How long the commands are that the replica has and has not answered, in bytes.
    public var replicatingBytes = 0
    /// How many reads wait for their turn, or for a worker that reads the disk for them.
    public var waitingReads = 0

    // The network.

    /// The connections over which this member sends, by peer.
    public var connections: [PeerConnection] = []
    /// What the transport has counted.
    public var transport = TransportMetrics()

    /// What the replica has counted.
    public var metrics = ReplicaMetrics()

    /// No figures.
    public init() {}
}
