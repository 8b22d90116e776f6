import Balsa
import BalsaKeyValue
import BalsaPlatform
import XCTest

@testable import BalsaSimulation

/// What clients ask for in a few runs: each kind of question, and each way in which it can end. A load that asks for less
/// leaves the checkers nothing to see.
final class WorkloadTests: XCTestCase {
    /// Which of `expected` did not happen in runs, which are done only until all have.
    private func missing(_ expected: [String], in seeds: ClosedRange<UInt64>) -> [String] {
        var found: Set<String> = []
        for seed in seeds where !expected.allSatisfy(found.contains) {
            var scenario = Scenario(seed: seed)
            scenario.duration = .seconds(1)
            scenario.core = 0b1110
            scenario.clients = 6
            scenario.thinking = .milliseconds(5)
            scenario.keys = 2
            scenario.valueBytes = 400
            scenario.maxSessions = seed % 2 == 0 ? 8 : 100
            let world = World(scenario, bugs: [], traceLine: nil)
            world.run()
            XCTAssertNil(world.violation, "seed \(seed)")
            for call in world.calls.calls {
                guard let outcome = call.outcome else { continue }
                found.insert("\(words(for: call.question)): \(word(for: outcome))")
            }
            for (_, reply) in world.calls.refusals { found.insert("refusal: \(reply.outcome)") }
        }
        return expected.filter { !found.contains($0) }
    }

    private func words(for question: CallLog.Question) -> String {
        switch question {
        case .get(let key, let consistency): "get \(key < "l" ? "register" : "other") \(word(for: consistency))"
        case .scan(_, let consistency): "scan \(word(for: consistency))"
        case .command(let command): words(for: command.operation)
        }
    }

    private func word(for consistency: ReadConsistency) -> String {
        switch consistency {
        case .linearizable: "linearizable"
        case .atLeast: "at least"
        case .local: "local"
        }
    }

    private func words(for operation: Command.Operation) -> String {
        switch operation {
        case .openSession: "open"
        case .closeSession: "close"
        case .put: "put"
        case .delete: "delete"
        case .deleteRange(_, nil): "delete range without a bound"
        case .deleteRange(_, let to?): to.isEmpty ? "delete range with an empty bound" : "delete range"
        case .append: "append"
        case .add: "add"
        case .changeOptions: "change options"
        case .compareAndSet(let key, let condition, let change):
            "compare \(key < "l" ? "register" : "other") \(word(for: condition)), "
                + (change == .delete ? "delete" : "put")
        }
    }

    private func word(for condition: Command.Condition) -> String {
        switch condition {
        case .absent: "absent"
        case .revision(let revision): revision == 0 ? "revision 0" : "revision"
        case .value: "value"
        }
    }

    private func word(for outcome: CallLog.Outcome) -> String {
        switch outcome {
        case .replied(let reply): reply.outcome.description
        case .value: "value"
        case .page: "page"
        case .failed: "failed"
        case .unknown: "unknown"
        }
    }

    func testFewRuns_askForEverything_andMeetEveryResult() {
        let expected = [
            "get register linearizable: value", "get register local: value", "get register at least: value",
            "scan linearizable: page", "scan local: page", "scan at least: page",
            "open: session opened", "close: applied", "put: applied", "put: failed", "delete: applied",
            "delete: failed",
            "delete range: applied", "delete range: failed", "delete range without a bound: applied",
            "delete range with an empty bound: applied",
            "append: applied", "append: value too large", "append: failed",
            "add: applied", "add: overflow", "add: not a counter",
            "compare register absent, put: applied", "compare register absent, put: condition failed",
            "compare register absent, delete: applied", "compare register absent, delete: condition failed",
            "compare register value, put: applied", "compare register value, put: condition failed",
            "compare register value, delete: applied", "compare register value, delete: condition failed",
            "compare other revision 0, put: applied", "compare other revision 0, put: condition failed",
            "compare other revision 0, delete: applied", "compare other revision, delete: condition failed",
            "compare other value, delete: failed",
            "refusal: window exceeded", "refusal: session expired",
        ]
        XCTAssertEqual(missing(expected, in: 1...30), [], "never happened")
    }
}
