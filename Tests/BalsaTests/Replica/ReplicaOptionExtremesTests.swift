import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// Every figure of a replica's options, as small and as large as it can be: it is refused with a sentence, or a group
/// elects, replicates, rebuilds a state that differs, and starts again with it. A store alone does little of that.
final class ReplicaOptionExtremesTests: ReplicaTestCase {
    private typealias Path<Value> = WritableKeyPath<ReplicaOptions, Value>

    private let numbers: [Path<Int>] = [
        \.raft.maxInflightMessages, \.raft.maxPendingReads, \.log.sectorBytes, \.log.smallestSegmentBytes,
        \.log.largestSegmentBytes, \.log.maxFrameBytes, \.log.maxWritesInFlight, \.log.boundBytes, \.log.cacheBytes,
        \.log.sparesWanted, \.wire.maxFrameBytes, \.maxWaitingBytes, \.applyPageBytes, \.workBudgetBytes,
        \.chunkBytes, \.maxReadQuestions, \.maxWaitingReads,
    ]
    private let counts: [Path<UInt64>] = [
        \.raft.maxAppendBytes, \.raft.maxInflightBytes, \.raft.maxUncommittedBytes, \.sealStateAfterBytes,
        \.entriesKeptBehindSeal, \.maxBacklogBytes,
    ]
    private let spans: [Path<TimeSpan>] = [
        \.raft.minElectionTimeout, \.raft.maxElectionTimeout, \.raft.heartbeatInterval, \.sealStateAfter,
        \.resendChunkAfter, \.giveUpTransferAfter, \.askAgainAfter, \.firstBootSaysAgainAfter, \.sealLogAfter,
        \.deadlineGranularity,
    ]

    private func figureCount(of value: Any) -> Int {
        if value is Int || value is UInt64 || value is TimeSpan { return 1 }
        let isGroup =
            value is ReplicaOptions || value is RaftOptions || value is LogOptions || value is WireOptions
        return isGroup ? Mirror(reflecting: value).children.reduce(0) { $0 + figureCount(of: $1.value) } : 0
    }

    func testFigures_allOfThem_areNamedHere() {
        // The interval of digests is not for users.
        XCTAssertEqual(figureCount(of: ReplicaOptions()) - 1, numbers.count + counts.count + spans.count)
    }

    /// Lets time pass until `condition` holds, five seconds at most.
    private func advance(_ group: ReplicaGroup, until condition: () throws -> Bool) throws {
        for _ in 0..<50 where try !condition() { group.advance(by: .milliseconds(100)) }
    }

    private func isDiverged(_ group: ReplicaGroup, _ id: MemberID) throws -> Bool {
        try XCTUnwrap(group.host(id).replica).isDiverged
    }

    private func areEqual(_ group: ReplicaGroup, _ first: MemberID, _ second: MemberID) throws -> Bool {
        try group.host(first).digest() == group.host(second).digest()
    }

    /// Elects, replicates, rebuilds a state that differs, and starts a member again.
    private func tryOut(_ group: ReplicaGroup, _ name: String) throws {
        let leader = try group.start()
        let follower = leader % 3 + 1
        group.host(follower).provider.digestMask = 1
        group.expect(.stateDiverged, of: leader, follower)
        group.expect(.stateRebuilt, of: follower)
        for number in 0..<16 {
            let write = group.write(leader, "k", Bytes("\(number)"))
            group.advance(by: .milliseconds(5))
            XCTAssertEqual(group.host(leader).reply(to: write)?.isSuccess, true, name)
        }
        group.host(follower).provider.digestMask = 0
        try advance(group) { try !isDiverged(group, follower) && areEqual(group, leader, follower) }
        for id in [leader, follower] {
            let read = group.read(id, "k")
            group.advance(by: .milliseconds(50))
            XCTAssertEqual(group.host(id).reply(to: read)?.isReadable, true, name)
        }
        group.crash(follower, powerLoss: 7)
        try group.open(follower)
        try advance(group) { try areEqual(group, leader, follower) }
        for host in group.hosts { XCTAssertNil(host.replica?.failure, "\(name): member \(host.id)") }
        XCTAssertEqual(group.host(follower).replica?.metrics.statesRebuilt, 0, "\(name): it was started again")
        XCTAssertFalse(try isDiverged(group, follower), name)
        XCTAssertTrue(try areEqual(group, leader, follower), name)
    }

    /// Changes a figure, unless that is refused. Returns whether it is.
    private func change<Value>(_ options: inout ReplicaOptions, _ path: Path<Value>, _ value: Value) -> Bool {
        var changed = options
        changed[keyPath: path] = value
        do throws(ReplicaError) { try changed.validate() } catch {
            XCTAssertEqual(error.code, .invalid, "\(path) is \(value)")
            XCTAssertTrue(error.message.contains(" must be "), error.message)
            return true
        }
        options = changed
        return false
    }

    func testFigures_allAsSmallOrAsLargeAsTheyCanBe_areRefusedOrWork() throws {
        let longest = [TimeSpan(nanoseconds: .max), TimeSpan(nanoseconds: .max - 3_000_000_000)]
        var refused = 0
        for (name, ints, uints, times) in [
            ("smallest", [Int.min, 0, 1], [0, 1 as UInt64], [TimeSpan.zero]), ("largest", [.max], [.max], longest),
        ] {
            let group = ReplicaGroup(members: 3)
            group.options.digestInterval = 8
            for path in numbers { for value in ints where change(&group.options, path, value) { refused += 1 } }
            for path in counts { for value in uints where change(&group.options, path, value) { refused += 1 } }
            for path in spans { for value in times where change(&group.options, path, value) { refused += 1 } }
            try tryOut(group, name)
        }
        XCTAssertGreaterThan(refused, 30)
    }

    /// Twice 2⁶³ is 0: a pause that is doubled must not vanish.
    func testPause_thatNoNumberHolds_isTheLongest() throws {
        let group = ReplicaGroup(members: 1)
        group.options.deadlineGranularity = TimeSpan(nanoseconds: 1 << 63)
        group.allow(.damagedCopy)
        let host = group.host(try group.start())
        let error = StateMachineError("the device fails", isDamaged: true)
        host.provider.workFailures = [error]
        host.provider.sealAfterBytes = 1
        _ = group.write(host.id, "k", "v")
        group.settle()
        let replica = try XCTUnwrap(host.replica)
        XCTAssertEqual(replica.metrics.workFailed, 1)
        XCTAssertEqual(replica.workRetryAt, group.now + group.options.deadlineGranularity)
        var effects: [ReplicaEffect] = []
        replica.step(.timer, at: replica.workRetryAt, into: &effects)
        let work = effects.lazy.compactMap { if case .work(let work) = $0 { work } else { nil } }.first
        replica.step(.workFailed(try XCTUnwrap(work), error), at: replica.workRetryAt, into: &effects)
        XCTAssertEqual(replica.metrics.workFailed, 2)
        XCTAssertEqual(replica.workRetryAt, .never)
    }
}
