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
        XCTAssertEqual(
            waits[0],
            "the members [1, 2] are proposed, and [1, 2, 3] are listed: start all members with the same list"
        )
        // What the sentence advises.
        await room.close(1)
        let first = try await room.open(1)
        try await first.put("k", "v", timeout: .seconds(30))
        XCTAssertEqual(Set(room.events.values.flatMap(\.joined)).count, 1)
    }

    /// Of three members the second was given a list without the third: what it says of the two others alternates.
    func testFirstBoot_severalReasons_areEachToldOnce() async throws {
        let peers = room.peers
        try await room.open(1)
        try await room.open(3)
        room.peers[3] = nil
        let second = try await room.open(2)
        room.peers = peers
        func waits() -> [String] { room.events[2]?.waits ?? [] }
        try await eventually("both are told") { Set(waits()).count == 2 }
        let before = await second.status().transport.framesReceived
        try await eventually("they are found again") { await second.status().transport.framesReceived > before + 20 }
        XCTAssertEqual(
            waits().sorted(),
            [
                "member 3 takes part in the first boot and is not listed: start all members with the same list",
                "the members [1, 2, 3] are proposed, and [1, 2] are listed: start all members with the same list",
            ]
        )
        // What the sentences advise.
        await room.close(2)
        let corrected = try await room.open(2)
        try await corrected.put("k", "v", timeout: .seconds(30))
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

    /// What the refusal of a directory without IDENTITY advises, carried out.
    func testLostIdentity_ofAMember_isPutBackFromACopyOrTheOthersGoOn() async throws {
        try await room.openAll()
        let path = room.directory(2) + "/IDENTITY"
        // A copy that was made since the member joined, and long before it was lost.
        try room.copy(path, to: room.directory(2, "-copy"))
        for _ in 1...2 {
            await room.close(2)
            try await room.open(2)
        }
        try await room.stores[2]?.put("k", "v", timeout: .seconds(30))
        await room.close(2)
        try room.remove(path)
        let error = await storeError { try await room.open(2) }
        XCTAssertEqual(error?.reason, .failed)
        for part in ["\(path) is missing, though", "put back any copy", "the others go on without the member"] {
            XCTAssertTrue(error?.message.contains(part) ?? false, "\(error as Any)")
        }
        try room.copy(room.directory(2, "-copy"), to: path)
        let back = try await room.open(2)
        let entry = try await back.get("k", timeout: .seconds(30))
        XCTAssertEqual(entry?.value, "v")
        // Without a copy: an empty directory is refused, and the others go on.
        await room.close(2)
        try room.remove(room.directory(2))
        let empty = try await room.open(2)
        try await expectFailure(of: empty, saying: ["is not the one with which it joined the cluster"])
        try await room.stores[1]?.put("others", "go on", timeout: .seconds(30))
    }

    func testLostIdentity_beforeTheMembersAreACluster_isMendedByAnEmptyDirectory() async throws {
        try await room.open(2)
        await room.close(2)
        try room.remove(room.directory(2) + "/IDENTITY")
        let error = await storeError { try await room.open(2) }
        XCTAssertEqual(error?.reason, .failed)
        let advice = "only if the members never became a cluster, empty the directory"
        XCTAssertTrue(error?.message.hasSuffix(advice) ?? false, "\(error as Any)")
        // What the sentence advises.
        try room.remove(room.directory(2))
        try await room.openAll()
        let entry = try await room.stores[2]?.get("opened", timeout: .seconds(30))
        XCTAssertEqual(entry?.value, "1")
    }

    // MARK: What it misses

    /// Waits until a member has told what its first boot misses, and returns the first report.
    private func missing(_ member: MemberID, in room: StoreRoom) async throws -> [MissingPeer] {
        try await eventually("it is told") { room.events[member]?.missing.isEmpty == false }
        return room.events[member]?.missing.first ?? []
    }

    func testFirstBoot_peersThatAreNotThere_areToldWithAddressAndReason() async throws {
        room.peers[3] = "no-such-host.invalid:7003"
        try await room.open(1)
        let found = try await missing(1, in: room)
        XCTAssertEqual(found.map(\.member), [2, 3])
        XCTAssertEqual(found.map(\.address), [room.peers[2], room.peers[3]])
        XCTAssertEqual(found.first?.reason, "Connection refused (errno 111)")
        // A name server that answers nothing is waited for longer than this report waits.
        let reasons = ["look up `no-such-host.invalid:7003`: ", "no answer yet"]
        XCTAssertTrue(reasons.contains { found.last?.reason.hasPrefix($0) ?? false }, "\(found)")
        XCTAssertEqual(room.events[1]?.missing.count, 1, "not again so soon")
    }

    func testFirstBoot_addressThatLeadsToAnotherCluster_isToldAsMissing() async throws {
        try await room.openAll()
        let lost = try StoreRoom(members: [4, 5, 6])
        lost.peers[5] = room.peers[2]
        let store = try await lost.open(4)
        let found = try await missing(4, in: lost)
        XCTAssertEqual(found.map(\.member), [5, 6])
        XCTAssertEqual(found[0].address, room.peers[2])
        XCTAssertTrue(found[0].reason.contains("meant to reach member 5 and reached member 2"), "\(found)")
        XCTAssertTrue(found[0].reason.contains("correct the address"), "\(found)")
        XCTAssertNil(store.state.failure, "one wrong address does not stop it")
        // What the reason advises.
        await lost.close(4)
        lost.peers[5] = try lost.newAddress()
        try await lost.openAll(startingWith: 4)
        try await lost.tearDown()
    }

    /// The other cluster has a member of the same id, and takes the new member for that.
    func testFirstBoot_addressThatLeadsToAnotherClusterOfTheSameIDs_isToldAndDoesNotStopIt() async throws {
        try await room.openAll()
        let new = try StoreRoom()
        let address = new.peers.updateValue(try XCTUnwrap(room.peers[2]), forKey: 2)
        let store = try await new.open(1)
        let found = try await missing(1, in: new)
        XCTAssertEqual(found.map(\.member), [2, 3])
        let advice = "if member 1 is a new one, correct the address that it has for member 2"
        XCTAssertTrue(found[0].reason.hasSuffix(advice), "\(found)")
        XCTAssertNil(store.state.failure, "one wrong address does not stop it")
        // What the sentence advises.
        await new.close(1)
        new.peers[2] = address
        try await new.openAll()
        let entry = try await new.stores[3]?.get("opened", timeout: .seconds(30))
        XCTAssertEqual(entry?.value, "1")
        try await new.tearDown()
    }
}
