import Balsa
import BalsaKeyValue
import BalsaLSM
import BalsaLog
import BalsaRaft

/// Errors built into the members on purpose, by which the simulation proves that its judges see what they should.
///
/// The judges do not know which of them is in force. `Docs/PlantedBugs.md` names for each the invariant that finds it.
public struct PlantedBugs: OptionSet, Sendable {
    /// A bit for each error.
    public let rawValue: UInt32

    /// The errors whose bits are set.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    // What each breaks, and who finds it, is on the page. The core takes the first seven bits as they are.
    static let voteNotPersisted = PlantedBugs(rawValue: 1 << 0)
    static let ackBeforeOwnSync = PlantedBugs(rawValue: 1 << 1)
    static let commitOldTermByCounting = PlantedBugs(rawValue: 1 << 2)
    static let truncateWithoutConflict = PlantedBugs(rawValue: 1 << 3)
    static let acknowledgeBeyondSent = PlantedBugs(rawValue: 1 << 4)
    static let readBeforeFirstCommit = PlantedBugs(rawValue: 1 << 5)
    static let withholdWithoutCheckQuorum = PlantedBugs(rawValue: 1 << 6)
    static let staleSuffixAfterRecycling = PlantedBugs(rawValue: 1 << 7)
    static let deduplicationOff = PlantedBugs(rawValue: 1 << 8)
    static let sessionsLostInCheckpoint = PlantedBugs(rawValue: 1 << 9)
    static let localReadAsLinearizable = PlantedBugs(rawValue: 1 << 10)
    static let applyBeyondPersisted = PlantedBugs(rawValue: 1 << 11)
    static let replayFromWrongIndex = PlantedBugs(rawValue: 1 << 12)
    static let tombstoneDroppedEarly = PlantedBugs(rawValue: 1 << 13)
    static let compactionBeyondMark = PlantedBugs(rawValue: 1 << 14)
    static let manifestBeforeTableSync = PlantedBugs(rawValue: 1 << 15)
    static let directorySyncLeftOut = PlantedBugs(rawValue: 1 << 16)
    static let wipedMemberAccepted = PlantedBugs(rawValue: 1 << 17)
    static let firstBootVotesEarly = PlantedBugs(rawValue: 1 << 18)

    /// Their names, as the command line has them.
    public static let names: [(name: String, bug: PlantedBugs)] = [
        ("vote-not-persisted", .voteNotPersisted),
        ("ack-before-own-sync", .ackBeforeOwnSync),
        ("commit-old-term-by-counting", .commitOldTermByCounting),
        ("truncate-without-conflict", .truncateWithoutConflict),
        ("acknowledge-beyond-sent", .acknowledgeBeyondSent),
        ("read-before-first-commit", .readBeforeFirstCommit),
        ("withhold-without-check-quorum", .withholdWithoutCheckQuorum),
        ("stale-suffix-after-recycling", .staleSuffixAfterRecycling),
        ("deduplication-off", .deduplicationOff),
        ("sessions-lost-in-checkpoint", .sessionsLostInCheckpoint),
        ("local-read-as-linearizable", .localReadAsLinearizable),
        ("apply-beyond-persisted", .applyBeyondPersisted),
        ("replay-from-wrong-index", .replayFromWrongIndex),
        ("tombstone-dropped-early", .tombstoneDroppedEarly),
        ("compaction-beyond-mark", .compactionBeyondMark),
        ("manifest-before-table-sync", .manifestBeforeTableSync),
        ("directory-sync-left-out", .directorySyncLeftOut),
        ("wiped-member-accepted", .wipedMemberAccepted),
        ("first-boot-votes-early", .firstBootVotesEarly),
    ]

    /// The error of that name.
    public init?(name: String) {
        guard let bug = PlantedBugs.names.first(where: { $0.name == name })?.bug else { return nil }
        self = bug
    }

    /// Those that lie in the core; the bits of the first seven are the same.
    var raft: RaftPlantedBugs {
        var bugs = RaftPlantedBugs(rawValue: rawValue & 0x7f)
        if contains(.applyBeyondPersisted) { bugs.insert(.appliesBeyondDurable) }
        return bugs
    }

    /// Those that lie in the log.
    var log: LogPlantedBugs { contains(.staleSuffixAfterRecycling) ? .staleFramesAccepted : [] }

    /// Those that lie in the replica.
    var replica: ReplicaPlantedBugs {
        var bugs: ReplicaPlantedBugs = []
        if contains(.localReadAsLinearizable) { bugs.insert(.localReadsAsLinearizable) }
        if contains(.wipedMemberAccepted) { bugs.insert(.wipedMemberAccepted) }
        if contains(.firstBootVotesEarly) { bugs.insert(.firstBootVotesEarly) }
        return bugs
    }

    /// Those that lie in the key-value machine.
    var keyValue: KeyValuePlantedBugs {
        var bugs: KeyValuePlantedBugs = []
        if contains(.deduplicationOff) { bugs.insert(.deduplicationOff) }
        if contains(.sessionsLostInCheckpoint) { bugs.insert(.sessionsLostInCheckpoint) }
        if contains(.replayFromWrongIndex) { bugs.insert(.replaysBehindTheWrongEntry) }
        return bugs
    }

    /// Those that lie in the engine.
    var engine: EnginePlantedBugs {
        var bugs: EnginePlantedBugs = []
        if contains(.tombstoneDroppedEarly) { bugs.insert(.tombstonesDroppedEarly) }
        if contains(.compactionBeyondMark) { bugs.insert(.compactionBeyondDurableMark) }
        if contains(.manifestBeforeTableSync) { bugs.insert(.manifestBeforeTableSync) }
        if contains(.directorySyncLeftOut) { bugs.insert(.directorySyncLeftOut) }
        return bugs
    }
}
