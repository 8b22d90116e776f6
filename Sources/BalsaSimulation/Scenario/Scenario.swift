import Balsa
import BalsaKeyValue
import BalsaLSM
import BalsaLog
import BalsaPlatform
import BalsaRaft

/// Everything that determines a run: the world's properties, the limits of the members, the load and the faults.
///
/// ``Scenario/init(seed:members:duration:)`` draws one from a seed. It can be written to a file and read back, changed in
/// between, and run again; two runs of equal scenarios are equal in every event.
public struct Scenario: Equatable, Sendable {
    /// Where the chances of the run that are no faults come from: network delays, load, election timeouts.
    public var seed: UInt64
    /// How many members there are; their ids count from 1.
    public var members: UInt64 = 3
    /// How long clients and faults go on.
    public var duration: TimeSpan = .seconds(60)
    /// How long, after the faults have stopped, a healthy quorum may take to answer and to agree.
    public var settling: TimeSpan = .seconds(15)
    /// Which members are healthy after the faults have stopped, as bits by member id: a quorum; 0 stands for all.
    public var core: UInt64 = 0

    /// How many clients there are, each with one request at a time.
    public var clients: UInt64 = 4
    /// How many keys they share.
    public var keys: UInt64 = 4
    /// The longest pause of a client between two requests.
    public var thinking: TimeSpan = .milliseconds(100)
    /// How long a client waits for an answer.
    public var patience: TimeSpan = .seconds(2)
    /// The largest value written, in bytes.
    public var valueBytes: UInt64 = 64

    /// What clients ask for: 0 for everything, 1 for puts alone.
    public var load: UInt64 = 0
    /// After how many answers the storm ends, before its time; 0 for none.
    public var operations: UInt64 = 0
    /// How many answers each client waits for after the storm.
    public var answersAfterStorm: UInt64 = 2

    /// The shortest time of a message on its way, and by how much it varies.
    public var networkDelay: TimeSpan = .microseconds(500)
    /// By how much the time of a message on its way varies.
    public var networkJitter: TimeSpan = .milliseconds(2)
    /// The longest time of a write into the page cache.
    public var writeTime: TimeSpan = .microseconds(50)
    /// The longest time of a sync.
    public var syncTime: TimeSpan = .milliseconds(3)
    /// 1 where a torn sector holds garbage.
    public var garbageInTornSectors: UInt64 = 0
    /// By how much, in thousandths, the members' clocks run fast or slow.
    public var clockDrift: UInt64 = 0

    /// The log's sector, in bytes.
    public var sectorBytes: UInt64 = 512
    /// The log's smallest segment, in bytes.
    public var smallestSegmentBytes: UInt64 = 4096
    /// The log's largest segment, in bytes.
    public var largestSegmentBytes: UInt64 = 32768
    /// How many segments of the log are made in advance. Without any, a dead one is always used again.
    public var spareSegments: UInt64 = 1
    /// The log's largest frame, in bytes.
    public var maxFrameBytes: UInt64 = 8192
    /// How many log writes may be under way.
    public var maxWritesInFlight: UInt64 = 2
    /// The log's bound, in bytes.
    public var logBoundBytes: UInt64 = 256 << 10
    /// How much of the log is kept in memory, in bytes.
    public var logCacheBytes: UInt64 = 16 << 10
    /// After how much log the state is sealed, in bytes.
    public var sealStateAfterBytes: UInt64 = 64 << 10
    /// How many entries are kept behind a durable seal.
    public var entriesKept: UInt64 = 20
    /// The largest append, in bytes.
    public var maxAppendBytes: UInt64 = 2048
    /// The most appends on their way to a peer.
    public var maxInflightMessages: UInt64 = 8
    /// The most bytes on their way to a peer.
    public var maxInflightBytes: UInt64 = 8192

    /// How many bytes of entries are applied at once.
    public var applyPageBytes: UInt64 = 4096
    /// How many bytes of a checkpoint travel in a frame.
    public var chunkBytes: UInt64 = 2048
    /// How many bytes a step of background work goes through.
    public var workBudgetBytes: UInt64 = 4096

    /// The engine's memtable, in bytes.
    public var memtableBytes: UInt64 = 4096
    /// The engine's blocks, in bytes.
    public var blockBytes: UInt64 = 256
    /// The engine's tables, in bytes.
    public var tableBytes: UInt64 = 2048
    /// With how many tables the engine's first level is compacted.
    public var levelZeroTables: UInt64 = 2
    /// The size of the engine's second level, in bytes.
    public var levelBaseBytes: UInt64 = 4096
    /// How many times larger each further level is.
    public var levelRatio: UInt64 = 3
    /// How many filter bits a key has.
    public var filterBits: UInt64 = 10
    /// The engine's cache, in bytes.
    public var cacheBytes: UInt64 = 8192
    /// After how many bytes the engine's manifest is written anew.
    public var manifestBytes: UInt64 = 16_384

    /// How many sessions may be open.
    public var maxSessions: UInt64 = 100
    /// How long a session may rest, in logical time.
    public var sessionIdle: TimeSpan = .seconds(3600)
    /// How many revisions can be read back.
    public var retainedRevisions: UInt64 = 100
    /// Decides by how much the options differ that the members are opened with; 0 where all propose the same.
    public var proposals: UInt64 = 0
    /// How often, in a thousand, a client changes the replicated options instead of what it would do.
    public var optionChanges: UInt64 = 0

    /// What goes wrong, in the order of time.
    public var faults: [Fault] = []

    /// A scenario in which nothing goes wrong.
    public init(seed: UInt64) { self.seed = seed }

    /// The bit of a member in ``core`` and ``Fault/set``.
    public static func bit(_ member: MemberID) -> UInt64 { 1 << member }

    /// All member ids.
    public var memberIDs: [MemberID] { members == 0 ? [] : Array(1...members) }

    /// Every how many entries the members record the digests of their states.
    static let digestInterval: UInt64 = 64

    /// The limits of the members.
    func replicaOptions(_ bugs: PlantedBugs) -> ReplicaOptions {
        var options = ReplicaOptions()
        options.log.sectorBytes = Int(sectorBytes)
        options.log.smallestSegmentBytes = Int(smallestSegmentBytes)
        options.log.largestSegmentBytes = Int(largestSegmentBytes)
        options.log.sparesWanted = Int(spareSegments)
        options.log.maxFrameBytes = Int(maxFrameBytes)
        options.log.maxWritesInFlight = Int(maxWritesInFlight)
        options.log.boundBytes = Int(logBoundBytes)
        options.log.cacheBytes = Int(logCacheBytes)
        options.sealStateAfterBytes = sealStateAfterBytes
        options.entriesKeptBehindSeal = entriesKept
        options.applyPageBytes = Int(applyPageBytes)
        options.maxBacklogBytes = logBoundBytes
        options.chunkBytes = Int(chunkBytes)
        options.workBudgetBytes = Int(workBudgetBytes)
        options.resendChunkAfter = .milliseconds(200)
        options.giveUpTransferAfter = .seconds(3)
        options.plantedBugs = bugs.replica
        options.digestInterval = Scenario.digestInterval
        options.raft.maxAppendBytes = maxAppendBytes
        options.raft.maxInflightMessages = Int(maxInflightMessages)
        options.raft.maxInflightBytes = maxInflightBytes
        options.raft.plantedBugs = bugs.raft
        options.log.plantedBugs = bugs.log
        return options
    }
}

extension Scenario {
    /// The replicated options from which proposals and changes are drawn.
    var replicatedOptions: ReplicatedOptions {
        var options = ReplicatedOptions()
        options.maxSessions = Int(maxSessions)
        options.sessionIdleNanoseconds = sessionIdle.nanoseconds
        options.retainedRevisions = retainedRevisions
        // So small that appended values, sessions and their replies meet them.
        options.maxValueBytes = 1024
        options.sessionWindow = 16
        options.maxReplyBytes = 26 * max(16, 2 * Int(maxSessions))
        return options
    }

    /// The replicated options that a member is opened with.
    func proposal(of member: MemberID) -> ReplicatedOptions {
        guard proposals > 0 else { return replicatedOptions }
        var random = RandomSource(seed: RandomSource.mix(proposals ^ member << 32))
        var options = replicatedOptions
        for _ in 0..<3 { options.vary(&random) }
        return options
    }

    /// The local options of a member's key-value machine.
    ///
    /// - Parameter member: which one, where it matters: an error may be planted in one of them alone.
    func keyValueOptions(_ bugs: PlantedBugs, of member: MemberID = 0) -> KeyValueOptions {
        var options = KeyValueOptions()
        options.engine.memtableBytes = Int(memtableBytes)
        options.engine.blockBytes = Int(blockBytes)
        options.engine.tableBytes = Int(tableBytes)
        options.engine.levelZeroTables = Int(levelZeroTables)
        options.engine.levelZeroTablesToPause = Int(levelZeroTables) * 4
        options.engine.levelBaseBytes = levelBaseBytes
        options.engine.levelRatio = levelRatio
        options.engine.filterBitsPerKey = Int(filterBits)
        options.engine.filterBitsPerKeyInLastLevel = Int(filterBits)
        options.engine.cacheBytes = Int(cacheBytes)
        options.engine.manifestBytes = Int(manifestBytes)
        options.engine.plantedBugs = bugs.engine
        options.plantedBugs = bugs.keyValue
        if member != 1 + seed % max(members, 1) { options.plantedBugs.remove(.writesOtherValues) }
        return options
    }
}

extension ReplicatedOptions {
    /// Changes an option to another valid value: small, so that what clients do meets it.
    mutating func vary(_ random: inout RandomSource) {
        switch random.below(8) {
        case 0: maxKeyBytes = Int(random.pick([64, 512, 4 << 10]))
        case 1: maxValueBytes = Int(random.pick([128, 640, 1024, 2048]))
        case 2: maxSessions = Int(random.pick([8, 12, 100]))
        case 3:
            sessionWindow = Int(random.pick([8, 16, 32]))
            maxReplyBytes = max(maxReplyBytes, 26 * sessionWindow)
        case 4: maxReplyBytes = 26 * max(sessionWindow, Int(random.pick([16, 64, 200])))
        case 5: sessionIdleNanoseconds = random.pick([1, 2, 5, 60, 3600]) * 1_000_000_000
        case 6: retainedRevisions = random.pick([0, 5, 50, 500])
        default:
            retainedNanoseconds = random.pick([2, 20, 600]) * 1_000_000_000
            retentionSampleNanoseconds = random.pick([100_000_000, 1_000_000_000])
        }
    }
}

/// Why a scenario cannot be read or run.
public struct ScenarioError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The reason in a sentence.
    public let description: String

    init(_ description: String) { self.description = description }
}
