import BalsaLog
import BalsaRaft
import BalsaWire

/// The local options of a replica, which may differ from member to member and from opening to opening: they decide no
/// reply and no state. Every one of them is a field, so that a simulation can make it tiny.
public struct ReplicaOptions: Sendable {
    /// The times and limits of consensus.
    public var raft = RaftOptions()
    /// The limits of the log.
    public var log = LogOptions()
    /// The limits of what crosses the network.
    public var wire = WireOptions()

    /// Always ``StateDigest/interval``. Tests shorten it, for all members of a group alike.
    package var digestInterval = StateDigest.interval
    /// Which replicated features this release knows. Another number only in tests.
    package var featureLevel = WireAgreement.ownFeatureLevel

    /// How many bytes of commands may wait in all; 64 MiB, but never less than the longest command that the replicated
    /// options allow. More are refused with *busy*.
    public var maxWaitingBytes = 64 << 20
    /// How much log is written before the state is sealed, in bytes; 64 MiB. The log behind a durable seal can be dropped.
    public var sealStateAfterBytes: UInt64 = 64 << 20
    /// How long the state goes without a seal while anything is applied; 10 min. At most 60 s behind a deletion of a
    /// range, whose space could not be given back otherwise. A short time writes many short tables, which have to be
    /// merged.
    public var sealStateAfter: TimeSpan = .seconds(600)
    /// How many entries are kept behind a durable seal, so that a peer that is a little behind needs no checkpoint; 10,000.
    /// While the log is over its bound, none are.
    public var entriesKeptBehindSeal: UInt64 = 10_000
    /// How many bytes of entries may be committed and not applied, because the state machine has fallen behind, before a leader
    /// refuses commands with *busy*; 64 MiB.
    public var maxBacklogBytes: UInt64 = 64 << 20
    /// How many bytes of entries are applied between two looks at whether the state should be sealed; 1 MiB.
    public var applyPageBytes = 1 << 20
    /// About how many bytes a step of the state machine's background work goes through; 1 MiB.
    public var workBudgetBytes = 1 << 20

    /// How many bytes of a checkpoint travel in one frame; 256 KiB. At most two such frames are on their way to a peer.
    public var chunkBytes = 256 << 10
    /// After how long without an acknowledgement a chunk is sent again; 1 s.
    public var resendChunkAfter: TimeSpan = .seconds(1)
    /// After how long without progress a checkpoint's transfer is given up; 30 s. It begins anew when the peer answers.
    public var giveUpTransferAfter: TimeSpan = .seconds(30)

    /// How many questions for a read index may be on their way; 4. Reads that come meanwhile share the next one.
    public var maxReadQuestions = 4
    /// After how long a question for a read index is asked again; 200 ms.
    public var askAgainAfter: TimeSpan = .milliseconds(200)
    /// How many reads may wait; 100,000. More are refused with *busy*.
    public var maxWaitingReads = 100_000

    /// After how long a member says everything again in its first boot; 100 ms.
    public var firstBootSaysAgainAfter: TimeSpan = .milliseconds(100)

    /// How long the log rests before it is sealed with an empty frame, which shows that its last frame is whole; 10 ms. It
    /// has nothing to do with the seals of the state.
    public var sealLogAfter: TimeSpan = .milliseconds(10)
    /// How often requests are looked at whose deadline may have passed; 100 ms. It is also the pause before a background task
    /// that failed is tried again.
    public var deadlineGranularity: TimeSpan = .milliseconds(100)

    /// Errors that are built in on purpose, to prove that the judges of the simulation find them. None in any product.
    package var plantedBugs: ReplicaPlantedBugs = []

    /// The defaults.
    public init() {}

    /// Throws the name of the first option that cannot work, with its bound and its value.
    public func validate() throws(ReplicaError) {
        do throws(ConfigurationError) { try raft.validate() } catch { throw ReplicaError(.invalid, error.description) }
        do throws(LogError) { try log.validate() } catch { throw ReplicaError(error) }
        // What does not fit into any frame would never reach another member, and nothing behind it.
        let frameBytes = max(0, min(wire.maxFrameBytes, WireOptions.formatMaximum.maxFrameBytes))
        let fitting = max(0, frameBytes - WireOptions.roomForFields)
        let bound = "at most \(fitting), which is what fits into a frame of wire.maxFrameBytes"
        try check("chunkBytes", chunkBytes, chunkBytes >= 1, "at least 1")
        try check("maxAppendBytes", raft.maxAppendBytes, raft.maxAppendBytes <= UInt64(fitting), bound)
        try check("chunkBytes", chunkBytes, chunkBytes <= fitting, bound)
        try check("digestInterval", digestInterval, digestInterval >= 1, "at least 1")
        try check("applyPageBytes", applyPageBytes, applyPageBytes >= 1, "at least 1")
        try check("workBudgetBytes", workBudgetBytes, workBudgetBytes >= 1, "at least 1")
        try check("maxReadQuestions", maxReadQuestions, maxReadQuestions >= 1, "at least 1")
        try check("maxWaitingBytes", maxWaitingBytes, maxWaitingBytes >= 1, "at least 1")
        try check("maxWaitingReads", maxWaitingReads, maxWaitingReads >= 1, "at least 1")
        for (name, time) in [
            ("resendChunkAfter", resendChunkAfter), ("deadlineGranularity", deadlineGranularity),
            ("firstBootSaysAgainAfter", firstBootSaysAgainAfter), ("giveUpTransferAfter", giveUpTransferAfter),
        ] {
            try check(name, Duration(time), time > .zero, "above 0")
        }
    }

    private func check(_ name: String, _ value: some Any, _ holds: Bool, _ bound: String) throws(ReplicaError) {
        guard !holds else { return }
        throw ReplicaError(.invalid, "\(name) must be \(bound), not \(value)")
    }
}

/// Errors that the simulator plants in the replica, each in one place, to test its judges.
package struct ReplicaPlantedBugs: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// A linearizable read is answered by what this member has applied.
    package static let localReadsAsLinearizable = ReplicaPlantedBugs(rawValue: 1 << 0)
    /// A directory that was emptied is taken for that of the member.
    package static let wipedMemberAccepted = ReplicaPlantedBugs(rawValue: 1 << 1)
    /// A member takes part as soon as it has noted a proposal.
    package static let firstBootVotesEarly = ReplicaPlantedBugs(rawValue: 1 << 2)
    /// A member that starts again has lost the last entry of its log, unless it knew it to be committed.
    package static let lastEntryForgotten = ReplicaPlantedBugs(rawValue: 1 << 3)
    /// The marks of openings are not compared, so that a file that was set back to an earlier copy is believed.
    package static let marksNotCompared = ReplicaPlantedBugs(rawValue: 1 << 4)
    /// The changes of VOTE, BOOT and the log are not compared, so that a copy made during the latest opening is
    /// believed.
    package static let changesNotCompared = ReplicaPlantedBugs(rawValue: 1 << 5)
}
