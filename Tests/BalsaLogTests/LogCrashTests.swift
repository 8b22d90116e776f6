import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import XCTest

@testable import BalsaLog

/// Crashes behind and before every file call: of a log at work, and of its recovery.
final class LogCrashTests: XCTestCase {
    /// The disk keeps any subset of the log's sectors.
    private var diskOptions: DiskOptions {
        var options = DiskOptions()
        options.sectorBytes = 64
        return options
    }

    /// A log at work: groups, truncation, compaction, recycling, seals, two openings.
    private func work(_ driver: LogDriver) throws {
        try driver.append(1, term: 1, ["a", "b"])
        try driver.append(2, term: 1, ["x"])
        try driver.flush()
        try driver.truncate(1, after: 1)
        try driver.append(1, term: 2, ["B", "C"])
        try driver.flush()
        try driver.seal()
        for number in 1...4 {
            try driver.append(1, term: 2, ["\(number)" + String(repeating: "-", count: 300)])
            try driver.flush()
        }
        try driver.compact(1, through: driver.log.last(1))
        try driver.reset(2, to: LogPosition(term: 3, index: 40))
        try driver.flush()
        for number in 5...9 {
            try driver.append(2, term: 3, ["\(number)" + String(repeating: "+", count: 300)])
            try driver.flush()
            try driver.compact(2, through: driver.log.last(2))
        }
        try driver.flush()
    }

    private func recovered(_ image: DiskImage) throws -> [GroupContent] {
        try contents(of: try Log.open(SimulatedDisk(image).mount(), directory: "log", options: .tiny).log)
    }

    /// Runs `work` with a crash at every call, and checks what recovery finds in every state that the crash may leave.
    private func checkCrashes(
        on start: SimulatedDisk,
        statesPerCrash: Int,
        _ work: (LogDriver) throws -> Void
    ) throws -> (calls: UInt64, states: Int) {
        var driver: LogDriver?
        var states = 0
        // What was recovered from a disk, by its digest: many crashes leave the same one, and allow other histories.
        var known: [UInt64: [GroupContent]] = [:]
        let calls = try start.forEachCrashPoint { files in
            driver = nil
            driver = try LogDriver(files)
            try work(try XCTUnwrap(driver))
        } check: { crashed, point in
            // A log that was being opened for the first time is empty.
            let history = driver?.history ?? [[]]
            // Operations that had been reported durable are there; of the others a prefix.
            let allowed = history[Int(driver?.log.durableMark.number ?? 0)...]
            for image in crashed.crashStates(limit: statesPerCrash) {
                states += 1
                let digest = image.contentDigest
                let found = try known[digest] ?? recovered(image)
                known[digest] = found
                if !allowed.contains(found) {
                    XCTFail("\(point): \(found) is none of \(allowed.count) states from \(allowed.first ?? [])")
                }
            }
        }
        return (calls, states)
    }

    func testWhatWasReportedDurableSurvivesACrashAtEveryCall() throws {
        let (calls, states) = try checkCrashes(on: SimulatedDisk(options: diskOptions), statesPerCrash: 60, work)
        XCTAssertGreaterThan(calls, 90)
        XCTAssertGreaterThan(states, 1_000)
    }

    func testFramesUnderWayAtTheSameTimeAreAPrefix() throws {
        // Two writes without a sync, then the power is lost: any of their sectors may be there.
        for finishesFirst in [false, true] {
            let disk = SimulatedDisk(options: diskOptions)
            let driver = try LogDriver(disk.mount())
            try driver.append(1, term: 1, ["acknowledged"])
            try driver.flush()
            try driver.append(1, term: 1, [String(repeating: "1", count: 30)])
            let first = try XCTUnwrap(driver.log.nextWrite())
            try driver.append(1, term: 1, [String(repeating: "2", count: 30)])
            let second = try XCTUnwrap(driver.log.nextWrite())
            try second.write()
            try first.write()
            if finishesFirst {
                try first.sync()
                driver.log.writeFinished(first.number)
            }
            let allowed = driver.history[Int(driver.log.durableMark.number)...]
            for image in disk.crashStates(limit: 200) { XCTAssertTrue(allowed.contains(try recovered(image))) }
        }
    }

    func testRecoveryThatCrashesAtEveryCallAndRunsAgainFindsTheSame() throws {
        // A log whose recovery has everything to do: waiting frames, a torn tail, a spare, something being prepared.
        let disk = SimulatedDisk(options: diskOptions)
        let driver = try LogDriver(disk.mount())
        for number in 1...3 {
            try driver.append(1, term: 1, ["\(number)" + String(repeating: "-", count: 200)])
            try driver.flush()
        }
        try driver.append(2, term: 1, ["waits"])
        try driver.flush()
        let expected = try contents(of: driver.log)
        try driver.append(1, term: 1, [String(repeating: "t", count: 200)])
        let torn = try XCTUnwrap(driver.log.nextWrite())
        try torn.file.write(torn.pieces[0], at: torn.offset)
        _ = try disk.mount().open("log/00000000000000ff.preparing", .create)
        disk.processCrash()

        // The same state is left by many crashes, and recovered once.
        var states: Set<UInt64> = []
        var statesOfTwoCrashes: Set<UInt64> = []
        let calls = try disk.forEachCrashPoint { files in
            let log = try Log.open(files, directory: "log", options: .tiny).log
            let found = try contents(of: log)
            XCTAssertEqual(found, expected)
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 24) where states.insert(image.contentDigest).inserted {
                // Writes that were never synced may be lost: here the torn one, and nothing else.
                XCTAssertEqual(try recovered(image), expected, "\(point)")
                // And crashed once more.
                guard states.count % 3 == 0 else { continue }
                try SimulatedDisk(image).forEachCrashPoint { files in
                    _ = try Log.open(files, directory: "log", options: .tiny)
                } check: { again, second in
                    for image in again.crashStates(limit: 3)
                    where statesOfTwoCrashes.insert(image.contentDigest).inserted {
                        XCTAssertEqual(try recovered(image), expected, "\(point), then \(second)")
                    }
                }
            }
        }
        XCTAssertGreaterThan(calls, 15)
        XCTAssertGreaterThan(states.count, 61)
        XCTAssertGreaterThan(statesOfTwoCrashes.count, 45)
    }

    /// They are removed with one sync behind the last of them, so that a power loss may bring any of them back.
    func testSegments_leftOverBehindTheLog_mayComeBackInAnyCombination() throws {
        let disk = SimulatedDisk(options: diskOptions)
        let driver = try LogDriver(disk.mount())
        try driver.append(1, term: 1, ["kept"])
        try driver.flush()
        let expected = try contents(of: driver.log)
        disk.processCrash()
        let files = disk.mount()
        let names = ["00000000000000f1.log", "00000000000000f2.log", "00000000000000f3.log"]
        for (place, name) in names.enumerated() {
            let header = SegmentHeader(number: 0xf1 + UInt64(place), byteCount: 1_024, sectorBytes: 64)
            let file = try files.open("log/\(name)", .create)
            try file.writeZeros(1_024, at: 0)
            try file.write(header.encoded(), at: 0)
            try file.sync()
        }
        try files.syncDirectory("log")
        var combinations: [[String]] = []
        try disk.forEachCrashPoint { files in
            _ = try Log.open(files, directory: "log", options: .tiny)
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 60) {
                let there = try SimulatedDisk(image).mount().list("log").filter(names.contains).sorted()
                if !combinations.contains(there) { combinations.append(there) }
                XCTAssertEqual(try recovered(image), expected, "\(point), \(there)")
            }
        }
        XCTAssertEqual(combinations.count, 8, "\(combinations)")
    }

    func testAFailedSyncIsNotTrustedAfterReopening() throws {
        // The sync fails, the process ends, and the page cache goes on showing what never reached the disk.
        final class FailingSync: DiskHook {
            var isArmed = false
            func answer(_ call: DiskCall) -> DiskAnswer {
                guard isArmed, call.operation == .sync else { return .proceed }
                return .fail(.inputOutput)
            }
        }
        let hook = FailingSync()
        let disk = SimulatedDisk(options: diskOptions)
        let driver = try LogDriver(disk.mount(hook))
        try driver.append(1, term: 1, ["durable"])
        try driver.flush()
        try driver.append(1, term: 1, ["in doubt"])
        let write = try XCTUnwrap(driver.log.nextWrite())
        hook.isArmed = true
        XCTAssertThrowsError(try write.perform()) {
            guard let error = $0 as? FileError else { return XCTFail("\($0)") }
            driver.log.writeFailed(write.number, error)
        }
        disk.processCrash()
        let opened = try contents(of: try Log.open(disk.mount(), directory: "log", options: .tiny).log)
        XCTAssertEqual(opened[0].payloads, ["durable", "in doubt"])
        for image in disk.crashStates(limit: 50) { XCTAssertEqual(try recovered(image), opened) }
    }

    func testASealThatAFailedSyncNeverWroteIsWrittenAgain() throws {
        final class FailingSync: DiskHook {
            var isArmed = false
            func answer(_ call: DiskCall) -> DiskAnswer {
                isArmed && call.operation == .sync ? .fail(.inputOutput) : .proceed
            }
        }
        let hook = FailingSync()
        let disk = SimulatedDisk(options: diskOptions)
        let driver = try LogDriver(disk.mount(hook))
        try driver.append(1, term: 1, ["durable"])
        try driver.flush()
        driver.log.stageSeal()
        let seal = try XCTUnwrap(driver.log.nextWrite())
        hook.isArmed = true
        XCTAssertThrowsError(try seal.perform()) {
            XCTAssertEqual(($0 as? FileError)?.operation, .sync)
            XCTAssertEqual(($0 as? FileError)?.number, .inputOutput)
        }
        disk.processCrash()
        let again = try LogDriver(disk.mount())
        try again.append(1, term: 1, ["more"])
        try again.flush()
        let expected = try contents(of: again.log)
        for image in disk.crashStates(limit: 50) { XCTAssertEqual(try recovered(image), expected) }
    }
}
