import BalsaPlatform
import BalsaSimulation
import XCTest

/// The checker against a judge that is slow and simple: every order of every choice of unknown operations.
final class LinearizabilityOracleTests: XCTestCase {
    /// Whether some order of the operations that returned, and of any of those that did not, explains every output.
    private func isLinearizable<Model: SequentialModel>(_ model: Model, _ operations: [HistoryOperation<Model>]) -> Bool
    {
        func completes(_ state: Model.State, _ rest: [HistoryOperation<Model>]) -> Bool {
            if rest.allSatisfy({ $0.returned == nil }) { return true }
            for (place, candidate) in rest.enumerated() {
                let isTooEarly = rest.contains { ($0.returned ?? .max) < candidate.called }
                guard !isTooEarly, let next = model.step(state, candidate.input, candidate.output) else { continue }
                var others = rest
                others.remove(at: place)
                if completes(next, others) { return true }
            }
            return false
        }
        return completes(model.initialState, operations)
    }

    /// Compares both judges, and makes sure that the samples are neither all good nor all bad.
    private func compare<Model: SequentialModel>(
        _ model: Model,
        samples: Int,
        seed: UInt64,
        _ draw: (inout RandomSource) -> (Model.Input, Model.Output)
    ) {
        var random = RandomSource(seed: seed)
        var good = 0
        for sample in 0..<samples {
            let operations = (0..<random.draw(1...6)).map { client in
                let called = random.below(12)
                let (input, output) = draw(&random)
                let knowledge = random.below(6)
                return HistoryOperation<Model>(
                    client: UInt64(client),
                    called: called,
                    returned: knowledge == 0 ? nil : called + random.below(6),
                    input: input,
                    output: knowledge <= 1 ? nil : output
                )
            }
            let expected = isLinearizable(model, operations)
            let report = LinearizabilityChecker(model: model).check(operations)
            if expected { good += 1 }
            XCTAssertEqual(
                report.verdict.kind,
                expected ? .linearizable : .notLinearizable,
                "sample \(sample) of seed \(seed):\n" + operations.map(\.description).joined(separator: "\n")
            )
        }
        XCTAssertGreaterThan(good, samples / 10)
        XCTAssertLessThan(good, samples * 9 / 10)
    }

    func testRegistersAgreeWithTryingEveryOrder() {
        compare(RegisterModel(), samples: 4_000, seed: 1) { random in
            let values: [Bytes] = ["a", "b"]
            switch random.below(8) {
            case 0...2: return (.read, .value(random.pick(values + [nil])))
            case 3...4: return (.write(random.pick(values)), .done)
            case 5...6:
                let expected = random.pick(values + [nil])
                return (
                    .compareAndSet(expected: expected, new: random.pick(values + [nil])),
                    .compared(random.chance(1, in: 2))
                )
            default: return (.delete, .done)
            }
        }
    }

    func testRegistersWithoutFailedComparisonsAgreeWithTryingEveryOrder() {
        // Without them unknown changes to values that nobody saw are dropped, which is what is tried here.
        compare(RegisterModel(), samples: 2_000, seed: 2) { random in
            let values: [Bytes] = ["a", "b", "c"]
            switch random.below(6) {
            case 0...2: return (.read, .value(random.pick(values + [nil])))
            case 3:
                return (
                    .compareAndSet(expected: random.pick(values + [nil]), new: random.pick(["c", nil])), .compared(true)
                )
            case 4: return (.delete, .done)
            default: return (.write(random.pick(values)), .done)
            }
        }
    }

    func testStringsAgreeWithTryingEveryOrder() {
        compare(AppendModel(), samples: 3_000, seed: 3) { random in
            switch random.below(6) {
            case 0...2: return (.get, .value(random.pick(["", "a", "b", "ab", "ba", "aba"])))
            case 3: return (.put(random.pick(["", "a", "b"])), .done)
            default: return (.append(random.pick(["", "a", "b"])), .done)
            }
        }
    }
}
