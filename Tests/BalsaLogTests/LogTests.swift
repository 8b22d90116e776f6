import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import BalsaLog

/// A log without faults: staging, writing, reading, segments.
final class LogTests: XCTestCase {
    private let disk = SimulatedDisk()

    private func open(_ options: LogOptions = .tiny) throws -> LogDriver {
        try LogDriver(disk.mount(), options: options)
    }

    /// What another process finds in the same files. The first one has nothing under way.
    private func reopened(_ options: LogOptions = .tiny) throws -> Log {
        return try Log.open(disk.mount(), directory: "log", options: options).log
    }

    func testANewLogIsEmptyAndAsksForNothing() throws {
        let (log, groups, report) = try Log.open(disk.mount(), directory: "log", options: .tiny)
        XCTAssertEqual(groups, [])
        XCTAssertEqual(log.knownGroups, [])
        XCTAssertEqual(log.last(7), .zero)
        XCTAssertNil(log.nextWrite())
        XCTAssertFalse(log.needsSeal)
        XCTAssertEqual(report, RecoveryReport())
    }

    func testEntriesAreReadableWhenStagedAndThereAfterReopening() throws {
        let driver = try open()
        try driver.append(1, term: 1, ["a", "b"])
        XCTAssertEqual(try contents(of: driver.log)[0].payloads, ["a", "b"])
        XCTAssertEqual(driver.log.durableMark, .zero)
        try driver.flush()
        XCTAssertEqual(driver.log.durableMark, driver.log.mark)
        XCTAssertEqual(try contents(of: try reopened()), try contents(of: driver.log))
    }

    func testEverythingStagedGoesIntoOneFrame() throws {
        let driver = try open()
        for text in ["a", "b", "c"] { try driver.append(1, term: 1, [text]) }
        try driver.append(2, term: 5, ["x"])
        let before = driver.log.metrics.frames
        try driver.flush()
        XCTAssertEqual(driver.log.metrics.frames, before + 1)
    }

    func testABatchThatIsLongerThanAFrameIsSplitBetweenEntries() throws {
        let driver = try open()
        let long = String(repeating: "x", count: 150)
        try driver.append(1, term: 1, [long, long, long, long])
        let first = try XCTUnwrap(driver.log.nextWrite())
        XCTAssertLessThanOrEqual(first.byteCount, LogOptions.tiny.maxFrameBytes)
        try first.perform()
        driver.log.writeFinished(first.number)
        XCTAssertEqual(driver.log.durableMark, .zero, "a split operation is durable with its last part")
        try driver.flush()
        XCTAssertEqual(driver.log.durableMark, driver.log.mark)
        // Read before the other process cuts what it writes again.
        let expected = try contents(of: driver.log)
        XCTAssertEqual(try contents(of: try reopened()), expected)
    }

    func testAnEntryThatIsLongerThanASegmentMakesALongerSegment() throws {
        let driver = try open()
        let huge = String(repeating: "y", count: 9_000)
        try driver.append(1, term: 1, ["a"])
        try driver.append(1, term: 1, [huge])
        try driver.append(1, term: 1, ["b"])
        try driver.flush()
        XCTAssertEqual(driver.log.durableMark, driver.log.mark)
        XCTAssertEqual(try contents(of: try reopened())[0].payloads, ["a", huge, "b"])
    }

    func testTruncationDropsASuffixAndAnotherOneTakesItsPlace() throws {
        let driver = try open()
        try driver.append(1, term: 1, ["a", "b", "c"])
        try driver.flush()
        try driver.truncate(1, after: 1)
        XCTAssertEqual(driver.log.last(1), LogPosition(term: 1, index: 1))
        try driver.append(1, term: 2, ["B"])
        XCTAssertEqual(try contents(of: driver.log)[0].payloads, ["a", "B"])
        try driver.flush()
        XCTAssertEqual(try contents(of: try reopened())[0].payloads, ["a", "B"])
        XCTAssertEqual(driver.log.metrics.entriesTruncated, 2)
    }

    func testCompactionAndResetMoveTheBase() throws {
        let driver = try open()
        try driver.append(1, term: 1, ["a", "b", "c"])
        try driver.compact(1, through: LogPosition(term: 1, index: 2))
        try driver.append(2, term: 1, ["x"])
        try driver.reset(2, to: LogPosition(term: 4, index: 90))
        try driver.append(2, term: 4, ["z"])
        try driver.flush()
        let again = try reopened()
        XCTAssertEqual(
            try contents(of: again),
            [
                GroupContent(
                    group: 1,
                    base: LogPosition(term: 1, index: 2),
                    last: LogPosition(term: 1, index: 3),
                    payloads: ["c"]
                ),
                GroupContent(
                    group: 2,
                    base: LogPosition(term: 4, index: 90),
                    last: LogPosition(term: 4, index: 91),
                    payloads: ["z"]
                ),
            ]
        )
        XCTAssertThrowsError(try again.entries(1, from: 2, through: 3, maxBytes: 10)) {
            XCTAssertEqual(($0 as? LogError)?.reason, .noSuchEntries)
        }
    }

    func testRecoveryTellsMetadataCommitAndStamp() throws {
        let driver = try open()
        driver.log.append(batch(3, after: .zero, term: 2, stamp: 77, ["a", "bc"]))
        driver.log.noteCommit(3, 1)
        try driver.flush()
        disk.processCrash()
        let groups = try Log.open(disk.mount(), directory: "log", options: .tiny).groups
        XCTAssertEqual(groups.count, 1)
        XCTAssertEqual(groups[0].commit, 1)
        XCTAssertEqual(groups[0].lastStamp, 77)
        XCTAssertEqual(
            groups[0].entries,
            [EntryMetadata(term: 2, kind: 2, byteCount: 57), EntryMetadata(term: 2, kind: 2, byteCount: 58)]
        )
    }

    func testACommitIndexAsksForNoFrameAndTravelsWithTheSeal() throws {
        let driver = try open()
        try driver.append(1, term: 1, ["a"])
        try driver.flush()
        driver.log.noteCommit(1, 1)
        XCTAssertNil(driver.log.nextWrite())
        try driver.seal()
        XCTAssertEqual(try reopened().commit(1), 1)
    }

    func testACommitIndexIsNotWrittenBeforeTheEntriesThatItIsOf() throws {
        let driver = try open()
        let long = String(repeating: "-", count: 300)
        try driver.append(1, term: 1, [long, long])
        try driver.truncate(1, after: 0)
        try driver.append(1, term: 2, [long, long])
        driver.log.noteCommit(1, 2)
        let first = try XCTUnwrap(driver.log.nextWrite())
        try first.perform()
        driver.log.writeFinished(first.number)
        XCTAssertEqual(try reopened().commit(1), 0, "the entries of term 1 were never committed")
    }

    func testWritesThatEndOutOfOrderAreDurableInOrder() throws {
        let driver = try open()
        try driver.append(1, term: 1, ["a"])
        let first = try XCTUnwrap(driver.log.nextWrite())
        try driver.append(1, term: 1, ["b"])
        let second = try XCTUnwrap(driver.log.nextWrite())
        try driver.append(1, term: 1, ["c"])
        XCTAssertNil(driver.log.nextWrite(), "no more than two writes are under way")
        try second.perform()
        driver.log.writeFinished(second.number)
        XCTAssertEqual(driver.log.durableMark, .zero)
        try first.perform()
        driver.log.writeFinished(first.number)
        XCTAssertEqual(driver.log.durableMark, LogMark(number: 2))
        XCTAssertFalse(driver.log.needsSeal, "something is staged")
        try driver.flush()
        XCTAssertTrue(driver.log.needsSeal)
        XCTAssertEqual(try contents(of: try reopened())[0].payloads, ["a", "b", "c"])
    }

    func testAFailedWriteEndsTheLog() throws {
        let driver = try open()
        try driver.append(1, term: 1, ["a"])
        let first = try XCTUnwrap(driver.log.nextWrite())
        try driver.append(1, term: 1, ["b"])
        let second = try XCTUnwrap(driver.log.nextWrite())
        let error = FileError(.sync, "log", .inputOutput)
        driver.log.writeFailed(first.number, error)
        XCTAssertEqual(driver.log.failure, error)
        driver.log.writeFinished(second.number)
        XCTAssertEqual(driver.log.durableMark, .zero, "nothing becomes durable after a failure")
        try driver.append(1, term: 1, ["c"])
        XCTAssertNil(driver.log.nextWrite())
        XCTAssertNil(driver.log.nextTask())
        XCTAssertFalse(driver.log.needsSeal)
    }

    func testOldEntriesAreReadFromFilesAndRecentOnesFromMemory() throws {
        let driver = try open()
        for number in 1...20 {
            try driver.append(1, term: 1, ["entry \(number) " + String(repeating: "-", count: 60)])
            try driver.flush()
        }
        let files = driver.log.metrics.readsFromFile
        let old = try driver.log.entries(1, from: 2, through: 20, maxBytes: 400)
        XCTAssertEqual(driver.log.metrics.readsFromFile, files + 1)
        XCTAssertEqual(old.firstIndex, 2)
        XCTAssertLessThanOrEqual(old.byteCount, 400)
        let memory = driver.log.metrics.readsFromMemory
        XCTAssertEqual(try driver.log.entries(1, from: 20, through: 20, maxBytes: 0).count, 1)
        XCTAssertEqual(driver.log.metrics.readsFromMemory, memory + 1)
    }

    func testAReadOfDamagedBytesIsRefused() throws {
        let driver = try open()
        for number in 1...20 {
            try driver.append(1, term: 1, ["entry \(number) " + String(repeating: "-", count: 60)])
            try driver.flush()
        }
        let place = driver.log.groups.elements[0].runs.runs[1].place
        XCTAssertTrue(disk.corrupt(driver.log.path(place.segment), at: place.offset + 60, mask: 1))
        XCTAssertThrowsError(try driver.log.entries(1, from: 2, through: 2, maxBytes: 100)) {
            XCTAssertEqual(($0 as? LogError)?.reason, .damage)
            XCTAssertEqual(($0 as? LogError)?.path, driver.log.path(place.segment))
        }
    }

    func testDeadSegmentsAreRecycledOrRemoved() throws {
        let driver = try open()
        for number in 1...60 {
            try driver.append(1, term: 1, ["entry \(number) " + String(repeating: "-", count: 100)])
            try driver.flush()
            if number % 10 == 0 {
                try driver.compact(1, through: driver.log.last(1))
                try driver.flush()
            }
        }
        XCTAssertGreaterThan(driver.log.metrics.segmentsRecycled, 0)
        XCTAssertGreaterThan(driver.log.metrics.segmentsRemoved, 0)
        XCTAssertLessThan(try disk.mount().list("log").count, 5)
        XCTAssertEqual(try contents(of: try reopened()), try contents(of: driver.log))
    }

    func testADeadSegmentStaysUntilTheNextOneHasADurableOpeningFrame() throws {
        let driver = try open()
        try driver.append(1, term: 1, [String(repeating: "-", count: 100)])
        try driver.append(1, term: 1, [String(repeating: "-", count: 100)])
        try driver.compact(1, through: driver.log.last(1))
        try driver.flush()
        XCTAssertEqual(driver.log.segments.map { $0.number }, [1])
        try driver.append(1, term: 1, [String(repeating: "-", count: 400)])
        let continuation = try XCTUnwrap(driver.log.nextWrite())
        XCTAssertEqual(continuation.file.path, driver.log.path(1), "it names the segment in which the log goes on")
        XCTAssertNil(driver.log.nextWrite(), "which is begun when that is durable")
        try continuation.perform()
        driver.log.writeFinished(continuation.number)
        let opening = try XCTUnwrap(driver.log.nextWrite())
        XCTAssertEqual(opening.file.path, driver.log.path(2))
        try driver.append(1, term: 1, ["x"])
        let second = try XCTUnwrap(driver.log.nextWrite())
        try second.perform()
        driver.log.writeFinished(second.number)
        XCTAssertEqual(driver.log.segments.map { $0.number }, [1, 2])
        try opening.perform()
        driver.log.writeFinished(opening.number)
        XCTAssertEqual(driver.log.segments.map { $0.number }, [2])
        try driver.flush()
        XCTAssertFalse(try disk.mount().exists(driver.log.path(1)))
        let expected = try contents(of: driver.log)
        XCTAssertEqual(try contents(of: try reopened()), expected)
    }

    func testADamagedOpeningFrameIsNotTakenForAnUnfinishedOneWhenAllBeforeItIsGone() throws {
        let driver = try open()
        for _ in 1...2 { try driver.append(1, term: 1, [String(repeating: "-", count: 100)]) }
        try driver.compact(1, through: driver.log.last(1))
        try driver.flush()
        try driver.append(1, term: 1, [String(repeating: "-", count: 400)])
        try driver.flush()
        XCTAssertEqual(driver.log.segments.map { $0.number }, [2])
        // No other frame confirms this one, or tells of it.
        disk.corrupt(driver.log.path(2), at: 134, mask: 1)
        XCTAssertThrowsError(try reopened()) {
            XCTAssertEqual(($0 as? LogError)?.reason, .damage)
            XCTAssertEqual(($0 as? LogError)?.offset, 128)
        }
    }

    func testAGroupThatIsNotCompactedHoldsTheSegments() throws {
        let driver = try open()
        try driver.append(9, term: 1, ["holds"])
        for number in 1...60 {
            try driver.append(1, term: 1, ["entry \(number) " + String(repeating: "-", count: 100)])
            try driver.compact(1, through: driver.log.last(1))
            try driver.flush()
        }
        XCTAssertTrue(driver.log.isOverBound)
        XCTAssertEqual(driver.log.groupHoldingOldestSegment, 9)
        try driver.compact(9, through: driver.log.last(9))
        try driver.flush()
        XCTAssertFalse(driver.log.isOverBound)
        XCTAssertEqual(try contents(of: try reopened()), try contents(of: driver.log))
    }

    func testATaskWithoutSpaceIsTriedAgainOnANewFile() throws {
        let driver = try open()
        let task = try XCTUnwrap(driver.log.nextTask())
        XCTAssertNil(driver.log.nextTask(), "one task at a time")
        _ = try task.step(budgetBytes: 1)
        _ = try task.step(budgetBytes: 1)
        driver.log.taskFailed(task, FileError(.write, "x", .noSpace))
        XCTAssertNil(driver.log.failure)
        let number = task.header.number
        let again = try XCTUnwrap(driver.log.nextTask())
        XCTAssertEqual(again.header.number, number)
        while try !again.step(budgetBytes: 64) {}
        driver.log.taskFinished(again)
        for _ in 1...10 { try driver.append(1, term: 1, [String(repeating: "-", count: 200)]) }
        try driver.flush()
        XCTAssertEqual(try contents(of: try reopened()), try contents(of: driver.log))
    }

    /// On a disk that is nearly full a segment may fit that is shorter than usual; one that becomes longer with each attempt
    /// never does.
    func testASegmentThatFindsNoSpaceIsFollowedByShorterOnes() throws {
        var options = LogOptions.tiny
        options.largestSegmentBytes = 16 * options.smallestSegmentBytes
        let driver = try open(options)
        var sizes: [UInt64] = []
        for _ in 1...4 {
            let task = try XCTUnwrap(driver.log.nextTask())
            sizes.append(task.header.byteCount / UInt64(options.smallestSegmentBytes))
            driver.log.taskFailed(task, FileError(.write, "x", .noSpace))
        }
        XCTAssertEqual(sizes, [2, 1, 1, 1])
        sizes = []
        for number in 1...300 where sizes.count < 6 {
            if let task = driver.log.nextTask() {
                sizes.append(task.header.byteCount / UInt64(options.smallestSegmentBytes))
                while try !task.step(budgetBytes: 64) {}
                driver.log.taskFinished(task)
            }
            try driver.append(1, term: 1, ["entry \(number) " + String(repeating: "-", count: 200)])
            while let write = driver.log.nextWrite() {
                try write.perform()
                driver.log.writeFinished(write.number)
            }
        }
        XCTAssertEqual(sizes, [1, 2, 4, 8, 16, 16], "with space they grow again")
    }

    func testASegmentThatCouldNotBeMadeTakesNoSpace() throws {
        final class FullDisk: DiskHook {
            var isFull = false
            func answer(_ call: DiskCall) -> DiskAnswer {
                isFull && call.operation == .write ? .fail(.noSpace) : .proceed
            }
        }
        let full = FullDisk()
        let fileSystem = disk.mount(full)
        let driver = try LogDriver(fileSystem, options: .tiny)
        let task = try XCTUnwrap(driver.log.nextTask())
        for _ in 1...2 { _ = try task.step(budgetBytes: 1) }
        XCTAssertTrue(try fileSystem.list("log").contains { $0.hasSuffix(".preparing") })
        full.isFull = true
        XCTAssertThrowsError(try task.step(budgetBytes: 64)) {
            XCTAssertEqual(($0 as? FileError)?.operation, .write)
            XCTAssertEqual(($0 as? FileError)?.number, .noSpace)
        }
        XCTAssertFalse(try fileSystem.list("log").contains { $0.hasSuffix(".preparing") })
    }

    func testWithoutASegmentReadyNothingIsWrittenUntilTheTaskIsDone() throws {
        let driver = try open()
        var blocked = false
        for _ in 1...20 {
            try driver.append(1, term: 1, [String(repeating: "-", count: 200)])
            while let write = driver.log.nextWrite() {
                try write.perform()
                driver.log.writeFinished(write.number)
            }
            blocked = blocked || driver.log.hasStaged
        }
        XCTAssertTrue(blocked)
        try driver.flush()
        XCTAssertFalse(driver.log.hasStaged)
        XCTAssertEqual(try contents(of: try reopened())[0].payloads.count, 20)
    }

    func testOptions_outsideOfTheirBounds_areRefusedWithNameBoundsAndValue() {
        let sectors = "must be a multiple of sectorBytes, 4096, and"
        let changes: [((inout LogOptions) -> Void, String)] = [
            ({ $0.sectorBytes = 100 }, "sectorBytes must be a power of two, 64 to 65536, not 100"),
            ({ $0.smallestSegmentBytes = 64 }, "smallestSegmentBytes \(sectors) at least 16384, not 64"),
            ({ $0.largestSegmentBytes = 64 }, "largestSegmentBytes \(sectors) 1048576 to 1099511627776, not 64"),
            ({ $0.maxFrameBytes = 1 }, "maxFrameBytes must be 8192 to 1073741824, not 1"),
            ({ $0.maxWritesInFlight = 0 }, "maxWritesInFlight must be 1 to 64, not 0"),
            ({ $0.boundBytes = 0 }, "boundBytes must be at least 1, not 0"),
            ({ $0.cacheBytes = -1 }, "cacheBytes must be at least 0, not -1"),
            ({ $0.sparesWanted = 17 }, "sparesWanted must be 0 to 16, not 17"),
        ]
        for (change, sentence) in changes {
            var options = LogOptions()
            change(&options)
            XCTAssertThrowsError(try Log.open(disk.mount(), directory: "log", options: options)) {
                XCTAssertEqual(($0 as? LogError)?.reason, .invalidOptions)
                XCTAssertEqual(($0 as? LogError)?.sentence, sentence)
            }
        }
    }

    func testALog_thatGrowsSlowly_usesItsDeadSegmentsAgain_andKeepsOneAtMost() throws {
        var options = LogOptions.tiny
        options.sparesWanted = 1
        options.largestSegmentBytes = 1_024
        let disk = SimulatedDisk()
        let driver = try LogDriver(disk.mount(), options: options)
        var created: UInt64 = 0
        var prepared: UInt64 = 0
        for number in 1...60 {
            try driver.append(1, term: 1, ["\(number)" + String(repeating: "-", count: 250)])
            try driver.flush()
            let last = driver.log.last(1)
            try driver.compact(1, through: last)
            try driver.flush()
            if number == 20 {
                (created, prepared) = (driver.log.metrics.segmentsCreated, driver.log.metrics.bytesPrepared)
            }
            let files = try disk.mount().list("log").count
            XCTAssertLessThanOrEqual(files, 4, "two that hold the log, a spare, and a dead one")
        }
        XCTAssertEqual(driver.log.metrics.segmentsCreated, created)
        XCTAssertGreaterThan(driver.log.metrics.segmentsRecycled, 10)
        XCTAssertLessThanOrEqual(driver.log.metrics.bytesPrepared - prepared, 40 * 128, "headers, no zeros")
    }

    /// Zeros are not written for a longer segment than the log needs: its own are short and die.
    func testALog_whoseShortSegmentsDie_usesThoseOfAQuarterOfANewOneAgain() throws {
        for (largest, isUsed) in [(4_096, true), (8_192, false)] {
            var options = LogOptions.tiny
            options.sparesWanted = 0
            options.largestSegmentBytes = largest
            let driver = try LogDriver(SimulatedDisk().mount(), options: options)
            // The next one would be as long as any.
            driver.log.nextSegmentBytes = largest
            for number in 1...5 {
                try driver.append(1, term: 1, ["\(number)" + String(repeating: "-", count: 250)])
                try driver.flush()
                try driver.compact(1, through: driver.log.last(1))
                try driver.flush()
            }
            // The first one has 1,024 bytes. It dies with the first frame in the second, which is as long as wanted.
            XCTAssertEqual(driver.log.metrics.segmentsCreated, 1)
            for number in 0..<40 where driver.log.metrics.segmentsRecycled + driver.log.metrics.segmentsCreated < 2 {
                try driver.append(1, term: 1, ["\(number)" + String(repeating: "-", count: 250)])
                try driver.flush()
                try driver.compact(1, through: driver.log.last(1))
                try driver.flush()
            }
            XCTAssertEqual(driver.log.metrics.segmentsRecycled, isUsed ? 1 : 0, "\(largest)")
            XCTAssertEqual(driver.log.metrics.segmentsCreated, isUsed ? 1 : 2, "\(largest)")
        }
    }
}
