import BalsaRaft
import XCTest

@testable import BalsaSimulation

/// Where nothing goes wrong, every client is told what became of its calls.
final class FaultlessRunTests: XCTestCase {
    func testRuns_withoutFaults_leaveNothingUnknown() {
        for seed: UInt64 in 1...5 {
            var scenario = Scenario(seed: seed, members: 3, duration: .seconds(1))
            scenario.faults = []
            let report = Simulation(scenario).run()
            XCTAssertNil(report.violation, "seed \(seed)")
            XCTAssertEqual(report.counters.unknown, 0, "seed \(seed)")
            XCTAssertGreaterThan(report.counters.acknowledged, 0, "seed \(seed)")
        }
    }
}
