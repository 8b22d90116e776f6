import BalsaPlatform
import XCTest

@testable import BalsaLSM

/// The model is tested itself: it has to notice each error that can be built into an engine.
final class EnginePlantedBugTests: XCTestCase {
    /// Whether a run with the error in it goes wrong, under one of some settings.
    private func isNoticed(_ bug: EnginePlantedBugs, seeds: ClosedRange<UInt64> = 501...540) throws -> Bool {
        for seed in seeds {
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

    // Without an error all seeds are run: in several tests, which run at once.

    func testAnEngine_withoutAnError_isFaultless() throws { XCTAssertFalse(try isNoticed([], seeds: 501...510)) }

    func testAnEngine_withoutAnErrorAndMoreSeeds_isFaultless() throws {
        XCTAssertFalse(try isNoticed([], seeds: 511...520))
    }

    func testAnEngine_withoutAnErrorAndYetMoreSeeds_isFaultless() throws {
        XCTAssertFalse(try isNoticed([], seeds: 521...530))
    }

    func testAnEngine_withoutAnErrorAndTheLastSeeds_isFaultless() throws {
        XCTAssertFalse(try isNoticed([], seeds: 531...540))
    }
}
