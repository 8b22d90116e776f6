import BalsaKeyValue
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// Members with different options work together. Every option is named here, so that each new one has to be decided.
final class StoreOptionDifferenceTests: StoreTestCase {
    private typealias Change = (inout StoreOptions) -> Void

    /// The options that may differ between members, each with one value and quite another one.
    private let differences: [(name: String, one: Change, other: Change)] = [
        ("timeout", { $0.timeout = .seconds(20) }, { $0.timeout = .seconds(30) }),
        ("maxOutstandingCommands", { $0.maxOutstandingCommands = 1 }, { $0.maxOutstandingCommands = 1_023 }),
        ("maxWaitingBytes", { $0.maxWaitingBytes = 1 << 20 }, { $0.maxWaitingBytes = 1 << 30 }),
        ("drainLimit", { $0.drainLimit = .zero }, { $0.drainLimit = .seconds(60) }),
        ("slow.logWrite", { $0.slow.logWrite = .zero }, { $0.slow.logWrite = .seconds(9) }),
        ("slow.apply", { $0.slow.apply = .zero }, { $0.slow.apply = .seconds(9) }),
        ("slow.turn", { $0.slow.turn = .zero }, { $0.slow.turn = .seconds(9) }),
        ("slow.call", { $0.slow.call = .zero }, { $0.slow.call = .seconds(9) }),
        ("slow.reportInterval", { $0.slow.reportInterval = .seconds(9) }, { $0.slow.reportInterval = .seconds(2) }),
        ("replica.maxCommandBytes", { $0.replica.maxCommandBytes = 60_000 }, { $0.replica.maxCommandBytes = 8 << 20 }),
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
        (
            "keyValue.engine.maxKeyBytes", { $0.keyValue.engine.maxKeyBytes = 8 << 10 },
            { $0.keyValue.engine.maxKeyBytes = 16 << 10 }
        ),
        (
            "keyValue.engine.maxValueBytes", { $0.keyValue.engine.maxValueBytes = 6 << 20 },
            { $0.keyValue.engine.maxValueBytes = 12 << 20 }
        ),
        (
            "keyValue.engine.maxBatchBytes", { $0.keyValue.engine.maxBatchBytes = 7 << 20 },
            { $0.keyValue.engine.maxBatchBytes = 16 << 20 }
        ),
    ]

    /// The options that must not differ, or with which no store is opened.
    private let others = [
        // Of a new cluster no member may have it, and of one opening it says nothing to the others.
        "mustExist",
        "observer", "keyValue.limits.", "keyValue.plantedBugs", "keyValue.engine.plantedBugs", "replica.plantedBugs",
        "replica.raft.plantedBugs", "replica.log.plantedBugs", "keyValue.engine.hasWriteAheadLog",
        "keyValue.engine.writeAheadLogBytes",
    ]

    /// The names of all options below a value, of which those that are structures of options are looked into.
    private func names(of value: Any, _ prefix: String) -> [String] {
        let isGroup =
            value is StoreOptions || value is SlowThresholds || value is ReplicaOptions || value is RaftOptions
            || value is LogOptions || value is WireOptions || value is KeyValueOptions || value is KeyValueLimits
            || value is EngineOptions
        guard isGroup else { return [prefix] }
        return Mirror(reflecting: value).children.flatMap { child in
            names(of: child.value, (prefix.isEmpty ? "" : prefix + ".") + (child.label ?? "?"))
        }
    }

    func testOptions_eachField_isDecided() {
        let all = names(of: StoreOptions(), "").filter { name in
            !others.contains { $0.hasSuffix(".") ? name.hasPrefix($0) : name == $0 }
        }
        XCTAssertEqual(all.sorted(), differences.map(\.name).sorted())
    }

    private func options(_ changes: [Change]) -> StoreOptions {
        var options = StoreOptions()
        options.timeout = .seconds(30)
        // The same on all members; what follows from it for the engine has to fit on each.
        options.keyValue.limits.maxValueBytes = 5 << 20
        options.keyValue.engine.maxValueBytes = 5 << 20
        options.keyValue.engine.maxBatchBytes = 6 << 20
        for change in changes { change(&options) }
        return options
    }

    /// Opens member 1 with all options of one kind, 2 and 3 with all of the other.
    private func open(
        _ member: MemberID,
        _ peers: [MemberID: String],
        _ more: @escaping Change = { _ in }
    ) async throws -> ReplicatedStore {
        let changes = differences.map { member == 1 ? $0.one : $0.other }
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

    func testMembers_allOptionsDiffer_workTogether() async throws {
        let peers = try newPeers(3)
        var stores: [MemberID: ReplicatedStore] = [:]
        for member in peers.keys.sorted() { stores[member] = try await open(member, peers) }
        for (member, store) in stores { try await store.put(Bytes("k\(member)"), bytes(50_000, UInt8(member))) }
        for (member, store) in stores {
            for other in stores.keys {
                let entry = try await store.get(Bytes("k\(other)"))
                XCTAssertEqual(entry?.value, bytes(50_000, UInt8(other)), "member \(member) of \(other)")
            }
        }
        let (one, two, three) = (try XCTUnwrap(stores[1]), try XCTUnwrap(stores[2]), try XCTUnwrap(stores[3]))
        // What is longer than member 1 takes of its own callers, and than its frames, it receives all the same.
        let refused = await refusal { try await one.put("large", bytes(5 << 20, 7)) }
        XCTAssertEqual(refused?.reason, .tooLarge)
        XCTAssertEqual(refused?.outcome, .notApplied)
        await one.close()
        let revision = try await two.put("large", bytes(5 << 20, 7))
        var again = try await open(1, peers)
        let received = try await again.get("large", consistency: .atLeast(revision))
        XCTAssertEqual(received?.value.count, 5 << 20)
        try await expectEqual(again, two)
        // It passes it on as well, where nobody else can: 3 has not got it.
        await three.close()
        while two.state != .leader {
            try await eventually("one of the two leads") { [again] in two.state == .leader || again.state == .leader }
            guard again.state == .leader else { break }
            // It takes nothing so large. When it is opened again, it waits longer than 2 until it campaigns.
            await again.close()
            again = try await open(1, peers)
        }
        try await two.put("larger", bytes((5 << 20) - 1, 8))
        await two.close()
        let late = try await open(3, peers)
        let passed = try await late.get("larger")
        XCTAssertEqual(passed?.value.count, (5 << 20) - 1)
        await again.close()
        await late.close()
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
