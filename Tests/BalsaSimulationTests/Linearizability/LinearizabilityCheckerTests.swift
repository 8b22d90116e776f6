import BalsaPlatform
import BalsaSimulation
import XCTest

/// Short histories whose verdict a reader can check by hand.
final class LinearizabilityCheckerTests: XCTestCase {
    private typealias Operation = HistoryOperation<RegisterModel>

    private func write(_ value: Bytes, _ called: UInt64, _ returned: UInt64?, key: Bytes = Bytes()) -> Operation {
        Operation(
            client: 0,
            called: called,
            returned: returned,
            key: key,
            input: .write(value),
            output: returned == nil ? nil : .done
        )
    }

    private func read(_ value: Bytes?, _ called: UInt64, _ returned: UInt64, key: Bytes = Bytes()) -> Operation {
        Operation(client: 1, called: called, returned: returned, key: key, input: .read, output: .value(value))
    }

    private func swap(_ old: Bytes?, _ new: Bytes, _ called: UInt64, _ returned: UInt64?, _ done: Bool?) -> Operation {
        Operation(
            client: 2,
            called: called,
            returned: returned,
            input: .compareAndSet(expected: old, new: new),
            output: done.map { .compared($0) }
        )
    }

    private func check(
        _ operations: [Operation],
        initially initialState: Bytes? = nil,
        limits: LinearizabilityLimits = LinearizabilityLimits()
    ) -> HistoryCheck.Verdict {
        LinearizabilityChecker(model: RegisterModel(initialState: initialState), limits: limits)
            .check(operations).verdict.kind
    }

    func testNoOperationsAreLinearizable() {
        XCTAssertEqual(check([]), .linearizable)
    }

    func testReadsDuringAWriteMayFindEitherValueInTheOrderOfTheWrite() {
        XCTAssertEqual(
            check([write("1", 0, 100), read("1", 25, 75), read("0", 30, 60)], initially: "0"),
            .linearizable
        )
        XCTAssertEqual(
            check([write("2", 0, 100), read("2", 10, 30), read("0", 40, 90)], initially: "0"),
            .notLinearizable
        )
    }

    func testOperationsWithoutDurationHaveOneInstant() {
        XCTAssertEqual(
            check([write("1", 0, 100), read("1", 25, 75), read("0", 30, 30), read("0", 30, 30)], initially: "0"),
            .linearizable
        )
        XCTAssertEqual(
            check([write("2", 0, 100), read("2", 10, 10), read("2", 10, 10), read("0", 40, 90)], initially: "0"),
            .notLinearizable
        )
    }

    func testOperationsThatTouchAreConcurrent() {
        XCTAssertEqual(check([write("1", 0, 10), read(nil, 10, 20)]), .linearizable)
        XCTAssertEqual(check([write("1", 0, 10), read(nil, 11, 20)]), .notLinearizable)
    }

    func testAnUnknownWriteMayHappenAnyTimeLaterOrNever() {
        XCTAssertEqual(check([write("1", 0, nil), read(nil, 10, 20), read("1", 30, 40)]), .linearizable)
        XCTAssertEqual(check([write("1", 0, nil), read(nil, 10, 20)]), .linearizable)
        XCTAssertEqual(check([write("1", 0, nil), read("1", 10, 20), read(nil, 30, 40)]), .notLinearizable)
    }

    func testAnUnknownWriteDoesNotHappenBeforeItsCallOrTwice() {
        XCTAssertEqual(check([read("1", 0, 10), write("1", 20, nil)]), .notLinearizable)
        let twice = [
            write("1", 0, nil), read("1", 10, 20), write("2", 30, 40), read("2", 50, 60), read("1", 70, 80),
        ]
        XCTAssertEqual(check(twice), .notLinearizable)
        XCTAssertEqual(check(twice + [write("1", 5, nil)]), .linearizable)
    }

    func testAnUnknownComparisonChangesOnlyWhatItExpected() {
        XCTAssertEqual(check([write("1", 0, 10), swap("1", "2", 20, nil, nil), read("2", 30, 40)]), .linearizable)
        XCTAssertEqual(check([write("1", 0, 10), swap("3", "2", 20, nil, nil), read("2", 30, 40)]), .notLinearizable)
    }

    func testAFailedComparisonSawAnotherValue() {
        XCTAssertEqual(check([write("1", 0, 10), swap("1", "2", 20, 30, false)]), .notLinearizable)
        // Only the unknown write, which nobody reads, explains that the value was not found.
        XCTAssertEqual(check([write("1", 0, 10), write("9", 5, nil), swap("1", "2", 20, 30, false)]), .linearizable)
    }

    func testAComparisonCanExpectThatThereIsNoValue() {
        XCTAssertEqual(check([swap(nil, "1", 0, 10, true), swap(nil, "2", 20, 30, true)]), .notLinearizable)
        let deletion = Operation(client: 3, called: 12, returned: 18, input: .delete, output: .done)
        XCTAssertEqual(check([swap(nil, "1", 0, 10, true), deletion, swap(nil, "2", 20, 30, true)]), .linearizable)
    }

    func testADeletionWaitsUntilThereIsSomethingToDelete() {
        // Put in order at once it would do nothing, and the read would have no explanation.
        let deletion = Operation(client: 3, called: 0, returned: 10, input: .delete, output: .done)
        XCTAssertEqual(check([deletion, write("1", 1, 2), read(nil, 3, 4)]), .linearizable)
    }

    func testManyUnknownWritesThatNobodyReadsCostLittle() {
        // The failed comparison keeps them from being dropped, since each could explain it.
        let unknown = (0..<40 as Range<UInt64>).map { write(Bytes("lost \($0)"), $0, nil) }
        let answered = [
            write("1", 100, 110), swap("2", "3", 120, 130, false), read("1", 140, 150), read(nil, 160, 170),
        ]
        let report = LinearizabilityChecker(model: RegisterModel()).check(unknown + answered)
        XCTAssertEqual(report.verdict.kind, .notLinearizable)
        XCTAssertLessThan(report.steps, 500)
    }

    func testAnOperationThatHappenedWithoutAnAnswerStillHasItsTime() {
        let swapped = [write("1", 0, 10), swap("1", "2", 20, 30, nil)]
        XCTAssertEqual(check(swapped + [read("2", 40, 50)]), .linearizable)
        XCTAssertEqual(check(swapped + [read("1", 40, 50)]), .notLinearizable)
    }

    func testKeysAreIndependentAndTheContradictionNamesItsKey() throws {
        let good = [write("1", 0, 10, key: "a"), read("1", 20, 30, key: "a")]
        let bad = [write("1", 0, 10, key: "b"), write("2", 12, 18, key: "b"), read("1", 20, 30, key: "b")]
        let report = LinearizabilityChecker(model: RegisterModel()).check(good + bad)
        guard case .notLinearizable(let contradiction) = report.verdict else {
            return XCTFail("a stale read was found \(report.verdict.kind)")
        }
        XCTAssertEqual(contradiction.key, "b")
        XCTAssertEqual(contradiction.linearized.map(\.input), [.write("1"), .write("2")])
        XCTAssertEqual(contradiction.state, "2")
        XCTAssertEqual(contradiction.blocked.map(\.called), [20])
        XCTAssertTrue(contradiction.description.contains("impossible: [20, 30] client 1: read -> \"1\""))
    }

    func testAContradictionIsFoundBesideAKeyThatNeedsTooManySteps() {
        let hard = HistorySamples.hard(key: "hard")
        let bad = [write("1", 0, 10, key: "bad"), read(nil, 20, 30, key: "bad")]
        let limits = LinearizabilityLimits(steps: 20_000)
        XCTAssertEqual(check(hard, limits: limits), .unknown)
        XCTAssertEqual(check(hard + bad, limits: limits), .notLinearizable)
    }

    func testASpentBudgetIsUnknownAndNeverAPass() {
        let history = [write("1", 0, 10), read("1", 20, 30)]
        XCTAssertEqual(check(history, limits: LinearizabilityLimits(steps: 0)), .unknown)
        XCTAssertEqual(check(history, limits: LinearizabilityLimits(steps: 1)), .unknown)
        XCTAssertEqual(check(history, limits: LinearizabilityLimits(steps: 100)), .linearizable)
    }

    func testTheSameHistoryCostsTheSameStepsEveryTime() {
        let history = HistorySamples.registerHistory(seed: 3, operations: 200, clients: 6, keys: 2)
        let checker = LinearizabilityChecker(model: RegisterModel())
        XCTAssertEqual(checker.check(history).steps, checker.check(history).steps)
        XCTAssertEqual(checker.check(history).steps, checker.check(history.reversed()).steps)
    }

    func testASearchWithoutMemoryIsAsExact() {
        let limits = LinearizabilityLimits(configurations: 0)
        for seed in 0..<20 as Range<UInt64> {
            let good = HistorySamples.registerHistory(seed: seed, operations: 30, clients: 4, keys: 1)
            XCTAssertEqual(check(good, limits: limits), .linearizable, "seed \(seed)")
        }
        XCTAssertEqual(
            check([write("2", 0, 100), read("2", 10, 30), read(nil, 40, 90)], limits: limits),
            .notLinearizable
        )
    }

    func testAReadThatIsChangedMakesAGoodHistoryBad() throws {
        for seed in 0..<20 as Range<UInt64> {
            var history = HistorySamples.registerHistory(seed: seed, operations: 120, clients: 5, keys: 2)
            XCTAssertEqual(check(history), .linearizable, "seed \(seed)")
            let place = try XCTUnwrap(history.lastIndex { $0.input == .read && $0.output != nil })
            let read = history[place]
            history[place] = Operation(
                client: read.client,
                called: read.called,
                returned: read.returned,
                key: read.key,
                input: .read,
                output: .value("never written")
            )
            XCTAssertEqual(check(history), .notLinearizable, "seed \(seed)")
        }
    }

    func testAStaleReadAtTheEndIsFound() {
        for seed in 0..<20 as Range<UInt64> {
            var history = HistorySamples.registerHistory(seed: seed, operations: 120, clients: 5, keys: 1)
            let end = history.reduce(0) { max($0, $1.returned ?? $1.called) }
            history += [write("x", end + 1, end + 2), write("y", end + 3, end + 4), read("y", end + 5, end + 6)]
            XCTAssertEqual(check(history), .linearizable, "seed \(seed)")
            XCTAssertEqual(check(history + [read("x", end + 7, end + 8)]), .notLinearizable, "seed \(seed)")
        }
    }
}
