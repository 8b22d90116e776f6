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

    /// Their names, as the command line has them.
    public static let names: [(name: String, bug: PlantedBugs)] = [
        ("vote-not-persisted", PlantedBugs(rawValue: 1 << 0)),
        ("ack-before-own-sync", PlantedBugs(rawValue: 1 << 1)),
        ("commit-old-term-by-counting", PlantedBugs(rawValue: 1 << 2)),
        ("truncate-without-conflict", PlantedBugs(rawValue: 1 << 3)),
        ("acknowledge-beyond-sent", PlantedBugs(rawValue: 1 << 4)),
        ("read-before-first-commit", PlantedBugs(rawValue: 1 << 5)),
        ("withhold-without-check-quorum", PlantedBugs(rawValue: 1 << 6)),
        ("stale-suffix-after-recycling", PlantedBugs(rawValue: 1 << 7)),
        ("deduplication-off", PlantedBugs(rawValue: 1 << 8)),
        ("sessions-lost-in-checkpoint", PlantedBugs(rawValue: 1 << 9)),
        ("local-read-as-linearizable", PlantedBugs(rawValue: 1 << 10)),
        ("apply-beyond-persisted", PlantedBugs(rawValue: 1 << 11)),
        ("replay-from-wrong-index", PlantedBugs(rawValue: 1 << 12)),
        ("tombstone-dropped-early", PlantedBugs(rawValue: 1 << 13)),
        ("compaction-beyond-mark", PlantedBugs(rawValue: 1 << 14)),
        ("manifest-before-table-sync", PlantedBugs(rawValue: 1 << 15)),
        ("directory-sync-left-out", PlantedBugs(rawValue: 1 << 16)),
    ]

    /// The error of that name.
    public init?(name: String) {
        guard let bug = PlantedBugs.names.first(where: { $0.name == name })?.bug else { return nil }
        self = bug
    }

    /// Those that lie in the core; the bits of the first seven are the same.
    var raft: RaftPlantedBugs {
        var bugs = RaftPlantedBugs(rawValue: rawValue & 0x7f)
        if has(11) { bugs.insert(.appliesBeyondDurable) }
        return bugs
    }

    /// Those that lie in the log.
    var log: LogPlantedBugs { has(7) ? .staleFramesAccepted : [] }

    /// Those that lie in the replica.
    var replica: ReplicaPlantedBugs {
        var bugs: ReplicaPlantedBugs = []
        if has(10) { bugs.insert(.localReadsAsLinearizable) }
        return bugs
    }

    /// Those that lie in the key-value machine.
    var keyValue: KeyValuePlantedBugs {
        var bugs: KeyValuePlantedBugs = []
        if has(8) { bugs.insert(.deduplicationOff) }
        if has(9) { bugs.insert(.sessionsLostInCheckpoint) }
        if has(12) { bugs.insert(.replaysBehindTheWrongEntry) }
        return bugs
    }

    /// Those that lie in the engine.
    var engine: EnginePlantedBugs {
        var bugs: EnginePlantedBugs = []
        if has(13) { bugs.insert(.tombstonesDroppedEarly) }
        if has(14) { bugs.insert(.compactionBeyondDurableMark) }
        if has(15) { bugs.insert(.manifestBeforeTableSync) }
        if has(16) { bugs.insert(.directorySyncLeftOut) }
        return bugs
    }

    private func has(_ bit: UInt32) -> Bool { rawValue & 1 << bit != 0 }
}
