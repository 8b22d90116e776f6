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
        XCTAssertEqual(
            failure.message,
            "the log ends at entry \(acknowledged - 1), though the member acknowledged the entries through \(acknowledged): its "
                + "directory was set back. Put the latest one back, or leave the member stopped"
        )
        XCTAssertEqual(group.host(leader).replica?.metrics.lossesFound, 1)
        XCTAssertEqual(group.host(loser).replica?.metrics.lossesFound, 1)
        XCTAssertEqual(
            group.host(leader).anomalies,
            [.acknowledgedEntriesLost(by: loser, through: acknowledged)]
        )
        XCTAssertNil(group.host(leader).replica?.failure)
    }
}
