import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Crashes before and behind every file call: of a log at work, and of its opening.
final class WriteAheadLogCrashTests: XCTestCase {
    /// The disk keeps any subset of the log's sectors, and tears some.
    private func makeDisk(garbage: Bool) -> SimulatedDisk {
        var options = DiskOptions()
        options.sectorBytes = 128
        options.tornSectorsHoldGarbage = garbage
        return SimulatedDisk(options: options)
    }

    /// What a process knew when it died.
    private struct Knowledge {
        var written: [LoggedBatch] = []
        /// How many of them had been acknowledged as durable.
        var durable = 0
        /// What tables are taken to hold.
        var flushed: SequenceNumber = 0
    }

    private func work(_ files: SimulatedFileSystem, _ knowledge: inout Knowledge) throws {
        let opened = try OpenedLog(files)
        let log = opened.log
        var sequence: SequenceNumber = 0
        func append(_ count: Int) throws {
            sequence += 2
            let content = Bytes([UInt8](repeating: UInt8(sequence), count: count))
            knowledge.written.append(LoggedBatch(sequence, content))
            try log.append(sequence, content)
        }
        func sync() throws {
            try log.sync()
            knowledge.durable = knowledge.written.count
        }
        try append(20)
        try append(10)
        try sync()
        try append(200)
        try append(5)
        let early = try XCTUnwrap(log.beginSync())
        try append(5)
        try early.perform()
        log.finishSync(early)
        knowledge.durable = 4
        try append(60)
        try sync()
        try log.seal()
        try append(1)
        try log.rotate()
        knowledge.durable = knowledge.written.count
        try append(300)
        try append(9)
        try sync()
        knowledge.flushed = 6
        try log.removeFiles(flushedThrough: 6)
        try append(40)
        try log.rotate()
        knowledge.durable = knowledge.written.count
        knowledge.flushed = sequence
        try log.removeFiles(flushedThrough: sequence)
        try append(7)
        try sync()
        try append(8)
    }

    /// Holds a recovered log against what the process knew.
    private func check(_ found: [LoggedBatch], _ knowledge: Knowledge, _ place: String) {
        let needed = knowledge.written.filter { $0.sequence > knowledge.flushed }
        let durable = knowledge.written[..<knowledge.durable].filter { $0.sequence > knowledge.flushed }
        let isPrefix = found == Array(needed.prefix(found.count))
        XCTAssertTrue(isPrefix && found.count >= durable.count, "\(place): \(found) of \(needed)")
    }

    func testAcknowledgedBatchesSurviveACrashAtEveryCall() throws {
        var states = 0
        for garbage in [false, true] {
            var knowledge = Knowledge()
            try makeDisk(garbage: garbage).forEachCrashPoint { files in
                knowledge = Knowledge()
                try work(files, &knowledge)
            } check: { crashed, point in
                for image in crashed.crashStates(limit: 60) {
                    let disk = SimulatedDisk(image)
                    // Garbage takes the place of a whole sector, and no sector holds both synced and other bytes.
                    let found = try OpenedLog.batches(on: disk, flushedThrough: knowledge.flushed)
                    check(found, knowledge, "\(point)")
                    // What has been found once is found again, whatever is lost.
                    let again = SimulatedDisk(disk.image())
                    XCTAssertEqual(try OpenedLog.batches(on: again, flushedThrough: knowledge.flushed), found)
                    states += 1
                }
            }
        }
        XCTAssertGreaterThan(states, 600)
    }

    func testAnOpeningThatCrashesAtEveryCallLosesNothing() throws {
        // A log with all that an opening has to do: unconfirmed batches, a torn tail, old files, one being prepared.
        let disk = makeDisk(garbage: false)
        let log = try OpenedLog(disk.mount()).log
        var written: [LoggedBatch] = []
        written.append(try log.append(1, "in the first file"))
        try log.rotate()
        written.append(try log.append(2, "confirmed"))
        try log.sync()
        written.append(try log.append(3, "durable, and nothing says so"))
        try log.sync()
        _ = try disk.mount().open("engine/wal-9.preparing", .create)
        try disk.mount().syncDirectory("engine")
        try log.append(4, Bytes([UInt8](repeating: 9, count: 300)))
        disk.processCrash()

        var states = 0
        for start in disk.crashStates() {
            var expected: [LoggedBatch] = []
            try SimulatedDisk(start).forEachCrashPoint { files in
                expected = []
                let opened = try OpenedLog(files)
                expected = opened.batches
                try opened.log.removeFiles(flushedThrough: 0)
            } check: { crashed, point in
                for image in crashed.crashStates(limit: 12) {
                    states += 1
                    let found = try OpenedLog.batches(on: SimulatedDisk(image))
                    XCTAssertEqual(Array(found.prefix(3)), written, "\(point)")
                    XCTAssertLessThanOrEqual(found.count, 4)
                    if !expected.isEmpty { XCTAssertEqual(found, expected, "what was replayed stays, \(point)") }
                }
            }
        }
        XCTAssertGreaterThan(states, 300)
    }

    func testAWriteThatFailsAndThenACrash() throws {
        // With the remains of a failed write on the disk, any subset of what follows may be lost.
        for answer in [.fail(.noSpace), .partial(40), .failAfter(.inputOutput)] as [DiskAnswer] {
            let hook = FailingCalls()
            let disk = makeDisk(garbage: false)
            let log = try OpenedLog(disk.mount(hook)).log
            let first = try log.append(1, "first")
            try log.sync()
            hook.fault = { $0.operation == .write ? answer : nil }
            let failed = LoggedBatch(2, Bytes([UInt8](repeating: 7, count: 150)))
            assertFails(.file, .write) { try log.append(failed.sequence, failed.content) }
            hook.fault = { _ in nil }
            let second = try log.append(2, "second")
            for isSynced in [false, true] {
                if isSynced { try log.sync() }
                let copy = disk.copy()
                copy.processCrash()
                for image in copy.crashStates() {
                    let found = try OpenedLog.batches(on: SimulatedDisk(image))
                    let allowed = isSynced ? [[first, second]] : [[first], [first, second], [first, failed]]
                    XCTAssertTrue(allowed.contains(found), "\(answer), \(isSynced): \(found)")
                }
            }
        }
    }
}
