import BalsaPlatform
import BalsaRaft

/// An error that can be planted, and the invariant that finds it.
///
/// The catalogue is the one list of planted errors: the command line, the tests and `Docs/PlantedBugs.md` follow it.
public struct PlantedBug: Sendable {
    /// What the runs are in which an error is looked for, beside what their seed draws.
    public struct Setting: Equatable, Sendable {
        /// How a drawn scenario is changed, where faults as they are drawn hit the error too rarely.
        public enum Change: String, Sendable {
            case none = ""
            /// Each leader is isolated a moment after its election (``Scenario/isolateLeaders(salt:milliseconds:)``).
            case leadersIsolated = "leaders isolated"
            /// One member drops what reaches it, from the second second to the end, and nothing else goes wrong.
            case oneDropsIncoming = "one drops incoming"
            /// All clients use one key, and hardly pause.
            case oneKey = "one key"
            /// The log has the smallest segments, and drops them soon (``Scenario/recycleSegments()``).
            case smallLog = "small log"
            /// Little is retained, and compactions come often (``Scenario/compactOften()``).
            case smallState = "small state"
            /// Faults hit the first boot alone (``Scenario/disturbFirstBoot()``).
            case firstBootDisturbed = "first boot disturbed"
            /// A member loses its log and its group while it is down (``Scenario/loseFiles()``).
            case filesLost = "files lost"
            /// The vote or the log of a member is exchanged with a copy made during its latest opening
            /// (``Scenario/setFilesBack()``).
            case filesSetBack = "files set back"
            /// The digest of one member's state is altered, and nothing else goes wrong.
            case oneDigestAltered = "one digest altered"
            /// Members are opened with different replicated options, and clients change them.
            case optionsDiffer = "options differ"
            /// Tables of one member are damaged, and nothing else goes wrong (``Scenario/damageOneMember()``).
            case tablesDamaged = "tables damaged"
        }

        /// How many members there are.
        public var members: UInt64
        /// How long clients and faults go on.
        public var duration: TimeSpan
        /// How the drawn scenario is changed.
        public var change: Change

        init(members: UInt64 = 3, seconds: UInt64 = 20, change: Change = .none) {
            self.members = members
            duration = .seconds(seconds)
            self.change = change
        }

        /// The scenario of a seed.
        func scenario(seed: UInt64) -> Scenario {
            var scenario = Scenario(seed: seed, members: members, duration: duration)
            switch change {
            case .none: break
            case .leadersIsolated: scenario.isolateLeaders()
            case .oneDropsIncoming: scenario.dropIncoming(of: 1 + seed % members)
            case .oneKey:
                scenario.keys = 1
                scenario.thinking = .milliseconds(10)
            case .smallLog: scenario.recycleSegments()
            case .smallState: scenario.compactOften()
            case .firstBootDisturbed: scenario.disturbFirstBoot()
            case .filesLost: scenario.loseFiles()
            case .filesSetBack: scenario.setFilesBack()
            case .oneDigestAltered: scenario.alterOneDigest()
            case .optionsDiffer: break
            case .tablesDamaged: scenario.damageOneMember()
            }
            // What damage does hides what the other errors do.
            if change != .tablesDamaged { scenario.faults.removeAll { $0.kind == .damagedTable } }
            // Each of the other errors is looked for under options that stay, so that what hits it is its own setting.
            scenario.proposals = change == .optionsDiffer ? 1 + seed : 0
            scenario.optionChanges = change == .optionsDiffer ? 5 : 0
            return scenario
        }
    }

    /// The name on the command line.
    public let name: String
    /// The error.
    public let bug: PlantedBugs
    /// What it breaks, as `Docs/PlantedBugs.md` says it.
    public let effect: String
    /// The invariant that finds it: the rule that the error breaks first, or the only one that can see it. A second one
    /// is named only with a ``reason``.
    public let invariants: [Invariant]
    /// Why there is a second invariant; nil where there is none.
    public let reason: String?
    /// The runs in which it is looked for.
    public var setting: Setting

    init(
        _ name: String,
        _ bug: PlantedBugs,
        _ effect: String,
        _ invariants: Invariant...,
        reason: String? = nil,
        setting: Setting = .init()
    ) {
        self.name = name
        self.bug = bug
        self.effect = effect
        self.invariants = invariants
        self.reason = reason
        self.setting = setting
    }

    /// Where the condition lies that plants it.
    public var location: String {
        if !bug.raft.isEmpty { return "core" }
        if !bug.log.isEmpty { return "log" }
        if !bug.replica.isEmpty { return "replica" }
        if !bug.keyValue.isEmpty { return "key-value machine" }
        return "engine"
    }

    /// What was recorded of its invariants, one record each.
    public var records: [PlantedRecord] { PlantedRecord.all.filter { $0.name == name } }

    /// The invariants that are enforced where one of its own is to find it alone: all but the other that is named.
    public func enforced(for invariant: Invariant) -> InvariantSet {
        InvariantSet(Invariant.allCases.filter { $0 == invariant || !invariants.contains($0) })
    }

    /// The scenario of a seed in which it is looked for.
    public func scenario(seed: UInt64) -> Scenario { setting.scenario(seed: seed) }
}

/// How an invariant finds a planted error by itself: measured by `balsa simulate --planted rates`, which prints it
/// again.
public struct PlantedRecord: Equatable, Sendable {
    /// The error's name.
    public let name: String
    /// The invariant, which is enforced alone.
    public let invariant: Invariant
    /// In how many of the seeds 1 to 100 it has to find the error: 60 % of those in which it did when this was
    /// recorded.
    public let leastHits: Int
    /// A seed in which it finds the error early.
    public let seed: UInt64

    /// A record.
    public init(_ name: String, _ invariant: Invariant, leastHits: Int, seed: UInt64) {
        self.name = name
        self.invariant = invariant
        self.leastHits = leastHits
        self.seed = seed
    }
}

extension PlantedBugs {
    /// The errors, in the order of their bits.
    public static let catalogue: [PlantedBug] = core + state + files + divergence + options

    /// The error of that name.
    public init?(name: String) {
        guard let bug = PlantedBugs.catalogue.first(where: { $0.name == name })?.bug else { return nil }
        self = bug
    }

    private static let core = [
        PlantedBug(
            "vote-not-persisted",
            .voteNotPersisted,
            "Term and vote count as durable at once and are never written. After a crash a member votes a second time in a "
                + "term, or comes back in a lower term.",
            .recovery,
            .monotoneTerm,
            reason: "a log that is ahead of its vote cannot be opened, and hides what a member with an older log does"
        ),
        PlantedBug(
            "ack-before-own-sync",
            .ackBeforeOwnSync,
            "A leader counts itself for a quorum, and applies, before its own log is durable. An entry that one follower "
                + "holds is acknowledged, and a power loss of the leader loses it.",
            .memberState
        ),
        PlantedBug(
            "commit-old-term-by-counting",
            .commitOldTermByCounting,
            "An entry of an older term is committed because a quorum holds it, without one of the leader's own term after "
                + "it (Raft, figure 8). A later leader may still replace it.",
            .leaderCompleteness,
            setting: .init(members: 5, seconds: 60, change: .leadersIsolated)
        ),
        PlantedBug(
            "truncate-without-conflict",
            .truncateWithoutConflict,
            "A follower cuts its log off after an append's previous entry whenever entries arrive, also where they agree. "
                + "An old append that arrives late removes entries that were acknowledged since, which the leader "
                + "finds when it sends the next one.",
            .memberState
        ),
        PlantedBug(
            "acknowledge-beyond-sent",
            .acknowledgeBeyondSent,
            "A follower acknowledges through the last index of its log before the append, where that is higher than what "
                + "the append covered. The leader counts entries that it never sent.",
            .memberState
        ),
        PlantedBug(
            "read-before-first-commit",
            .readBeforeFirstCommit,
            "A new leader answers reads before an entry of its own term is committed. Its commit index may be lower than "
                + "what was acknowledged under the leader before.",
            .certificate,
            .linearizability,
            reason: "the certificate believes the indexes that members name, the search believes nothing",
            setting: .init(seconds: 60, change: .oneKey)
        ),
        PlantedBug(
            "withhold-without-check-quorum",
            .withholdWithoutCheckQuorum,
            "Voters withhold their votes while they hear a leader, but a leader that hears no quorum does not resign. One "
                + "that sends and does not receive leads for ever.",
            .liveness,
            setting: .init(seconds: 5, change: .oneDropsIncoming)
        ),
    ]

    private static let state = [
        PlantedBug(
            "stale-suffix-after-recycling",
            .staleSuffixAfterRecycling,
            "Recovery takes frames for valid that an earlier use of a recycled segment left.",
            .recovery,
            setting: .init(change: .smallLog)
        ),
        PlantedBug(
            "deduplication-off",
            .deduplicationOff,
            "A copy of a request of a session is executed like the first.",
            .exactlyOnce
        ),
        PlantedBug(
            "sessions-lost-in-checkpoint",
            .sessionsLostInCheckpoint,
            "A state that came as a checkpoint has no sessions. One member refuses a retry that the others answer.",
            .equalReplies
        ),
        PlantedBug(
            "local-read-as-linearizable",
            .localReadAsLinearizable,
            "A member answers a linearizable read with what it has applied, without asking the leader.",
            .certificate,
            .linearizability,
            reason: "the certificate believes the indexes that members name, the search believes nothing"
        ),
        PlantedBug(
            "apply-beyond-persisted",
            .applyBeyondPersisted,
            "A member applies what is committed and not yet durable in its own log. After a crash its state can be ahead "
                + "of its log.",
            .memberState
        ),
        PlantedBug(
            "replay-from-wrong-index",
            .replayFromWrongIndex,
            "After a restart the log is replayed from one entry too late after the last durable flush point: an entry is "
                + "missing.",
            .equalStates
        ),
    ]

    private static let options = [
        PlantedBug(
            "local-limits",
            .localLimits,
            "A member compares values with the limit that it was opened with, and not with the replicated one. What it "
                + "replies to a value between the two is another answer than that of the others.",
            .certificate,
            .equalReplies,
            reason: "the first member to apply the command is compared with the model, the others with the first",
            setting: .init(change: .optionsDiffer)
        )
    ]

    private static let files = [
        PlantedBug(
            "tombstone-dropped-early",
            .tombstoneDroppedEarly,
            "A compaction drops a deletion although a deeper level holds an older value of the key, which appears again.",
            .equalStates
        ),
        PlantedBug(
            "compaction-beyond-mark",
            .compactionBeyondMark,
            "A compaction drops by the newest retention mark and not by that of the last durable flush point. After a "
                + "crash, revisions are gone that the restarted member still answers.",
            .equalStates,
            setting: .init(change: .smallState)
        ),
        PlantedBug(
            "manifest-before-table-sync",
            .manifestBeforeTableSync,
            "The manifest names a table whose bytes are not durable.",
            .equalStates
        ),
        PlantedBug(
            "directory-sync-left-out",
            .directorySyncLeftOut,
            "The manifest names a table whose name is not durable.",
            .recovery
        ),
        PlantedBug(
            "wiped-member-accepted",
            .wipedMemberAccepted,
            "A member whose directory was emptied takes its old slot in the table, and its peers take the new directory "
                + "for the old one.",
            .identity
        ),
        PlantedBug(
            "first-boot-votes-early",
            .firstBootVotesEarly,
            "A member opens its replica when it has noted a proposal, before it is established.",
            .identity,
            setting: .init(seconds: 5, change: .firstBootDisturbed)
        ),
        PlantedBug(
            "marks-not-compared",
            .marksNotCompared,
            "An opening does not compare the marks of `VOTE`, `ROOT` and the log with `BOOT`. A member that has lost "
                + "them is taken for a new one, and has forgotten its votes.",
            .identity,
            setting: .init(seconds: 10, change: .filesLost)
        ),
        PlantedBug(
            "changes-not-compared",
            .changesNotCompared,
            "An opening does not compare which changes of `VOTE`, `BOOT` and the log name each other. A member whose "
                + "`VOTE` or log is a copy made during its latest opening has forgotten a vote, or entries.",
            .identity,
            setting: .init(seconds: 10, change: .filesSetBack)
        ),
    ]

    private static let divergence = [
        PlantedBug(
            "other-values-on-one-member",
            .otherValuesOnOneMember,
            "One member writes another value than the command says, for one in sixteen, until its state comes from a "
                + "peer.",
            .equalStates
        ),
        PlantedBug(
            "divergence-ignored",
            .divergenceIgnored,
            "A member that is told that its state differs from that of the majority goes on applying and answering.",
            .equalStates,
            setting: .init(change: .oneDigestAltered)
        ),
        PlantedBug(
            "quarantine-ignored",
            .quarantineIgnored,
            "A command that needs a key that cannot be read is applied as if the key had no value.",
            .equalReplies,
            setting: .init(change: .tablesDamaged)
        ),
        PlantedBug(
            "last-entry-forgotten",
            .lastEntryForgotten,
            "A member that starts again has lost the last entry of its log, which it may have acknowledged, unless it "
                + "knew it to be committed.",
            .memberState
        ),
    ]
}
