import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// What compactions keep, drop and move.
final class EngineCompactionTests: XCTestCase {
    /// Options with which nothing is compacted before it is asked for by many tables.
    private var quiet: EngineOptions {
        var options = EngineOptions.tiny
        options.levelZeroTables = 2
        return options
    }

    /// The values of all versions of a key that the tables hold, newest first; `DEL` for a deletion.
    private func versions(_ key: String, _ engine: StorageEngine) throws -> [String] {
        var found: [(SequenceNumber, String)] = []
        for table in engine.retainedView().version.levels.joined() {
            var cursor = table.table.makeCursor(fillsCache: false)
            try cursor.seekToFirst()
            while cursor.isValid {
                if Bytes(copying: cursor.key) == key.bytes {
                    let value = String(Bytes(copying: cursor.value))
                    found.append((cursor.trailer.sequence, cursor.trailer.kind == .put ? value : "DEL"))
                }
                try cursor.next()
            }
        }
        return found.sorted { $0.0 > $1.0 }.map(\.1)
    }

    private func tombstoneCount(_ engine: StorageEngine) -> UInt64 {
        engine.retainedView().version.levels.joined().reduce(0) { $0 + $1.metadata.rangeDeletionCount }
    }

    func testOldVersionsAreKeptAboveTheMarkAndDroppedBelow() throws {
        let fixture = try EngineFixture(options: quiet)
        for number in 1...6 {
            try fixture.put("k", "v\(number)".bytes)
            try fixture.flush(mark: number == 6 ? 3 : 0)
        }
        try fixture.work()
        XCTAssertEqual(try versions("k", fixture.engine), ["v6", "v5", "v4", "v3"])
        XCTAssertEqual(fixture.engine.floor, 3)
        XCTAssertEqual(try fixture.get("k", at: 3), "v3")
    }

    func testTheNewestMarkDropsNothingBeforeItIsDurable() throws {
        let fixture = try EngineFixture(options: quiet)
        try fixture.put("k", "v1")
        try fixture.flush()
        try fixture.put("k", "v2")
        try fixture.flush()
        try fixture.engine.advanceRetentionMark(to: 2)
        try fixture.work()
        XCTAssertEqual(try versions("k", fixture.engine), ["v2", "v1"])
        XCTAssertEqual(fixture.engine.floor, 0)
    }

    func testThePlantedErrorDropsByTheNewestMark() throws {
        var options = quiet
        options.plantedBugs = .compactionBeyondDurableMark
        let fixture = try EngineFixture(options: options)
        try fixture.put("k", "v1")
        try fixture.flush()
        try fixture.put("k", "v2")
        try fixture.seal()
        try fixture.engine.advanceRetentionMark(to: 2)
        try fixture.work()
        XCTAssertEqual(try versions("k", fixture.engine), ["v2"])
    }

    /// Deletes a key whose value lies in the last level, and compacts the deletion into a level above.
    private func deleteAboveADeeperValue(_ bugs: EnginePlantedBugs) throws -> EngineFixture {
        var options = quiet
        options.levels = 4
        options.levelBaseBytes = 200
        options.plantedBugs = bugs
        let fixture = try EngineFixture(options: options)
        for number in 100..<140 { try fixture.put("k\(number)".bytes, "old value of some length".bytes) }
        try fixture.flush(mark: fixture.sequence)
        try fixture.put("a", "")
        try fixture.flush(mark: fixture.sequence)
        try fixture.work()
        XCTAssertGreaterThan(fixture.tableCounts[3], 0)
        for _ in 0..<2 {
            try fixture.delete("k120")
            try fixture.flush(mark: fixture.sequence)
        }
        try fixture.work()
        XCTAssertEqual(fixture.tableCounts[0], 0)
        XCTAssertNil(fixture.engine.checkInvariants())
        return fixture
    }

    func testADeletionStaysAboveAnOlderValueInADeeperLevel() throws {
        let fixture = try deleteAboveADeeperValue([])
        XCTAssertNil(try fixture.get("k120"))
        XCTAssertEqual(try fixture.pairs().count, 40)
    }

    func testThePlantedErrorBringsADeletedValueBack() throws {
        let fixture = try deleteAboveADeeperValue(.tombstonesDroppedEarly)
        XCTAssertEqual(try fixture.get("k120"), "old value of some length")
    }

    func testDeletionsAndWhatTheyHideAreGoneInTheEnd() throws {
        let fixture = try EngineFixture(options: quiet)
        for number in 100..<120 { try fixture.put("k\(number)".bytes, "v".bytes) }
        try fixture.flush(mark: fixture.sequence)
        for number in 100..<110 { try fixture.delete("k\(number)".bytes) }
        try fixture.deleteRange("k110", "k120")
        try fixture.flush(mark: fixture.sequence)
        try fixture.work()
        XCTAssertEqual(try fixture.pairs(), [])
        XCTAssertEqual(fixture.engine.metrics.levels.reduce(0) { $0 + $1.tableCount }, 0)
        XCTAssertEqual(try fixture.files(), [])
        XCTAssertEqual(fixture.engine.floor, fixture.sequence)
    }

    func testASnapshotKeepsWhatItSeesThroughCompactions() throws {
        let fixture = try EngineFixture(options: quiet)
        try fixture.put("k", "v1")
        try fixture.put("l", "w1")
        let snapshot = fixture.engine.snapshot()
        try fixture.put("k", "v2")
        try fixture.put("k", "v3")
        try fixture.deleteRange("l", "m")
        try fixture.flush(mark: fixture.sequence)
        try fixture.put("z", "")
        try fixture.flush(mark: fixture.sequence)
        try fixture.work()
        XCTAssertEqual(try versions("k", fixture.engine), ["v3", "v1"])
        XCTAssertEqual(try versions("l", fixture.engine), ["w1"])
        XCTAssertEqual(tombstoneCount(fixture.engine), 1)
        XCTAssertEqual(try fixture.engine.get("l", in: snapshot)?.value, "w1")
        snapshot.close()
        try fixture.put("k", "v4")
        try fixture.put("l0", "")
        try fixture.flush(mark: fixture.sequence)
        try fixture.put("k", "v5")
        try fixture.put("l0", "")
        try fixture.flush(mark: fixture.sequence)
        try fixture.work()
        XCTAssertEqual(try versions("k", fixture.engine), ["v5"])
        XCTAssertEqual(try versions("l", fixture.engine), [])
        XCTAssertEqual(tombstoneCount(fixture.engine), 0)
    }

    func testRepeatedWritesToOneKeyDoNotPileUp() throws {
        let fixture = try EngineFixture()
        for number in 0..<300 {
            try fixture.put("k", String(repeating: "\(number % 10)", count: 100).bytes)
            if fixture.engine.wantsSeal { try fixture.flush(mark: fixture.sequence) }
            try fixture.work()
        }
        XCTAssertLessThan(fixture.tableCounts.reduce(0, +), 8)
        XCTAssertLessThan(try fixture.files().count, 8)
    }

    func testTheVersionsOfAKeyAreNeverSplit() throws {
        var options = quiet
        options.tableBytes = 1
        let fixture = try EngineFixture(options: options)
        for number in 0..<60 {
            try fixture.put("a\(number % 3)".bytes, String(repeating: "x", count: 50).bytes)
            if number % 20 == 19 { try fixture.flush() }
        }
        try fixture.work()
        let tables = fixture.engine.retainedView().version.levels.dropFirst().joined().map(\.metadata)
        XCTAssertEqual(tables.map(\.smallest), ["a0", "a1", "a2"])
        XCTAssertEqual(tables.map(\.largest), ["a0", "a1", "a2"])
        XCTAssertEqual(tables.map(\.entryCount), [20, 20, 20])
    }

    func testARangeDeletionOverSeveralOutputsLosesNothingAtTheirEdges() throws {
        var options = quiet
        options.tableBytes = 200
        // A first level that is short altogether goes down as a whole.
        options.levelBaseBytes = 1 << 20
        let fixture = try EngineFixture(options: options)
        for number in 100..<140 { try fixture.put("k\(number)".bytes, "v".bytes) }
        let snapshot = fixture.engine.snapshot()
        try fixture.flush()
        try fixture.deleteRange("k105", "k135")
        try fixture.flush(mark: fixture.sequence)
        try fixture.work()
        XCTAssertGreaterThan(fixture.tableCounts.reduce(0, +), 3)
        XCTAssertNil(fixture.engine.checkInvariants())
        let expected = ((100..<105).map { $0 } + (135..<140).map { $0 }).map { "k\($0)=v" }
        XCTAssertEqual(try fixture.pairs(), expected)
        for number in 105..<135 {
            XCTAssertNil(try fixture.get("k\(number)".bytes))
            XCTAssertNil(try fixture.get("k\(number)+".bytes))
        }
        var cursor = try fixture.engine.makeCursor(in: snapshot)
        XCTAssertEqual(try EngineFixture.forward(&cursor).count, 40)
        try fixture.put("k120", "new")
        XCTAssertEqual(try fixture.get("k120"), "new")
    }

    func testSequentialTablesAreMovedAndNotRewritten() throws {
        let fixture = try EngineFixture(options: quiet)
        for number in 100..<160 {
            try fixture.put("k\(number)".bytes, "v".bytes)
            if number % 10 == 9 { try fixture.flush() }
        }
        try fixture.work()
        let metrics = fixture.engine.metrics
        XCTAssertGreaterThan(metrics.moves, 0)
        XCTAssertEqual(metrics.compactions, metrics.moves)
        XCTAssertEqual(try fixture.pairs().count, 60)
        try fixture.reopen()
        XCTAssertEqual(try fixture.pairs().count, 60)
    }

    func testTablesOfTheFirstLevelNeverPassOlderOnesTheyOverlap() throws {
        // The reduced case of a LevelDB bug: tables that overlap by their ranges and share few keys.
        let fixture = try EngineFixture(options: quiet)
        for body: [(Bytes, Bytes?)] in [
            [("b", "v")], [("a", nil), ("b", nil)], [("a", nil)], [("a", "v"), ("ca", "cva")],
        ] {
            try fixture.write { batch in
                for (key, value) in body {
                    if let value { batch.put(key, value) } else { batch.delete(key) }
                }
            }
            try fixture.flush(mark: fixture.sequence)
            _ = try fixture.engine.work(budget: 1)
        }
        try fixture.work()
        XCTAssertEqual(try fixture.pairs(), ["a=v", "ca=cva"])
    }

    func testAnOutputDoesNotLieOnTooMuchOfTheLevelBelow() throws {
        // Long values in the last level, and two keys far apart above them.
        var options = quiet
        options.levels = 3
        options.levelBaseBytes = 2_000
        options.tableBytes = 500
        let fixture = try EngineFixture(options: options)
        for part in 0..<2 {
            for number in stride(from: 100 + part, to: 300, by: 2) {
                try fixture.put("k\(number)".bytes, String(repeating: "-", count: 200).bytes)
            }
            try fixture.put("k200", "short")
            try fixture.flush(mark: fixture.sequence)
        }
        try fixture.work()
        for _ in 0..<2 {
            try fixture.put("a", "")
            try fixture.put("z", "")
            try fixture.flush(mark: fixture.sequence)
        }
        let version = fixture.engine.retainedView().version
        let plan = try XCTUnwrap(CompactionPolicy(version, options, protected: 0).next(after: []))
        XCTAssertEqual(plan.outputLevel, 1, "\(fixture.engine.metrics.levels)")
        try fixture.work()
        for table in fixture.engine.retainedView().version.levels[1] {
            let below = fixture.engine.retainedView().version.tables(of: 2, overlapping: KeyRange(of: table.metadata))
            XCTAssertLessThanOrEqual(below.reduce(0) { $0 + $1.metadata.byteCount }, 12 * 500)
        }
        XCTAssertEqual(try fixture.pairs().count, 202)
    }

    func testAReadErrorEndsACompactionAndDropsNothing() throws {
        final class Failing: DiskHook {
            var isArmed = false
            func answer(_ call: DiskCall) -> DiskAnswer {
                isArmed && call.operation == .read && call.path.contains("table-") && call.offset > 0
                    ? .fail(.inputOutput) : .proceed
            }
        }
        let hook = Failing()
        var options = quiet
        options.cacheBytes = 0
        let fixture = try EngineFixture(hook: hook, options: options)
        for round in 0..<2 {
            for number in 100..<110 { try fixture.put("k\(number)".bytes, "v\(round)".bytes) }
            try fixture.flush()
        }
        let before = try fixture.files()
        hook.isArmed = true
        assertFails(.file, .read, .inputOutput, naming: "table-") { try fixture.work() }
        hook.isArmed = false
        XCTAssertEqual(try fixture.pairs(), (100..<110).map { "k\($0)=v1" })
        XCTAssertTrue(try fixture.files().filter { before.contains($0) } == before)
        try fixture.work()
        XCTAssertEqual(fixture.tableCounts[0], 0)
        XCTAssertEqual(try fixture.pairs(), (100..<110).map { "k\($0)=v1" })
        XCTAssertEqual(fixture.engine.metrics.failures, 1)
    }
}
