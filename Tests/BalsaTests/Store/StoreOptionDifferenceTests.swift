import BalsaKeyValue
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// Members with different options work together. Every option of every type is named here as local, replicated or
/// derived, so that a new one has to be decided.
final class StoreOptionDifferenceTests: StoreTestCase {
    private typealias Change = (inout StoreOptions) -> Void

    /// The local options, each with one value and quite another one.
    private let local: [(name: String, one: Change, other: Change)] = [
        ("timeout", { $0.timeout = .seconds(20) }, { $0.timeout = .seconds(30) }),
        ("maxOutstandingCommands", { $0.maxOutstandingCommands = 1 }, { $0.maxOutstandingCommands = 1_023 }),
        ("maxWaitingBytes", { $0.maxWaitingBytes = 12 << 20 }, { $0.maxWaitingBytes = 1 << 30 }),
        ("drainLimit", { $0.drainLimit = .zero }, { $0.drainLimit = .seconds(60) }),
        ("slow.logWrite", { $0.slow.logWrite = .zero }, { $0.slow.logWrite = .seconds(9) }),
        ("slow.apply", { $0.slow.apply = .zero }, { $0.slow.apply = .seconds(9) }),
        ("slow.turn", { $0.slow.turn = .zero }, { $0.slow.turn = .seconds(9) }),
        ("slow.call", { $0.slow.call = .zero }, { $0.slow.call = .seconds(9) }),
        ("slow.reportInterval", { $0.slow.reportInterval = .seconds(9) }, { $0.slow.reportInterval = .seconds(2) }),
        ("replica.maxWaitingBytes", { $0.replica.maxWaitingBytes = 1 << 20 }, { $0.replica.maxWaitingBytes = 1 << 30 }),
        (
            "replica.sealStateAfterBytes", { $0.replica.sealStateAfterBytes = 1 << 14 },
            { $0.replica.sealStateAfterBytes = 1 << 30 }
        ),
        (
            "replica.sealStateAfter", { $0.replica.sealStateAfter = .milliseconds(50) },
            { $0.replica.sealStateAfter = .seconds(600) }
        ),
        (
            "replica.entriesKeptBehindSeal", { $0.replica.entriesKeptBehindSeal = 0 },
            { $0.replica.entriesKeptBehindSeal = 1 << 30 }
        ),
        ("replica.maxBacklogBytes", { $0.replica.maxBacklogBytes = 1 << 20 }, { $0.replica.maxBacklogBytes = 1 << 30 }),
        ("replica.applyPageBytes", { $0.replica.applyPageBytes = 1 }, { $0.replica.applyPageBytes = 1 << 24 }),
        ("replica.workBudgetBytes", { $0.replica.workBudgetBytes = 1_000 }, { $0.replica.workBudgetBytes = 1 << 24 }),
        ("replica.chunkBytes", { $0.replica.chunkBytes = 5_000 }, { $0.replica.chunkBytes = 8 << 20 }),
        (
            "replica.resendChunkAfter", { $0.replica.resendChunkAfter = .milliseconds(200) },
            { $0.replica.resendChunkAfter = .seconds(9) }
        ),
        (
            "replica.giveUpTransferAfter", { $0.replica.giveUpTransferAfter = .seconds(9) },
            { $0.replica.giveUpTransferAfter = .seconds(90) }
        ),
        ("replica.maxReadQuestions", { $0.replica.maxReadQuestions = 1 }, { $0.replica.maxReadQuestions = 100 }),
        (
            "replica.askAgainAfter", { $0.replica.askAgainAfter = .milliseconds(50) },
            { $0.replica.askAgainAfter = .seconds(1) }
        ),
        ("replica.maxWaitingReads", { $0.replica.maxWaitingReads = 10 }, { $0.replica.maxWaitingReads = 1 << 20 }),
        (
            "replica.firstBootSaysAgainAfter", { $0.replica.firstBootSaysAgainAfter = .milliseconds(10) },
            { $0.replica.firstBootSaysAgainAfter = .milliseconds(300) }
        ),
        (
            "replica.sealLogAfter", { $0.replica.sealLogAfter = .milliseconds(1) },
            { $0.replica.sealLogAfter = .milliseconds(200) }
        ),
        (
            "replica.deadlineGranularity", { $0.replica.deadlineGranularity = .milliseconds(1) },
            { $0.replica.deadlineGranularity = .milliseconds(400) }
        ),
        (
            "replica.wire.maxFrameBytes", { $0.replica.wire.maxFrameBytes = 64 << 10 },
            { $0.replica.wire.maxFrameBytes = 24 << 20 }
        ),
        // Each heartbeat interval is at most half of each member's shortest time without a leader.
        (
            "replica.raft.minElectionTimeout", { $0.replica.raft.minElectionTimeout = .milliseconds(900) },
            { $0.replica.raft.minElectionTimeout = .milliseconds(250) }
        ),
        (
            "replica.raft.maxElectionTimeout", { $0.replica.raft.maxElectionTimeout = .milliseconds(1_800) },
            { $0.replica.raft.maxElectionTimeout = .milliseconds(500) }
        ),
        (
            "replica.raft.heartbeatInterval", { $0.replica.raft.heartbeatInterval = .milliseconds(110) },
            { $0.replica.raft.heartbeatInterval = .milliseconds(20) }
        ),
        (
            "replica.raft.maxAppendBytes", { $0.replica.raft.maxAppendBytes = 1_000 },
            { $0.replica.raft.maxAppendBytes = 16 << 20 }
        ),
        (
            "replica.raft.maxInflightMessages", { $0.replica.raft.maxInflightMessages = 1 },
            { $0.replica.raft.maxInflightMessages = 4_096 }
        ),
        (
            "replica.raft.maxInflightBytes", { $0.replica.raft.maxInflightBytes = 1 << 10 },
            { $0.replica.raft.maxInflightBytes = 1 << 30 }
        ),
        (
            "replica.raft.maxUncommittedBytes", { $0.replica.raft.maxUncommittedBytes = 1 << 20 },
            { $0.replica.raft.maxUncommittedBytes = 1 << 30 }
        ),
        (
            "replica.raft.maxPendingReads", { $0.replica.raft.maxPendingReads = 10 },
            { $0.replica.raft.maxPendingReads = 1 << 20 }
        ),
        ("replica.log.sectorBytes", { $0.replica.log.sectorBytes = 512 }, { $0.replica.log.sectorBytes = 65_536 }),
        (
            "replica.log.smallestSegmentBytes", { $0.replica.log.smallestSegmentBytes = 64 << 10 },
            { $0.replica.log.smallestSegmentBytes = 2 << 20 }
        ),
        (
            "replica.log.largestSegmentBytes", { $0.replica.log.largestSegmentBytes = 64 << 10 },
            { $0.replica.log.largestSegmentBytes = 16 << 20 }
        ),
        (
            "replica.log.maxFrameBytes", { $0.replica.log.maxFrameBytes = 4 << 10 },
            { $0.replica.log.maxFrameBytes = 16 << 20 }
        ),
        (
            "replica.log.maxWritesInFlight", { $0.replica.log.maxWritesInFlight = 1 },
            { $0.replica.log.maxWritesInFlight = 8 }
        ),
        ("replica.log.boundBytes", { $0.replica.log.boundBytes = 64 << 20 }, { $0.replica.log.boundBytes = 1 << 30 }),
        ("replica.log.cacheBytes", { $0.replica.log.cacheBytes = 0 }, { $0.replica.log.cacheBytes = 64 << 20 }),
        ("replica.log.sparesWanted", { $0.replica.log.sparesWanted = 0 }, { $0.replica.log.sparesWanted = 2 }),
        (
            "keyValue.engine.memtableBytes", { $0.keyValue.engine.memtableBytes = 16 << 10 },
            { $0.keyValue.engine.memtableBytes = 32 << 20 }
        ),
        (
            "keyValue.engine.maxSealedMemtables", { $0.keyValue.engine.maxSealedMemtables = 1 },
            { $0.keyValue.engine.maxSealedMemtables = 9 }
        ),
        (
            "keyValue.engine.maxRangeDeletionsPerMemtable", { $0.keyValue.engine.maxRangeDeletionsPerMemtable = 1 },
            { $0.keyValue.engine.maxRangeDeletionsPerMemtable = 9_000 }
        ),
        (
            "keyValue.engine.maxRangeDeletionsPerBatch", { $0.keyValue.engine.maxRangeDeletionsPerBatch = 1 },
            { $0.keyValue.engine.maxRangeDeletionsPerBatch = 9_000 }
        ),
        (
            "keyValue.engine.blockBytes", { $0.keyValue.engine.blockBytes = 128 },
            { $0.keyValue.engine.blockBytes = 32 << 10 }
        ),
        (
            "keyValue.engine.tableBytes", { $0.keyValue.engine.tableBytes = 8 << 10 },
            { $0.keyValue.engine.tableBytes = 64 << 20 }
        ),
        (
            "keyValue.engine.filterBitsPerKey", { $0.keyValue.engine.filterBitsPerKey = 0 },
            { $0.keyValue.engine.filterBitsPerKey = 20 }
        ),
        (
            "keyValue.engine.filterBitsPerKeyInLastLevel", { $0.keyValue.engine.filterBitsPerKeyInLastLevel = 0 },
            { $0.keyValue.engine.filterBitsPerKeyInLastLevel = 20 }
        ),
        (
            "keyValue.engine.cacheBytes", { $0.keyValue.engine.cacheBytes = 0 },
            { $0.keyValue.engine.cacheBytes = 128 << 20 }
        ),
        (
            "keyValue.engine.maxOpenTables", { $0.keyValue.engine.maxOpenTables = 1 },
            { $0.keyValue.engine.maxOpenTables = 99 }
        ),
        (
            "keyValue.engine.tableMemoryBytes", { $0.keyValue.engine.tableMemoryBytes = 1 << 20 },
            { $0.keyValue.engine.tableMemoryBytes = 1 << 30 }
        ),
        (
            "keyValue.engine.levelZeroTables", { $0.keyValue.engine.levelZeroTables = 2 },
            { $0.keyValue.engine.levelZeroTables = 12 }
        ),
        (
            "keyValue.engine.levelZeroTablesToPause", { $0.keyValue.engine.levelZeroTablesToPause = 4 },
            { $0.keyValue.engine.levelZeroTablesToPause = 99 }
        ),
        (
            "keyValue.engine.levelBaseBytes", { $0.keyValue.engine.levelBaseBytes = 8 << 10 },
            { $0.keyValue.engine.levelBaseBytes = 1 << 30 }
        ),
        ("keyValue.engine.levelRatio", { $0.keyValue.engine.levelRatio = 2 }, { $0.keyValue.engine.levelRatio = 50 }),
        ("keyValue.engine.levels", { $0.keyValue.engine.levels = 2 }, { $0.keyValue.engine.levels = 16 }),
        (
            "keyValue.engine.manifestBytes", { $0.keyValue.engine.manifestBytes = 1_000 },
            { $0.keyValue.engine.manifestBytes = 64 << 20 }
        ),
    ]

    /// The replicated options, each with another valid value than ``founded`` has.
    private let replicated: [(name: String, other: Change)] = [
        ("replicated.maxKeyBytes", { $0.replicated.maxKeyBytes = 2 }),
        ("replicated.maxValueBytes", { $0.replicated.maxValueBytes = 10 }),
        ("replicated.maxSessions", { $0.replicated.maxSessions = 9 }),
        ("replicated.sessionWindow", { $0.replicated.sessionWindow = 2 }),
        ("replicated.sessionIdleNanoseconds", { $0.replicated.sessionIdleNanoseconds = 7_000_000_000 }),
        ("replicated.maxReplyBytes", { $0.replicated.maxReplyBytes = 52 }),
        ("replicated.retainedRevisions", { $0.replicated.retainedRevisions = 0 }),
        ("replicated.retainedNanoseconds", { $0.replicated.retainedNanoseconds = 1 }),
        ("replicated.retentionSampleNanoseconds", { $0.replicated.retentionSampleNanoseconds = 1 }),
    ]

    /// The options of the engine that the store sets itself, from what the replicated ones can be.
    private let derived: [(name: String, other: Change)] = [
        ("keyValue.engine.maxKeyBytes", { $0.keyValue.engine.maxKeyBytes = 1 }),
        ("keyValue.engine.maxValueBytes", { $0.keyValue.engine.maxValueBytes = 1 }),
        ("keyValue.engine.maxBatchBytes", { $0.keyValue.engine.maxBatchBytes = 1 }),
    ]

    /// Local options that are no figures, or with which no store is opened.
    private let others = [
        // Of a new cluster no member may have it, and of one opening it says nothing to the others.
        "mustExist",
        "observer", "replica.featureLevel", "replica.digestInterval", "keyValue.plantedBugs",
        "keyValue.plantedMaxValueBytes", "keyValue.engine.plantedBugs",
        "replica.plantedBugs",
        "replica.raft.plantedBugs", "replica.log.plantedBugs", "keyValue.engine.hasWriteAheadLog",
        "keyValue.engine.writeAheadLogBytes",
    ]

    /// The names of all options below a value, of which those that are structures of options are looked into.
    private func names(of value: Any, _ prefix: String) -> [String] {
        let isGroup =
            value is StoreOptions || value is SlowThresholds || value is ReplicaOptions || value is RaftOptions
            || value is LogOptions || value is WireOptions || value is KeyValueOptions || value is ReplicatedOptions
            || value is EngineOptions
        guard isGroup else { return [prefix] }
        return Mirror(reflecting: value).children.flatMap { child in
            names(of: child.value, (prefix.isEmpty ? "" : prefix + ".") + (child.label ?? "?"))
        }
    }

    func testOptions_eachField_isLocalReplicatedOrDerived() {
        let decided = local.map(\.name) + replicated.map(\.name) + derived.map(\.name) + others
        XCTAssertEqual(names(of: StoreOptions(), "").sorted(), decided.sorted())
        // The type of an option says which it is: all replicated ones are in one, and nothing else is.
        let fields = ReplicatedOptions.fields.map { "replicated." + $0.name }
        XCTAssertEqual(fields.sorted(), replicated.map(\.name).sorted())
    }

    /// The replicated options of the cluster.
    private var founded: ReplicatedOptions {
        var options = ReplicatedOptions()
        options.maxValueBytes = 5 << 20
        return options
    }

    private func options(_ changes: [Change]) -> StoreOptions {
        var options = StoreOptions()
        options.timeout = .seconds(30)
        options.replicated = founded
        for change in changes { change(&options) }
        return options
    }

    /// Opens member 1 with all local options of one kind, 2 and 3 with all of the other.
    private func open(
        _ member: MemberID,
        _ peers: [MemberID: String],
        _ more: @escaping Change = { _ in }
    ) async throws -> ReplicatedStore {
        let changes = local.map { member == 1 ? $0.one : $0.other }
        return try await .open(
            at: "\(directory)/\(member)",
            member: member,
            peers: peers,
            options: options(changes + [more])
        )
    }

    private func bytes(_ count: Int, _ filling: UInt8) -> Bytes { Bytes([UInt8](repeating: filling, count: count)) }

    /// Waits until two members have applied the same, and compares the digests of their states.
    private func expectEqual(_ one: ReplicatedStore, _ other: ReplicatedStore) async throws {
        try await eventually("they hold the same") {
            let (one, other) = (await one.status(), await other.status())
            return one.appliedIndex == other.appliedIndex && one.digest == other.digest
        }
    }

    private func differences(_ observer: NotingObserver) -> [[OptionDifference]] {
        observer.events.compactMap { if case .optionsDiffer(let differences) = $0 { differences } else { nil } }
    }

    /// Member 1 founds the cluster like the others, and is then opened with other options in every field.
    func testMembers_oneWithOtherOptionsInEveryField_stayEqualAndItTellsOnce() async throws {
        let peers = try newPeers(3)
        let observers = [NotingObserver(), NotingObserver(), NotingObserver()]
        var stores: [MemberID: ReplicatedStore] = [:]
        for member in peers.keys.sorted() {
            stores[member] = try await open(member, peers) { $0.observer = observers[Int(member) - 1] }
        }
        for (member, store) in stores { try await store.put(Bytes("k\(member)"), bytes(50_000, UInt8(member))) }
        await stores.removeValue(forKey: 1)?.close()
        let two = try XCTUnwrap(stores[2])
        try await two.put("while one is closed", bytes(50_000, 9))
        let proposals = replicated.map(\.other) + derived.map(\.other)
        stores[1] = try await open(1, peers) { options in
            options.observer = observers[0]
            for change in proposals { change(&options) }
        }
        // Keys, values, numbers of a session, replies and revisions beyond all that member 1 proposes.
        for (member, store) in stores {
            try await store.put(Bytes("large\(member)"), bytes(5 << 20, UInt8(member)))
            let refused = await refusal { try await store.put("larger", self.bytes((5 << 20) + 1, 7)) }
            XCTAssertEqual(refused?.reason, .tooLarge)
            XCTAssertEqual(
                refused?.message,
                "a value of 5242881 bytes; `ReplicatedOptions.maxValueBytes` is 5242880"
            )
            for _ in 0..<5 { try await store.add(1, to: "counter") }
        }
        for store in stores.values {
            let sum = try await store.add(0, to: "counter")
            XCTAssertEqual(sum, 15)
            for other in stores.keys {
                let entry = try await store.get(Bytes("large\(other)"))
                XCTAssertEqual(entry?.value, bytes(5 << 20, UInt8(other)))
            }
            let entry = try await store.options()
            XCTAssertEqual(entry, ReplicatedOptionsEntry(options: founded, revision: 1))
            let sessions = await store.status().sessionCount
            XCTAssertEqual(sessions, 4, "one of each opening")
        }
        let one = try XCTUnwrap(stores[1])
        for other in [two, try XCTUnwrap(stores[3])] { try await expectEqual(one, other) }
        XCTAssertEqual(observers.map { differences($0).count }, [1, 0, 0], "one event")
        var proposed = StoreOptions()
        for change in replicated.map(\.other) { change(&proposed) }
        XCTAssertEqual(
            differences(observers[0]).first,
            ReplicatedOptions.fields.map {
                let values = (proposed.replicated[name: $0.name], founded[name: $0.name])
                return OptionDifference(name: $0.name, proposed: values.0, inForce: values.1)
            }
        )
        for store in stores.values {
            XCTAssertFalse({ if case .failed = store.state { true } else { false } }(), "\(store.state)")
            await store.close()
        }
    }

    /// The members begin with proposals of their own: those of the first leader are in force on all.
    func testMembers_foundedWithDifferentProposals_haveThoseOfTheFirstLeader() async throws {
        let peers = try newPeers(3)
        let observers = [NotingObserver(), NotingObserver(), NotingObserver()]
        var stores: [ReplicatedStore] = []
        for member in peers.keys.sorted() {
            stores.append(
                try await open(member, peers) { options in
                    options.observer = observers[Int(member) - 1]
                    options.replicated.maxValueBytes = 100 * Int(member)
                }
            )
        }
        var options: [ReplicatedOptionsEntry] = []
        for store in stores { options.append(try await store.options()) }
        XCTAssertEqual(options, [options[0], options[0], options[0]])
        XCTAssertEqual(options[0].revision, 1)
        let winner = options[0].options.maxValueBytes / 100
        for store in stores {
            let refused = await refusal { try await store.put("k", self.bytes(100 * winner + 1, 7)) }
            XCTAssertEqual(refused?.reason, .tooLarge)
            try await store.put("k", bytes(100 * winner, 7))
        }
        for store in stores[1...] { try await expectEqual(stores[0], store) }
        for (place, observer) in observers.enumerated() {
            try await eventually("member \(place + 1) has compared its options") {
                self.differences(observer).count == (place + 1 == winner ? 0 : 1)
            }
        }
        for store in stores { await store.close() }
    }

    func testMembers_engineOptionsDiffer_checkpointsAreInstalled() async throws {
        let peers = try newPeers(3)
        let bound: Change = { options in
            options.replica.log.boundBytes = 128 << 10
            options.replica.log.sectorBytes = 512
            options.replica.log.smallestSegmentBytes = 32 << 10
            options.replica.log.largestSegmentBytes = 32 << 10
            options.replica.sealStateAfterBytes = 64 << 10
            options.replica.entriesKeptBehindSeal = 0
        }
        for lagging in [1, 2] as [MemberID] {
            var stores: [MemberID: ReplicatedStore] = [:]
            for member in peers.keys.sorted() { stores[member] = try await open(member, peers, bound) }
            try await stores[3]?.put("before", "all is well")
            await stores.removeValue(forKey: lagging)?.close()
            let writer = try XCTUnwrap(stores[3])
            for number in 0..<400 {
                try await writer.put(Bytes("\(lagging)/\(number * 37 % 400)"), bytes(1_000, UInt8(number % 250)))
            }
            try await eventually("the log has been dropped") { await writer.status().log.firstIndex > 300 }
            let late = try await open(lagging, peers, bound)
            try await eventually("a checkpoint is installed") { await late.status().metrics.checkpointsInstalled > 0 }
            try await expectEqual(late, writer)
            let entry = try await late.get(Bytes("\(lagging)/37"), consistency: .local)
            XCTAssertEqual(entry?.value.count, 1_000)
            await late.close()
            for store in stores.values { await store.close() }
        }
    }
}
