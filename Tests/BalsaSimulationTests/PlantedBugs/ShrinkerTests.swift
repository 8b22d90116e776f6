import BalsaRaft
import XCTest

@testable import BalsaSimulation

/// What the shrinker keeps and leaves out, on failures that are functions of the scenario; and once on a real run.
final class ShrinkerTests: XCTestCase {
    /// A scenario of 40 seconds with a fault of each of these kinds in each second.
    private func scenario(_ kinds: Fault.Kind...) -> Scenario {
        var scenario = Scenario(seed: 1)
        scenario.duration = .seconds(40)
        scenario.clients = 5
        for second in 1...39 as ClosedRange<UInt64> {
            for kind in kinds {
                var fault = Fault(at: .seconds(second), kind: kind)
                fault.member = second % 3 + 1
                scenario.faults.append(fault)
            }
        }
        return scenario
    }

    private func violation(_ invariant: Invariant, at second: UInt64) -> Violation {
        Violation(invariant, "so it is", at: .seconds(second))
    }

    /// Fails at 30 s where the kill at 10 s and the pause at 20 s are both there, and two clients or more.
    private func failsByTwoFaults(_ scenario: Scenario) -> Violation? {
        let kill = scenario.faults.contains { $0.at == .seconds(10) && $0.kind == .kill }
        let pause = scenario.faults.contains { $0.at == .seconds(20) && $0.kind == .pause }
        guard kill, pause, scenario.clients >= 2, scenario.duration > .seconds(30) else { return nil }
        return violation(.equalStates, at: 30)
    }

    func testShrink_twoFaultsMatter_leavesOutAllOthers() {
        var runs = 0
        let shrinker = Shrinker(scenario(.kill, .pause, .loss), invariant: .equalStates) { candidate in
            runs += 1
            return self.failsByTwoFaults(candidate)
        }
        var progress: [String] = []
        let shrunk = shrinker.shrink { progress.append($0) }
        XCTAssertEqual(shrunk.faults.map(\.kind), [.kill, .pause])
        XCTAssertEqual(shrunk.faults.map(\.at), [.seconds(10), .seconds(20)])
        XCTAssertEqual(shrunk.clients, 2)
        XCTAssertEqual(shrunk.duration, .seconds(30) + .milliseconds(1))
        XCTAssertEqual(failsByTwoFaults(shrunk)?.invariant, .equalStates)
        XCTAssertEqual(progress.last, "2 faults left, \(shrunk.duration)")
        XCTAssertLessThanOrEqual(runs, 600, "117 faults do not take more")
        XCTAssertEqual(shrinker.shrink(), shrunk, "the same again")
    }

    func testShrink_otherInvariantBreaksWithFewerFaults_keepsItsOwn() {
        // Without the loss something else breaks, which is no smaller form of the same failure.
        func fails(_ scenario: Scenario) -> Violation? {
            let hasLoss = scenario.faults.contains { $0.at == .seconds(5) && $0.kind == .loss }
            return violation(hasLoss ? .logMatching : .recovery, at: 6)
        }
        let shrunk = Shrinker(scenario(.kill, .loss), invariant: .logMatching, run: fails).shrink()
        XCTAssertEqual(shrunk.faults.map(\.kind), [.loss])
        XCTAssertEqual(fails(shrunk)?.invariant, .logMatching)
    }

    func testShrink_liveness_keepsItsDuration() {
        let large = scenario(.kill)
        let shrunk = Shrinker(large, invariant: .liveness) { _ in self.violation(.liveness, at: 20) }.shrink()
        XCTAssertEqual(shrunk.duration, large.duration)
        XCTAssertEqual(shrunk.faults, [])
        XCTAssertEqual(shrunk.clients, 1)
    }

    func testShrink_scenarioThatDoesNotFail_isReturnedAsItIs() {
        let large = scenario(.kill)
        XCTAssertEqual(Shrinker(large, invariant: .recovery) { _ in nil }.shrink(), large)
        XCTAssertEqual(
            Shrinker(large, invariant: .recovery) { _ in self.violation(.liveness, at: 1) }.shrink(),
            large
        )
    }

    func testShrink_boundIsReached_stopsWithWhatFailsStill() {
        var runs = 0
        let shrinker = Shrinker(scenario(.kill, .pause, .loss), invariant: .equalStates, mostRuns: 12) { candidate in
            runs += 1
            return self.failsByTwoFaults(candidate)
        }
        let shrunk = shrinker.shrink()
        XCTAssertEqual(runs, 12)
        XCTAssertEqual(failsByTwoFaults(shrunk)?.invariant, .equalStates)
        XCTAssertLessThan(shrunk.faults.count, 117)
    }

    func testShrink_plantedError_failsInTheSameWayAndPassesWithout() throws {
        let error = try XCTUnwrap(PlantedBugs.catalogue.first { $0.name == "apply-beyond-persisted" })
        let record = try XCTUnwrap(error.records.first)
        let large = error.scenario(seed: record.seed)
        let shrunk = Shrinker(large, bugs: error.bug, invariant: record.invariant).shrink()
        XCTAssertLessThan(shrunk.faults.count, large.faults.count)
        XCTAssertLessThan(shrunk.duration, large.duration)
        let report = Simulation(try Scenario(text: shrunk.text), bugs: error.bug).run()
        XCTAssertEqual(report.violation?.invariant, record.invariant)
        XCTAssertNil(Simulation(shrunk).run().violation)
    }
}
