import BalsaPlatform
import BalsaSimulation
import XCTest

/// A set of numbers that is added to and read as a whole.
private struct NumberSetModel: SequentialModel {
    enum Input: Equatable, Sendable {
        case add(Int)
        case read
    }

    var initialState: [Int] { [] }

    func step(_ state: [Int], _ input: Input, _ output: [Int]?) -> [Int]? {
        switch input {
        case .add(let number): return state.contains(number) ? state : (state + [number]).sorted()
        case .read:
            guard let output else { return state }
            return output.sorted() == state ? state : nil
        }
    }

    func digest(of state: [Int]) -> UInt64 { state.reduce(0) { $0 &* 31 &+ UInt64($1) } }
}

/// A register into which a write may put its value or any earlier one, by the power set of its states.
private struct UnsureRegisterModel: SequentialModel {
    enum Input: Equatable, Sendable {
        case write(Int)
        case read
    }

    var initialState: [Int] { [0] }

    func step(_ state: [Int], _ input: Input, _ output: Int?) -> [Int]? {
        switch input {
        case .write(let value): return state.contains(value) ? state : (state + [value]).sorted()
        case .read:
            guard let output else { return state }
            return state.contains(output) ? [output] : nil
        }
    }

    func digest(of state: [Int]) -> UInt64 { state.reduce(0) { $0 &* 31 &+ UInt64($1) } }
}

/// Models that a user brings.
final class LinearizabilityModelTests: XCTestCase {
    private func verdict(_ reads: [Int]?, _ second: [Int]) -> HistoryCheck.Verdict {
        typealias Operation = HistoryOperation<NumberSetModel>
        let history = [
            Operation(client: 0, called: 0, returned: 100, input: .add(100), output: []),
            Operation(client: 1, called: 1, returned: 99, input: .add(0), output: []),
            Operation(client: 2, called: 10, returned: 90, input: .read, output: reads),
            Operation(client: 3, called: 110, returned: 120, input: .read, output: second),
        ]
        return LinearizabilityChecker(model: NumberSetModel()).check(history).verdict.kind
    }

    func testReadsOfASetSeeWhatWasAdded() {
        XCTAssertEqual(verdict([100], [0, 100]), .linearizable)
        XCTAssertEqual(verdict([0], [100, 0]), .linearizable)
        XCTAssertEqual(verdict(nil, [0, 100]), .linearizable)
        XCTAssertEqual(verdict([100, 100], [0, 100]), .notLinearizable)
        XCTAssertEqual(verdict([100], [100]), .notLinearizable)
    }

    func testAModelWithSeveralPossibleStatesRemembersWhatAReadDecided() {
        typealias Operation = HistoryOperation<UnsureRegisterModel>
        func read(_ value: Int, _ time: UInt64) -> Operation {
            Operation(client: 1, called: time, returned: time + 5, input: .read, output: value)
        }
        let written = [
            Operation(client: 0, called: 0, returned: 5, input: .write(1), output: 0),
            Operation(client: 0, called: 10, returned: 15, input: .write(2), output: 0),
        ]
        let checker = LinearizabilityChecker(model: UnsureRegisterModel())
        XCTAssertEqual(checker.check(written + [read(1, 20), read(1, 30)]).verdict.kind, .linearizable)
        XCTAssertEqual(checker.check(written + [read(1, 20), read(2, 30)]).verdict.kind, .notLinearizable)
    }

    func testAppendsAreSeenOnceAndInOneOrder() {
        typealias Operation = HistoryOperation<AppendModel>
        func history(_ answers: Bytes...) -> [Operation] {
            [
                Operation(client: 0, called: 0, returned: 10, input: .append("a"), output: .done),
                Operation(client: 1, called: 5, returned: 15, input: .append("b"), output: .done),
            ]
                + answers.enumerated().map { index, text in
                    let time = UInt64(20 + index * 10)
                    return Operation(client: 2, called: time, returned: time + 5, input: .get, output: .value(text))
                }
        }
        let checker = LinearizabilityChecker(model: AppendModel())
        XCTAssertEqual(checker.check(history("ab", "ab")).verdict.kind, .linearizable)
        XCTAssertEqual(checker.check(history("ba", "ba")).verdict.kind, .linearizable)
        XCTAssertEqual(checker.check(history("ab", "ba")).verdict.kind, .notLinearizable)
        XCTAssertEqual(checker.check(history("aab")).verdict.kind, .notLinearizable)
        XCTAssertEqual(checker.check(history("b")).verdict.kind, .notLinearizable)
    }
}
