import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import BalsaLog

/// What recovery makes of damaged files: every byte flipped in turn, every length cut to, and what lies between.
final class LogRecoveryTests: XCTestCase {
    /// A log in files, with what it holds.
    private struct Sample {
        var name: String
        var disk: DiskImage
        var contents: [GroupContent]
        /// What it holds without its last frame, if no later one confirms that, and the place of that frame.
        var blind: (contents: [GroupContent], path: String, bytes: Range<UInt64>)?
    }

    /// Logs of a few frames: sealed and not, with truncation and compaction, over several segments.
    private func samples(sealed isSealed: Bool) throws -> [Sample] {
        [
            try sample("one frame", isSealed) { driver in
                try driver.append(1, term: 1, ["a"])
            },
            try sample("truncation", isSealed) { driver in
                try driver.append(1, term: 1, ["a", "b"])
                try driver.append(2, term: 3, ["x"])
                try driver.flush()
                try driver.truncate(1, after: 1)
                try driver.flush()
                try driver.append(1, term: 2, ["B"])
            },
            try sample("compaction", isSealed) { driver in
                try driver.append(1, term: 1, ["a", "b", "c"])
                try driver.flush()
                try driver.compact(1, through: LogPosition(term: 1, index: 2))
                try driver.reset(2, to: LogPosition(term: 2, index: 50))
                try driver.flush()
                try driver.append(2, term: 2, ["y"])
            },
            try sample("segments", isSealed) { driver in
                for text in ["a", "b", "c", "d"] {
                    try driver.append(1, term: 1, [text + String(repeating: "-", count: 300)])
                    try driver.flush()
                }
            },
        ]
    }

    private func sample(_ name: String, _ isSealed: Bool, _ work: (LogDriver) throws -> Void) throws -> Sample {
        let disk = SimulatedDisk()
        var options = LogOptions.tiny
        options.largestSegmentBytes = 1_024
        let driver = try LogDriver(disk.mount(), options: options)
        try work(driver)
        try driver.flush()
        var blind: (contents: [GroupContent], path: String, bytes: Range<UInt64>)?
        if isSealed {
            try driver.seal()
        } else {
            let active = driver.log.segments[driver.log.segments.count - 1]
            let frame = try lastFrame(of: active)
            // The last frame of each sample holds the last operation.
            let without = driver.history[driver.history.count - 2]
            blind = (without, active.path, frame.place.offset..<frame.place.offset + frame.usedByteCount)
        }
        let name = name + (isSealed ? ", sealed" : "")
        return Sample(name: name, disk: disk.snapshot(), contents: try contents(of: driver.log), blind: blind)
    }

    private func lastFrame(of segment: Segment) throws -> FrameHeader {
        var offset = UInt64(SegmentHeader.headerBytes(sectorBytes: Int(segment.sectorBytes)))
        var last: FrameHeader?
        while offset < segment.end {
            let raw = try XCTUnwrap(segment.file).read(FrameHeader.encodedByteCount, at: offset)
            let header = try XCTUnwrap(raw.withUnsafeBytes { FrameHeader(decoding: $0, seed: segment.frameSeed) })
            last = header
            offset = header.end(sectorBytes: segment.sectorBytes)
        }
        return try XCTUnwrap(last)
    }

    /// Opens the log on a disk; nil where it was refused with a place, in the file that is damaged where the test knows
    /// it.
    private func open(
        _ disk: SimulatedDisk,
        options: LogOptions = .tiny,
        damaged path: String? = nil
    ) throws -> [GroupContent]? {
        do {
            return try contents(of: try Log.open(disk.mount(), directory: "log", options: options).log)
        } catch {
            XCTAssertTrue([.damage, .unsupportedVersion].contains(error.reason), "\(error)")
            XCTAssertTrue(error.path.hasSuffix(".log"), "\(error)")
            if let path { XCTAssertEqual(error.path, path, "\(error)") }
            XCTAssertNotNil(error.offset, "\(error)")
            return nil
        }
    }

    func testWithEveryByteFlippedTheLogOpensWholeOrIsRefused() throws { try checkFlippedBytes(sealed: false) }

    func testWithEveryByteFlippedASealedLogOpensWholeOrIsRefused() throws { try checkFlippedBytes(sealed: true) }

    private func checkFlippedBytes(sealed isSealed: Bool) throws {
        for sample in try samples(sealed: isSealed) {
            var lost: UInt64 = 0
            var refused = 0
            for name in try SimulatedDisk(sample.disk).mount().list("log") {
                let path = "log/" + name
                let size = SimulatedDisk(sample.disk).contents(of: path)?.count ?? 0
                for offset in 0..<UInt64(size) {
                    let disk = SimulatedDisk(sample.disk)
                    disk.corrupt(path, at: offset, mask: 0x10)
                    let digest = disk.contentDigest
                    guard let found = try open(disk, damaged: path) else {
                        refused += 1
                        XCTAssertEqual(disk.contentDigest, digest, "a refused log is left as it is")
                        continue
                    }
                    if found == sample.contents { continue }
                    lost += 1
                    guard let blind = sample.blind, path == blind.path, blind.bytes.contains(offset) else {
                        return XCTFail("\(sample.name): byte \(offset) of \(path) lost entries: \(found)")
                    }
                    XCTAssertEqual(found, blind.contents, "\(sample.name): byte \(offset) of \(path)")
                }
            }
            XCTAssertEqual(lost, sample.blind.map { UInt64($0.bytes.count) } ?? 0, "\(sample.name): the blind spot")
            XCTAssertGreaterThan(refused, 0, sample.name)
        }
    }

    func testALog_cutToAnyLength_opensWholeOrIsRefused() throws { try checkCuts(sealed: false) }

    func testASealedLog_cutToAnyLength_opensWholeOrIsRefused() throws { try checkCuts(sealed: true) }

    private func checkCuts(sealed isSealed: Bool) throws {
        var (opened, refused) = (0, 0)
        for sample in try samples(sealed: isSealed) {
            for name in try SimulatedDisk(sample.disk).mount().list("log") {
                let path = "log/" + name
                let size = SimulatedDisk(sample.disk).contents(of: path)?.count ?? 0
                for length in 0..<UInt64(size) {
                    let disk = SimulatedDisk(sample.disk)
                    try disk.mount().open(path, .readWrite).setSize(length)
                    guard let found = try open(disk, damaged: path) else {
                        refused += 1
                        continue
                    }
                    opened += 1
                    XCTAssertEqual(found, sample.contents, "\(sample.name): \(path) cut to \(length)")
                }
            }
        }
        XCTAssertGreaterThan(opened, 170)
        XCTAssertGreaterThan(refused, 8_500)
    }

    func testWithAnyOfSeveralSegmentsRemovedTheLogIsRefusedUnlessItIsASpare() throws {
        let disk = SimulatedDisk()
        let driver = try LogDriver(disk.mount())
        for _ in 1...12 {
            try driver.append(1, term: 1, [String(repeating: "-", count: 300)])
            try driver.flush()
        }
        try driver.seal()
        let needed = driver.log.segments.map { $0.path }
        XCTAssertGreaterThan(needed.count, 2)
        for path in needed {
            let copy = SimulatedDisk(disk.snapshot())
            try copy.mount().remove(path)
            XCTAssertNil(try open(copy), path)
        }
    }

    func testATornTailIsCutAndCounted() throws {
        let disk = SimulatedDisk()
        let driver = try LogDriver(disk.mount())
        try driver.append(1, term: 1, ["kept"])
        try driver.flush()
        try driver.append(1, term: 1, [String(repeating: "t", count: 200)])
        let write = try XCTUnwrap(driver.log.nextWrite())
        // The first sector only.
        try write.file.write(write.pieces[0], at: write.offset)
        disk.processCrash()
        let (log, groups, report) = try Log.open(disk.mount(), directory: "log", options: .tiny)
        XCTAssertEqual(report.tornTails, 1)
        XCTAssertGreaterThan(report.bytesCut, 0)
        XCTAssertEqual(report.entriesRewritten, 0, "the torn frame says that the first entry was durable")
        XCTAssertEqual(log.metrics.tornTails, 1)
        XCTAssertEqual(groups[0].last, LogPosition(term: 1, index: 1))
        let again = try Log.open(disk.mount(), directory: "log", options: .tiny)
        XCTAssertTrue(again.report.wasSealed)
        XCTAssertEqual(again.report.tornTails, 0)
        XCTAssertEqual(again.groups, groups)
    }

    func testASealedLog_goesOnInItsLastSegment_withTheMarkOfTheOpening() throws {
        let disk = SimulatedDisk()
        // A mark takes three sectors, and the segment has to have space for those of two openings.
        var options = LogOptions.tiny
        options.smallestSegmentBytes = 2_048
        let driver = try LogDriver(disk.mount(), options: options)
        try driver.append(1, term: 1, ["a"])
        try driver.flush()
        try driver.seal()
        XCTAssertFalse(driver.log.needsSeal)
        let expected = try contents(of: driver.log)
        for boot in 2...3 as ClosedRange<UInt64> {
            let binding = FileBinding(owner: .none, mark: Opening(boot: boot, nonce: 8), seed: boot)
            let recovery = try LogRecovery(
                fileSystem: disk.mount(),
                directory: "log",
                options: options,
                binding: binding
            )
            (recovery.voteSequence, recovery.bootRevision) = (boot + 10, boot + 20)
            while try !recovery.step(budgetBytes: 1 << 20) {}
            let before = DirectoryMark(opening: Opening(boot: 2, nonce: 8), voteSequence: 12, bootRevision: 22)
            XCTAssertEqual(recovery.foundMark, boot == 2 ? DirectoryMark(opening: FileBinding.unbound.mark) : before)
            let (log, _, report) = recovery.finish()
            XCTAssertTrue(report.wasSealed)
            XCTAssertEqual(try contents(of: log), expected)
            XCTAssertEqual(try disk.mount().list("log"), ["0000000000000001.log"])
        }
    }

    func testFramesOfAnEarlierLifeAreNotAccepted() throws {
        let disk = SimulatedDisk()
        var refusals = 0
        var buggy = LogOptions.tiny
        buggy.plantedBugs = .staleFramesAccepted
        // The planted error writes segments without a salt, too: with one the frames of an earlier use have other
        // checksums.
        let driver = try LogDriver(disk.mount(), options: buggy)
        for number in 1...40 {
            try driver.append(1, term: 1, ["entry \(number) " + String(repeating: "-", count: 100)])
            try driver.flush()
            try driver.compact(1, through: driver.log.last(1))
            try driver.flush()
            let expected = try contents(of: driver.log)
            XCTAssertEqual(try open(SimulatedDisk(disk.snapshot())), expected)
            if try open(SimulatedDisk(disk.snapshot()), options: buggy) != expected { refusals += 1 }
        }
        XCTAssertGreaterThan(driver.log.metrics.segmentsRecycled, 0)
        XCTAssertGreaterThan(refusals, 0, "with the planted bug the test notices")
    }

    func testOtherFilesAreLeftAloneAndMalformedNamesRefused() throws {
        let disk = SimulatedDisk()
        let driver = try LogDriver(disk.mount())
        try driver.append(1, term: 1, ["a"])
        try driver.flush()
        _ = try disk.mount().open("log/notes.txt", .create)
        XCTAssertEqual(try open(disk), try contents(of: driver.log))
        XCTAssertTrue(try disk.mount().exists("log/notes.txt"))
        for name in ["1.log", "000000000000000A.log", "0000000000000000.log", "x.preparing"] {
            let copy = SimulatedDisk(disk.snapshot())
            _ = try copy.mount().open("log/" + name, .create)
            XCTAssertThrowsError(try Log.open(copy.mount(), directory: "log", options: .tiny), name) {
                XCTAssertEqual(($0 as? LogError)?.reason, .unexpectedFile)
                XCTAssertEqual(($0 as? LogError)?.path, "log/" + name)
            }
        }
    }

    func testASegmentUnderTheNameOfAnotherIsRefused() throws {
        let disk = SimulatedDisk()
        let driver = try LogDriver(disk.mount())
        try driver.append(1, term: 1, ["a"])
        try driver.flush()
        try disk.mount().rename(driver.log.path(1), to: LogFileName.segmentPath("log", 77))
        XCTAssertNil(try open(disk))
    }

    func testANewerFormatIsRefusedAsSuch() throws {
        let disk = SimulatedDisk()
        _ = try LogDriver(disk.mount())
        disk.corrupt("log/0000000000000001.log", at: 8, mask: 2)
        XCTAssertThrowsError(try Log.open(disk.mount(), directory: "log", options: .tiny)) {
            XCTAssertEqual(($0 as? LogError)?.reason, .unsupportedVersion)
        }
    }

    func testLimitsMayChangeBetweenOpenings() throws {
        let disk = SimulatedDisk()
        let driver = try LogDriver(disk.mount())
        for _ in 1...6 {
            try driver.append(1, term: 1, [String(repeating: "-", count: 300)])
            try driver.flush()
        }
        var other = LogOptions.tiny
        other.sectorBytes = 512
        other.smallestSegmentBytes = 4_096
        other.largestSegmentBytes = 8_192
        other.maxFrameBytes = 2_048
        let next = try LogDriver(disk.mount(), options: other)
        for _ in 1...20 {
            try next.append(1, term: 2, [String(repeating: "+", count: 700)])
            try next.flush()
        }
        try next.compact(1, through: next.log.last(1))
        try next.flush()
        XCTAssertEqual(try open(disk), try contents(of: next.log))
    }
}
