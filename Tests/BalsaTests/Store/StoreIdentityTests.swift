import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import Foundation
import XCTest

@testable import Balsa

/// A member whose directory is not what the others know it to be is refused with a sentence that says what to do, and the
/// others go on.
final class StoreIdentityTests: XCTestCase {
    private var room: StoreRoom!

    override func setUp() async throws {
        room = try StoreRoom()
        try await room.openAll()
    }

    override func tearDown() async throws { try await room.tearDown() }

    /// The members that are left take writes and serve reads.
    private func checkThatTheOthersGoOn(_ members: [MemberID] = [1, 2], line: UInt = #line) async throws {
        for (place, member) in members.enumerated() {
            let store = try XCTUnwrap(room.stores[member])
            let value = Bytes("\(member)-\(line)")
            try await store.put("others", value, timeout: .seconds(30))
            let other = try XCTUnwrap(room.stores[members[(place + 1) % members.count]])
            let entry = try await other.get("others", timeout: .seconds(30))
            XCTAssertEqual(entry?.value, value, line: line)
            XCTAssertNil(store.state.failure, line: line)
        }
    }

    /// A member has told its observer of a refusal of `peer` that has this part.
    private func expectRefusal(by member: MemberID, of peer: MemberID, saying part: String) async throws {
        try await eventually("member \(member) has refused member \(peer)") {
            room.events[member]?.refusals(of: peer).contains { $0.contains(part) } ?? false
        }
    }

    func testAWipedMemberIsRefused() async throws {
        await room.close(3)
        try room.remove(room.directory(3))
        let wiped = try await room.open(3)
        try await expectFailure(
            of: wiped,
            saying: [
                "the directory of member 3 is not the one with which it joined the cluster",
                "put its own directory back", "cannot be replaced yet",
            ]
        )
        let local = await storeError { _ = try await wiped.get("opened", consistency: .local) }
        XCTAssertEqual(local?.reason, .failed, "nor has it anything to read")
        try await checkThatTheOthersGoOn()
        XCTAssertEqual(room.events[3]?.joined, [])
        let refusals = [MemberID(1), 2].flatMap { room.events[$0]?.refusals(of: 3) ?? [] }
        XCTAssertTrue(refusals.contains { $0.hasPrefix("this member refused the peer") && $0.contains("member 3") })
    }

    func testTheWipedMemberIsTakenBackWithItsOwnDirectory() async throws {
        await room.close(3)
        try FileManager.default.moveItem(atPath: room.directory(3), toPath: room.directory(3, "-away"))
        let wiped = try await room.open(3)
        try await expectFailure(of: wiped, saying: ["put its own directory back"])
        // What the sentence advises.
        await room.close(3)
        try room.remove(room.directory(3))
        try FileManager.default.moveItem(atPath: room.directory(3, "-away"), toPath: room.directory(3))
        try await room.open(3)
        try await checkThatTheOthersGoOn([1, 2, 3])
    }

    func testADirectoryThatWasSetBackIsRefused() async throws {
        await room.close(3)
        try room.copy(room.directory(3), to: room.directory(3, "-old"))
        try await room.open(3)
        try await checkThatTheOthersGoOn([1, 2, 3])
        await room.close(3)
        try room.remove(room.directory(3))
        try room.copy(room.directory(3, "-old"), to: room.directory(3))
        // However often it is opened.
        for _ in 1...2 {
            let old = try await room.open(3)
            try await expectFailure(
                of: old,
                saying: [
                    "the directory of member 3 was set back to before its opening", "put the latest directory back",
                    "cannot be replaced yet",
                ]
            )
            await room.close(3)
        }
        try await checkThatTheOthersGoOn()
    }

    func testACopyThatIsUpBesideItsOriginalIsRefused() async throws {
        await room.close(3)
        try room.copy(room.directory(3), to: room.directory(3, "-copy"))
        try await room.open(3)
        try await checkThatTheOthersGoOn([1, 2, 3])
        var peers = room.peers
        peers[3] = try room.newAddress()
        let (copy, _) = try await room.open(3, at: room.directory(3, "-copy"), peers)
        try await expectFailure(
            of: copy,
            saying: [
                "member 3 is up twice, on copies of one directory", "stop the one that has failed",
                "the other one goes on",
            ]
        )
        try await checkThatTheOthersGoOn([1, 2, 3])
        let refusals = [MemberID(1), 2].flatMap { room.events[$0]?.refusals(of: 3) ?? [] }
        XCTAssertTrue(refusals.contains { $0.contains("is up twice") })
        await copy.close()
    }

    /// It is told what to correct, and does not stop: whether the directory is in the wrong place or the addresses are wrong for a
    /// while nobody can know, and its directory is well.
    func testADirectoryOfAnotherClusterIsRefused() async throws {
        let other = try StoreRoom()
        try await other.openAll()
        let theirs = try XCTUnwrap(other.events[3]?.joined.first)
        let ours = try XCTUnwrap(room.events[3]?.joined.first)
        XCTAssertNotEqual(theirs, ours)
        await other.close(3)
        await room.close(3)
        let lost = try await room.open(3, at: other.directory(3))
        for peer in [1, 2] as [MemberID] {
            try await eventually("it is told by member \(peer)") {
                room.events[3]?.refusals(of: peer).contains { told in
                    told.hasPrefix("the peer refused this member") && told.contains("correct the address")
                        && told.contains("member 3 belongs to the cluster \(theirs)")
                        && told.contains("to the cluster \(ours)")
                } ?? false
            }
        }
        XCTAssertNil(lost.state.failure)
        let write = await storeError { _ = try await lost.put("k", "v", timeout: .milliseconds(300)) }
        XCTAssertEqual(write?.outcome, .notApplied)
        try await checkThatTheOthersGoOn()
        await room.close(3)
        // What the sentence advises: each on the directory of its own cluster. Neither has suffered.
        try await room.open(3)
        try await other.open(3)
        try await checkThatTheOthersGoOn([1, 2, 3])
        try await other.stores[3]?.put("k", "v", timeout: .seconds(30))
        try await other.tearDown()
    }

    func testOneWrongAddressDoesNotStopAMember() async throws {
        let other = try StoreRoom()
        try await other.openAll()
        await room.close(3)
        let address = room.peers.updateValue(try XCTUnwrap(other.peers[2]), forKey: 2)
        let store = try await room.open(3)
        try await eventually("it is told") {
            room.events[3]?.refusals(of: 2).contains { $0.contains("correct the address") } ?? false
        }
        // Member 3 may lead, with member 1, and then member 2 hears from nobody. Member 1 is with the majority in any case.
        try await checkThatTheOthersGoOn([1])
        XCTAssertNil(store.state.failure)
        // What the sentence advises.
        await room.close(3)
        room.peers[2] = address
        try await room.open(3)
        try await checkThatTheOthersGoOn([1, 2, 3])
        try await other.tearDown()
    }

    func testASecondDirectoryUnderAnIDThatIsUpIsRefused() async throws {
        var peers = room.peers
        peers[3] = try room.newAddress()
        let (second, events) = try await room.open(3, at: room.directory(3, "-other"), peers)
        try await expectFailure(
            of: second,
            saying: ["member 3 was started twice, on two directories", "the other one goes on"]
        )
        XCTAssertEqual(events.joined, [])
        // What the sentence advises.
        await second.close()
        try await checkThatTheOthersGoOn([1, 2, 3])
    }

    func testAMemberThatTheClusterDoesNotHaveIsRefused() async throws {
        var peers = room.peers
        peers[4] = try room.newAddress()
        let (fourth, events) = try await room.open(4, at: room.directory(4), peers)
        try await expectFailure(of: fourth, saying: ["has no member 4", "correct its id", "cannot be added yet"])
        XCTAssertEqual(events.joined, [])
        try await checkThatTheOthersGoOn([1, 2, 3])
        await fourth.close()
        // What the sentence advises: the id; or the address, where it is a member of another cluster.
        await room.close(3)
        try await room.open(3)
        try await checkThatTheOthersGoOn([1, 2, 3])
        let other = try StoreRoom(members: [4])
        try await other.openAll(startingWith: 4)
        try await other.tearDown()
    }

    /// Taken for what it is by mistake, the only member of a cluster would go on acknowledging alone.
    func testADirectoryIsNotOpenedWithOtherMembers() async throws {
        let place = room.directory(1, "-alone")
        let store = try await ReplicatedStore.open(at: place)
        try await store.put("a", "1")
        await store.close()
        // Its port is free: what is refused is the list.
        await room.close(1)
        let more = await storeError {
            _ = try await ReplicatedStore.open(at: place, member: 1, peers: room.peers)
        }
        XCTAssertEqual(more?.reason, .invalid)
        XCTAssertTrue(more?.message.contains("[1], and [1, 2, 3] are listed") ?? false, more?.message ?? "")
        // What the sentence advises: the list that it was first opened with, or an empty directory.
        let again = try await ReplicatedStore.open(at: place)
        let kept = try await again.get("a")
        XCTAssertEqual(kept?.value, "1")
        await again.close()
        let other = try await ReplicatedStore.open(
            at: room.directory(1, "-empty"),
            member: 7,
            peers: [7: try room.newAddress()]
        )
        try await other.put("b", "2")
        await other.close()
    }

    func testADirectoryIsNotOpenedUnderAnotherID() async throws {
        await room.close(2)
        await room.close(3)
        let error = await storeError { try await room.open(3, at: room.directory(2)) }
        XCTAssertEqual(error?.reason, .invalid)
        for part in [
            "/IDENTITY is that of member 2, not of member 3: start it under its own id, or name the directory of "
                + "member 3"
        ] {
            XCTAssertTrue(error?.message.contains(part) ?? false, "\(error as Any)")
        }
        // What the sentence advises: its own id, and for the other member its own directory.
        try await room.open(2)
        try await checkThatTheOthersGoOn()
        try await room.open(3)
        try await checkThatTheOthersGoOn([1, 2, 3])
    }

    func testASecondOpenerIsRefusedAndTheFirstGoesOn() async throws {
        var peers = room.peers
        peers[3] = try room.newAddress()
        let error = await storeError { _ = try await room.open(3, at: room.directory(3), peers) }
        XCTAssertEqual(error?.reason, .inUse)
        XCTAssertTrue(error?.message.contains("/LOCK") ?? false, "\(error as Any)")
        try await checkThatTheOthersGoOn([1, 2, 3])
    }

    /// As `Docs/Member.md` says: one of the others first, then the member that moves, then the third. At every moment
    /// there are two members of which each has the right address of the other.
    func testAnAddress_thatChangesInTheOrderOfThePage_keepsAMajority() async throws {
        func put(_ value: String, on member: MemberID) async throws {
            let store = try XCTUnwrap(room.stores[member])
            try await store.put("moving", Bytes(value), timeout: .seconds(30))
        }
        try await put("all", on: 1)
        room.peers[1] = try room.newAddress()
        for (paused, up) in [(2, [1, 3]), (1, [2, 3]), (3, [1, 2])] as [(MemberID, [MemberID])] {
            await room.close(paused)
            for member in up { try await put("without \(paused), on \(member)", on: member) }
            try await room.open(paused)
            // Member 2 cannot send to member 1 before that has moved, nor member 3 until it is opened again.
            try await put("with \(paused)", on: paused == 2 ? 3 : 2)
        }
        try await checkThatTheOthersGoOn([1, 2, 3])
    }

    /// Two of three have lost their directories, and the third is down. They must not become a cluster without it, nor with it.
    func testTwoWipedMembersDoNotSwallowTheThird() async throws {
        try await room.stores[3]?.put("kept", "value")
        for member in [1, 2, 3] as [MemberID] { await room.close(member) }
        for member in [1, 2] as [MemberID] {
            try FileManager.default.moveItem(
                atPath: room.directory(member),
                toPath: room.directory(member, "-away")
            )
            try await room.open(member)
        }
        let first = try XCTUnwrap(room.stores[1])
        let waits = await storeError { try await first.put("kept", "other", timeout: .milliseconds(500)) }
        XCTAssertEqual(waits?.reason, .startingUp)
        let third = try await room.open(3)
        for member in [1, 2] as [MemberID] {
            let store = try XCTUnwrap(room.stores[member])
            // One refusal of two may come from a wrong address: it says so, waits, and takes part in nothing.
            try await expectRefusal(by: member, of: 3, saying: "the directory of member \(member) is not the one")
            XCTAssertNil(store.state.failure)
            XCTAssertEqual(room.events[member]?.joined, [])
            let error = await storeError { try await store.put("kept", "other", timeout: .milliseconds(100)) }
            XCTAssertEqual(error?.reason, .startingUp)
        }
        let error = await storeError { try await third.put("kept", "other", timeout: .milliseconds(500)) }
        XCTAssertEqual(error?.reason, .noQuorum, "it is no majority by itself")
        XCTAssertNil(third.state.failure)
        // And what was acknowledged comes back with the directories.
        for member in [1, 2] as [MemberID] {
            await room.close(member)
            try room.remove(room.directory(member))
            try FileManager.default.moveItem(
                atPath: room.directory(member, "-away"),
                toPath: room.directory(member)
            )
            try await room.open(member)
        }
        let entry = try await third.get("kept", timeout: .seconds(30))
        // The last put was refused or its outcome is unknown; a store that has swallowed the third would know neither value.
        let values: [Bytes?] = error?.outcome == .notApplied ? ["value"] : ["value", "other"]
        XCTAssertTrue(values.contains(entry?.value), "\(entry as Any)")
        try await checkThatTheOthersGoOn([1, 2, 3])
    }
}
