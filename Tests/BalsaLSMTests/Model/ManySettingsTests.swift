import BalsaLSM
import BalsaPlatform
import XCTest

/// How much happened in runs of a model.
struct ModelTotals {
    var flushes: UInt64 = 0
    var compactions: UInt64 = 0
    var faults = 0
    /// Pages that ended early.
    var earlyPages = 0
    /// How often a table was taken for damaged.
    var damage = 0
    var bytesCompacted: UInt64 = 0
    /// How often a writer waited on a full disk that had space for what it waited for.
    var waitsOnFullDisk = 0
}

/// The same operations under many options, beside a model: nothing of what an engine does below may show above.
enum ModelCheck {
    /// Runs lists of operations under settings that are drawn from seeds.
    ///
    /// - Returns: how much happened below.
    static func run(
        operationSeed: UInt64,
        operationCount: Int,
        settingSeeds: ClosedRange<UInt64>,
        faultsOneIn: UInt64 = 0,
        fullDiskPercent: UInt64 = 0,
        damagePercent: UInt64 = 0
    ) throws -> ModelTotals {
        var source = OperationSource(seed: operationSeed)
        let operations = source.operations(operationCount)
        var first: [String]?
        var total = ModelTotals()
        for seed in settingSeeds {
            var settings = ModelSettings(seed: seed, faultsOneIn: faultsOneIn)
            settings.fullDiskPercent = fullDiskPercent
            settings.damagePercent = damagePercent
            // A damaged table of the first level stays there, and the newer ones that lie on it.
            if damagePercent > 0 { settings.options.levelZeroTablesToPause += 8 }
            let place = "operations \(operationSeed), settings \(seed): \(settings)"
            let run = try ModelRun(settings, seed: seed)
            do {
                try run.run(operations)
            } catch {
                XCTFail("\(place): \(error)")
            }
            if !run.problems.isEmpty { XCTFail("\(place):\n" + run.problems.prefix(3).joined(separator: "\n")) }
            if first == nil { first = run.history }
            XCTAssertTrue(run.history == first, "\(place) can be told from other settings")
            total.flushes += run.metrics.flushes
            total.compactions += run.metrics.compactions
            total.faults += run.faultCount + run.fullDiskFailures
            total.earlyPages += run.earlyPages
            total.damage += run.damageCount
            total.bytesCompacted += run.metrics.compactedBytesIn
            total.waitsOnFullDisk += run.waitsOnFullDisk
        }
        return total
    }
}

final class ManySettingsTests: XCTestCase {
    func testManySettingsGiveTheSameAnswers() throws {
        let done = try ModelCheck.run(operationSeed: 1, operationCount: 120, settingSeeds: 1...30)
        XCTAssertGreaterThan(done.flushes, 100)
        XCTAssertGreaterThan(done.compactions, 50)
        XCTAssertGreaterThan(done.earlyPages, 100)
    }
}

final class MoreSettingsTests: XCTestCase {
    func testManySettingsGiveTheSameAnswers() throws {
        _ = try ModelCheck.run(operationSeed: 2, operationCount: 120, settingSeeds: 101...130)
    }
}

final class StillMoreSettingsTests: XCTestCase {
    func testManySettingsGiveTheSameAnswers() throws {
        _ = try ModelCheck.run(operationSeed: 3, operationCount: 120, settingSeeds: 201...230)
    }
}

final class LongModelTests: XCTestCase {
    func testALongRunUnderFewSettings() throws {
        _ = try ModelCheck.run(operationSeed: 4, operationCount: 500, settingSeeds: 301...306)
    }
}

final class FaultyModelTests: XCTestCase {
    func testWorkThatFailsIsDoneAgain() throws {
        let done = try ModelCheck.run(
            operationSeed: 5,
            operationCount: 120,
            settingSeeds: 401...425,
            faultsOneIn: 12
        )
        XCTAssertGreaterThan(done.faults, 100)
    }
}

final class FullDiskModelTests: XCTestCase {
    func testWorkOnADiskThatIsFullNowAndThen_isDoneInTheEnd() throws {
        let done = try ModelCheck.run(
            operationSeed: 6,
            operationCount: 120,
            settingSeeds: 601...625,
            fullDiskPercent: 10
        )
        XCTAssertGreaterThan(done.faults, 100)
        XCTAssertGreaterThan(done.flushes, 100)
        XCTAssertGreaterThan(done.waitsOnFullDisk, 0)
    }
}

final class DamagedTableModelTests: XCTestCase {
    func testWorkBesideDamagedTables_endsAndDropsNothingBetweenTheirBounds() throws {
        let done = try ModelCheck.run(
            operationSeed: 7,
            operationCount: 120,
            settingSeeds: 701...712,
            damagePercent: 10
        )
        XCTAssertGreaterThan(done.damage, 20)
        XCTAssertGreaterThan(done.compactions, 10)
    }
}
