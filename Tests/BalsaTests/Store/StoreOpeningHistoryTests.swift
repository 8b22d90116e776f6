import BalsaPlatform
import BalsaRaft
import Foundation
import XCTest

@testable import Balsa

/// Openings that a peer has not heard of, over real files and sockets: a directory that knows the opening which the
/// peer remembers is accepted, however often it was opened since, and one that does not is refused.
final class StoreOpeningHistoryTests: XCTestCase {
    private var room: StoreRoom!
    /// Ports on which nobody listens until the test ends.
    private var silent: ReservedPorts!

    override func setUp() async throws {
        silent = try ReservedPorts(1)
        room = try StoreRoom(members: [1, 2])
        try await room.openAll()
    }

    override func tearDown() async throws { try await room.tearDown() }

    /// Opens member 1 so often that member 2, which is down, no longer finds the opening that it remembers among the
    /// last eight.
    private func openFirstTenTimes() async throws {
        await room.close(1)
        for _ in 1...10 {
            try await room.open(1)
            await room.close(1)
        }
    }

    /// Opens both members, of which `silent` looks for the other where nobody listens.
    private func openBoth(silent: MemberID) async throws {
        let nobody = "127.0.0.1:\(self.silent.ports[0])"
        for member in [1, 2] as [MemberID] {
            let peers = room.peers
            if member == silent { room.peers[3 - member] = nobody }
            defer { room.peers = peers }
            try await room.open(member)
        }
    }

    func testAMember_thatWasOpenedTenTimesWhileItsPeerWasDown_isAcceptedWhoeverConnects() async throws {
        for silent in [2, 1] as [MemberID] {
            let active = 3 - silent
            await room.close(2)
            try await openFirstTenTimes()
            try await openBoth(silent: silent)
            try await eventually("member \(active) has connected") {
                room.events[active]?.hasConnected(to: silent) ?? false
            }
            for (member, events) in room.events {
                XCTAssertEqual(events.refusals(of: 3 - member), [], "member \(member) has nothing to tell")
            }
            await room.close(1)
            await room.close(2)
            try await room.open(1)
            try await room.open(2)
            try await room.stores[2]?.put("both", "go on", timeout: .seconds(30))
        }
        for store in room.stores.values { XCTAssertNil(store.state.failure) }
    }

    func testADirectory_thatWasSetBackAndOpenedTenTimes_isRefused() async throws {
        await room.close(1)
        try room.copy(room.directory(1), to: room.directory(1, "-image"))
        // The opening that the image does not have, and that member 2 remembers.
        try await room.open(1)
        try await room.stores[1]?.put("heard", "again", timeout: .seconds(30))
        await room.close(2)
        await room.close(1)
        try room.remove(room.directory(1))
        try room.copy(room.directory(1, "-image"), to: room.directory(1))
        try await openFirstTenTimes()
        try await room.open(2)
        let back = try await room.open(1)
        try await expectFailure(of: back, saying: ["the directory of member 1 was set back to before its opening"])
        XCTAssertNil(room.stores[2]?.state.failure)
    }

    /// Opens the directory of member 1, which is closed, 5,000 times without a process, so that its record no longer
    /// reaches back to the opening that member 2 remembers; and takes away its note that member 2 remembers one.
    private func forgetOpenings() throws {
        let url = URL(fileURLWithPath: room.directory(1) + "/BOOT")
        var record = try TwinFile.boot(Bytes([UInt8](try Data(contentsOf: url))))
        XCTAssertNotNil(record.peers.first?.known, "it has noted what member 2 remembers")
        for nonce in 1...5_000 as ClosedRange<UInt64> { record.bump(nonce: 10_000 + nonce) }
        for place in record.peers.indices { record.peers[place].known = nil }
        try TwinFile.encoded(record.encoded()).withUnsafeBytes { Data($0) }.write(to: url)
    }

    func testAMember_withoutARecordOfTheOpening_isToldByBothAndStopsNeither() async throws {
        // Each has connected to the other, so that member 1 has noted what member 2 remembers.
        let opening = try await knownOpening()
        await room.close(1)
        await room.close(2)
        try room.copy(room.directory(1), to: room.directory(1, "-latest"))
        try forgetOpenings()
        for member in [1, 2] as [MemberID] { try await room.open(member) }
        let sentence =
            "member 2 remembers opening \(opening) of the directory of member 1, which has no record of it, so that "
            + "nobody can "
            + "say whether the directory was set back: put the latest directory back; if this is the latest, the two "
            + "go on "
            + "without each other, and the rest of the cluster with both"
        for member in [1, 2] as [MemberID] {
            let peer = 3 - member
            try await eventually(
                "member \(member) tells of the refusal: \(room.events[member]?.refusals(of: peer) ?? [])"
            ) {
                room.events[member]?.refusals(of: peer).contains { $0.hasSuffix(sentence) } ?? false
            }
            let told = room.events[member]?.refusals(of: peer) ?? []
            XCTAssertTrue(told.allSatisfy { $0.hasSuffix(sentence) }, "member \(member) tells nothing else: \(told)")
            XCTAssertNil(room.stores[member]?.state.failure)
        }
        // Nothing is said over a connection that was refused.
        let error = await storeError { try await room.stores[2]?.put("k", "v", timeout: .milliseconds(300)) }
        XCTAssertEqual(error?.reason, .noQuorum)
        XCTAssertEqual(error?.outcome, .notApplied)
        // What the sentence advises: the latest directory.
        await room.close(1)
        try room.remove(room.directory(1))
        try room.copy(room.directory(1, "-latest"), to: room.directory(1))
        try await room.open(1)
        try await room.stores[1]?.put("both", "go on", timeout: .seconds(30))
    }

    /// Waits until member 1 has noted durably which of its openings member 2 remembers, and returns that.
    private func knownOpening() async throws -> UInt64 {
        var opening: UInt64?
        try await eventually("member 1 has noted what member 2 remembers") {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: room.directory(1) + "/BOOT"))
            opening = try TwinFile.boot(Bytes([UInt8](bytes))).peers.first?.known?.boot
            return opening != nil
        }
        return try XCTUnwrap(opening)
    }

    /// A supervisor that starts a member over and over must not use up its openings.
    func testAnOpening_whosePortIsInUse_changesNoByteAndIsNotCounted() async throws {
        await room.close(2)
        func contents() throws -> [String: Data] {
            let directory = room.directory(2)
            var found: [String: Data] = [:]
            for name in try FileManager.default.subpathsOfDirectory(atPath: directory) {
                found[name] = FileManager.default.contents(atPath: "\(directory)/\(name)")
            }
            return found
        }
        let before = try contents()
        XCTAssertNotNil(before["BOOT"])
        var peers = room.peers
        peers[2] = peers[1]
        for _ in 0..<3 {
            let error = await storeError { _ = try await room.open(2, at: room.directory(2), peers) }
            XCTAssertEqual(error?.reason, .inUse)
            XCTAssertEqual(
                error?.message,
                "listen on `\(peers[2] ?? "")`: Address already in use (errno 98): stop the process that listens "
                    + "there, or "
                    + "listen on another port"
            )
        }
        XCTAssertEqual(try contents(), before)
        try await room.open(2)
        try await room.stores[2]?.put("k", "v", timeout: .seconds(30))
    }
}
