import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// What a look for space to be freed sees: the first level itself, parts of tables, and each table once.
final class EngineReclaimEstimateTests: XCTestCase {
    private var options: EngineOptions {
        var options = EngineOptions.tiny
        options.memtableBytes = 1 << 20
        options.levelBaseBytes = 16 << 10
        options.tableBytes = 4 << 10
        options.levelZeroTables = 4
        return options
    }

    private static let keyCount = 2_000

    private func key(_ number: Int) -> Bytes { "k\(10_000 + number)".bytes }

    private func byteCount(_ fixture: EngineFixture) -> UInt64 {
        fixture.engine.metrics.levels.reduce(0) { $0 + $1.byteCount }
    }

    private func put(_ fixture: EngineFixture, _ numbers: Range<Int>) throws {
        for number in numbers { try fixture.put(key(number), Bytes([UInt8](repeating: 7, count: 80))) }
    }

    /// About 200 KB, most of it below the first level.
    private func filled(_ options: EngineOptions? = nil) throws -> EngineFixture {
        let fixture = try EngineFixture(options: options ?? self.options)
        for first in stride(from: 0, to: EngineReclaimEstimateTests.keyCount, by: 250) {
            try put(fixture, first..<first + 250)
            try fixture.flush(mark: fixture.sequence)
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

    // MARK: The first level

    func testReclaiming_storeWithinTheFirstLevel_deletedRange_isFreedAtRest() throws {
        let fixture = try EngineFixture(options: options)
        try put(fixture, 0..<200)
        try fixture.flush()
        try put(fixture, 200..<400)
        try fixture.flush()
        let before = byteCount(fixture)
        try fixture.deleteRange("k", "l")
        try fixture.flush()
        try fixture.work()
        XCTAssertEqual(fixture.tableCounts[0], 3)
        try rest(fixture)
        XCTAssertLessThan(byteCount(fixture), before / 20)
        XCTAssertEqual(try fixture.pairs(), [])
    }

    func testReclaiming_storeWithinTheFirstLevel_deletedKeys_areFreedAtRest() throws {
        let fixture = try EngineFixture(options: options)
        try put(fixture, 0..<400)
        try fixture.flush()
        let before = byteCount(fixture)
        for number in 0..<400 where number % 10 != 0 { try fixture.delete(key(number)) }
        try fixture.flush()
        try rest(fixture)
        XCTAssertLessThan(byteCount(fixture), before / 5)
        XCTAssertEqual(try fixture.pairs().count, 40)
    }

    func testReclaiming_flushDuringACompactionThatWasWorthIt_isWorkUntilItIsDone() throws {
        let fixture = try EngineFixture(options: options)
        try put(fixture, 0..<200)
        try fixture.flush()
        try fixture.deleteRange(key(40), "l")
        try fixture.seal()
        try fixture.work()
        try fixture.seal(mark: fixture.sequence)
        while fixture.engine.metrics.sealsWaiting > 0 { _ = try fixture.engine.work(budget: 1) }
        XCTAssertEqual(try fixture.engine.work(budget: 1), .worked(.compaction))
        XCTAssertNotNil(fixture.engine.worker.compaction)
        // A table that makes the same compaction longer by more than it frees.
        try put(fixture, 0..<2_000)
        try fixture.flush()
        XCTAssertNotNil(fixture.engine.worker.compaction)
        XCTAssertTrue(fixture.engine.hasWork)
        while fixture.engine.hasWork { _ = try fixture.engine.work(budget: 1 << 10) }
        XCTAssertNil(fixture.engine.worker.compaction)
        XCTAssertEqual(try fixture.files().count, fixture.tableCounts.reduce(0, +))
        XCTAssertEqual(try fixture.pairs().count, 2_000)
    }

    // MARK: Parts of tables

    func testReclaiming_neighbouringRanges_deletedOneByOne_areFreedAtRest() throws {
        let fixture = try filled()
        let before = byteCount(fixture)
        // No range covers a table of about forty entries.
        for number in stride(from: 0, to: EngineReclaimEstimateTests.keyCount, by: 10) {
            try fixture.deleteRange(key(number), key(number + 10))
        }
        try fixture.flush()
        try rest(fixture)
        XCTAssertLessThan(byteCount(fixture), before / 20)
        XCTAssertEqual(try fixture.pairs(), [])
    }

    func testReclaiming_rangesSmallerThanATable_areFreedAtRest() throws {
        for isInMemory in [true, false] {
            var options = options
            if !isInMemory { options.tableMemoryBytes = 0 }
            let fixture = try filled(options)
            let before = byteCount(fixture)
            for number in stride(from: 0, to: EngineReclaimEstimateTests.keyCount, by: 20) {
                try fixture.deleteRange(key(number), key(number + 14))
            }
            try fixture.flush()
            try rest(fixture)
            XCTAssertLessThan(byteCount(fixture), before / 2, "the index is in memory: \(isInMemory)")
            XCTAssertEqual(try fixture.pairs().count, 600)
        }
    }

    func testReclaiming_aFewKeysOfATable_areNotWorthIt() throws {
        var options = options
        options.levelBaseBytes = 1 << 20
        options.tableBytes = 32 << 10
        let fixture = try filled(options)
        // The first level asks for nothing by itself.
        options.levelZeroTables = 12
        options.levelZeroTablesToPause = 24
        try fixture.reopen(options: options)
        try fixture.deleteRange(key(0), key(1))
        for number in stride(from: 0, to: EngineReclaimEstimateTests.keyCount, by: 40) {
            try fixture.deleteRange(key(number), key(number + 2))
        }
        try fixture.flush()
        let before = fixture.engine.metrics.compactedBytesIn
        try rest(fixture)
        XCTAssertEqual(fixture.engine.metrics.compactedBytesIn, before, "\(fixture.tableCounts)")
        XCTAssertEqual(try fixture.pairs().count, 1_900)
    }

    func testReclaiming_rangesThatSeveralTablesDelete_countOnce() throws {
        var options = options
        options.levelBaseBytes = 1 << 20
        let fixture = try filled(options)
        // The first level asks for nothing by itself.
        options.levelZeroTables = 12
        options.levelZeroTablesToPause = 24
        try fixture.reopen(options: options)
        for _ in 0..<4 {
            // A seventh of all, in parts of tables, of what a compaction of all keys would read.
            for number in stride(from: 0, to: 700, by: 20) { try fixture.deleteRange(key(number), key(number + 8)) }
            try fixture.put(key(0), "live")
            try fixture.put(key(EngineReclaimEstimateTests.keyCount - 1), "live")
            try fixture.flush()
        }
        let before = fixture.engine.metrics.compactedBytesIn
        let counts = fixture.tableCounts
        try rest(fixture)
        XCTAssertEqual(fixture.engine.metrics.compactedBytesIn, before, "\(fixture.tableCounts)")
        XCTAssertEqual(fixture.tableCounts, counts)
    }

    // MARK: Wide deletions

    func testReclaiming_wideDeletion_dropsTablesWithoutReadingThem() throws {
        let fixture = try filled()
        let before = byteCount(fixture)
        let read = fixture.engine.metrics.compactedBytesIn
        // All but the first and the last keys.
        try fixture.deleteRange(key(3), key(EngineReclaimEstimateTests.keyCount - 3))
        try fixture.flush()
        try rest(fixture)
        let compacted = fixture.engine.metrics.compactedBytesIn - read
        XCTAssertLessThan(byteCount(fixture), before / 10, "\(fixture.tableCounts)")
        XCTAssertLessThan(compacted, before / 3)
        XCTAssertEqual(fixture.engine.floor, fixture.sequence)
        XCTAssertEqual(try fixture.pairs().count, 6)
        XCTAssertEqual(try fixture.files().count, fixture.tableCounts.reduce(0, +))
        try fixture.reopen()
        XCTAssertEqual(try fixture.pairs().count, 6)
    }

    func testReclaiming_wideDeletionWithNewerKeysBelowIt_keepsThem() throws {
        let fixture = try filled()
        try fixture.deleteRange("k", "l")
        try put(fixture, 500..<600)
        try fixture.flush()
        try rest(fixture)
        XCTAssertEqual(try fixture.pairs().count, 100)
    }

    /// The next compaction of an output merges it with all that it lies on.
    func testCompaction_rangeTombstonesWithoutEntries_areCutAtWhatLiesBelow() throws {
        var options = options
        options.tableBytes = 1 << 10
        // The tables of the deletions are not small beside that.
        options.levelBaseBytes = 3 << 10
        options.levels = 3
        let fixture = try filled(options)
        for name in ["k", "l", "m", "n"] {
            try fixture.deleteRange("a", "\(name)z".bytes)
            try fixture.flush()
        }
        try fixture.work()
        let version = fixture.engine.retainedView().version
        var count = 0
        for level in 1..<version.levelCount - 1 {
            for table in version.levels[level] where table.metadata.rangeDeletionCount > 0 {
                let below = version.tables(of: level + 1, overlapping: KeyRange(of: table.metadata))
                XCTAssertLessThan(below.reduce(0) { $0 + $1.metadata.byteCount }, 42 << 10, "level \(level)")
                count += 1
            }
        }
        XCTAssertGreaterThan(count, 3)
        XCTAssertNil(fixture.engine.checkInvariants())
        XCTAssertEqual(try fixture.pairs(), [])
        XCTAssertEqual(try fixture.pairs(at: UInt64(EngineReclaimEstimateTests.keyCount)).count, 2_000)
        try rest(fixture)
        XCTAssertEqual(byteCount(fixture), 0, "\(fixture.tableCounts)")
    }

    // MARK: Nested deletions

    func testCompaction_ofNestedRangeDeletions_writesEachOnce_andTheNewestBelowTheMark() throws {
        let fixture = try filled()
        let first = fixture.sequence
        let count = 1_500
        for number in 1...count {
            try fixture.deleteRange("k", key(number))
            if number % 300 == 0 { try fixture.flush() }
        }
        try fixture.work()
        func tombstones() -> (count: UInt64, tables: Int) {
            let tables = fixture.engine.retainedView().version.levels.joined().filter {
                $0.metadata.rangeDeletionCount > 0
            }
            return (tables.reduce(0) { $0 + $1.metadata.rangeDeletionCount }, tables.count)
        }
        let before = tombstones()
        XCTAssertLessThanOrEqual(before.count, UInt64(count * max(1, before.tables)))
        XCTAssertLessThan(byteCount(fixture), 1 << 20, "the tombstones took their square")
        XCTAssertEqual(try fixture.pairs(at: first + 700).count, 1_300)
        XCTAssertEqual(try fixture.pairs().count, 500)
        try rest(fixture)
        XCTAssertLessThan(tombstones().count, 2 * UInt64(count))
        XCTAssertEqual(try fixture.pairs().count, 500)
    }

    // MARK: Looks

    /// The tables below the first level that are not looked at again.
    private func waiting(_ fixture: EngineFixture) -> [TableMetadata] {
        fixture.engine.retainedView().version.levels.dropFirst().joined().filter(\.isNotWorthwhile).map(\.metadata)
    }

    /// A table that is not worth its rewriting is looked at again only when a neighbour has changed.
    func testReclaiming_tableThatIsNotWorthIt_isLookedAtAgainAfterAChangeOfANeighbour() throws {
        let fixture = try filled()
        // A key of forty is deleted in the tables of the last level.
        for number in stride(from: 0, to: EngineReclaimEstimateTests.keyCount, by: 40) {
            try fixture.delete(key(number))
        }
        // As many tables as are merged, so that none of them waits.
        for _ in 0..<5 {
            try fixture.put("a", "1")
            try fixture.put("z", "1")
            try fixture.flush()
        }
        try fixture.work()
        try rest(fixture)
        let before = waiting(fixture)
        XCTAssertGreaterThan(before.count, 1, "\(fixture.tableCounts)")
        let looks = fixture.engine.worker.looksForCompactions
        let edits = fixture.engine.metrics.compactions + fixture.engine.metrics.flushes
        let changed = try XCTUnwrap(before.last).smallest
        try fixture.put(changed, "2")
        try fixture.seal()
        while fixture.engine.metrics.sealsWaiting > 0 { _ = try fixture.engine.work(budget: 1 << 20) }
        // The edit had all looked at that are due, which marks those that are not worth it.
        XCTAssertEqual(waiting(fixture), before)
        XCTAssertEqual(fixture.engine.worker.looksForCompactions, looks + 1)
        let version = fixture.engine.retainedView().version
        let range = KeyRange(of: try XCTUnwrap(version.levels[0].first).metadata)
        version.forgetLooks(at: [range])
        let far = version.levels.dropFirst().joined().filter { !KeyRange(of: $0.metadata).overlaps(range) }
        XCTAssertEqual(waiting(fixture), far.map(\.metadata).filter(before.contains))
        XCTAssertLessThan(waiting(fixture).count, before.count)
        try fixture.work()
        let done = fixture.engine.metrics.compactions + fixture.engine.metrics.flushes - edits
        XCTAssertLessThanOrEqual(fixture.engine.worker.looksForCompactions - looks, Int(done))
    }

    func testShare_ofAKeyBetweenTwoOthers_isItsPlaceAmongThem() {
        XCTAssertEqual(KeyOrder.share(of: "k5", between: "k0", and: "k9"), 5 / 9, accuracy: 0.01)
        XCTAssertEqual(KeyOrder.share(of: "k0", between: "k0", and: "k9"), 0)
        XCTAssertEqual(KeyOrder.share(of: "k9", between: "k0", and: "k9"), 1)
        XCTAssertEqual(KeyOrder.share(of: "a", between: "a", and: "a"), 0)
        XCTAssertEqual(KeyOrder.share(of: "ab", between: "a", and: "b"), 37.0 / 62, accuracy: 0.01)
    }
}
