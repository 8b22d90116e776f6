import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import XCTest

@testable import Balsa

/// A member whose log was set back below what it acknowledged.
final class LostLogTests: ReplicaTestCase {
    func testMember_whoseLogIsSetBackWithinATerm_isFoundStopsWithASentenceAndTheOthersGoOn() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        let loser = leader % 3 + 1
        let before = group.write(leader, "k", "1")
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(leader).reply(to: before)?.isSuccess, true)
        let image = group.host(loser).disk.snapshot()
        let later = group.write(leader, "k", "2")
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(leader).reply(to: later)?.isSuccess, true)
        let acknowledged = try XCTUnwrap(group.host(loser).replica?.raft.durableIndex)
        group.crash(loser, powerLoss: nil)
        group.host(loser).disk = SimulatedDisk(image)
        group.host(loser).disk.processCrash()
        group.expect(.acknowledgedEntriesLost, of: leader, loser)
        group.expect(.failed(.damaged), of: loser)
        try group.open(loser)
        let next = group.write(leader, "k", "3")
        group.advance(by: .milliseconds(200))
        XCTAssertEqual(group.host(leader).reply(to: next)?.isSuccess, true, "two of three are left")
        let failure = try XCTUnwrap(group.host(loser).replica?.failure)
        let term = try XCTUnwrap(group.host(leader).replica?.raft.term)
        XCTAssertEqual(
            failure.message,
            "the member acknowledged entry \(acknowledged) of term \(term), which its log does not hold; the "
                + "log ends at entry \(acknowledged - 1) of term \(term). Either its directory was set back, or the "
                + "last frames of its log were damaged. Put the latest directory back, or leave the member stopped"
        )
        XCTAssertEqual(group.host(leader).replica?.metrics.lossesFound, 1)
        XCTAssertEqual(group.host(loser).replica?.metrics.lossesFound, 1)
        XCTAssertEqual(
            group.host(leader).anomalies,
            [.acknowledgedEntriesLost(by: loser, through: LogPosition(term: term, index: acknowledged))]
        )
        XCTAssertNil(group.host(leader).replica?.failure)
    }

    /// Its directory is put back as it was before another leader replaced its last entries. Nobody proposes anything.
    func testMember_whoseLogIsSetBackToEntriesThatWereReplaced_appliesNoneOfThemAndStops() throws {
        let group = ReplicaGroup(members: 3)
        let loser = try group.start()
        let before = group.write(loser, "k", "1")
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(loser).reply(to: before)?.isSuccess, true)
        let applied = try XCTUnwrap(group.host(loser).replica?.appliedIndex)
        group.isolate(loser)
        group.write(loser, "k", "lost")
        group.write(loser, "k", "lost again")
        group.advance(by: .milliseconds(100))
        let image = group.host(loser).disk.snapshot()
        group.expect(.quorumLost, of: loser)
        let leader = try group.elect()
        let after = group.write(leader, "k", "2")
        group.advance(by: .milliseconds(100))
        group.isolate()
        group.advance(by: .milliseconds(300))
        XCTAssertEqual(group.host(leader).reply(to: after)?.isSuccess, true)
        XCTAssertEqual(group.host(loser).replica?.appliedIndex, group.host(leader).replica?.appliedIndex)
        group.crash(loser, powerLoss: nil)
        group.host(loser).disk = SimulatedDisk(image)
        group.host(loser).disk.processCrash()
        group.expect(.acknowledgedEntriesLost, of: leader, loser)
        group.expect(.failed(.damaged), of: loser)
        try group.open(loser)
        group.advance(by: .milliseconds(300))
        XCTAssertEqual(group.host(loser).replica?.failure?.code, .damaged)
        XCTAssertEqual(group.host(loser).replica?.appliedIndex, applied, "nothing that was replaced is applied")
        XCTAssertNil(group.host(leader).replica?.failure)
    }

    /// The operator puts the latest directory back while the same leader leads.
    func testMember_whoseLatestDirectoryIsPutBack_isWrittenToAndCountedAgain() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        let (loser, third) = (leader % 3 + 1, (leader + 1) % 3 + 1)
        _ = group.write(leader, "k", "1")
        group.advance(by: .milliseconds(100))
        let image = group.host(loser).disk.snapshot()
        _ = group.write(leader, "k", "2")
        group.advance(by: .milliseconds(100))
        group.crash(loser, powerLoss: nil)
        let latest = group.host(loser).disk
        group.host(loser).disk = SimulatedDisk(image)
        group.host(loser).disk.processCrash()
        group.expect(.acknowledgedEntriesLost, of: leader, loser)
        group.expect(.failed(.damaged), of: loser)
        try group.open(loser)
        _ = group.write(leader, "k", "3")
        group.advance(by: .milliseconds(100))
        XCTAssertNotNil(group.host(loser).replica?.failure)
        // What the message advises.
        group.crash(loser, powerLoss: nil)
        group.host(loser).disk = latest
        try group.open(loser)
        group.advance(by: .milliseconds(200))
        XCTAssertNil(group.host(loser).replica?.failure)
        XCTAssertEqual(group.host(leader).replica?.raft.role, .leader, "in the same term")
        group.isolate(third)
        let last = group.write(leader, "k", "4")
        group.advance(by: .milliseconds(200))
        XCTAssertEqual(group.host(leader).reply(to: last)?.isSuccess, true, "it is one of the quorum again")
    }
}
