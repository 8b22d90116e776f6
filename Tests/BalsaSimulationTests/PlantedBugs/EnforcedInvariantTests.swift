import BalsaRaft
import XCTest

@testable import BalsaSimulation

/// A run goes on past a violation of an invariant that is not enforced, notes it, and ends in any case.
final class EnforcedInvariantTests: XCTestCase {
    private func without(_ invariant: Invariant) -> InvariantSet {
        InvariantSet(Invariant.allCases.filter { $0 != invariant })
    }

    func testInvariantSet_ofSome_containsThoseAlone() {
        let set = InvariantSet([.liveness, .oneVote])
        XCTAssertEqual(set.invariants, [.oneVote, .liveness])
        XCTAssertEqual(Invariant.allCases.filter(set.contains), [.oneVote, .liveness])
        XCTAssertEqual(InvariantSet.all.invariants, Invariant.allCases)
        XCTAssertEqual(InvariantSet([]).invariants, [])
    }

    func testInvariant_word_isReadBackWithHyphensAndWithBlanks() {
        for invariant in Invariant.allCases {
            XCTAssertFalse(invariant.word.contains(" "))
            XCTAssertEqual(Invariant(word: invariant.word), invariant)
            XCTAssertEqual(Invariant(word: invariant.rawValue), invariant)
        }
        XCTAssertNil(Invariant(word: "one vote"))
        XCTAssertNil(Invariant(word: ""))
    }

    func testRun_violationIsNotEnforced_goesOnAndNotesTheSameViolation() throws {
        let error = try XCTUnwrap(PlantedBugs.catalogue.first { $0.name == "deduplication-off" })
        let record = try XCTUnwrap(error.records.first)
        let scenario = error.scenario(seed: record.seed)
        let enforced = Simulation(scenario, bugs: error.bug).run()
        let violation = try XCTUnwrap(enforced.violation)
        XCTAssertEqual(violation.invariant, .exactlyOnce)
        XCTAssertEqual(enforced.unenforced, [])
        XCTAssertEqual(enforced.firstViolation, violation)

        let past = Simulation(scenario, bugs: error.bug, enforced: without(.exactlyOnce)).run()
        XCTAssertEqual(past.unenforced, [violation])
        XCTAssertEqual(past.firstViolation, violation)
        XCTAssertGreaterThan(past.events, enforced.events)
        XCTAssertGreaterThan(past.counters.acknowledged, 0)
    }

    func testRun_livenessIsNotEnforced_endsAfterSettling() {
        var scenario = Scenario(seed: 1, members: 3, duration: .milliseconds(100))
        scenario.settling = .milliseconds(1)
        XCTAssertEqual(Simulation(scenario).run().violation?.invariant, .liveness)
        let report = Simulation(scenario, enforced: without(.liveness)).run()
        XCTAssertNil(report.violation)
        XCTAssertEqual(report.unenforced.map(\.invariant), [.liveness])
        XCTAssertEqual(report.simulated, .milliseconds(101))
    }

    func testRun_everythingEnforced_isTheSameAsWithFewerUntilSomethingIsViolated() {
        let scenario = Scenario(seed: 3, members: 3, duration: .seconds(1))
        let all = Simulation(scenario).run()
        XCTAssertNil(all.violation)
        XCTAssertEqual(Simulation(scenario, enforced: InvariantSet([])).run().traceHash, all.traceHash)
    }
}
