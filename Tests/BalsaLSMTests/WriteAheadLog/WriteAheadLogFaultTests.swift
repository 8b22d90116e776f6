import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Calls that fail while the process lives on.
final class WriteAheadLogFaultTests: XCTestCase {
    private let hook = FailingCalls()
    private let disk = SimulatedDisk()

    private func fail(_ operation: FileError.Operation, _ answer: DiskAnswer) {
        hook.fault = { $0.operation == operation ? answer : nil }
    }

    func testAfterAFailedSyncNothingIsTakenAnyMore() throws {
        let log = try OpenedLog(disk.mount(hook)).log
        try log.append(1, "durable")
        try log.sync()
        try log.append(2, "in doubt")
        fail(.sync, .fail(.inputOutput))
        XCTAssertThrowsError(try log.sync()) { XCTAssertEqual(($0 as? EngineError)?.code, .file) }
        // The device has recovered, and a second sync would succeed without writing what the first one lost.
        hook.fault = { _ in nil }
        let calls = hook.calls.count
        XCTAssertThrowsError(try log.sync()) { XCTAssertEqual(($0 as? EngineError)?.code, .failed) }
        XCTAssertThrowsError(try log.append(3, "more")) { XCTAssertEqual(($0 as? EngineError)?.code, .failed) }
        XCTAssertThrowsError(try log.rotate()) { XCTAssertEqual(($0 as? EngineError)?.code, .failed) }
        XCTAssertThrowsError(try log.seal()) { XCTAssertEqual(($0 as? EngineError)?.code, .failed) }
        XCTAssertEqual(hook.calls.count, calls, "no file was touched")
        XCTAssertEqual(log.syncedThrough, 1)
        XCTAssertEqual(log.failure?.cause?.operation, .sync)
    }

    func testWhatAFailedSyncLeftInThePageCacheIsWrittenAnewByTheNextOpening() throws {
        let log = try OpenedLog(disk.mount(hook)).log
        try log.append(1, "durable")
        try log.sync()
        try log.append(2, "in doubt")
        fail(.sync, .fail(.inputOutput))
        assertFails(.file, .sync, .inputOutput) { try log.sync() }
        disk.processCrash()
        let seen = try OpenedLog.batches(on: disk)
        XCTAssertEqual(seen.map(\.sequence), [1, 2])
        // It was seen, so that it has to stay.
        XCTAssertEqual(try OpenedLog.batches(on: SimulatedDisk(disk.image())), seen)
    }

    func testAFailedWriteLeavesTheLogAsItWas() throws {
        // Not done at all, done in part, done and yet failed: the next batch of the same number takes its place.
        for answer in [.fail(.noSpace), .partial(7), .partial(50), .failAfter(.inputOutput)] as [DiskAnswer] {
            let disk = SimulatedDisk()
            let log = try OpenedLog(disk.mount(hook)).log
            let first = try log.append(1, "first")
            fail(.write, answer)
            XCTAssertThrowsError(try log.append(2, "a batch that fails")) {
                XCTAssertEqual(($0 as? EngineError)?.code, .file)
            }
            hook.fault = { _ in nil }
            XCTAssertNil(log.failure)
            XCTAssertEqual(log.writtenThrough, 1)
            try log.sync()
            let second = try log.append(2, "short")
            let third = try log.append(3, "third")
            try log.sync()
            XCTAssertEqual(try OpenedLog.batches(on: disk.copy()), [first, second, third], "\(answer)")
            XCTAssertEqual(try OpenedLog.batches(on: SimulatedDisk(disk.image())), [first, second, third])
        }
    }

    func testTheRestOfAFailedGroupNeverContinuesWhatIsWrittenInItsPlace() throws {
        // Two batches are written by one call that fails, the cut fails to become durable, and another batch of the same
        // length as the first takes its place: the second must not be read behind it.
        let log = try OpenedLog(disk.mount(hook)).log
        for (sequence, content) in [(1, "aaaa"), (2, "bbbb")] as [(UInt64, Bytes)] {
            try content.withUnsafeBytes { try log.stage($0, sequence: sequence) }
        }
        fail(.write, .failAfter(.inputOutput))
        assertFails(.file, .write, .inputOutput) { try log.writeStaged() }
        hook.fault = { _ in nil }
        let other = try log.append(1, "cccc")
        disk.processCrash()
        let both: [LoggedBatch] = [LoggedBatch(1, "aaaa"), LoggedBatch(2, "bbbb")]
        for image in disk.crashStates() {
            let found = try OpenedLog.batches(on: SimulatedDisk(image))
            XCTAssertTrue([[], [both[0]], both, [other]].contains(found), "\(found)")
        }
    }

    func testAFailedWriteWhoseRemainsCannotBeCutStopsTheLog() throws {
        let log = try OpenedLog(disk.mount(hook)).log
        try log.append(1, "first")
        hook.fault = { [.write, .size].contains($0.operation) ? .fail(.inputOutput) : nil }
        assertFails(.file, .size, .inputOutput) { try log.append(2, "second") }
        hook.fault = { _ in nil }
        XCTAssertThrowsError(try log.append(2, "second")) { XCTAssertEqual(($0 as? EngineError)?.code, .failed) }
    }

    func testALogWithoutSpaceForANewFileGoesOnInTheOldOne() throws {
        for failing in 1...4 {
            let disk = SimulatedDisk()
            let log = try OpenedLog(disk.mount(hook)).log
            var written = [try log.append(1, "first")]
            try log.sync()
            // Creating, writing the header and syncing are the first calls; from the renaming on there is no way back.
            var count = 0
            hook.fault = { _ in
                count += 1
                return count == failing ? .failAfter(.noSpace) : nil
            }
            let operations: [FileError.Operation] = [.open, .write, .sync, .rename]
            assertFails(.file, operations[failing - 1], .noSpace) { try log.rotate() }
            hook.fault = { _ in nil }
            if failing < 4 {
                XCTAssertNil(log.failure, "call \(failing)")
                written.append(try log.append(2, "second"))
                try log.rotate()
                written.append(try log.append(3, "third"))
                try log.removeFiles(flushedThrough: 0)
                XCTAssertEqual(try disk.mount().list("engine"), ["wal-1", "wal-3"])
            } else {
                // The new file may have its name, and what were written to the old one now would never be read.
                XCTAssertThrowsError(try log.append(2, "second")) {
                    XCTAssertEqual(($0 as? EngineError)?.code, .failed)
                }
            }
            XCTAssertEqual(try OpenedLog.batches(on: disk), written)
        }
    }

    func testASyncThatAnotherThreadPerformsDoesNotCoverWhatIsWrittenMeanwhile() throws {
        let files = disk.mount()
        let log = try OpenedLog(files).log
        let first = try log.append(1, "first")
        let sync = try XCTUnwrap(log.beginSync())
        let second = try log.append(2, "second")
        try sync.perform()
        log.finishSync(sync)
        XCTAssertEqual(log.syncedThrough, 1)
        XCTAssertNotNil(try log.beginSync(), "the second is still to be synced")
        XCTAssertEqual(try OpenedLog.batches(on: disk), [first, second])
    }

    func testASyncMayEndWhenItsFileHasBeenRotated() throws {
        let log = try OpenedLog(disk.mount()).log
        let first = try log.append(1, "first")
        let sync = try XCTUnwrap(log.beginSync())
        try log.rotate()
        let second = try log.append(2, "second")
        try sync.perform()
        log.finishSync(sync)
        XCTAssertEqual(log.syncedThrough, 1)
        try log.sync()
        XCTAssertEqual(log.syncedThrough, 2)
        XCTAssertEqual(try OpenedLog.batches(on: SimulatedDisk(disk.image())), [first, second])
    }
}
