import BalsaRaft
import BalsaWire
import XCTest

@testable import BalsaSimulation

/// A run is a function of its scenario, whoever watches.
final class DeterminismTests: XCTestCase {
    private func scenario(_ seed: UInt64, members: UInt64 = 3) -> Scenario {
        Scenario(seed: seed, members: members, duration: .seconds(2))
    }

    func testEqualScenariosGiveEqualRuns() {
        for seed in UInt64(1)...4 {
            let first = Simulation(scenario(seed)).run()
            let second = Simulation(scenario(seed)).run()
            XCTAssertEqual(first.traceHash, second.traceHash, "seed \(seed)")
            XCTAssertEqual(first.history, second.history)
            XCTAssertEqual(first.counters, second.counters)
        }
    }

    func testReadingTheTraceChangesNothing() {
        var lines: UInt64 = 0
        let read = Simulation(scenario(5)).run { _ in lines += 1 }
        let unread = Simulation(scenario(5)).run()
        XCTAssertEqual(read.traceHash, unread.traceHash)
        XCTAssertGreaterThan(lines, read.events, "every event has its line, and disk calls have theirs")
    }

    func testDifferentSeedsGiveDifferentRuns() {
        let hashes = (1...6).map { Simulation(scenario(UInt64($0))).run().traceHash }
        for (place, hash) in hashes.enumerated() { XCTAssertFalse(hashes[..<place].contains(hash)) }
    }

    func testAScenarioThatWasWrittenAndReadRunsAsBefore() throws {
        let drawn = scenario(7, members: 5)
        let read = try Scenario(text: drawn.text)
        XCTAssertEqual(read, drawn)
        XCTAssertEqual(Simulation(read).run().traceHash, Simulation(drawn).run().traceHash)
    }

    /// Leaving a fault out must not shift what the others do: chance is tied to the fault, not to a common source.
    func testWhatOneLinkDecidesDoesNotDependOnAnother() {
        var network = SimulatedNetwork(Scenario(seed: 3))
        var alone = network
        var arrivals: [TimeSpan] = []
        for step in UInt64(0)..<20 {
            let now = TimeSpan.milliseconds(step)
            _ = network.route(from: 2, to: 3, .control, at: now) { _ in }
            arrivals += network.route(from: 1, to: 2, .control, at: now) { _ in }
        }
        var expected: [TimeSpan] = []
        for step in UInt64(0)..<20 {
            expected += alone.route(from: 1, to: 2, .control, at: .milliseconds(step)) { _ in }
        }
        XCTAssertEqual(arrivals, expected)
    }
}
