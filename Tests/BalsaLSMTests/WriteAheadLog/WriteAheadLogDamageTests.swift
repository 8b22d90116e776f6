import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Files that are not what was written: cut, flipped, moved, mixed up.
final class WriteAheadLogDamageTests: XCTestCase {
    /// A disk with a log of four batches, of which all but the last are known to be durable.
    private func disk(_ contents: [Bytes] = ["first", "second", "third", "last"]) throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        for (index, content) in contents.enumerated() {
            try log.append(UInt64(index) + 1, content)
            try log.sync()
        }
        disk.processCrash()
        return disk
    }

    private func bytes(_ disk: SimulatedDisk) throws -> [UInt8] {
        try XCTUnwrap(disk.contents(of: OpenedLog.path(1)))
    }

    /// The batches that a log with these bytes has, or nil where it is refused as damaged or as newer.
    private func opened(_ bytes: [UInt8], on disk: SimulatedDisk) throws -> [LoggedBatch]? {
        let copy = disk.copy()
        try copy.replace(OpenedLog.path(1), with: bytes)
        do {
            return try OpenedLog.batches(on: copy)
        } catch let error as EngineError where error.code == .damaged || error.code == .upgradeRequired {
            return nil
        }
    }

    func testEveryFlippedBitIsRefusedOrHarmless() throws {
        let disk = try disk(["first", "second", "third"])
        let bytes = try bytes(disk)
        let all = try OpenedLog.batches(on: disk.copy())
        let lastRecord = 2 * 128 + 128
        var refused = 0
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            guard let found = try opened(flipped, on: disk) else {
                refused += 1
                continue
            }
            // Padding is never read, and the last record is what a torn write is expected in.
            let isLast = bit / 8 >= lastRecord
            XCTAssertTrue(found == all || isLast && found == Array(all[..<2]), "bit \(bit): \(found)")
        }
        // The header, and the records that a later one confirms.
        XCTAssertEqual(refused, 8 * (68 + (36 + 5) + (36 + 6)))
    }

    func testAfterASealNoFlippedBitIsTakenForATornTail() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        let batch = try log.append(1, "acknowledged")
        try log.seal()
        let size = try bytes(disk).count
        XCTAssertEqual(size, 256 + 36)
        try log.seal()
        XCTAssertEqual(try bytes(disk).count, size, "one seal is enough")
        let bytes = try bytes(disk)
        for bit in 128 * 8..<(128 + 36 + 12) * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            XCTAssertNil(try opened(flipped, on: disk), "bit \(bit)")
        }
        for count in 0..<256 {
            guard count < 128 + 36 + 12, let found = try opened(Array(bytes[..<count]), on: disk) else { continue }
            XCTAssertEqual(found, [], "a file cut at \(count) looks like one that never was longer")
        }
        XCTAssertEqual(try OpenedLog.batches(on: disk), [batch])
    }

    func testEveryTruncationLeavesAPrefix() throws {
        let disk = try disk()
        let bytes = try bytes(disk)
        let all = try OpenedLog.batches(on: disk.copy())
        // Records end at these places; what a cut leaves of the next one is a torn tail.
        let ends = [128 + 36 + 5, 256 + 36 + 6, 384 + 36 + 5, 512 + 36 + 4]
        XCTAssertEqual(bytes.count, ends[3])
        for count in 0..<bytes.count {
            let found = try opened(Array(bytes[..<count]), on: disk)
            if count < 128 {
                XCTAssertNil(found, "a file without its header, cut at \(count)")
            } else {
                XCTAssertEqual(found, Array(all[..<ends.count { $0 <= count }]), "cut at \(count)")
            }
        }
    }

    func testBytesThatAFileWasPublishedWithCannotBeCutOff() throws {
        let disk = try disk()
        // The last batch is written anew, into a file that says how long it was from the beginning.
        _ = try OpenedLog.batches(on: disk)
        let bytes = try XCTUnwrap(disk.contents(of: OpenedLog.path(2)))
        XCTAssertEqual(bytes.count, 128 + 36 + 4)
        for count in 0..<bytes.count {
            let copy = disk.copy()
            try copy.replace(OpenedLog.path(2), with: Array(bytes[..<count]))
            XCTAssertThrowsError(try OpenedLog.batches(on: copy)) {
                XCTAssertEqual(($0 as? EngineError)?.code, .damaged)
            }
        }
    }

    func testATailOfZerosOrGarbageIsCounted() throws {
        let disk = try disk()
        let bytes = try bytes(disk)
        var random = RandomSource(seed: 1)
        let tails: [[UInt8]] = [
            [0], [UInt8](repeating: 0, count: 4_096), [UInt8](repeating: 0xff, count: 700),
            Array("BREC".utf8), (0..<5_000).map { _ in UInt8(truncatingIfNeeded: random.next()) },
            // Records of this very file, but at another place.
            Array(bytes[128...]),
        ]
        for tail in tails {
            let copy = disk.copy()
            try copy.replace(OpenedLog.path(1), with: bytes + tail)
            let opened = try OpenedLog(copy.mount())
            XCTAssertEqual(opened.batches.map(\.content), ["first", "second", "third", "last"])
            XCTAssertEqual(opened.log.report.tornBytes, UInt64(tail.count))
        }
    }

    func testALengthThatIsWrongIsNotFollowed() throws {
        // The length of the first record's body, with a checksum that matches: only a bug or malice writes that.
        let disk = try disk()
        let bytes = try bytes(disk)
        for length in [0, 3, 6, 1_000, UInt32.max / 2, UInt32.max] as [UInt32] {
            for place in [128, 512] {
                var changed = bytes
                let seed = WriteAheadLogRecord.checksumSeed(engineID: OpenedLog.engineID, number: 1)
                changed.withUnsafeMutableBytes { raw in
                    let target = UnsafeMutableRawBufferPointer(rebasing: raw[place...])
                    let offset = UInt64(place)
                    var record = WriteAheadLogRecord(
                        decoding: UnsafeRawBufferPointer(target),
                        seed: seed,
                        offset: offset
                    )
                    record?.bodyByteCount = length
                    record?.encode(into: target, seed: seed, offset: offset)
                }
                let found = try opened(changed, on: disk)
                if place == 128 {
                    XCTAssertNil(found, "later records confirm this one")
                } else {
                    XCTAssertEqual(found?.count, 3)
                }
            }
        }
    }

    func testRecordsThatContradictEachOtherAreRefused() throws {
        let disk = try disk()
        let bytes = try bytes(disk)
        let seed = WriteAheadLogRecord.checksumSeed(engineID: OpenedLog.engineID, number: 1)
        func change(_ change: (inout WriteAheadLogRecord) -> Void) throws -> [LoggedBatch]? {
            var changed = bytes
            changed.withUnsafeMutableBytes { raw in
                let target = UnsafeMutableRawBufferPointer(rebasing: raw[512...])
                let source = UnsafeRawBufferPointer(target)
                guard var record = WriteAheadLogRecord(decoding: source, seed: seed, offset: 512) else {
                    return XCTFail("no record at 512")
                }
                change(&record)
                record.encode(into: target, seed: seed, offset: 512)
            }
            return try opened(changed, on: disk)
        }
        XCTAssertEqual(try change { _ in }?.count, 4)
        XCTAssertNil(try change { $0.sequence = 3 }, "the number of the batch before")
        XCTAssertNil(try change { $0.durableThrough = 513 }, "durable beyond its own place")
        XCTAssertNil(try change { $0.durableThrough = 400 }, "durable up to the middle of a record")
        XCTAssertNil(try change { $0.durableThrough = 0 }, "durable up to the middle of the header")
        XCTAssertNil(try change { $0.kind = .seal }, "a seal with a number of its own")
        XCTAssertEqual(try change { $0.previousChecksum ^= 1 }?.count, 3, "the continuation of another record")
    }

    func testAFileOfAnotherEngineOrUnderAnotherNameIsRefused() throws {
        let disk = try disk()
        XCTAssertThrowsError(try OpenedLog(disk.copy().mount(), engineID: 1)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .damaged)
            XCTAssertTrue("\($0)".contains("another engine"))
        }
        let files = disk.mount()
        try files.rename(OpenedLog.path(1), to: OpenedLog.path(9))
        XCTAssertThrowsError(try OpenedLog.batches(on: disk)) {
            XCTAssertTrue("\($0)".contains("wal-1"))
        }
    }

    func testANewerFormatIsRefusedAsSuch() throws {
        let disk = try disk()
        var bytes = try bytes(disk)
        bytes[8] = 2
        try disk.replace(OpenedLog.path(1), with: bytes)
        XCTAssertThrowsError(try OpenedLog.batches(on: disk)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .upgradeRequired)
        }
    }

    func testDamageInAnOlderFileIsNeverATornTail() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        try log.append(1, "in the first file")
        try log.append(2, "its last batch")
        try log.rotate()
        try log.append(3, "in the second file")
        let bytes = try bytes(disk)
        for count in 128..<bytes.count {
            XCTAssertNil(try opened(Array(bytes[..<count]), on: disk), "cut at \(count)")
        }
        for byte in 128..<bytes.count {
            var flipped = bytes
            flipped[byte] ^= 0x10
            XCTAssertNil(try opened(flipped, on: disk), "byte \(byte)")
        }
        // What lies behind the end that the second file names is nothing.
        XCTAssertEqual(try opened(bytes + [1, 2, 3], on: disk)?.count, 3)
    }

    func testAFailedReadIsNoEndOfTheLog() throws {
        let disk = try disk()
        let hook = FailingCalls()
        let reads = { () throws -> Int in
            let counting = FailingCalls()
            _ = try OpenedLog(disk.copy().mount(counting))
            return counting.calls.count { $0.hasPrefix("read") }
        }
        for failing in 1...(try reads()) {
            var count = 0
            hook.fault = { call in
                guard call.operation == .read else { return nil }
                count += 1
                return count == failing ? .fail(.inputOutput) : nil
            }
            XCTAssertThrowsError(try OpenedLog(disk.copy().mount(hook))) {
                XCTAssertEqual(($0 as? EngineError)?.code, .file, "read \(failing)")
            }
        }
    }
}
