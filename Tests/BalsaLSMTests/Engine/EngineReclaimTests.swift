import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// The space of what was deleted or overwritten comes back on a store in which nothing more is written.
final class EngineReclaimTests: XCTestCase {
    private var options: EngineOptions {
        var options = EngineOptions.tiny
        options.memtableBytes = 1 << 20
        options.levelBaseBytes = 16 << 10
        options.tableBytes = 4 << 10
        options.levelZeroTables = 4
        return options
    }

    private func byteCount(_ fixture: EngineFixture) -> UInt64 {
        fixture.engine.metrics.levels.reduce(0) { $0 + $1.byteCount }
    }

    /// About 200 KB in all levels.
    private func filled() throws -> EngineFixture {
        let fixture = try EngineFixture(options: options)
        for number in 0..<2_000 {
            try fixture.put("k\(10_000 + number)".bytes, Bytes([UInt8](repeating: 7, count: 80)))
            if number % 250 == 249 { try fixture.flush() }
        }
        try fixture.work()
        return fixture
    }

    /// Nothing is written, and the retention mark passes all that was.
    private func rest(_ fixture: EngineFixture) throws {
        try fixture.seal(mark: fixture.sequence)
        try fixture.work()
        XCTAssertFalse(fixture.engine.hasWork)
        XCTAssertNil(fixture.engine.checkInvariants())
    }

    func testReclaiming_deletedRangeInATableOfItsOwn_isFreedAtRest() throws {
        let fixture = try filled()
        let before = byteCount(fixture)
        try fixture.deleteRange("k", "l")
        try fixture.flush()
        try fixture.work()
        XCTAssertGreaterThanOrEqual(byteCount(fixture), before, "nothing may be dropped yet")
        try rest(fixture)
        XCTAssertLessThan(byteCount(fixture), before / 20)
        XCTAssertEqual(try fixture.pairs(), [])
    }

    func testReclaiming_deletedRangeThatWasCompactedTooEarly_isFreedAtRest() throws {
        let fixture = try filled()
        let before = byteCount(fixture)
        try fixture.deleteRange("k", "l")
        try fixture.flush()
        for number in 0..<8 {
            try fixture.put("z\(number)".bytes, "live")
            try fixture.put("a\(number)".bytes, "live")
            try fixture.flush()
        }
        try fixture.work()
        XCTAssertGreaterThanOrEqual(byteCount(fixture), before, "nothing may be dropped yet")
        try rest(fixture)
        XCTAssertLessThan(byteCount(fixture), before / 20)
        XCTAssertEqual(try fixture.pairs().count, 16)
    }

    func testReclaiming_deletedKeys_areFreedAtRest() throws {
        let fixture = try filled()
        let before = byteCount(fixture)
        for number in 0..<2_000 { try fixture.delete("k\(10_000 + number)".bytes) }
        try fixture.flush()
        try fixture.work()
        try rest(fixture)
        XCTAssertLessThan(byteCount(fixture), before / 20)
        XCTAssertEqual(try fixture.pairs(), [])
    }

    func testReclaiming_overwrittenVersionsInTheLastLevel_areFreedAtRest() throws {
        let fixture = try EngineFixture(options: options)
        for round in 0..<4 {
            for number in 0..<300 { try fixture.put("k\(1_000 + number)".bytes, "value of round \(round)".bytes) }
            try fixture.flush()
        }
        try fixture.work()
        XCTAssertEqual(fixture.engine.metrics.levels.reduce(0) { $0 + $1.entryCount }, 1_200)
        try rest(fixture)
        XCTAssertEqual(fixture.engine.metrics.levels.reduce(0) { $0 + $1.entryCount }, 300)
        XCTAssertEqual(try fixture.pairs().first, "k1000=value of round 3")
    }

    func testReclaiming_snapshotIsHeld_waitsUntilItIsClosed() throws {
        let fixture = try filled()
        let before = byteCount(fixture)
        let snapshot = fixture.engine.snapshot()
        try fixture.deleteRange("k", "l")
        try fixture.flush()
        try rest(fixture)
        XCTAssertGreaterThanOrEqual(byteCount(fixture), before)
        snapshot.close()
        XCTAssertTrue(fixture.engine.hasWork)
        try rest(fixture)
        XCTAssertLessThan(byteCount(fixture), before / 20)
    }

    /// A trickle of writes over a large state does not rewrite the level below the first again and again.
    func testCompaction_trickleOfWrites_copiesLittle() throws {
        let fixture = try EngineFixture(options: options)
        var random = RandomSource(seed: 1)
        for number in 0..<8_000 {
            try fixture.put("k\(10_000 + number)".bytes, Bytes([UInt8](repeating: 7, count: 100)))
            if number % 200 == 199 { try fixture.flush(mark: fixture.sequence) }
        }
        try fixture.work()
        let before = fixture.engine.metrics
        for _ in 0..<120 {
            for _ in 0..<2 {
                try fixture.put("k\(10_000 + random.below(8_000))".bytes, Bytes([UInt8](repeating: 8, count: 100)))
            }
            try fixture.flush(mark: fixture.sequence)
            try fixture.work()
            XCTAssertNil(fixture.engine.checkInvariants())
            XCTAssertLessThan(fixture.tableCounts[0], options.levelZeroTablesToPause)
        }
        let after = fixture.engine.metrics
        let written = after.flushedBytes - before.flushedBytes
        let copied = after.compactedBytesOut - before.compactedBytesOut
        XCTAssertLessThan(copied, 6 * written, "\(copied) bytes were copied for \(written)")
        XCTAssertEqual(try fixture.pairs().count, 8_000)
    }

    /// A load leaves a few long tables in the first level, which it is too late for the trickle to pay for.
    func testCompaction_trickleOfWritesOnALoadInTheFirstLevel_leavesTheLoadWhereItIs() throws {
        let fixture = try EngineFixture(options: options)
        for round in 0..<7 {
            for number in 0..<200 {
                let key = "k\(10_000 + number * 7 + round)".bytes
                try fixture.put(key, Bytes([UInt8](repeating: 7, count: 100)))
            }
            try fixture.flush(mark: fixture.sequence)
            try fixture.work()
        }
        XCTAssertEqual(fixture.tableCounts[0], 3, "as many as a load may leave")
        let before = fixture.engine.metrics
        for number in 0..<24 {
            for part in 0..<4 {
                let key = "k\(10_000 + (number * 211 + part * 350) % 1_400)".bytes
                try fixture.put(key, Bytes([UInt8](repeating: 8, count: 100)))
            }
            try fixture.flush(mark: fixture.sequence)
            try fixture.work()
            XCTAssertNil(fixture.engine.checkInvariants())
            XCTAssertLessThanOrEqual(fixture.tableCounts[0], options.levelZeroTablesToSlow)
        }
        let after = fixture.engine.metrics
        let written = after.flushedBytes - before.flushedBytes
        let copied = after.compactedBytesOut - before.compactedBytesOut
        XCTAssertLessThan(copied, 5 * written, "\(copied) bytes were copied for \(written)")
        XCTAssertLessThan(written, before.levels[0].byteCount, "the trickle is short beside what waits")
        XCTAssertEqual(try fixture.pairs().count, 1_400)
        // What has waited goes down with the next part of a load.
        for number in 0..<200 {
            try fixture.put("k\(10_000 + number * 7)".bytes, Bytes([UInt8](repeating: 9, count: 200)))
        }
        try fixture.flush(mark: fixture.sequence)
        try fixture.work()
        XCTAssertEqual(fixture.tableCounts[0], 0)
        XCTAssertEqual(try fixture.pairs().count, 1_400)
    }

    func testCompaction_trickleOfWritesOnALongTableOverNothing_givesThatAnotherLevel() throws {
        let fixture = try EngineFixture(options: options)
        for number in 0..<400 { try fixture.put("k\(10_000 + number)".bytes, Bytes([UInt8](repeating: 7, count: 100))) }
        try fixture.flush(mark: fixture.sequence)
        for number in 0..<6 {
            try fixture.put("k\(10_000 + number * 60)".bytes, "small")
            try fixture.put("k\(10_399 - number)".bytes, "small")
            try fixture.flush(mark: fixture.sequence)
            try fixture.work()
        }
        let metrics = fixture.engine.metrics
        XCTAssertEqual(metrics.moves, 1)
        XCTAssertLessThan(metrics.compactedBytesOut, metrics.levels.reduce(0) { $0 + $1.byteCount } / 4)
        XCTAssertEqual(try fixture.pairs().count, 400)
        XCTAssertEqual(try fixture.get("k10300"), "small")
    }

    /// Memtables that are frozen for their range deletions make tables of next to no bytes.
    func testCompaction_trickleOfRangeDeletions_copiesLittleAndStopsNothing() throws {
        var options = options
        options.maxRangeDeletionsPerMemtable = 10
        let fixture = try EngineFixture(options: options)
        for number in 0..<4_000 {
            try fixture.put("k\(10_000 + number)".bytes, Bytes([UInt8](repeating: 7, count: 100)))
            if number % 200 == 199 { try fixture.flush(mark: fixture.sequence) }
        }
        try fixture.work()
        let before = fixture.engine.metrics
        let size = byteCount(fixture)
        var deleted = 0
        for round in 0..<40 {
            for piece in 0..<10 {
                let key = "k\(10_000 + (round * 977 + piece * 613) % 4_000)"
                try fixture.deleteRange(key.bytes, (key + "x").bytes)
                deleted += 1
            }
            XCTAssertTrue(fixture.engine.wantsSeal)
            try fixture.flush(mark: fixture.sequence)
            try fixture.work()
            XCTAssertEqual(fixture.engine.pressure, .none, "after \(round)")
        }
        let copied = fixture.engine.metrics.compactedBytesOut - before.compactedBytesOut
        // One copy of the level for every four tables would be ten.
        XCTAssertLessThan(copied, 4 * size, "\(copied) bytes were copied for \(deleted) deletions")
        XCTAssertNil(fixture.engine.checkInvariants())
    }
}
