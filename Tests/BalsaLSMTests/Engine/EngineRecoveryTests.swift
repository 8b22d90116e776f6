import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// What an opening finds, mends and refuses.
final class EngineRecoveryTests: XCTestCase {
    private func code(_ body: () throws -> Void) -> EngineError.Code? {
        do { try body() } catch { return (error as? EngineError)?.code }
        return nil
    }

    private func names(_ disk: SimulatedDisk) throws -> [String] { try disk.mount().list("engine") }

    func testWhatWasFlushedSurvivesAndTheRestDoesNot() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "1")
        try fixture.engine.seal(
            SealRecord(sequence: 1, term: 3, stamp: 4, retentionMark: 1, systemState: "system state")
        )
        try fixture.work()
        try fixture.put("b", "2")
        try fixture.seal()
        try fixture.put("c", "3")
        try fixture.reopen()
        XCTAssertEqual(try fixture.pairs(), ["a=1"])
        XCTAssertEqual(
            fixture.engine.durableSeal,
            SealRecord(sequence: 1, term: 3, stamp: 4, retentionMark: 1, systemState: "system state")
        )
        XCTAssertEqual(fixture.engine.lastSequence, 1)
        XCTAssertEqual(fixture.engine.retentionMark, 1)
        assertFails(.invalid, naming: "1 does not come after 1") {
            try fixture.engine.apply(WriteBatch(), sequence: 1)
        }
    }

    func testSealsWithoutWritesAreRecorded() throws {
        let fixture = try EngineFixture()
        try fixture.engine.seal(SealRecord(sequence: 5, systemState: "first"))
        try fixture.work()
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, 5)
        // Two that wait become one.
        try fixture.engine.seal(SealRecord(sequence: 6, systemState: "second"))
        try fixture.engine.seal(SealRecord(sequence: 7, systemState: "third"))
        XCTAssertEqual(fixture.engine.metrics.sealsWaiting, 1)
        try fixture.work()
        try fixture.reopen()
        XCTAssertEqual(fixture.engine.durableSeal, SealRecord(sequence: 7, systemState: "third"))
        XCTAssertEqual(fixture.engine.lastSequence, 7)
        XCTAssertEqual(try fixture.files(), [])
    }

    func testALargeSystemStateIsKept() throws {
        let fixture = try EngineFixture()
        let state = Bytes([UInt8](repeating: 7, count: 1 << 20))
        for sequence in 1...3 as ClosedRange<UInt64> {
            try fixture.engine.seal(SealRecord(sequence: sequence, systemState: state))
            try fixture.work()
        }
        try fixture.reopen()
        XCTAssertEqual(fixture.engine.durableSeal?.systemState, state)
        XCTAssertLessThan(fixture.engine.metrics.manifestBytes, 4 << 20)
        let tooLong = Bytes([UInt8](repeating: 7, count: SealRecord.maxSystemStateBytes + 1))
        XCTAssertEqual(code { try fixture.engine.seal(SealRecord(sequence: 4, systemState: tooLong)) }, .invalid)
    }

    func testAnEngineIsOpenOnce() throws {
        let disk = SimulatedDisk()
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: .tiny, seed: 1)
        XCTAssertThrowsError(try StorageEngine.open("engine", fileSystem: disk.mount(), seed: 1)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .locked)
            XCTAssertEqual(
                "\($0)",
                "locked: engine is already open; another process, or another engine of this one, holds engine/LOCK: "
                    + "close "
                    + "it there"
            )
        }
        // What the message advises.
        engine.close()
        XCTAssertNoThrow(try StorageEngine.open("engine", fileSystem: disk.mount(), options: .tiny, seed: 1))
    }

    func testEveryOpeningBeginsAManifestAndRemovesTheOld() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "1")
        try fixture.flush()
        let before = try fixture.files("MANIFEST-")
        try fixture.reopen()
        try fixture.work()
        let after = try fixture.files("MANIFEST-")
        XCTAssertEqual(before.count, 1)
        XCTAssertEqual(after.count, 1)
        XCTAssertNotEqual(before, after)
    }

    func testOrphansAreRemovedAndOtherFilesLeftAlone() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "1")
        try fixture.flush()
        let files = fixture.disk.mount()
        for name in ["table-900", "MANIFEST-901", "CURRENT.preparing", "table-007", "notes.txt"] {
            try files.open("engine/" + name, .create).close()
        }
        try fixture.reopen()
        try fixture.work()
        let names = try names(fixture.disk)
        XCTAssertFalse(names.contains("table-900"))
        XCTAssertFalse(names.contains("MANIFEST-901"))
        XCTAssertFalse(names.contains("CURRENT.preparing"))
        XCTAssertTrue(names.contains("table-007"))
        XCTAssertTrue(names.contains("notes.txt"))
        // New files are numbered behind everything that was found.
        try fixture.put("b", "2")
        try fixture.flush()
        let tables = try fixture.files()
        XCTAssertTrue(tables.contains("table-903"), "\(tables)")
    }

    func testAFileOfTheLastNumberIsRefused() throws {
        for number in [ManifestState.maxFileNumber, .max - 1, .max] {
            let fixture = try EngineFixture()
            try fixture.disk.mount().open("engine/table-\(number)", .create).close()
            XCTAssertEqual(code { try fixture.reopen() }, .damaged)
        }
    }

    func testAFailedOpeningRemovesNothing() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "1")
        try fixture.flush()
        let table = try XCTUnwrap(try fixture.files().first)
        fixture.disk.processCrash()
        let files = fixture.disk.mount()
        try files.open("engine/table-900", .create).close()
        try files.rename("engine/" + table, to: "engine/elsewhere")
        let before = try names(fixture.disk)
        do {
            _ = try StorageEngine.open("engine", fileSystem: fixture.disk.mount(), options: .tiny, seed: 1)
            XCTFail("a missing table was not missed")
        } catch {
            XCTAssertEqual(error.code, .damaged)
            XCTAssertTrue(error.description.contains(table), error.description)
        }
        XCTAssertEqual(try names(fixture.disk), before)
        // With the table it opens again.
        try files.rename("engine/elsewhere", to: "engine/" + table)
        try fixture.reopen()
        XCTAssertEqual(try fixture.pairs(), ["a=1"])
    }

    func testALostCurrentOrManifestIsNoEmptyEngine() throws {
        for lost in ["CURRENT", "MANIFEST-"] {
            let fixture = try EngineFixture()
            try fixture.engine.seal(SealRecord(sequence: 3))
            try fixture.work()
            fixture.disk.processCrash()
            let files = fixture.disk.mount()
            for name in try names(fixture.disk) where name.hasPrefix(lost) { try files.remove("engine/" + name) }
            XCTAssertEqual(code { try fixture.reopen() }, .damaged, lost)
        }
    }

    func testACreationThatACrashEndedIsBegunAnew() throws {
        let disk = SimulatedDisk()
        try disk.forEachCrashPoint { files in
            _ = try StorageEngine.open("engine", fileSystem: files, options: .tiny, seed: 1)
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 20) {
                let engine = try StorageEngine.open(
                    "engine",
                    fileSystem: SimulatedDisk(image).mount(),
                    options: .tiny,
                    seed: 1
                )
                XCTAssertNil(engine.durableSeal, "\(point)")
            }
        }
    }

    func testTheManifestIsWrittenAnewWhenItIsLong() throws {
        var options = EngineOptions.tiny
        options.manifestBytes = 20_000
        let fixture = try EngineFixture(options: options)
        for sequence in 1...50 as ClosedRange<UInt64> {
            try fixture.engine.seal(
                SealRecord(sequence: sequence, systemState: "0123456789012345678901234567890123456789")
            )
            try fixture.work()
            XCTAssertLessThan(fixture.engine.metrics.manifestBytes, 30_000)
        }
        XCTAssertEqual(try fixture.files("MANIFEST-").count, 1)
        try fixture.reopen()
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, 50)
    }

    func testTablesBelowTheLastLevelOfSmallerOptionsAreReadAsBefore() throws {
        let fixture = try EngineFixture()
        for round in 0..<2 {
            for number in 100..<150 { try fixture.put("k\(number)".bytes, "v\(round)".bytes) }
            try fixture.flush()
        }
        try fixture.work()
        XCTAssertGreaterThan(fixture.tableCounts[4], 0)
        var options = EngineOptions.tiny
        options.levels = 2
        try fixture.reopen(options: options)
        XCTAssertEqual(try fixture.pairs().count, 50)
        for round in 0..<4 {
            try fixture.delete("k\(110 + round)".bytes)
            try fixture.flush(mark: fixture.sequence)
        }
        try fixture.work()
        XCTAssertNil(fixture.engine.checkInvariants())
        XCTAssertEqual(try fixture.pairs().count, 46)
    }

    func testOptionsOutsideOfTheirLimitsAreRefused() {
        for change: (inout EngineOptions) -> Void in [
            { $0.memtableBytes = 0 }, { $0.levels = 1 }, { $0.levels = 17 }, { $0.levelRatio = 1 },
            { $0.blockBytes = 64 }, { $0.levelZeroTablesToPause = 1 }, { $0.maxKeyBytes = 0 }, { $0.cacheBytes = -1 },
        ] {
            var options = EngineOptions()
            change(&options)
            XCTAssertEqual(
                code {
                    _ = try StorageEngine.open("e", fileSystem: SimulatedDisk().mount(), options: options, seed: 1)
                },
                .invalid
            )
        }
    }
}
