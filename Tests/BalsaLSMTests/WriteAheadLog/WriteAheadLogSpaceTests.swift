import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Files of the log that cannot be begun or removed: what is left of them is bounded.
final class WriteAheadLogSpaceTests: XCTestCase {
    private let hook = FailingCalls()
    private let disk = SimulatedDisk()

    /// Whether a call writes the header of a file that is not published yet.
    private static func writesHeader(_ call: DiskCall) -> Bool {
        call.operation == .write && call.offset == 0 && call.path.hasSuffix(".preparing") && call.path.contains("wal-")
    }

    private func preparedFiles() throws -> [String] {
        try disk.mount().list("engine").filter { $0.hasPrefix("wal-") && $0.hasSuffix(".preparing") }
    }

    func testRefusedWritesLeaveNoFiles() throws {
        var options = EngineOptions.tiny
        options.hasWriteAheadLog = true
        options.writeAheadLogBytes = 8_192
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(hook), options: options, seed: 1)
        hook.fault = { Self.writesHeader($0) ? .fail(.noSpace) : nil }
        let value = Bytes([UInt8](repeating: 1, count: 100))
        var written: [Int] = []
        for number in 100..<600 {
            var batch = WriteBatch()
            batch.put("k\(number)".bytes, value)
            do throws(EngineError) {
                _ = try engine.write(batch, syncing: true)
                written.append(number)
            } catch { XCTAssertEqual(error.cause?.number, .noSpace) }
            _ = try engine.work(budget: 1 << 20)
        }
        XCTAssertTrue((10..<490).contains(written.count), "\(written.count) writes were taken before the log was full")
        XCTAssertEqual(try preparedFiles(), [])
        hook.fault = { _ in nil }
        var batch = WriteBatch()
        batch.put("k600", value)
        try engine.waitForCommit(of: engine.write(batch, syncing: true))
        let lost = SimulatedDisk(disk.image())
        let again = try StorageEngine.open("engine", fileSystem: lost.mount(), options: options, seed: 1)
        for number in written + [600] { XCTAssertEqual(try again.get("k\(number)".bytes)?.value, value) }
    }

    func testWrite_loneSyncedBatches_paddingDoesNotFreezeTheMemtable() throws {
        var options = EngineOptions.tiny
        options.hasWriteAheadLog = true
        options.memtableBytes = 1 << 20
        options.writeAheadLogBytes = 32 << 10
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: options, seed: 1)
        func write(_ count: Int) throws {
            for number in 0..<count {
                var batch = WriteBatch()
                batch.put("k\(number)".bytes, "a small value")
                try engine.waitForCommit(of: engine.write(batch, syncing: true))
            }
        }
        try write(50)
        XCTAssertGreaterThan(try XCTUnwrap(disk.contents(of: "engine/wal-1")).count, 96 << 10)
        XCTAssertEqual(engine.metrics.sealsWaiting, 0)
        // The file does not grow for ever.
        try write(50)
        XCTAssertEqual(engine.metrics.sealsWaiting, 1)
    }

    func testFilesThatCanNeitherBeBegunNorRemovedAreBounded() throws {
        let log = try OpenedLog(disk.mount(hook)).log
        let first = try log.append(1, "first")
        hook.fault = { call in
            if Self.writesHeader(call) { return .fail(.noSpace) }
            return call.operation == .remove ? .fail(.inputOutput) : nil
        }
        // From the fifth on none is begun, since those before cannot be removed.
        for attempt in 0..<20 {
            if attempt < 4 {
                assertFails(.file, .write, .noSpace, naming: "wal-") { try log.rotate() }
            } else {
                assertFails(.file, .remove, .inputOutput, naming: ".preparing") { try log.rotate() }
            }
        }
        XCTAssertEqual(try preparedFiles().count, 4)
        XCTAssertNil(log.failure)
        disk.processCrash()
        for _ in 0..<5 {
            assertFails(.file, .remove, .inputOutput, naming: ".preparing") { try OpenedLog(disk.mount(hook)) }
        }
        XCTAssertEqual(try preparedFiles().count, 4)
        hook.fault = { _ in nil }
        XCTAssertEqual(try OpenedLog(disk.mount(hook)).batches, [first])
        XCTAssertEqual(try preparedFiles(), [])
    }

    func testAFileThatCouldNotBeRemovedGoesBeforeTheNextOneIsBegun() throws {
        let log = try OpenedLog(disk.mount(hook)).log
        try log.append(1, "first")
        hook.fault = { call in
            if Self.writesHeader(call) { return .fail(.noSpace) }
            return call.operation == .remove ? .fail(.inputOutput) : nil
        }
        assertFails(.file, .write, .noSpace, naming: "wal-2") { try log.rotate() }
        XCTAssertEqual(try preparedFiles(), ["wal-2.preparing"])
        hook.fault = { _ in nil }
        try log.rotate()
        XCTAssertEqual(try disk.mount().list("engine"), ["wal-1", "wal-3"])
    }

    func testFailedOpeningsLeaveNoFiles() throws {
        let log = try OpenedLog(disk.mount()).log
        let first = try log.append(1, "first")
        try log.sync()
        let second = try log.append(2, "second")
        disk.processCrash()
        for operation in [.open, .write, .sync] as [FileError.Operation] {
            for answer in [.fail(.noSpace), .failAfter(.noSpace)] as [DiskAnswer] {
                hook.fault = { $0.operation == operation && $0.path.hasSuffix(".preparing") ? answer : nil }
                for _ in 0..<3 {
                    assertFails(.file, operation, .noSpace, naming: ".preparing") {
                        try OpenedLog(disk.mount(hook))
                    }
                    XCTAssertEqual(try disk.mount().list("engine"), ["wal-1"], "\(operation), \(answer)")
                }
            }
        }
        XCTAssertEqual(try OpenedLog.batches(on: disk.copy()), [first, second])
    }

    func testAnOpeningBehindAFailedOneSurvivesACrashAtEveryCall() throws {
        // The number of a file that was never published is used once more.
        let log = try OpenedLog(disk.mount()).log
        let first = try log.append(1, "first")
        try log.sync()
        let second = try log.append(2, "second")
        disk.processCrash()
        hook.fault = { $0.operation == .sync && $0.path.hasSuffix(".preparing") ? .failAfter(.noSpace) : nil }
        assertFails(.file, .sync, .noSpace, naming: ".preparing") { try OpenedLog(disk.mount(hook)) }
        disk.processCrash()
        var states = 0
        for isOpened in [false, true] {
            try disk.forEachCrashPoint { files in
                let log = try OpenedLog(files).log
                if isOpened {
                    try log.append(3, "third")
                    try log.sync()
                }
            } check: { crashed, point in
                for image in crashed.crashStates(limit: 40) {
                    states += 1
                    let found = try OpenedLog.batches(on: SimulatedDisk(image))
                    XCTAssertEqual(found.first, first, "\(point)")
                    XCTAssertTrue(found.count < 2 || found[1] == second, "\(point)")
                }
            }
        }
        XCTAssertGreaterThan(states, 100)
    }
}
