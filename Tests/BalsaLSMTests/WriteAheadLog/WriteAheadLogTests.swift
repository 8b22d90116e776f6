import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// A log that is written, closed and opened again.
final class WriteAheadLogTests: XCTestCase {
    private func long(_ count: Int, _ seed: UInt8 = 7) -> Bytes {
        Bytes((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ Int(seed)) })
    }

    func testANewLogIsEmpty() throws {
        let disk = SimulatedDisk()
        let opened = try OpenedLog(disk.mount(), flushedThrough: 41)
        XCTAssertEqual(opened.batches, [])
        XCTAssertEqual(opened.log.report.lastSequence, 41)
        XCTAssertEqual(opened.log.writtenThrough, 41)
        XCTAssertEqual(opened.log.syncedThrough, 41)
    }

    func testBatchesOfAllLengthsAreFoundInTheirOrder() throws {
        // Lengths around the multiples of a sector, at every place in one; empty ones; longer than what is read at once.
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        var written: [LoggedBatch] = []
        for count in Array(0...140) + [255, 256, 257, 100_000, 0, 300_000, 1] {
            let sequence = SequenceNumber(3 * written.count + 5)
            written.append(try log.append(sequence, long(count, UInt8(truncatingIfNeeded: count))))
            if count % 3 == 0 { try log.sync() }
        }
        XCTAssertEqual(try OpenedLog.batches(on: disk), written)
    }

    func testABatchThatWasNotSyncedSurvivesTheProcessAndNotAPowerLoss() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        let first = try log.append(1, "synced")
        try log.sync()
        let second = try log.append(2, "written")
        XCTAssertEqual(log.writtenThrough, 2)
        XCTAssertEqual(log.syncedThrough, 1)
        disk.processCrash()
        XCTAssertEqual(try OpenedLog.batches(on: disk.copy()), [first, second])
        XCTAssertEqual(try OpenedLog.batches(on: SimulatedDisk(disk.image())), [first])
    }

    func testGatheredBatchesAreWrittenByOneCall() throws {
        let hook = FailingCalls()
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount(hook)).log
        let before = hook.calls.count
        let contents: [Bytes] = ["one", "two", "three"]
        for (index, content) in contents.enumerated() {
            try content.withUnsafeBytes { try log.stage($0, sequence: UInt64(index) + 1) }
        }
        XCTAssertEqual(log.writtenThrough, 0)
        try log.writeStaged()
        XCTAssertEqual(log.writtenThrough, 3)
        XCTAssertEqual(hook.calls[before...], ["write engine/wal-1"].suffix(1).map { $0 + ".preparing" }[...])
        XCTAssertEqual(try OpenedLog.batches(on: disk).map(\.content), contents)
    }

    func testWhatFollowsASyncBeginsOnANewSector() throws {
        let hook = FailingCalls()
        var places: [UInt64] = []
        hook.fault = { call in
            if call.operation == .write, call.offset > 0 { places.append(call.offset) }
            return nil
        }
        let log = try OpenedLog(SimulatedDisk().mount(hook)).log
        try log.append(1, "abcd")
        try log.append(2, "abcd")
        try log.sync()
        try log.append(3, "abcd")
        // A sync that has begun counts as well: what it makes durable must not be touched any more.
        let sync = try XCTUnwrap(log.beginSync())
        try log.append(4, "abcd")
        try sync.perform()
        log.finishSync(sync)
        try log.append(5, "abcd")
        XCTAssertEqual(places, [128, 168, 256, 384, 424])
    }

    func testOpeningAgainAndAgainGoesOnWhereTheLogEnded() throws {
        let disk = SimulatedDisk()
        var written: [LoggedBatch] = []
        for life in 0..<6 {
            let opened = try OpenedLog(disk.mount())
            XCTAssertEqual(opened.batches, written)
            XCTAssertEqual(opened.log.writtenThrough, written.last?.sequence ?? 0)
            for number in 0..<life {
                written.append(try opened.log.append(opened.log.writtenThrough + 1, Bytes("\(life), \(number)")))
                if number == 2 { try opened.log.sync() }
            }
            disk.processCrash()
        }
        // Nothing of it was ever flushed, and openings have made all of it but the last life durable.
        XCTAssertEqual(try OpenedLog.batches(on: SimulatedDisk(disk.image())).count, 10 + 3)
    }

    func testAnOpeningWithoutBatchesLeavesNoChainBehind() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        let batch = try log.append(1, "batch")
        try log.seal()
        for _ in 0..<5 {
            let opened = try OpenedLog(disk.mount())
            XCTAssertEqual(opened.batches, [batch])
            XCTAssertEqual(opened.log.report.rewrittenBatches, 0)
            try opened.log.removeFiles(flushedThrough: 0)
        }
        XCTAssertEqual(try disk.mount().list("engine"), ["wal-1", "wal-6"])
    }

    func testBatchesThatNothingConfirmsAreWrittenAnew() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        for sequence in 1...3 as ClosedRange<UInt64> {
            try log.append(sequence, "batch")
            try log.sync()
        }
        // The third was synced, but no record says so; the second one's sync is told by the third.
        let again = try OpenedLog(disk.mount()).log
        XCTAssertEqual(again.report.rewrittenBatches, 1)
        // What was written anew is known to be durable.
        XCTAssertEqual(try OpenedLog(disk.mount()).log.report.rewrittenBatches, 0)
    }

    func testAFullFileIsRotatedAndRemovedWhenItsBatchesAreFlushed() throws {
        var options = EngineOptions()
        options.writeAheadLogBytes = 1_000
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount(), options: options).log
        var written: [LoggedBatch] = []
        var files = 1
        for sequence in 1...30 as ClosedRange<UInt64> {
            written.append(try log.append(sequence, long(200)))
            guard log.isFull else { continue }
            try log.rotate()
            files += 1
            XCTAssertFalse(log.isFull)
        }
        XCTAssertEqual(files, 8)
        XCTAssertEqual(try disk.mount().list("engine").count, 8)
        XCTAssertEqual(try OpenedLog.batches(on: disk.copy()), written)
        XCTAssertEqual(log.syncedThrough, 28)

        // Four batches a file: those of the third are needed for the twelfth.
        XCTAssertFalse(log.hasRemovableFiles(flushedThrough: 3))
        XCTAssertTrue(log.hasRemovableFiles(flushedThrough: 11))
        try log.removeFiles(flushedThrough: 11)
        XCTAssertEqual(try disk.mount().list("engine"), (3...8).map { "wal-\($0)" })
        XCTAssertEqual(try OpenedLog.batches(on: disk.copy(), flushedThrough: 11), Array(written[11...]))
        try log.removeFiles(flushedThrough: 28)
        XCTAssertEqual(try disk.mount().list("engine"), ["wal-8"])
        XCTAssertEqual(try OpenedLog.batches(on: disk, flushedThrough: 28), Array(written[28...]))
    }

    func testRotatingAFileWithoutBatchesDoesNothing() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        try log.rotate()
        XCTAssertEqual(try disk.mount().list("engine"), ["wal-1"])
    }

    func testBatchesThatTablesHoldAreNotReplayed() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        let written = try (1...9).map { try log.append($0, Bytes("\($0)")) }
        try log.sync()
        for flushed in 0...9 as ClosedRange<UInt64> {
            let opened = try OpenedLog(disk.copy().mount(), flushedThrough: flushed)
            XCTAssertEqual(opened.batches, Array(written[Int(flushed)...]))
            XCTAssertEqual(opened.log.writtenThrough, 9)
        }
        // Tables can be ahead of a log whose end was not synced.
        let ahead = try OpenedLog(disk.mount(), flushedThrough: 12)
        XCTAssertEqual(ahead.batches, [])
        let next = try ahead.log.append(13, "next")
        XCTAssertEqual(try OpenedLog.batches(on: disk, flushedThrough: 12), [next])
    }

    func testAnOlderFileThatReappearsIsNotReplayed() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        for sequence in 1...4 as ClosedRange<UInt64> {
            try log.append(sequence, "old")
            try log.rotate()
        }
        let old = try (1...4).map { try XCTUnwrap(disk.contents(of: OpenedLog.path($0))) }
        try log.removeFiles(flushedThrough: 4)
        let batch = try log.append(5, "new")
        try log.sync()
        for (index, bytes) in old.enumerated() {
            let again = disk.copy()
            let path = OpenedLog.path(UInt64(index) + 1)
            try again.mount().open(path, .create).write(Bytes(bytes), at: 0)
            let opened = try OpenedLog(again.mount(), flushedThrough: 4)
            XCTAssertEqual(opened.batches, [batch])
            try opened.log.removeFiles(flushedThrough: 4)
            XCTAssertFalse(try again.mount().exists(path))
        }
    }

    func testAMissingFileIsNoticed() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        for sequence in 1...3 as ClosedRange<UInt64> {
            try log.append(sequence, "batch")
            try log.rotate()
        }
        for missing in 1...3 as ClosedRange<UInt64> {
            let damaged = disk.copy()
            try damaged.mount().remove(OpenedLog.path(missing))
            XCTAssertThrowsError(try OpenedLog.batches(on: damaged)) {
                XCTAssertEqual(($0 as? EngineError)?.code, .damaged)
                XCTAssertTrue("\($0)".contains("wal-\(missing)"), "\($0)")
            }
            // Its batches are not needed once tables hold them.
            XCTAssertEqual(try OpenedLog.batches(on: damaged, flushedThrough: missing).count, 3 - Int(missing))
        }
    }

    func testAFileThatIsBeingPreparedIsNoPartOfTheLog() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        let batch = try log.append(1, "batch")
        _ = try disk.mount().open("engine/wal-7.preparing", .create)
        for name in ["wal-", "wal-0", "wal-07", "wal-x", "wal-8.old", "wal-+9"] {
            _ = try disk.mount().open("engine/" + name, .create)
        }
        let opened = try OpenedLog(disk.mount())
        XCTAssertEqual(opened.batches, [batch])
        try opened.log.removeFiles(flushedThrough: 0)
        let names = try disk.mount().list("engine")
        XCTAssertFalse(names.contains("wal-7.preparing"))
        XCTAssertTrue(names.contains("wal-8"))
        XCTAssertTrue(names.contains("wal-07"), "names that are none of the log's are left alone")
    }

    func testWhatTheBodyThrowsIsThrown() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        try log.append(1, "batch")
        let error = EngineError(.damaged, "no batch")
        XCTAssertThrowsError(
            try WriteAheadLog.open(
                "engine",
                engineID: OpenedLog.engineID,
                flushedThrough: 0,
                fileSystem: disk.mount(),
                options: EngineOptions()
            ) { (_, _) throws(EngineError) in throw error }
        ) { XCTAssertEqual($0 as? EngineError, error) }
    }

    func testAClosedLogTakesNothing() throws {
        let log = try OpenedLog(SimulatedDisk().mount()).log
        log.close()
        XCTAssertThrowsError(try log.append(1, "batch")) { XCTAssertEqual(($0 as? EngineError)?.code, .closed) }
        XCTAssertThrowsError(try log.sync()) { XCTAssertEqual(($0 as? EngineError)?.code, .closed) }
    }
}
