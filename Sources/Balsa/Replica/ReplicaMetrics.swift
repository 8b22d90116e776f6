import BalsaLog

/// What a replica has counted since it was opened.
public struct ReplicaMetrics: Sendable {
    /// What opening the log found.
    public internal(set) var recovery = RecoveryReport()
    /// Commands applied.
    public internal(set) var commandsApplied = 0
    /// Commands that were passed on to the leader.
    public internal(set) var commandsForwarded = 0
    /// Copies of a command that a member passed on, which this leader had handled before and dropped.
    public internal(set) var forwardedCopiesDropped = 0
    /// Commands that this leader proposed itself, because the group was idle and its state waited for time to pass.
    public internal(set) var idleCommands = 0
    /// Tables of the state that were found to be damaged.
    public internal(set) var damagedTablesFound = 0
    /// How often apply stopped before an entry that needs what cannot be read.
    public internal(set) var unreadableEntries = 0
    /// Seals of the state.
    public internal(set) var seals = 0
    /// Steps of the state machine's background work that failed. They are tried again.
    public internal(set) var workFailed = 0
    /// Entries of the log that were dropped because a durable seal covers them.
    public internal(set) var entriesDropped: UInt64 = 0
    /// Checkpoints whose transfer to a peer was begun.
    public internal(set) var transfersStarted = 0
    /// Transfers that were given up. They begin anew when the peer needs it.
    public internal(set) var transfersFailed = 0
    /// Transfers from a peer that were refused on the way: damaged, too long for the disk, or not to be written here.
    public internal(set) var transfersRefused = 0
    /// How many appends with entries were not taken, since the state waits for a checkpoint and the log is full.
    public internal(set) var appendsRefused = 0
    /// Chunks sent.
    public internal(set) var chunksSent = 0
    /// How often chunks were sent again.
    public internal(set) var chunksRepeated = 0
    /// Checkpoints that a peer has received whole.
    public internal(set) var checkpointsSent = 0
    /// Checkpoints installed.
    public internal(set) var checkpointsInstalled = 0
    /// Checkpoints that arrived whole and could not be opened.
    public internal(set) var checkpointsUnreadable = 0
    /// States that were replaced and whose files could not be removed; they are removed when the replica is opened.
    public internal(set) var generationsLeftBehind = 0
    /// Entries that were cut off because a leader had others.
    public internal(set) var entriesTruncated = 0
    /// Members, this one or peers that it led, that were found to have lost entries that they had acknowledged.
    public internal(set) var lossesFound = 0
    /// Members, this one or peers that it led, whose state was found to differ from that of the majority.
    public internal(set) var divergencesFound = 0
    /// How often a checkpoint took the place of this member's state because that differed.
    public internal(set) var statesRebuilt = 0
    /// How often this member's state differed again right after a checkpoint had taken its place.
    public internal(set) var rebuildsInVain = 0
    /// Frames that could not be decoded.
    public internal(set) var framesRefused = 0
    /// Frames that were not sent because they were larger than a frame may be, or are none of the version that was
    /// agreed on with the peer.
    public internal(set) var framesTooLarge = 0
    /// Reads of the log that found no file descriptor to open a segment with. What they were for is done later.
    public internal(set) var logReadsPutOff = 0
    /// Background tasks of the log that failed.
    public internal(set) var tasksFailed = 0
}
