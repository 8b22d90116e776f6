import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import XCTest

@testable import Balsa

/// A group that nobody writes to, and a state that waits for logical time to pass.
final class IdleTests: ReplicaTestCase {
    private func command() throws -> Bytes { try RegisterCommand(identity: nil, key: "idle", value: "").encoded() }

    private func started(members: UInt64 = 3) throws -> (group: ReplicaGroup, leader: MemberID) {
        let group = ReplicaGroup(members: members)
        let leader = try group.start()
        group.advance(by: .seconds(1))
        return (group, leader)
    }

    func testAnIdleGroup_whoseStateWaitsForNothing_staysAtRest() throws {
        let (group, leader) = try started()
        let last = try XCTUnwrap(group.host(leader).replica).commitIndex
        group.advance(by: .seconds(300))
        XCTAssertEqual(group.host(leader).replica?.commitIndex, last)
        XCTAssertEqual(group.host(leader).replica?.metrics.idleCommands, 0)
    }

    func testAnIdleGroup_whoseStateWaits_getsEntriesAtABoundedRate_andOnlyWhileItWaits() throws {
        let (group, leader) = try started()
        let command = try command()
        var isWaiting = true
        for id in 1...3 as ClosedRange<MemberID> {
            group.host(id).provider.commandWhileIdle = { isWaiting ? command : nil }
        }
        let last = try XCTUnwrap(group.host(leader).replica).commitIndex
        group.advance(by: .seconds(100))
        let proposed = try XCTUnwrap(group.host(leader).replica).metrics.idleCommands
        XCTAssertGreaterThanOrEqual(proposed, 8)
        XCTAssertLessThanOrEqual(proposed, 10)
        XCTAssertEqual(group.host(leader).replica?.commitIndex, last + UInt64(proposed))
        for id in 1...3 as ClosedRange<MemberID> where id != leader {
            XCTAssertEqual(group.host(id).replica?.metrics.idleCommands, 0, "only the leader proposes")
            XCTAssertEqual(group.host(id).machine?.value(of: "idle"), "")
        }
        isWaiting = false
        group.advance(by: .seconds(200))
        XCTAssertEqual(group.host(leader).replica?.metrics.idleCommands, proposed)
    }

    func testABusyGroup_getsNoEntriesOfItsOwn() throws {
        let (group, leader) = try started()
        let command = try command()
        for id in 1...3 as ClosedRange<MemberID> { group.host(id).provider.commandWhileIdle = { command } }
        for _ in 0..<30 {
            group.writeMany(leader, 1)
            group.advance(by: .seconds(5))
        }
        XCTAssertEqual(group.host(leader).replica?.metrics.idleCommands, 0)
    }
}
