import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import BalsaLog

/// Logs that are opened again and again, or on a full disk: what openings leave is bounded.
final class RepeatedOpeningTests: XCTestCase {
    private func segments(_ disk: SimulatedDisk) throws -> [String] {
        try disk.mount().list("log").filter { $0.hasSuffix(".log") }
    }

    private func bytes(_ disk: SimulatedDisk) throws -> Int {
        try disk.mount().list("log").map { disk.contents(of: "log/" + $0)?.count ?? 0 }.reduce(0, +)
    }

    /// A log that is not sealed, with a spare behind it.
    private func logWithSpare(_ disk: SimulatedDisk) throws -> [GroupContent] {
        var options = LogOptions.tiny
        options.sparesWanted = 1
        let driver = try LogDriver(disk.mount(), options: options)
        try driver.append(1, term: 1, ["a"])
        try driver.flush()
        let expected = try contents(of: driver.log)
        disk.processCrash()
        XCTAssertEqual(try segments(disk).count, 2)
        return expected
    }

    /// The spare is intact. Does what the message advises.
    func testAnOpening_withoutTheSegmentBeforeASpare_saysThatItMayBeMissing() throws {
        let disk = SimulatedDisk()
        let expected = try logWithSpare(disk)
        let names = try segments(disk).sorted()
        let path = "log/" + names[0]
        let bytes = Bytes(try XCTUnwrap(disk.contents(of: path)))
        let files = disk.mount()
        try files.remove(path)
        XCTAssertThrowsError(try Log.open(files, directory: "log", options: .tiny)) { error in
            XCTAssertEqual((error as? LogError)?.reason, .damage)
            XCTAssertTrue(
                "\(error)".contains(
                    "the opening frame is damaged, or a segment before this one is missing: put it back"
                ),
                "\(error)"
            )
            XCTAssertTrue("\(error)".contains(names[1]), "\(error)")
        }
        let file = try files.open(path, .create)
        try file.write(bytes, at: 0)
        file.close()
        XCTAssertEqual(try contents(of: Log.open(files, directory: "log", options: .tiny).log), expected)
    }

    func testAnOpening_ofAFullDiskWithASpare_usesTheSpaceOfTheSpare() throws {
        var options = DiskOptions()
        options.capacityBytes = 16_384
        let disk = SimulatedDisk(options: options)
        let expected = try logWithSpare(disk)
        let filler = try disk.mount().open("filler", .create)
        var size: UInt64 = 0
        while true {
            do throws(FileError) {
                try filler.writeZeros(64, at: size)
                size += 64
            } catch {
                XCTAssertEqual(error.number, .noSpace)
                break
            }
        }
        try filler.sync()
        XCTAssertGreaterThan(size, 8_192)
        let (log, _, report) = try Log.open(disk.mount(), directory: "log", options: .tiny)
        XCTAssertFalse(report.wasSealed)
        XCTAssertEqual(try contents(of: log), expected)
    }

    func testOpenings_thatEndBeforeTheOpeningFrame_leaveABoundedNumberOfFiles() throws {
        let disk = SimulatedDisk()
        let expected = try logWithSpare(disk)
        for attempt in 1...20 {
            let binding = FileBinding(
                owner: .none,
                mark: FileBinding.unbound.mark,
                seed: UInt64(attempt)
            )
            let recovery = try LogRecovery(fileSystem: disk.mount(), directory: "log", options: .tiny, binding: binding)
            // Until the new segment has its name.
            var hasNew = false
            while !hasNew {
                let before = Set(try segments(disk))
                XCTAssertFalse(try recovery.step(budgetBytes: 1 << 20))
                hasNew = try segments(disk).contains { !before.contains($0) }
            }
            disk.processCrash()
            XCTAssertLessThanOrEqual(try segments(disk).count, 2, "attempt \(attempt)")
        }
        let log = try Log.open(disk.mount(), directory: "log", options: .tiny).log
        XCTAssertEqual(try contents(of: log), expected)
    }

    /// Without the segment that a continuation frame names, the log would be refused.
    func testAnOpening_thatEndsEarly_keepsTheSegmentThatTheLogNames() throws {
        let disk = SimulatedDisk()
        var options = LogOptions.tiny
        options.sparesWanted = 1
        let driver = try LogDriver(disk.mount(), options: options)
        var expected: [GroupContent] = []
        for number in 1...20 {
            try driver.append(1, term: 1, ["\(number)" + String(repeating: "-", count: 200)])
            while let task = driver.log.nextTask() {
                while try !task.step(budgetBytes: 1 << 20) {}
                driver.log.taskFinished(task)
            }
            let write = try XCTUnwrap(driver.log.nextWrite())
            try write.perform()
            driver.log.writeFinished(write.number)
            if driver.log.isContinued { break }
            while let write = driver.log.nextWrite() {
                try write.perform()
                driver.log.writeFinished(write.number)
            }
            expected = try contents(of: driver.log)
        }
        XCTAssertTrue(driver.log.isContinued)
        XCTAssertEqual(expected.first?.payloads.isEmpty, false)
        disk.processCrash()
        let calls = try disk.forEachCrashPoint { files in
            _ = try Log.open(files, directory: "log", options: .tiny)
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 20) {
                let log = try Log.open(SimulatedDisk(image).mount(), directory: "log", options: .tiny).log
                XCTAssertEqual(try contents(of: log), expected, "\(point)")
            }
        }
        XCTAssertGreaterThan(calls, 5)
    }

    func testOpenings_thatWriteNothing_keepTheBytesOfTheLogBounded() throws {
        let disk = SimulatedDisk()
        var most = 0
        var sealed = 0
        // A mark takes three sectors: in the shortest segments every second opening would need a new one.
        var options = LogOptions.tiny
        options.smallestSegmentBytes = 2_048
        for boot in 1...500 as ClosedRange<UInt64> {
            let binding = FileBinding(owner: .none, mark: Opening(boot: boot, nonce: 9), seed: boot)
            let (log, _, report) = try Log.open(disk.mount(), directory: "log", options: options, binding: binding)
            if report.wasSealed { sealed += 1 }
            while let task = log.nextTask() {
                while try !task.step(budgetBytes: 1 << 20) {}
                log.taskFinished(task)
            }
            disk.processCrash()
            most = max(most, try bytes(disk))
        }
        XCTAssertGreaterThan(sealed, 250)
        XCTAssertLessThanOrEqual(most, 4 * LogOptions.tiny.largestSegmentBytes)
    }

    /// A log whose first segment holds an entry that nobody drops.
    private func logWithKeptEntry(_ disk: SimulatedDisk, _ options: LogOptions) throws -> [GroupContent] {
        let driver = try LogDriver(disk.mount(), options: options)
        try driver.append(1, term: 1, ["kept"])
        driver.log.noteCommit(1, 1)
        try driver.flush()
        try driver.seal()
        let expected = try contents(of: driver.log)
        disk.processCrash()
        return expected
    }

    private func open(
        _ disk: SimulatedDisk,
        _ options: LogOptions = .tiny,
        boot: UInt64
    ) throws -> (log: Log, groups: [RecoveredGroup]) {
        let binding = FileBinding(owner: .none, mark: Opening(boot: boot, nonce: 9), seed: boot)
        let (log, groups, _) = try Log.open(disk.mount(), directory: "log", options: options, binding: binding)
        return (log, groups)
    }

    private func write(_ log: Log) throws {
        while let write = log.nextWrite() {
            try write.perform()
            log.writeFinished(write.number)
        }
    }

    private func work(_ log: Log) throws {
        while let task = log.nextTask() {
            while try !task.step(budgetBytes: 1 << 20) {}
            log.taskFinished(task)
        }
    }

    func testOpenings_behindAnEntryThatIsKept_keepTheSegmentsOfTheLogBounded() throws {
        let disk = SimulatedDisk()
        let expected = try logWithKeptEntry(disk, .tiny)
        var most = 0
        for boot in 2...300 as ClosedRange<UInt64> {
            let (log, groups) = try open(disk, boot: boot)
            XCTAssertEqual(groups.first?.commit, 1, "opening \(boot)")
            XCTAssertEqual(try contents(of: log), expected, "opening \(boot)")
            try work(log)
            disk.processCrash()
            most = max(most, try segments(disk).count)
        }
        XCTAssertLessThanOrEqual(most, 2, "that of the entry and the marks, and a spare")
    }

    func testOpenings_behindKillsWithOneWriteEach_keepTheSegmentsOfTheLogBounded() throws {
        var options = LogOptions.tiny
        options.smallestSegmentBytes = 16_384
        options.largestSegmentBytes = 32_768
        options.sparesWanted = 0
        let disk = SimulatedDisk()
        var expected = try logWithKeptEntry(disk, options)
        var most = 0
        for boot in 2...300 as ClosedRange<UInt64> {
            let (log, groups) = try open(disk, options, boot: boot)
            XCTAssertEqual(groups.first?.commit, log.last(1).index, "opening \(boot)")
            XCTAssertEqual(try contents(of: log), expected, "opening \(boot)")
            log.append(batch(1, after: log.last(1), term: Term(boot), ["\(boot)"]))
            log.noteCommit(1, log.last(1).index)
            try write(log)
            expected = try contents(of: log)
            // The write is durable, and no end marker follows it.
            disk.processCrash()
            most = max(most, try segments(disk).count)
        }
        // 300 entries of 58 bytes are 17 KB; two neighbours have more than 4 KiB of records.
        XCTAssertLessThanOrEqual(most, 9)
        XCTAssertEqual(expected.first?.payloads.count, 300)
    }

    /// Truncated entries, several groups, dropped prefixes and commit indexes come through a new segment.
    func testAnOpening_thatReplacesSegments_keepsWhatTheirRecordsSay() throws {
        var options = LogOptions.tiny
        options.smallestSegmentBytes = 32_768
        options.largestSegmentBytes = 32_768
        options.maxFrameBytes = 1_024
        let disk = SimulatedDisk()
        var boot: UInt64 = 1
        for round in 1...6 as ClosedRange<UInt64> {
            let (log, _) = try open(disk, options, boot: boot)
            boot += 1
            let term = Term(round)
            log.append(batch(1, after: log.last(1), term: term, stamp: round, ["a\(round)", "b", "c", "d"]))
            log.append(batch(2, after: log.last(2), term: term, ["e\(round)", String(repeating: "f", count: 300)]))
            try write(log)
            log.truncate(1, after: log.last(1).index - 2)
            log.append(batch(1, after: log.last(1), term: term, ["g\(round)"]))
            if round == 3 { log.compact(1, through: LogPosition(term: 1, index: 2)) }
            if round == 4 { log.reset(2, to: LogPosition(term: 4, index: 90), stamp: 7) }
            log.noteCommit(1, log.last(1).index - 1)
            try write(log)
            let states = log.groups.elements.map { $0.state }
            let expected = try contents(of: log)
            disk.processCrash()
            for _ in 0..<3 {
                let (log, groups) = try open(disk, options, boot: boot)
                boot += 1
                XCTAssertEqual(try contents(of: log), expected, "round \(round)")
                XCTAssertEqual(log.groups.elements.map { $0.state }, states, "round \(round)")
                XCTAssertEqual(groups.first?.commit, log.last(1).index - 1)
                disk.processCrash()
            }
            XCTAssertEqual(try segments(disk).count, 1, "round \(round)")
        }
    }

    func testACrash_insideAnOpeningThatReplacesSegments_losesNothing() throws {
        var options = LogOptions.tiny
        options.smallestSegmentBytes = 2_048
        options.largestSegmentBytes = 4_096
        options.sparesWanted = 0
        let disk = SimulatedDisk()
        var expected = try logWithKeptEntry(disk, options)
        var replacements = 0
        for boot in 2...24 as ClosedRange<UInt64> {
            let before = try segments(disk)
            let next = SimulatedDisk(disk.snapshot())
            _ = try open(next, options, boot: boot)
            next.processCrash()
            let after = try segments(next)
            // The new segment has the place of one or more, behind others that stay.
            if before.count > 1, after.count <= before.count, before != after {
                replacements += 1
                try SimulatedDisk(disk.snapshot()).forEachCrashPoint { files in
                    let binding = FileBinding(owner: .none, mark: Opening(boot: boot, nonce: 9), seed: boot)
                    _ = try Log.open(files, directory: "log", options: options, binding: binding)
                } check: { crashed, point in
                    for image in crashed.crashStates(limit: 20) {
                        let (log, groups) = try open(SimulatedDisk(image), options, boot: boot + 1)
                        XCTAssertEqual(try contents(of: log), expected, "\(point)")
                        XCTAssertEqual(groups.first?.commit, log.last(1).index, "\(point)")
                    }
                }
            }
            let (log, _) = try open(disk, options, boot: boot)
            log.append(batch(1, after: log.last(1), term: Term(boot), ["\(boot)"]))
            log.noteCommit(1, log.last(1).index)
            try write(log)
            expected = try contents(of: log)
            disk.processCrash()
        }
        XCTAssertGreaterThan(replacements, 3)
    }

    /// The segment that the log names was replaced by an opening, and that one gets lost.
    func testASegment_thatTookThePlaceOfTheNamedOne_isLost_isRefusedByBothNames() throws {
        var options = LogOptions.tiny
        options.smallestSegmentBytes = 8_192
        options.largestSegmentBytes = 8_192
        options.sparesWanted = 1
        let disk = SimulatedDisk()
        let (log, _) = try open(disk, options, boot: 1)
        for number in 1... {
            log.append(batch(1, after: log.last(1), term: 1, ["\(number)" + String(repeating: "-", count: 400)]))
            try work(log)
            try write(log)
            if log.segments.count == 2 { break }
        }
        let expected = try contents(of: log)
        let named = try segments(disk)
        disk.processCrash()
        // Little lies in the second one, and the third one takes its place.
        let (next, _) = try open(disk, options, boot: 2)
        XCTAssertEqual(try contents(of: next), expected)
        let (first, second) = (log.segments[0].path, log.segments[1].path)
        XCTAssertEqual(next.segments.map(\.path).first, first)
        XCTAssertEqual(next.segments.count, 2)
        XCTAssertNotEqual(next.segments[1].path, second)
        XCTAssertNil(disk.contents(of: second), "\(named)")
        let lost = next.segments[1].path
        try work(next)
        disk.processCrash()
        let files = disk.mount()
        for name in try segments(disk) where "log/" + name != first { try files.remove("log/" + name) }
        try files.syncDirectory("log")
        XCTAssertNil(disk.contents(of: lost))
        XCTAssertThrowsError(try open(disk, options, boot: 3)) {
            let error = $0 as? LogError
            XCTAssertEqual(error?.reason, .damage)
            XCTAssertEqual(error?.path, first, "the segment that names the other one")
            XCTAssertEqual(
                error?.explanation.hasPrefix(
                    "segment 2, in which the log goes on, or the later one that took its place, is missing: "
                ),
                true,
                "\($0)"
            )
        }
    }

    func testASegment_ofANumberThatIsTooLarge_isRefused() throws {
        for number in [UInt64.max, largestNumber + 1] {
            let disk = SimulatedDisk()
            _ = try LogDriver(disk.mount())
            let path = LogFileName.segmentPath("log", number)
            let file = try disk.mount().open(path, .create)
            try file.writeZeros(1_024, at: 0)
            try file.write(SegmentHeader(number: number, byteCount: 1_024, sectorBytes: 64).encoded(), at: 0)
            file.close()
            XCTAssertThrowsError(try Log.open(disk.mount(), directory: "log", options: .tiny)) {
                XCTAssertEqual(($0 as? LogError)?.reason, .damage)
                XCTAssertEqual(($0 as? LogError)?.path, path)
                XCTAssertEqual(($0 as? LogError)?.offset, 16)
            }
        }
    }

    func testARecordOfTheLog_withAnyFieldThatIsNotWritten_isNone() throws {
        let mark = DirectoryMark(opening: Opening(boot: 3, nonce: 4), voteSequence: 5, bootRevision: 6)
        let good = mark.encodedRecord()
        XCTAssertEqual(DirectoryMark(record: good), mark)
        for wrong in [
            DirectoryMark(opening: mark.opening, voteSequence: largestNumber + 1),
            DirectoryMark(opening: mark.opening, bootRevision: largestNumber + 1),
        ] {
            XCTAssertNil(DirectoryMark(record: wrong.encodedRecord()))
        }
        XCTAssertNil(Continuation(body: Continuation(segment: largestNumber + 1, salt: 5).encoded()))
        let changes: [(name: String, change: (inout EntryHeader) -> Void)] = [
            ("term", { $0.term = 1 }), ("previous term", { $0.previousTerm = 1 }), ("stamp", { $0.stamp = 1 }),
            ("flags", { $0.flags = 1 }), ("payload checksum", { $0.payloadChecksum ^= 1 }),
        ]
        for (name, change) in changes {
            let next = Continuation(segment: 7, salt: 5).encoded()
            for (record, isMark) in [(good, true), (next, false)] {
                let bytes = try altered(record, change)
                let found = isMark ? DirectoryMark(record: bytes)?.opening.boot : Continuation(body: bytes)?.segment
                XCTAssertNil(found, name)
            }
        }
    }

    private func altered(_ record: Bytes, _ change: (inout EntryHeader) -> Void) throws -> Bytes {
        var header = try record.withUnsafeBytes { raw throws(DecodingError) in try EntryHeader(decoding: raw) }
        change(&header)
        var bytes = record.withUnsafeBytes { [UInt8]($0) }
        bytes.withUnsafeMutableBytes { header.encode(into: $0) }
        return Bytes(bytes)
    }
}
