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

    /// Throws the name of the first option that cannot work, with its bound and its value.
    public func validate() throws(ConfigurationError) {
        let hour = TimeSpan.seconds(3600)
        try check(heartbeatInterval, "heartbeatInterval", heartbeatInterval > .zero, "above 0")
        try check(heartbeatInterval, "heartbeatInterval", heartbeatInterval <= hour, "at most \(Duration(hour))")
        try check(
            minElectionTimeout,
            "minElectionTimeout",
            heartbeatInterval * 2 <= minElectionTimeout,
            "at least two of heartbeatInterval, \(Duration(heartbeatInterval * 2))"
        )
        try check(
            maxElectionTimeout,
            "maxElectionTimeout",
            minElectionTimeout < maxElectionTimeout,
            "above minElectionTimeout, \(Duration(minElectionTimeout))"
        )
        try check(maxElectionTimeout, "maxElectionTimeout", maxElectionTimeout <= hour, "at most \(Duration(hour))")
        try checkIsPositive(maxInflightMessages, "maxInflightMessages")
        try checkIsPositive(maxPendingReads, "maxPendingReads")
        try checkIsPositive(maxAppendBytes, "maxAppendBytes")
        try checkIsPositive(maxInflightBytes, "maxInflightBytes")
        try checkIsPositive(maxUncommittedBytes, "maxUncommittedBytes")
    }

    private func check(
        _ value: TimeSpan,
        _ name: String,
        _ holds: Bool,
        _ bound: String
    ) throws(ConfigurationError) {
        guard !holds else { return }
        throw ConfigurationError("\(name) must be \(bound), not \(Duration(value))")
    }

    private func checkIsPositive(_ value: some FixedWidthInteger, _ name: String) throws(ConfigurationError) {
        guard value < 1 else { return }
        throw ConfigurationError("\(name) must be at least 1, not \(value)")
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
