import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Nearly full disks on which the next compaction has no space: shorter ones go on, so that writers can.
final class EngineReservedSpaceTests: XCTestCase {
    /// Counts the calls that ask how much space there is.
    private final class Questions: DiskHook {
        private(set) var count = 0

        func answer(_ call: DiskCall) -> DiskAnswer {
            if call.operation == .status, call.path == "engine" { count += 1 }
            return .proceed
        }
    }

    /// Allows for so many bytes of tables. The file system does not say so.
    private final class Quota: DiskHook {
        var limit = UInt64.max
        private var sizes: [String: UInt64] = [:]
        var used: UInt64 { sizes.values.reduce(0, +) }

        func answer(_ call: DiskCall) -> DiskAnswer {
            guard call.path.contains("/table-") else { return .proceed }
            if call.operation == .remove { sizes[call.path] = nil }
            guard call.operation == .write else { return .proceed }
            let before = sizes[call.path] ?? 0
            let size = max(before, call.offset + call.count)
            guard used - before + size <= limit else { return .fail(.quotaExceeded) }
            sizes[call.path] = size
            return .proceed
        }
    }

    private static let capacity: UInt64 = 2 << 20

    private static var options: EngineOptions {
        var options = EngineOptions.tiny
        options.memtableBytes = 64 << 10
        options.tableBytes = 64 << 10
        options.blockBytes = 4 << 10
        options.levelBaseBytes = 32 << 10
        options.levels = 3
        options.levelZeroTablesToPause = 4
        return options
    }

    /// Puts keys that are spread over all.
    private func write(_ fixture: EngineFixture, _ numbers: some Sequence<Int>, valueBytes: Int) throws {
        for number in numbers {
            let value = Bytes([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: valueBytes))
            try fixture.put("k\(1_000 + number * 379 % 1_000)".bytes, value)
        }
    }

    /// An engine whose first level is empty, and whose second one is far above its target: one descent of several
    /// flushes has left it there.
    private func fixture(_ hook: (any DiskHook)? = nil, options: EngineOptions = options) throws -> EngineFixture {
        var disk = DiskOptions()
        disk.capacityBytes = EngineReservedSpaceTests.capacity
        let fixture = try EngineFixture(disk: SimulatedDisk(options: disk), hook: hook, options: options)
        for part in 0..<2 {
            try write(fixture, part * 50..<part * 50 + 50, valueBytes: 1_000)
            try fixture.flush()
        }
        try fixture.work()
        for part in 2..<7 {
            try write(fixture, part * 50..<part * 50 + 50, valueBytes: 1_000)
            try fixture.flush()
        }
        while fixture.tableCounts[0] > 0 || fixture.engine.metrics.filesToRemove > 0 {
            XCTAssertNotEqual(try fixture.engine.work(budget: 1 << 20), .idle)
        }
        let levels = fixture.engine.metrics.levels
        XCTAssertGreaterThan(levels[1].byteCount, 200 << 10, "\(levels)")
        XCTAssertGreaterThan(levels[2].byteCount, 80 << 10, "\(levels)")
        return fixture
    }

    /// Writes a file beside the engine's, so that `rest` bytes are left of the disk.
    private func fill(_ fixture: EngineFixture, leaving rest: UInt64) throws {
        let files = fixture.disk.mount()
        let file = try files.open("filler", .create)
        defer { file.close() }
        try file.setSize(try files.availableBytes(at: "/") - rest)
        try file.sync()
    }

    /// Lets a writer write and flush until it has to wait, and work be done until it need not wait any more.
    ///
    /// - Returns: whether the wait has ended.
    private func writeUntilStopped(
        _ fixture: EngineFixture,
        valueBytes: Int,
        lacking number: FileError.Number = .noSpace
    ) throws -> Bool {
        let lack = number
        var number = 400
        while fixture.engine.pressure != .stopped {
            try write(fixture, number..<number + 1, valueBytes: valueBytes)
            try fixture.flush()
            number += 1
        }
        for _ in 0..<100 {
            guard fixture.engine.pressure == .stopped else { return true }
            do throws(EngineError) {
                _ = try fixture.engine.work(budget: 1 << 20)
            } catch {
                XCTAssertEqual(error.cause?.number, lack)
            }
        }
        return false
    }

    func testWriters_behindACompactionThatHasNoSpace_goOnByAMergeOfSmallTables() throws {
        let fixture = try fixture()
        // The next compaction reads a table of the second level, and those of the third that it lies on.
        try fill(fixture, leaving: 60 << 10)
        for round in 0..<10 {
            XCTAssertTrue(
                try writeUntilStopped(fixture, valueBytes: 10),
                "round \(round): writers wait for ever, at \(fixture.engine.metrics)"
            )
        }
        XCTAssertNil(fixture.engine.checkInvariants())
        try fixture.disk.mount().remove("filler")
        for _ in 0...WorkBackoff.mostCalls { _ = try? fixture.engine.work(budget: 1 << 20) }
        try fixture.workThatEnds()
        XCTAssertEqual(fixture.engine.pressure, .none)
        XCTAssertLessThan(fixture.engine.metrics.levels[1].byteCount, 64 << 10, "the level comes to its target")
    }

    func testWriters_behindACompactionThatExceedsAQuota_goOnByAMergeOfSmallTables() throws {
        let quota = Quota()
        let fixture = try fixture(quota)
        quota.limit = quota.used + 60 << 10
        for round in 0..<10 {
            XCTAssertTrue(
                try writeUntilStopped(fixture, valueBytes: 10, lacking: .quotaExceeded),
                "round \(round): writers wait for ever, at \(fixture.engine.metrics)"
            )
        }
        XCTAssertNil(fixture.engine.checkInvariants())
        quota.limit = .max
        for _ in 0...WorkBackoff.mostCalls { _ = try? fixture.engine.work(budget: 1 << 20) }
        try fixture.workThatEnds()
        XCTAssertEqual(fixture.engine.pressure, .none)
        XCTAssertLessThan(fixture.engine.metrics.levels[1].byteCount, 64 << 10, "the level comes to its target")
    }

    func testACompaction_besideAMemtableThatABatchMadeLong_leavesSpaceForItsFlush() throws {
        let fixture = try fixture()
        try fixture.write { batch in
            for number in 0..<300 { batch.put("n\(1_000 + number)".bytes, Bytes([UInt8](repeating: 1, count: 1_000))) }
        }
        try fill(fixture, leaving: 400 << 10)
        assertFails(.file, .write, .noSpace, naming: "a compaction, which leaves space for a flush,") {
            try fixture.engine.work(budget: 1 << 20)
        }
        try fixture.seal()
        XCTAssertEqual(try fixture.engine.work(budget: 1 << 20), .worked(.flush))
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, fixture.sequence)
    }

    func testWriters_behindACompactionThatHasNoSpace_goOnByAMergeOfAsManyTablesAsFit() throws {
        let fixture = try fixture()
        // Four tables of 20 KB have no space together, and two have.
        try fill(fixture, leaving: 150 << 10)
        XCTAssertTrue(try writeUntilStopped(fixture, valueBytes: 20 << 10), "\(fixture.engine.metrics)")
        XCTAssertNil(fixture.engine.checkInvariants())
    }

    func testARefusedCompaction_isLookedForOnceAndAskedForLessAndLessOften() throws {
        let questions = Questions()
        let fixture = try fixture(questions)
        try fill(fixture, leaving: 30 << 10)
        let looks = fixture.engine.worker.looksForCompactions
        var callsThatAsk: [Int] = []
        for call in 1...100 {
            let asked = questions.count
            defer { if questions.count > asked { callsThatAsk.append(call) } }
            assertFails(.file, .write, .noSpace, naming: "a compaction, which leaves space for a flush,") {
                try fixture.engine.work(budget: 1 << 20)
            }
        }
        // It rests for 0, 1, 3, 7 and then 15 calls.
        XCTAssertEqual(callsThatAsk, [1, 2, 4, 8, 16, 32, 48, 64, 80, 96])
        XCTAssertLessThanOrEqual(fixture.engine.worker.looksForCompactions, looks + 1)
        // Within 16 calls it makes use of space that there is again; at once, if the engine itself has changed
        // something.
        try fixture.disk.mount().remove("filler")
        var calls = 0
        while (try? fixture.engine.work(budget: 1 << 20)) == nil { calls += 1 }
        XCTAssertLessThanOrEqual(calls, WorkBackoff.mostCalls)
    }

    func testARefusedCompaction_rests_untilAFlushHasChangedTheLevels() throws {
        let questions = Questions()
        let fixture = try fixture(questions)
        try fill(fixture, leaving: 30 << 10)
        for _ in 0..<40 { XCTAssertThrowsError(try fixture.engine.work(budget: 1 << 20)) }
        try write(fixture, 400..<401, valueBytes: 10)
        try fixture.seal()
        XCTAssertEqual(try fixture.engine.work(budget: 1 << 20), .worked(.flush))
        let asked = questions.count
        XCTAssertThrowsError(try fixture.engine.work(budget: 1 << 20))
        XCTAssertEqual(questions.count, asked + 1)
    }

    func testCompactions_withMemtablesLongerThanTheDisk_goOn() throws {
        for memtableBytes in [1 << 30, 1 << 40] {
            var options = EngineReservedSpaceTests.options
            options.memtableBytes = memtableBytes
            var disk = DiskOptions()
            disk.capacityBytes = 128 << 20
            let fixture = try EngineFixture(disk: SimulatedDisk(options: disk), options: options)
            for part in 0..<2 {
                try write(fixture, part * 50..<part * 50 + 50, valueBytes: 1_000)
                try fixture.flush()
            }
            try fixture.workThatEnds()
            XCTAssertEqual(fixture.tableCounts[0], 0, "\(memtableBytes)")
            XCTAssertEqual(fixture.engine.metrics.compactions, 1)
        }
    }
}
