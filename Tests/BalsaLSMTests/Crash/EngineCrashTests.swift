import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Crashes before and behind every file call of flushes.
final class FlushCrashTests: XCTestCase {
    func testAnEngineIsCreatedAndFlushedOrNot() throws {
        let check = CrashCheck(nestedOneIn: 100)
        try check.run { driver in
            try driver.write(.put("a", "1"), .put("b", "2"), .put("", "empty"))
            try driver.write(.delete("b"), .put("c", Bytes([UInt8](repeating: 7, count: 400))))
            try driver.seal()
            try driver.work()
            try driver.write(.deleteRange("a", "c"))
            try driver.seal(keeping: 1)
            // An empty memtable, of which only the record is kept.
            try driver.seal()
            try driver.work()
        }
        XCTAssertGreaterThan(check.calls, 25)
        XCTAssertGreaterThan(check.stateCount, 330)
    }

    /// Flushes three memtables, and returns how many disk states were recovered.
    private func checkOrder(seed: UInt64, keeping: SequenceNumber?) throws -> Int {
        let check = CrashCheck()
        let (disk, before) = try CrashCheck.prepared { try $0.writeAnything(seed: seed) }
        try check.run(on: disk, after: before) { driver in
            for round in 1...3 as ClosedRange<UInt64> {
                try driver.writeAnything(seed: 100 * seed + round)
                try driver.seal(keeping: keeping)
            }
            try driver.work()
        }
        return check.stateCount
    }

    func testFlushes_thatKeepAllSequences_becomeDurableInTheirOrder() throws {
        XCTAssertGreaterThan(try checkOrder(seed: 3, keeping: nil), 1_250)
    }

    func testFlushes_thatKeepTheLastSequences_becomeDurableInTheirOrder() throws {
        XCTAssertGreaterThan(try checkOrder(seed: 4, keeping: 4), 740)
    }
}

/// Crashes while tables are merged, moved and removed.
final class CompactionCrashTests: XCTestCase {
    /// Merges four tables, and returns how many calls that makes and how many disk states were recovered.
    private func checkMerge(seed: UInt64, keeping: SequenceNumber, budget: Int) throws -> (calls: UInt64, states: Int) {
        var waiting = EngineOptions.cramped
        waiting.levelZeroTables = 100
        waiting.levelZeroTablesToPause = 200
        let check = CrashCheck(nestedOneIn: 200)
        // With it nothing is dropped before the merge that is looked at.
        var held: [EngineSnapshot] = []
        let (disk, before) = try CrashCheck.prepared(waiting) { driver in
            held.append(driver.engine.snapshot())
            for round in 0..<4 as Range<UInt64> {
                try driver.writeAnything(seed: 10 * seed + round)
                try driver.seal(keeping: keeping)
                try driver.work()
            }
        }
        for snapshot in held { snapshot.close() }
        try check.run(on: disk, after: before) { try $0.work(budget: budget) }
        return (check.calls, check.stateCount)
    }

    func testACompaction_inLargeSteps_changesNothing() throws {
        let (calls, states) = try checkMerge(seed: 3, keeping: 0, budget: 5_000)
        XCTAssertGreaterThan(calls, 75)
        XCTAssertGreaterThan(states, 260)
    }

    func testACompaction_inSmallSteps_changesNothing() throws {
        let (calls, states) = try checkMerge(seed: 4, keeping: 9, budget: 100)
        XCTAssertGreaterThan(calls, 110)
        XCTAssertGreaterThan(states, 620)
    }
}

/// Crashes while the manifest is written anew.
final class ManifestCrashTests: XCTestCase {
    /// Replaces the manifest at every edit, and returns how many disk states were recovered.
    private func checkReplacing(seed: UInt64) throws -> Int {
        var options = EngineOptions.cramped
        options.manifestBytes = 1
        let check = CrashCheck(options: options, nestedOneIn: 200)
        let (disk, before) = try CrashCheck.prepared(options) { try $0.writeAnything(seed: seed) }
        try check.run(on: disk, after: before) { driver in
            for round in 1...3 as ClosedRange<UInt64> {
                try driver.write(.put("key", Bytes("\(seed), \(round)")))
                try driver.seal()
                try driver.work()
            }
        }
        return check.stateCount
    }

    func testAManifest_thatIsReplacedAtEveryEdit_isNeverLost() throws {
        XCTAssertGreaterThan(try checkReplacing(seed: 1), 1_350)
    }

    func testAManifest_thatIsReplacedAtEveryEditOfAnotherEngine_isNeverLost() throws {
        XCTAssertGreaterThan(try checkReplacing(seed: 2), 1_200)
    }

    func testATornEditTakesNothingWithItOfThoseBeforeIt() throws {
        let check = CrashCheck()
        let (disk, before) = try CrashCheck.prepared(garbage: true) { try $0.writeAnything(seed: 1) }
        try check.run(on: disk, after: before) { driver in
            for round in 1...2 as ClosedRange<UInt64> {
                try driver.write(.put("key", Bytes("\(round)")))
                try driver.seal()
                try driver.work()
            }
        }
        XCTAssertGreaterThan(check.stateCount, 150)
    }

    func testAnEditWhoseSyncFailsIsResolvedBeforeAnythingIsRemoved() throws {
        // LevelDB's ManifestWriteError: the edit may be on the disk, so that neither the old tables nor the new ones may go.
        for answer in [.fail(.inputOutput), .failAfter(.inputOutput)] as [DiskAnswer] {
            let hook = FailingCalls()
            let disk = CrashCheck.makeDisk()
            let driver = try CrashDriver(disk.mount(hook))
            try driver.fill("key", 4)
            try driver.seal()
            hook.fault = { $0.operation == .sync && $0.path.contains("MANIFEST") ? answer : nil }
            assertFails(.file, .sync, .inputOutput, naming: "MANIFEST") { try driver.work() }
            hook.fault = { _ in nil }
            for image in disk.crashStates() {
                let files = SimulatedDisk(image).mount()
                let engine = try StorageEngine.open("engine", fileSystem: files, options: .cramped, seed: 1)
                let sequence = engine.durableSeal?.sequence ?? 0
                XCTAssertTrue([0, 8].contains(sequence))
                XCTAssertEqual(try engine.pairs(), driver.model.pairs(at: sequence))
            }
            try driver.work()
            XCTAssertEqual(driver.acknowledged?.sequence, 8)
            disk.processCrash()
            let files = SimulatedDisk(disk.image()).mount()
            let engine = try StorageEngine.open("engine", fileSystem: files, options: .cramped, seed: 1)
            XCTAssertEqual(try engine.pairs(), driver.model.pairs(at: 8))
        }
    }
}

/// Crashes of an opening that has something to do, and of what follows it.
final class RecoveryCrashTests: XCTestCase {
    func testAnOpeningCanBeRepeatedAnywhere() throws {
        // Disks with orphans: the process has died in the middle of a compaction, and the power failed.
        let check = CrashCheck(nestedOneIn: 100)
        for seed in 1...2 as ClosedRange<UInt64> {
            let disk = CrashCheck.makeDisk()
            let before = try CrashDriver(disk.mount())
            for round in 1...2 as ClosedRange<UInt64> {
                try before.writeAnything(seed: 10 * seed + round)
                try before.seal()
                try before.work(steps: 1)
            }
            try before.work(budget: 1, steps: Int(seed) + 1)
            disk.processCrash()
            for image in disk.crashStates(limit: 4) {
                try check.run(on: SimulatedDisk(image), after: before) { driver in
                    try driver.writeAnything(seed: 10 * seed + 5)
                    try driver.seal()
                    try driver.work()
                }
            }
        }
        XCTAssertGreaterThan(check.stateCount, 1_100)
    }
}
