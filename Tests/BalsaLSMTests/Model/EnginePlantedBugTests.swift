import BalsaPlatform
import XCTest

@testable import BalsaLSM

/// The model is tested itself: it has to notice each error that can be built into an engine, in a recorded case, in the
/// way that the error calls for; and nothing in the same case without it.
final class EnginePlantedBugTests: XCTestCase {
    /// How an error shows.
    private enum Notice: Equatable {
        case nothing
        /// The engine answers something else than the model.
        case wrongAnswer
        /// The engine finds its own files damaged.
        case damaged
    }

    private func notice(_ bug: EnginePlantedBugs, seed: UInt64) throws -> Notice {
        var source = OperationSource(seed: seed)
        var settings = ModelSettings(seed: seed)
        settings.options.plantedBugs = bug
        settings.options.memtableBytes = 600
        settings.endings = [.powerLoss]
        settings.workPercent = 50
        let run = try ModelRun(settings, seed: seed)
        do {
            try run.run(source.operations(150))
        } catch let error as EngineError where error.code == .damaged {
            return .damaged
        }
        return run.problems.isEmpty ? .nothing : .wrongAnswer
    }

    /// The case of `seed` shows the error as `expected`, and nothing without it.
    private func check(_ bug: EnginePlantedBugs, seed: UInt64, _ expected: Notice, line: UInt = #line) throws {
        XCTAssertEqual(try notice(bug, seed: seed), expected, line: line)
        XCTAssertEqual(try notice([], seed: seed), .nothing, "without the error", line: line)
    }

    func testModel_tombstoneIsDroppedEarly_givesAWrongAnswer() throws {
        try check(.tombstonesDroppedEarly, seed: 501, .wrongAnswer)
    }

    func testModel_compactionGoesBeyondTheDurableMark_givesAWrongAnswer() throws {
        try check(.compactionBeyondDurableMark, seed: 516, .wrongAnswer)
    }

    func testModel_manifestNamesAnUnsyncedTable_isDamageAfterAPowerLoss() throws {
        try check(.manifestBeforeTableSync, seed: 503, .damaged)
    }

    func testModel_directoryIsNotSynced_isDamageAfterAPowerLoss() throws {
        try check(.directorySyncLeftOut, seed: 502, .damaged)
    }
}
