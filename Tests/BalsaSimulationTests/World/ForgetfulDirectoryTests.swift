import BalsaPlatform
import BalsaRaft
import XCTest

@testable import BalsaSimulation

/// Directories that forget, and first boots that are disturbed, in runs that a reader can follow.
final class ForgetfulDirectoryTests: XCTestCase {
    private func run(_ faults: String, seed: UInt64 = 5, seconds: Int = 6) throws -> RunReport {
        let scenario = try Scenario(
            text: """
                balsa-scenario 1
                seed=\(seed)
                duration=\(seconds)000000000
                core=6
                \(faults)
                """
        )
        return Simulation(scenario).run()
    }

    /// A member is started a second time, each of the others is missed for a while, so that everybody has heard of that, and
    /// then the fault hits.
    private func check(_ kind: Fault.Kind, of member: MemberID, salt: UInt64 = 0, line: UInt = #line) throws {
        let report = try run(
            """
            fault 1000000000 kill member=\(member) lasts=100000000
            fault 1500000000 kill member=\(1 + member % 3) lasts=1000000000
            fault 2800000000 kill member=\(1 + (member + 1) % 3) lasts=1000000000
            fault 4500000000 \(kind.rawValue) member=\(member) lasts=100000000 salt=\(salt)
            """
        )
        XCTAssertNil(report.violation, line: line)
        XCTAssertEqual(report.counters[kind], 1, line: line)
        XCTAssertEqual(report.counters.membersRefused, 1, line: line)
        XCTAssertGreaterThan(report.counters.acknowledged, 100, line: line)
    }

    func testAWipedMemberIsRefusedAndTheOthersGoOn() throws { try check(.wipe, of: 3) }

    func testAMemberThatWasSetBackIsRefusedAndTheOthersGoOn() throws { try check(.rollBack, of: 3) }

    /// It is opened up to twenty times more, and ended at once or refused each time.
    func testAMember_thatWasSetBackAndIsOpenedOften_isRefused() throws {
        var openings: [UInt64] = []
        for salt in 1...6 as ClosedRange<UInt64> {
            openings.append(RandomSource.mix(salt) % 20)
            try check(.rollBack, of: 3, salt: salt)
        }
        XCTAssertTrue(openings.allSatisfy { $0 > 8 }, "more often than an introduction looks back: \(openings)")
    }

    func testAMember_thatIsStartedOftenWhileAPeerIsDown_isRefusedByNobody() throws {
        var asked = 0
        for member in 1...3 as ClosedRange<MemberID> {
            for salt in [1, 4, 5] {
                let report = try run(
                    """
                    fault 1000000000 restarts member=\(member) peer=\(1 + member % 3) \
                    lasts=500000000 rate=40 salt=\(salt)
                    """,
                    seed: UInt64(salt),
                    seconds: 4
                )
                XCTAssertNil(report.violation, "\(member), \(salt)")
                XCTAssertEqual(report.counters[.restarts], 1)
                XCTAssertEqual(report.counters.membersRefused, 0)
                XCTAssertGreaterThan(report.counters.acknowledged, 100)
                asked += report.counters.openingsAskedFor
            }
        }
        XCTAssertGreaterThan(asked, 0, "an opening had to be shown")
    }

    func testACopyOfAMemberIsRefusedAndTheMemberGoesOn() throws {
        try check(.clone, of: 3)
        try check(.clone, of: 1)
    }

    func testADirectoryOfTheCoreIsLeftAlone() throws {
        for kind in [Fault.Kind.wipe, .rollBack] {
            let report = try run("fault 4000000000 \(kind.rawValue) member=1 lasts=100000000")
            XCTAssertNil(report.violation)
            XCTAssertEqual(report.counters[kind], 0)
            XCTAssertEqual(report.counters.membersRefused, 0)
        }
    }

    func testMembersThatDieInTheirFirstBootBecomeOneCluster() throws {
        for member in 1...3 as ClosedRange<MemberID> {
            for calls in [4, 9] {
                let report = try run(
                    "fault 0 power-loss-in-call member=\(member) lasts=700000000 rate=\(calls) salt=7",
                    seconds: 3
                )
                XCTAssertNil(report.violation, "member \(member), call \(calls)")
                XCTAssertEqual(report.counters.firstBoots, 3)
            }
        }
    }

    func testAFirstBootThatTheStormHasHeldUpIsEndedInTheCalm() throws {
        let report = try run("fault 0 drops-incoming member=3 lasts=60000000000", seconds: 3)
        XCTAssertNil(report.violation)
        XCTAssertEqual(report.counters.firstBoots, 3)
        XCTAssertGreaterThan(report.counters.acknowledged, 0)
    }
}
