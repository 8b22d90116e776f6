import BalsaPlatform
import XCTest

@testable import BalsaLSM

/// The model is tested itself: it has to notice each error that can be built into an engine.
final class EnginePlantedBugTests: XCTestCase {
    /// Whether a run with the error in it goes wrong, under one of some settings.
    private func isNoticed(_ bug: EnginePlantedBugs) throws -> Bool {
        for seed in 501...540 as ClosedRange<UInt64> {
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
                return true
            }
            if !run.problems.isEmpty { return true }
        }
        return false
    }

    func testATombstoneThatIsDroppedEarlyIsNoticed() throws {
        XCTAssertTrue(try isNoticed(.tombstonesDroppedEarly))
    }

    func testACompactionBeyondTheDurableMarkIsNoticed() throws {
        XCTAssertTrue(try isNoticed(.compactionBeyondDurableMark))
    }

    func testAManifestThatNamesAnUnsyncedTableIsNoticed() throws {
        XCTAssertTrue(try isNoticed(.manifestBeforeTableSync))
    }

    func testADirectoryThatIsNotSyncedIsNoticed() throws {
        XCTAssertTrue(try isNoticed(.directorySyncLeftOut))
    }

    func testWithoutAnErrorNothingIsNoticed() throws {
        XCTAssertFalse(try isNoticed([]))
    }
}
