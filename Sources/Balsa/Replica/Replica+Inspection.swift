import BalsaRaft

/// What a member waits for that takes less than it is offered.
public enum StallReason: String, Equatable, Sendable {
    /// The state takes no entries until memtables have been flushed, or tables of the first level compacted.
    case flush
    /// So much is committed and not applied that commands are refused with *busy*.
    case backlog
    /// The state waits for a checkpoint in its place, and the log, which is not dropped until then, takes no entries.
    case checkpoint
}

extension Replica {
    /// What this member waits for now, if it takes less than it is offered.
    var stall: StallReason? {
        if isLogFull { return .checkpoint }
        guard commitIndex > appliedIndex else { return nil }
        if isBacklogged { return .backlog }
        return machine.isOverloaded ? .flush : nil
    }
}
