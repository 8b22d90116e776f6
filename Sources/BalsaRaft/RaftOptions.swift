/// The times and limits of the core.
public struct RaftOptions: Sendable {
    /// The shortest time without a leader after which a member campaigns; 300 ms. For this long a voter that heard a leader
    /// refuses to help another, and a leader that did not hear from a quorum resigns.
    public var minElectionTimeout: TimeSpan = .milliseconds(300)
    /// The longest time; 600 ms. Each member draws one in between, anew whenever it campaigns, votes or gives up office.
    public var maxElectionTimeout: TimeSpan = .milliseconds(600)
    /// How often a leader shows that it lives; 50 ms.
    public var heartbeatInterval: TimeSpan = .milliseconds(50)

    /// The most bytes of entries in one append; 1 MiB. A single entry that is larger still goes.
    public var maxAppendBytes: UInt64 = 1 << 20
    /// The most appends on their way to a peer; 256.
    public var maxInflightMessages: Int = 256
    /// The most bytes of entries on their way to a peer; 8 MiB. Reached, no more are sent until some are acknowledged.
    public var maxInflightBytes: UInt64 = 8 << 20
    /// The most bytes of entries that are in the leader's log and not committed; 32 MiB. A proposal that finds more is
    /// refused before it enters the log.
    public var maxUncommittedBytes: UInt64 = 32 << 20
    /// The most reads that wait for a leader's confirmation; 4,096.
    public var maxPendingReads: Int = 4096

    /// Errors that are built in on purpose, to prove that the judges of the simulation find them. None in any product.
    package var plantedBugs: RaftPlantedBugs = []

    /// The defaults.
    public init() {}

    /// Throws a sentence about the first value that cannot work.
    public func validate() throws(ConfigurationError) {
        guard heartbeatInterval > .zero, heartbeatInterval <= .seconds(3600) else {
            throw ConfigurationError("the heartbeat interval must be positive and at most an hour")
        }
        guard heartbeatInterval * 2 <= minElectionTimeout else {
            throw ConfigurationError("the minimum election timeout must be at least two heartbeat intervals")
        }
        guard minElectionTimeout < maxElectionTimeout else {
            throw ConfigurationError("the maximum election timeout must be above the minimum")
        }
        guard maxElectionTimeout <= .seconds(3600) else {
            throw ConfigurationError("the maximum election timeout must be at most an hour")
        }
        guard maxInflightMessages > 0, maxPendingReads > 0 else {
            throw ConfigurationError("the windows must hold at least one message and one read")
        }
        guard maxAppendBytes > 0, maxInflightBytes > 0, maxUncommittedBytes > 0 else {
            throw ConfigurationError("the limits in bytes must be positive")
        }
    }
}

/// Errors that the simulator plants in the core, each in one place, to test its judges.
package struct RaftPlantedBugs: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Term and vote are taken for durable at once and never written.
    package static let votesNotPersisted = RaftPlantedBugs(rawValue: 1 << 0)
    /// The leader counts itself, and applies, before its own log is durable.
    package static let leaderCountsItselfEarly = RaftPlantedBugs(rawValue: 1 << 1)
    /// An entry of an older term is committed because a quorum holds it.
    package static let commitsOldTermsByCounting = RaftPlantedBugs(rawValue: 1 << 2)
    /// A follower cuts its log off behind `previous` whenever entries arrive.
    package static let truncatesWithoutConflict = RaftPlantedBugs(rawValue: 1 << 3)
    /// A follower acknowledges through the index at which its log ended before the append, where that is higher than what
    /// the append covered.
    package static let acknowledgesBeyondSent = RaftPlantedBugs(rawValue: 1 << 4)
    /// A leader answers reads before an entry of its own term is committed.
    package static let readsBeforeFirstCommit = RaftPlantedBugs(rawValue: 1 << 5)
    /// Voters withhold their votes, but a leader without a quorum does not resign.
    package static let leadsWithoutQuorum = RaftPlantedBugs(rawValue: 1 << 6)
    /// Entries are applied as soon as they are committed, durable here or not.
    package static let appliesBeyondDurable = RaftPlantedBugs(rawValue: 1 << 7)
    /// A member whose state differs from that of the majority goes on as if it did not.
    package static let ignoresDivergence = RaftPlantedBugs(rawValue: 1 << 8)
    /// A state that was received from a peer counts as a second witness of what that peer has applied.
    package static let countsReceivedStates = RaftPlantedBugs(rawValue: 1 << 9)
}
