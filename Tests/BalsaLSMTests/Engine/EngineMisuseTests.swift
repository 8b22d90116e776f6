import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Arguments that make no sense, each answered by an error and never by a trap, a wait without end or a wrong value.
final class EngineMisuseTests: XCTestCase {
    private var logged: EngineOptions {
        var options = EngineOptions.tiny
        options.hasWriteAheadLog = true
        return options
    }

    private func batch(_ key: Bytes, _ value: Bytes) -> WriteBatch {
        var batch = WriteBatch()
        batch.put(key, value)
        return batch
    }

    // MARK: Snapshots

    func testAClosedSnapshot_isRefusedByEveryRead() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "1")
        let snapshot = fixture.engine.snapshot()
        var before = try fixture.engine.makeCursor(in: snapshot)
        try fixture.put("a", "2")
        snapshot.close()
        snapshot.close()
        try fixture.flush(mark: fixture.sequence)
        try fixture.work()
        let key: Bytes = "a"
        assertFails(.invalid, naming: "at 1 has been closed: take another one") {
            try fixture.engine.get("a", in: snapshot)
        }
        // What the message advises.
        let another = fixture.engine.snapshot()
        XCTAssertEqual(try fixture.engine.get("a", in: another)?.value, try fixture.engine.get("a")?.value)
        assertFails(.invalid, naming: "at 1 has been closed") {
            try key.withUnsafeBytes { try fixture.engine.get($0, in: snapshot) { value, _ in value.count } }
        }
        XCTAssertThrowsError(
            try { () throws(EngineError) in
                var cursor = try fixture.engine.makeCursor(in: snapshot)
                try cursor.seekToFirst()
            }()
        ) { XCTAssertEqual(($0 as? EngineError)?.code, .invalid) }
        XCTAssertEqual(try EngineFixture.forward(&before), ["a=1"], "a cursor from before goes on")
    }

    func testASnapshot_ofAnotherEngine_isRefused() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "1")
        let other = try EngineFixture()
        try other.put("a", "other")
        let snapshot = other.engine.snapshot()
        assertFails(.invalid, naming: "of another engine") { try fixture.engine.get("a", in: snapshot) }
        assertFails(.invalid, naming: "of another engine") {
            var cursor = try fixture.engine.makeCursor(in: snapshot)
            try cursor.seekToFirst()
        }
        XCTAssertEqual(try other.engine.get("a", in: snapshot)?.value, "other")
        // The engine that was opened again is another one, too: its compactions know nothing of the snapshot.
        try other.reopen()
        assertFails(.invalid, naming: "of another engine") { try other.engine.get("a", in: snapshot) }
    }

    // MARK: The retention mark

    func testARetentionMark_aboveTheLastBatch_isRefused() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "1")
        for mark in [2, .max, 1 << 56] as [SequenceNumber] {
            assertFails(.invalid, naming: "\(mark) is above the last batch, 1") {
                try fixture.engine.advanceRetentionMark(to: mark)
            }
        }
        XCTAssertEqual(fixture.engine.retentionMark, 0)
        XCTAssertEqual(try fixture.get("a", at: 1), "1")
        try fixture.engine.advanceRetentionMark(to: 1)
        try fixture.engine.advanceRetentionMark(to: 0)
        XCTAssertEqual(fixture.engine.retentionMark, 1)
        fixture.engine.close()
        assertFails(.closed) { try fixture.engine.advanceRetentionMark(to: 1) }
    }

    // MARK: Ranges

    func testACursor_overARangeThatEndsBeforeItBegins_isRefusedAndOverAnEmptyOneIsEmpty() throws {
        let fixture = try EngineFixture()
        try fixture.put("b", "1")
        let snapshot = fixture.engine.snapshot()
        for isOfSnapshot in [true, false] {
            assertFails(.invalid, naming: "from c to a ends before it begins") {
                var cursor =
                    isOfSnapshot
                    ? try fixture.engine.makeCursor(from: "c", to: "a", in: snapshot)
                    : try fixture.engine.makeCursor(from: "c", to: "a")
                try cursor.seekToFirst()
            }
        }
        var empty = try fixture.engine.makeCursor(from: "b", to: "b")
        XCTAssertEqual(try EngineFixture.forward(&empty), [])
        XCTAssertEqual(try EngineFixture.backward(&empty), [])
    }

    // MARK: Tickets

    func testATicket_ofAnotherEngineOrAnEarlierOpening_isInvalid() throws {
        let disk = SimulatedDisk()
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: logged, seed: 1)
        let other = try StorageEngine.open("other", fileSystem: disk.mount(), options: logged, seed: 2)
        let plain = try StorageEngine.open("plain", fileSystem: disk.mount(), options: .tiny, seed: 3)
        let early = try other.write(batch("a", "1"), syncing: false)
        let late = try other.write(batch("b", "1"), syncing: true)
        // The number of the first ticket is that of a durable batch here, that of the second is of none.
        try engine.waitForCommit(of: try engine.write(batch("mine", "1"), syncing: true))
        for ticket in [early, late] {
            for reader in [engine, plain] {
                guard case .failed(let error) = reader.commitState(of: ticket) else {
                    return XCTFail("\(reader.commitState(of: ticket))")
                }
                XCTAssertEqual(error.code, .invalid)
                assertFails(.invalid, naming: "not from this engine") { try reader.waitForCommit(of: ticket) }
            }
        }
        XCTAssertFalse(try engine.commitStep(), "a ticket of another engine asks for no sync")
        assertFails(.invalid, naming: "no write-ahead log") { try plain.commitStep() }
        try other.waitForCommit(of: late)
        XCTAssertEqual(other.commitState(of: early), .durable)
        other.close()
        let again = try StorageEngine.open("other", fileSystem: disk.mount(), options: logged, seed: 4)
        assertFails(
            .invalid,
            naming: "the ticket is not from this engine, or from before it was opened again: read the batch's keys "
                + "instead"
        ) { try again.waitForCommit(of: late) }
        // What the message advises.
        XCTAssertEqual(try again.get("b")?.value, "1")
    }

    // MARK: Options and files

    func testExtremeOptions_thatAreValid_doNotOverflow() throws {
        var options = EngineOptions.tiny
        options.levelZeroTables = .max - 1
        options.levelZeroTablesToPause = .max
        options.maxSealedMemtables = .max
        options.levelBaseBytes = .max
        options.levelRatio = .max
        options.tableBytes = .max
        options.cacheBytes = .max
        options.manifestBytes = .max
        options.maxRangeDeletionsPerBatch = .max
        options.maxRangeDeletionsPerMemtable = .max
        let fixture = try EngineFixture(options: options)
        try fixture.put("a", "1")
        try fixture.flush()
        XCTAssertEqual(fixture.engine.pressure, .none)
        XCTAssertEqual(try fixture.get("a"), "1")
    }

    func testAFileOfTheLog_withTheLastNumber_isDamageAndNoTrap() throws {
        for name in ["wal-18446744073709551615.preparing", "wal-18446744073709551615", "wal-\(1 << 62)"] {
            let disk = SimulatedDisk()
            let files = disk.mount()
            try StorageEngine.open("engine", fileSystem: files, options: logged, seed: 1).close()
            try files.open("engine/" + name, .create).close()
            assertFails(.damaged, naming: "none is left") {
                try StorageEngine.open("engine", fileSystem: files, options: logged, seed: 1)
            }
        }
    }

    func testATable_ofEntriesOutOfOrder_isDamageAndNoTrap() throws {
        let fixture = TableFixture()
        let good = TestEntry(key: [2], sequence: 5, value: [1])
        for bad in [
            TestEntry(key: [1], sequence: 9, value: [1]), TestEntry(key: [2], sequence: 5, value: [1]),
            TestEntry(key: [2], sequence: 6, value: [1]),
            TestEntry(key: [3], sequence: 4, kind: .rangeDeletion, value: [4]),
        ] {
            let writer = try fixture.writer(number: bad.sequence + UInt64(bad.key[0]) * 10)
            try writer.add(good)
            assertFails(.damaged) { try writer.add(bad) }
            try writer.add(TestEntry(key: [2], sequence: 4, value: [1]))
            XCTAssertEqual(try writer.finish().entryCount, 2, "the writer is as before")
        }
    }
}
