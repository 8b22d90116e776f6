import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import Foundation
import XCTest

@testable import Balsa

/// Stores on empty directories become one cluster, and stay it.
final class StoreFirstBootTests: XCTestCase {
    private var room: StoreRoom!

    override func setUp() async throws { room = try StoreRoom() }
    override func tearDown() async throws { try await room.tearDown() }

    /// Waits until two members have made their connections.
    private func connected(_ member: MemberID, _ peer: MemberID) async throws {
        for (one, other) in [(member, peer), (peer, member)] {
            let store = try XCTUnwrap(room.stores[one])
            try await eventually("member \(one) is connected to member \(other)") {
                await store.status().connections.first { $0.peer == other }?.control == .connected
            }
        }
    }

    func testCallsWaitUntilAllMembersHaveBeenStarted() async throws {
        let (first, second) = (try await room.open(1), try await room.open(2))
        XCTAssertEqual(first.state, .recovering)
        for call: () async throws -> Void in [
            { try await first.put("k", "v", timeout: .milliseconds(300)) },
            { _ = try await second.get("k", timeout: .milliseconds(300)) },
            { _ = try await second.get("k", consistency: .local, timeout: .milliseconds(300)) },
        ] {
            let error = await storeError(call)
            XCTAssertEqual(error?.reason, .startingUp)
            XCTAssertEqual(error?.outcome, .notApplied)
            XCTAssertEqual(error?.isRetriable, true)
        }
        async let waits = second.put("k", "v", timeout: .seconds(30))
        try await connected(1, 2)
        let underWay = await second.status().callsUnderWay
        XCTAssertEqual(underWay, 1, "the call waits")
        XCTAssertEqual(first.state, .recovering)
        XCTAssertEqual(room.events[1]?.joined, [])
        let third = try await room.open(3)
        let revision = try await waits
        XCTAssertGreaterThan(revision, 0)
        let entry = try await third.get("k")
        XCTAssertEqual(entry?.value, "v")
        let joined = [MemberID(1), 2, 3].map { room.events[$0]?.joined ?? [] }
        XCTAssertEqual(joined[0].count, 1)
        XCTAssertEqual(joined, Array(repeating: joined[0], count: 3), "all have joined one cluster, once")
    }

    func testMembersThatAreOpenedAgainAreStillTheCluster() async throws {
        try await room.openAll()
        try await room.stores[2]?.put("k", "v")
        for round in 1...3 {
            for member in [1, 2, 3] as [MemberID] { await room.close(member) }
            // Two are enough from now on, in any order.
            let down = MemberID(round)
            for member in [3, 2, 1] as [MemberID] where member != down { try await room.open(member) }
            for store in room.stores.values {
                let entry = try await store.get("k", timeout: .seconds(30))
                XCTAssertEqual(entry?.value, "v")
            }
            try await room.open(down)
            let store = try XCTUnwrap(room.stores[down])
            try await store.put("round", Bytes("\(round)"), timeout: .seconds(30))
            for observer in room.events.values {
                XCTAssertEqual(observer.joined, [], "there is nothing to join")
                for peer in [1, 2, 3] as [MemberID] { XCTAssertEqual(observer.refusals(of: peer), []) }
            }
        }
    }

    func testAMemberThatIsStoppedInTheFirstBootGoesOnWithIt() async throws {
        for _ in 1...3 {
            try await room.open(1)
            try await room.open(2)
            try await connected(1, 2)
            await room.close(2)
            try await room.open(3)
            try await connected(1, 3)
            await room.close(1)
            await room.close(3)
        }
        try await room.openAll()
        try await room.stores[3]?.put("k", "v")
        let joined = Set(room.events.values.flatMap(\.joined))
        XCTAssertEqual(joined.count, 1)
        let entry = try await room.stores[1]?.get("k", timeout: .seconds(30))
        XCTAssertEqual(entry?.value, "v")
    }

    func testMembersThatWereGivenDifferentListsSaySoAndGoOnWhenThatIsCorrected() async throws {
        let peers = room.peers
        room.peers[3] = nil
        try await room.open(1)
        room.peers = peers
        try await room.open(2)
        try await room.open(3)
        try await eventually("it is told") { room.events[2]?.waits.isEmpty == false }
        let waits = room.events[2]?.waits ?? []
        XCTAssertEqual(waits.count, 1, "once")
        XCTAssertTrue(waits[0].contains("start all members with the same list"), waits[0])
        await room.close(1)
        let first = try await room.open(1)
        try await first.put("k", "v", timeout: .seconds(30))
        XCTAssertEqual(Set(room.events.values.flatMap(\.joined)).count, 1)
    }

    func testASingleMemberBelongsToItsClusterAtOnceAndForGood() async throws {
        let directory = room.directory(9)
        let alone = try await ReplicatedStore.open(at: directory)
        try await alone.put("k", "v", timeout: .seconds(5))
        await alone.close()
        let error = await storeError { _ = try await room.open(2, at: directory) }
        XCTAssertEqual(error?.reason, .invalid)
        XCTAssertTrue(error?.message.contains("is that of member 1, not of member 2") ?? false, "\(error as Any)")
        let again = try await ReplicatedStore.open(at: directory)
        let entry = try await again.get("k", timeout: .seconds(5))
        XCTAssertEqual(entry?.value, "v")
        await again.close()
    }

    func testADirectoryThatHasLostItsIdentityIsNotTakenForAnEmptyOne() async throws {
        try await room.openAll()
        await room.close(2)
        try room.remove(room.directory(2) + "/IDENTITY")
        let error = await storeError { try await room.open(2) }
        XCTAssertEqual(error?.reason, .failed)
        for part in ["IDENTITY is missing", "put it back"] {
            XCTAssertTrue(error?.message.contains(part) ?? false, "\(error as Any)")
        }
    }
}
