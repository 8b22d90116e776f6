import BalsaRaft
import XCTest

@testable import BalsaSimulation

/// A ROOT that is put back as it was before a checkpoint replaced the state, in the opening in which that happened.
final class ExchangedRootTests: XCTestCase {
    private func fault(_ kind: Fault.Kind, at time: TimeSpan) -> Fault {
        var fault = Fault(at: time, kind: kind)
        fault.member = 3
        fault.lasts = .milliseconds(100)
        return fault
    }

    func testRoot_fromBeforeACheckpoint_isRefused() {
        // The digest of member 3 counts as another one from the first second on.
        var scenario = Scenario(seed: 2, members: 3, duration: .seconds(6))
        scenario.alterOneDigest()
        scenario.core = Scenario.bit(1) | Scenario.bit(2)
        var swap = fault(.swapped, at: .seconds(5))
        swap.set = World.bits(of: ["groups/1/ROOT"]) | World.ofLatestOpening
        // Its first opening is that of the first boot, which has no such copy.
        scenario.faults += [fault(.kill, at: .milliseconds(500)), swap]
        scenario.faults.sort { $0.at < $1.at }
        let report = Simulation(scenario).run()
        XCTAssertNil(report.violation)
        XCTAssertEqual(report.counters.filesOfOneOpening, 1)
        XCTAssertEqual(report.counters.filesRefused, 1)
    }
}
