import BalsaRaft
import XCTest

@testable import BalsaSimulation

/// What can be made can be run, or is refused with a sentence.
final class RunnableScenarioTests: XCTestCase {
    private func refusal(_ change: (inout Scenario) -> Void) -> String? {
        var scenario = Scenario(seed: 1)
        change(&scenario)
        do throws(ScenarioError) {
            try scenario.validate()
            return nil
        } catch {
            return error.description
        }
    }

    func testScenario_thatCannotBeRun_isRefusedWithItsProperty() {
        XCTAssertEqual(refusal { $0.members = 0 }, "members is 1 to 7: members=0")
        XCTAssertEqual(refusal { $0.members = .max }, "members is 1 to 7: members=\(UInt64.max)")
        XCTAssertEqual(refusal { $0.clients = 0 }, "clients is 1 to 1024: clients=0")
        XCTAssertEqual(refusal { $0.keys = 0 }, "keys is 1 to 1048576: keys=0")
        XCTAssertEqual(refusal { $0.thinking = .zero }, "thinking is 1 to 3600000000000: thinking=0")
        XCTAssertEqual(refusal { $0.core = 2 }, "core is a majority of the members, as bits by member id: core=2")
        XCTAssertNil(refusal { $0.members = 7 })
    }

    func testScenarios_thatTheLibraryMakes_canBeRun() throws {
        for seed: UInt64 in 1...50 {
            try Scenario(seed: seed, members: seed % 7 + 1, duration: .seconds(60)).validate()
        }
        try Scenario.catchUp(puts: 1000).validate()
    }

    func testScenario_withoutACore_runsWithAllMembersInIt() {
        var scenario = Scenario(seed: 1)
        scenario.duration = .milliseconds(200)
        let simulation = Simulation(scenario)
        XCTAssertEqual(simulation.scenario.core, 0b1110)
        XCTAssertNil(simulation.run().violation)
    }
}
