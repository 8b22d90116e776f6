import BalsaRaft
import XCTest

@testable import BalsaSimulation

/// A member whose state becomes another one, in runs in which nothing else goes wrong.
final class AlteredDigestTests: XCTestCase {
    /// Each member in turn, so that the leader is among them.
    func testMember_whoseDigestIsAltered_isFoundAndRebuiltAndNobodySeesAnything() throws {
        for member in 1...3 as ClosedRange<MemberID> {
            var scenario = Scenario(seed: 5)
            scenario.duration = .seconds(8)
            var fault = Fault(at: .seconds(2), kind: .alteredDigest)
            fault.member = member
            scenario.faults = [fault]
            let report = Simulation(scenario).run()
            XCTAssertNil(report.violation, "member \(member)")
            XCTAssertEqual(report.counters[.alteredDigest], 1)
            XCTAssertEqual(report.counters.statesRebuilt, 1, "member \(member)")
            XCTAssertGreaterThan(report.counters.statesDiverged, 0)
            XCTAssertGreaterThan(report.counters.acknowledged, 100)
        }
    }

    /// The step that installs the checkpoint applies in these runs what follows it, far behind the bound.
    func testMember_thatAppliesInTheStepThatRebuildsIt_isNoViolation() {
        for seed in [27, 30] as [UInt64] {
            var scenario = Scenario(seed: seed, members: 3, duration: .seconds(2))
            scenario.alterOneDigest()
            let report = Simulation(scenario).run()
            XCTAssertNil(report.violation, "seed \(seed)")
            XCTAssertEqual(report.counters.statesRebuilt, 1, "seed \(seed)")
        }
    }

    /// With the planted error nobody acts on it, and the checker says so.
    func testMember_thatIgnoresThatItsStateDiffers_isFoundByTheChecker() throws {
        var scenario = Scenario(seed: 5)
        scenario.duration = .seconds(8)
        var fault = Fault(at: .seconds(2), kind: .alteredDigest)
        fault.member = 2
        scenario.faults = [fault]
        let report = Simulation(scenario, bugs: .divergenceIgnored).run()
        XCTAssertEqual(report.violation?.invariant, .equalStates)
        XCTAssertEqual(report.violation?.detail.hasPrefix("member 2 has another state than the others"), true)
    }
}
