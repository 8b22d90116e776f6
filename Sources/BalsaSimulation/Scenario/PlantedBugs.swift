import Balsa
import BalsaKeyValue
import BalsaLSM
import BalsaLog
import BalsaRaft

/// Errors built into the members on purpose, which prove that the checkers of the simulation see what they should.
///
/// The checkers do not know which of them is in force. ``catalogue`` names for each the invariant that finds it.
public struct PlantedBugs: OptionSet, Sendable {
    /// A bit for each error.
    public let rawValue: UInt32

    /// The errors whose bits are set.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    // What each breaks, and which invariant finds it, is in the catalogue. The core takes the first seven bits as they
    // are.
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
    static let otherValuesOnOneMember = PlantedBugs(rawValue: 1 << 19)
    static let divergenceIgnored = PlantedBugs(rawValue: 1 << 20)
    static let lastEntryForgotten = PlantedBugs(rawValue: 1 << 21)
    static let localLimits = PlantedBugs(rawValue: 1 << 22)
    static let marksNotCompared = PlantedBugs(rawValue: 1 << 23)
    static let quarantineIgnored = PlantedBugs(rawValue: 1 << 24)
    static let changesNotCompared = PlantedBugs(rawValue: 1 << 25)

    /// Those that lie in the core; the bits of the first seven are the same.
    var raft: RaftPlantedBugs {
        var bugs = RaftPlantedBugs(rawValue: rawValue & 0x7f)
        if contains(.applyBeyondPersisted) { bugs.insert(.appliesBeyondDurable) }
        if contains(.divergenceIgnored) { bugs.insert(.ignoresDivergence) }
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
        if contains(.lastEntryForgotten) { bugs.insert(.lastEntryForgotten) }
        if contains(.marksNotCompared) { bugs.insert(.marksNotCompared) }
        if contains(.changesNotCompared) { bugs.insert(.changesNotCompared) }
        return bugs
    }

    /// Those that lie in the key-value machine.
    var keyValue: KeyValuePlantedBugs {
        var bugs: KeyValuePlantedBugs = []
        if contains(.deduplicationOff) { bugs.insert(.deduplicationOff) }
        if contains(.sessionsLostInCheckpoint) { bugs.insert(.sessionsLostInCheckpoint) }
        if contains(.localLimits) { bugs.insert(.localLimits) }
        if contains(.replayFromWrongIndex) { bugs.insert(.replaysBehindTheWrongEntry) }
        if contains(.otherValuesOnOneMember) { bugs.insert(.writesOtherValues) }
        if contains(.quarantineIgnored) { bugs.insert(.quarantineIgnored) }
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
