import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// What readers see of a memtable, of sealed ones, of tables and of all of them together.
final class EngineReadingTests: XCTestCase {
    func testAnEmptyEngineHasNothing() throws {
        let fixture = try EngineFixture()
        XCTAssertNil(try fixture.get("a"))
        XCTAssertEqual(try fixture.pairs(), [])
        XCTAssertEqual(fixture.engine.lastSequence, 0)
        XCTAssertNil(fixture.engine.durableSeal)
        XCTAssertFalse(fixture.engine.hasWork)
    }

    func testPutDeleteGet() throws {
        let fixture = try EngineFixture()
        try fixture.put("foo", "v1")
        XCTAssertEqual(try fixture.get("foo"), "v1")
        try fixture.put("foo", "v2")
        XCTAssertEqual(try fixture.get("foo"), "v2")
        try fixture.delete("foo")
        XCTAssertNil(try fixture.get("foo"))
    }

    func testTheEmptyKeyAndTheEmptyValueAreLikeOthers() throws {
        let fixture = try EngineFixture()
        try fixture.put("", "of the empty key")
        try fixture.put("empty", "")
        for _ in 0..<2 {
            XCTAssertEqual(try fixture.get(""), "of the empty key")
            XCTAssertEqual(try fixture.get("empty"), "")
            XCTAssertEqual(try fixture.pairs(), ["=of the empty key", "empty="])
            try fixture.flush()
        }
    }

    func testABatchIsSeenAsAWhole() throws {
        let fixture = try EngineFixture()
        try fixture.put("a", "old")
        let sequence = try fixture.write {
            $0.put("a", "1")
            $0.put("b", "2")
            $0.delete("c")
        }
        XCTAssertEqual(try fixture.pairs(), ["a=1", "b=2"])
        XCTAssertEqual(try fixture.pairs(at: sequence - 1), ["a=old"])
        XCTAssertEqual(try fixture.engine.get("b")?.sequence, sequence)
    }

    func testOldSequencesAreReadFromMemtablesAndTables() throws {
        let fixture = try EngineFixture()
        try fixture.put("k", "v1")
        try fixture.flush()
        try fixture.put("k", "v2")
        try fixture.seal()
        try fixture.delete("k")
        XCTAssertNil(try fixture.get("k"))
        XCTAssertEqual(try fixture.get("k", at: 2), "v2")
        XCTAssertEqual(try fixture.get("k", at: 1), "v1")
        try fixture.work()
        XCTAssertNil(try fixture.get("k"))
        XCTAssertEqual(try fixture.get("k", at: 2), "v2")
        XCTAssertEqual(try fixture.get("k", at: 1), "v1")
        XCTAssertEqual(try fixture.pairs(at: 1), ["k=v1"])
    }

    func testASequenceAboveTheLastReadsEverything() throws {
        let fixture = try EngineFixture()
        try fixture.put("k", "v")
        XCTAssertEqual(try fixture.get("k", at: 1_000), "v")
        var cursor = try fixture.engine.makeCursor(at: 1_000)
        XCTAssertEqual(cursor.readSequence, 1)
        XCTAssertEqual(try EngineFixture.forward(&cursor), ["k=v"])
    }

    func testTheNewestTableOfTheFirstLevelWins() throws {
        var options = EngineOptions.tiny
        options.levelZeroTables = 4
        let fixture = try EngineFixture(options: options)
        for number in 1...3 {
            try fixture.put("bar", "b\(number)".bytes)
            try fixture.put("foo", "v\(number)".bytes)
            try fixture.flush()
        }
        XCTAssertEqual(fixture.tableCounts[0], 3)
        XCTAssertEqual(try fixture.get("foo"), "v3")
        try fixture.reopen()
        XCTAssertEqual(try fixture.get("foo"), "v3")
        XCTAssertEqual(try fixture.get("bar"), "b3")
    }

    func testARangeDeletionHidesWhatIsStrictlyOlder() throws {
        let fixture = try EngineFixture()
        for key in ["a", "b", "c", "d"] as [Bytes] { try fixture.put(key, "old") }
        try fixture.write {
            $0.deleteRange(from: "b", to: "d")
            $0.put("c", "same batch")
        }
        let expected = ["a=old", "c=same batch", "d=old"]
        for _ in 0..<3 {
            XCTAssertEqual(try fixture.pairs(), expected)
            XCTAssertNil(try fixture.get("b"))
            XCTAssertEqual(try fixture.get("c"), "same batch")
            XCTAssertEqual(try fixture.get("b", at: 4), "old")
            try fixture.flush()
        }
        try fixture.put("b", "new")
        XCTAssertEqual(try fixture.get("b"), "new")
    }

    func testARangeDeletionInATableWithoutTheKeyHidesOlderTables() throws {
        var options = EngineOptions.tiny
        options.levelZeroTables = 8
        options.levelZeroTablesToPause = 16
        let fixture = try EngineFixture(options: options)
        try fixture.put("k", "old")
        try fixture.flush()
        try fixture.deleteRange("a", "z")
        try fixture.flush()
        try fixture.put("zz", "elsewhere")
        try fixture.flush()
        XCTAssertNil(try fixture.get("k"))
        XCTAssertEqual(try fixture.pairs(), ["zz=elsewhere"])
        XCTAssertEqual(try fixture.get("k", at: 1), "old")
    }

    func testReadsBelowTheRetentionMarkAreRefused() throws {
        let fixture = try EngineFixture()
        for number in 1...5 { try fixture.put("k", "v\(number)".bytes) }
        try fixture.engine.advanceRetentionMark(to: 3)
        XCTAssertEqual(try fixture.get("k", at: 3), "v3")
        XCTAssertThrowsError(try fixture.get("k", at: 2)) { XCTAssertEqual(($0 as? EngineError)?.code, .compacted) }
        XCTAssertThrowsError(try fixture.pairs(at: 2)) { XCTAssertEqual(($0 as? EngineError)?.code, .compacted) }
        try fixture.engine.advanceRetentionMark(to: 2)
        XCTAssertThrowsError(try fixture.get("k", at: 2)) { XCTAssertEqual(($0 as? EngineError)?.code, .compacted) }
    }

    func testBatchesOutsideOfTheLimitsAreRefusedAndWriteNothing() throws {
        var options = EngineOptions.tiny
        options.maxKeyBytes = 4
        options.maxValueBytes = 4
        options.maxBatchBytes = 60
        let fixture = try EngineFixture(options: options)
        for body: (inout WriteBatch) -> Void in [
            { $0.put("12345", "") }, { $0.put("1", "12345") }, { $0.delete("12345") },
            { $0.deleteRange(from: "1", to: "12345") },
            { batch in for key in ["a", "b", "c", "d", "e"] as [Bytes] { batch.put(key, "1234") } },
        ] {
            XCTAssertThrowsError(
                try fixture.write {
                    $0.put("ok", ""); body(&$0)
                }
            ) {
                XCTAssertEqual(($0 as? EngineError)?.code, .invalid)
            }
        }
        XCTAssertEqual(fixture.engine.lastSequence, 0)
        XCTAssertEqual(try fixture.pairs(), [])
    }

    func testSequencesMustGrow() throws {
        let fixture = try EngineFixture()
        try fixture.engine.apply(WriteBatch(), sequence: 7)
        for sequence in [0, 7, largestSequenceNumber + 1] {
            XCTAssertThrowsError(try fixture.engine.apply(WriteBatch(), sequence: sequence)) {
                XCTAssertEqual(($0 as? EngineError)?.code, .invalid)
            }
        }
        assertFails(.invalid, naming: "the seal at 6 lies before the last batch, 7") {
            try fixture.engine.seal(SealRecord(sequence: 6))
        }
        try fixture.engine.seal(SealRecord(sequence: 9))
        assertFails(.invalid, naming: "9 does not come after 9") {
            try fixture.engine.apply(WriteBatch(), sequence: 9)
        }
        assertFails(.invalid, naming: "the retention mark 10") {
            try fixture.engine.seal(SealRecord(sequence: 9, retentionMark: 10))
        }
    }

    func testAClosedEngineRefusesAndItsCursorGoesOn() throws {
        let fixture = try EngineFixture()
        try fixture.put("k", "v")
        try fixture.flush()
        var cursor = try fixture.engine.makeCursor()
        fixture.engine.close()
        XCTAssertEqual(try EngineFixture.forward(&cursor), ["k=v"])
        XCTAssertThrowsError(try fixture.get("k")) { XCTAssertEqual(($0 as? EngineError)?.code, .closed) }
        XCTAssertThrowsError(try fixture.put("k", "v")) { XCTAssertEqual(($0 as? EngineError)?.code, .closed) }
        XCTAssertThrowsError(try fixture.engine.work(budget: 1)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .closed)
        }
    }
}

extension String {
    var bytes: Bytes { Bytes(self) }
}
