import BalsaRaft
import XCTest

@testable import BalsaSimulation

/// A member whose tables are damaged again and again, in runs in which nothing else goes wrong.
final class DamagedTableTests: XCTestCase {
    private func scenario(_ seed: UInt64) -> Scenario {
        var scenario = Scenario(seed: seed, members: 3, duration: .seconds(10))
        scenario.damageOneMember()
        return scenario
    }

    func testMember_whoseTablesAreDamaged_isRebuiltAndNobodyReadsAnythingElse() throws {
        var counters = RunCounters()
        // Until everything has happened. Scenarios with all other faults draw damaged tables as well.
        for seed in 1...6 as ClosedRange<UInt64> where seed <= 2 || counters.statesRebuilt == 0 {
            let report = Simulation(scenario(seed)).run()
            XCTAssertNil(report.violation, "seed \(seed)")
            XCTAssertGreaterThan(report.counters.acknowledged, 100)
            counters.add(report.counters)
        }
        XCTAssertGreaterThan(counters[.damagedTable], 0)
        XCTAssertGreaterThan(counters.quarantines, 0)
        XCTAssertGreaterThan(counters.entriesUnreadable, 0)
        XCTAssertGreaterThan(counters.statesRebuilt, 0)
        XCTAssertEqual(counters.reopened, 0)
    }

    func testMember_thatAppliesWhatItCannotRead_isFoundByTheCheckers() throws {
        // One violation is enough, so the runs end with the first.
        let isFound = (1...6 as ClosedRange<UInt64>).contains {
            Simulation(scenario($0), bugs: .quarantineIgnored).run().violation != nil
        }
        XCTAssertTrue(isFound)
    }
}
