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
    ]

    /// The error of that name.
    public init?(name: String) {
        guard let bug = PlantedBugs.names.first(where: { $0.name == name })?.bug else { return nil }
        self = bug
    }

    /// Those that lie in the core; their bits are the same.
    var raft: RaftPlantedBugs { RaftPlantedBugs(rawValue: rawValue & 0x7f) }

    /// Those that lie in the log.
    var log: LogPlantedBugs { rawValue & 0x80 != 0 ? .staleFramesAccepted : [] }
}
