import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// What background work does for space while a table is damaged: it frees what it may, and comes to an end.
final class QuarantineWorkTests: XCTestCase {
    private static let keyCount = 40

    private func key(_ number: Int) -> Bytes { "key\(100 + number)".bytes }

    private var options: EngineOptions {
        var options = EngineOptions.tiny
        options.memtableBytes = 1 << 20
        // Nothing is found in memory that cannot be read any more.
        options.cacheBytes = 0
        options.tableMemoryBytes = 0
        options.levelZeroTables = 2
        options.levelZeroTablesToPause = 16
        return options
    }

    /// The first level asks for nothing by itself.
    private var restingOptions: EngineOptions {
        var options = options
        options.levelZeroTables = 6
        return options
    }

    private func putAll(_ fixture: EngineFixture, _ round: Int) throws {
        for number in 0..<QuarantineWorkTests.keyCount { try put(fixture, number, round) }
    }

    private func put(_ fixture: EngineFixture, _ number: Int, _ round: Int) throws {
        try fixture.put(key(number), Bytes([UInt8](repeating: UInt8(round), count: 200)))
    }

    /// Flushes a table over all keys into the first level.
    private func putWideTable(_ fixture: EngineFixture) throws -> TableHandle {
        try put(fixture, 0, 9)
        try put(fixture, QuarantineWorkTests.keyCount - 1, 9)
        try fixture.flush()
        return try XCTUnwrap(fixture.engine.retainedView().version.levels[0].first)
    }

    /// Flips a bit of the first block of a table, and has a read find that.
    private func damage(_ fixture: EngineFixture, _ table: TableHandle) throws {
        let offset = table.table.index.place(0).offset
        XCTAssertTrue(fixture.disk.corrupt("engine/\(table.metadata.fileName)", at: offset + 9, mask: 4))
        XCTAssertThrowsError(try fixture.get(table.metadata.smallest)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .damaged)
        }
        XCTAssertEqual(fixture.engine.quarantines.count, 1)
    }

    private func entryCount(_ fixture: EngineFixture) -> UInt64 {
        fixture.engine.metrics.levels.reduce(0) { $0 + $1.entryCount }
    }

    /// The mark passes all that was written, and work comes to its end without reading a table.
    private func restWithoutCompaction(_ fixture: EngineFixture, line: UInt = #line) throws {
        let before = fixture.engine.metrics
        try fixture.seal(mark: fixture.sequence)
        try fixture.workThatEnds()
        XCTAssertEqual(fixture.engine.metrics.compactedBytesIn, before.compactedBytesIn, line: line)
        XCTAssertFalse(fixture.engine.hasWork, line: line)
        XCTAssertNil(fixture.engine.checkInvariants(), line: line)
    }

    // MARK: Work that frees nothing

    func testReclaiming_oldVersionsBelowADamagedTable_areLeftAndWorkEnds() throws {
        let fixture = try EngineFixture(options: options)
        for round in 0..<2 {
            try putAll(fixture, round)
            try fixture.flush()
        }
        try fixture.work()
        XCTAssertEqual(entryCount(fixture), 80)
        XCTAssertEqual(fixture.tableCounts[0], 0)
        try damage(fixture, try putWideTable(fixture))
        try restWithoutCompaction(fixture)
        XCTAssertEqual(entryCount(fixture), 82, "what a repair needs is gone")
    }

    func testReclaiming_rangeDeletionOverNothing_belowADamagedTable_isLeftAndWorkEnds() throws {
        let fixture = try EngineFixture(options: options)
        for number in [5, 6] {
            try fixture.deleteRange(key(number), key(30))
            try fixture.flush()
        }
        try fixture.work()
        XCTAssertEqual(fixture.tableCounts[0], 0)
        try damage(fixture, try putWideTable(fixture))
        try restWithoutCompaction(fixture)
        let tables = fixture.engine.retainedView().version.levels.joined()
        XCTAssertGreaterThan(tables.reduce(0) { $0 + $1.metadata.rangeDeletionCount }, 0)
    }

    func testReclaiming_firstLevelBelowADamagedTable_isLeftAndWorkEnds() throws {
        let fixture = try EngineFixture(options: restingOptions)
        for round in 0..<2 {
            try putAll(fixture, round)
            try fixture.flush()
        }
        for number in 0..<30 { try fixture.delete(key(number)) }
        try fixture.flush()
        try damage(fixture, try putWideTable(fixture))
        try restWithoutCompaction(fixture)
        XCTAssertEqual(fixture.tableCounts[0], 4)
    }

    func testReclaiming_besideADamagedTable_freesAsBefore() throws {
        var counts: [UInt64] = []
        for isDamaged in [false, true] {
            let fixture = try EngineFixture(options: options)
            for round in 0..<2 {
                try putAll(fixture, round)
                try fixture.flush()
            }
            try fixture.work()
            // Behind all keys.
            try fixture.put("x", "1")
            try fixture.flush()
            let table = try XCTUnwrap(fixture.engine.retainedView().version.levels[0].first)
            if isDamaged { fixture.quarantine(table) }
            try fixture.seal(mark: fixture.sequence)
            try fixture.workThatEnds()
            counts.append(entryCount(fixture))
        }
        XCTAssertLessThan(counts[0], 50)
        XCTAssertEqual(counts[1], counts[0])
    }

    // MARK: Dropping unread

    func testWideDeletion_besideADamagedTable_dropsOthersWithoutReadingThem() throws {
        let fixture = try EngineFixture(options: options)
        for round in 0..<4 {
            try putAll(fixture, round)
            try fixture.flush(mark: fixture.sequence)
        }
        try fixture.work()
        try fixture.reopen(options: restingOptions)
        let version = fixture.engine.retainedView().version
        let tables = version.levels.joined().sorted { $0.metadata.smallest < $1.metadata.smallest }
        XCTAssertGreaterThan(tables.count, 4, "\(fixture.tableCounts)")
        let damaged = tables[tables.count / 2]
        fixture.quarantine(damaged)
        let left = tables.filter { KeyRange(of: $0.metadata).overlaps(KeyRange(of: damaged.metadata)) }
        try fixture.deleteRange("k", "l")
        try fixture.flush()
        try restWithoutCompaction(fixture)
        XCTAssertEqual(
            fixture.engine.retainedView().version.levels.dropFirst().joined().map(\.metadata.number).sorted(),
            left.map(\.metadata.number).sorted()
        )
        XCTAssertEqual(try fixture.pairs(), [])
    }

    // MARK: Damage during a compaction

    /// A compaction of four tables with four versions of each key, of which three can be dropped, under way.
    private func fixtureInACompaction(_ hook: (any DiskHook)? = nil) throws -> EngineFixture {
        var options = options
        options.levelZeroTables = 4
        let fixture = try EngineFixture(hook: hook, options: options)
        for round in 0..<4 {
            try putAll(fixture, round)
            try fixture.flush(mark: fixture.sequence)
        }
        XCTAssertEqual(try fixture.engine.work(budget: 1), .worked(.compaction))
        XCTAssertNotNil(fixture.engine.worker.compaction)
        return fixture
    }

    func testDamage_foundDuringACompactionOfItsKeys_hasItGivenUp() throws {
        let fixture = try fixtureInACompaction()
        let job = fixture.engine.worker.compaction.map(ObjectIdentifier.init)
        let table = try putWideTable(fixture)
        XCTAssertEqual(fixture.engine.worker.compaction.map(ObjectIdentifier.init), job)
        fixture.quarantine(table)
        try fixture.workThatEnds()
        XCTAssertEqual(entryCount(fixture), 4 * 40 + 2, "what a repair needs is gone")
        XCTAssertEqual(fixture.engine.metrics.failures, 1)
        XCTAssertEqual(try fixture.files().count, fixture.tableCounts.reduce(0, +))
        XCTAssertNil(fixture.engine.checkInvariants())
    }

    func testDamage_foundInTheLastStepOfACompaction_hasItGivenUp() throws {
        let faults = DamageAtSync()
        let fixture = try fixtureInACompaction(faults)
        let table = try putWideTable(fixture)
        faults.found = { fixture.quarantine(table) }
        try fixture.workThatEnds()
        XCTAssertNil(faults.found)
        XCTAssertEqual(entryCount(fixture), 4 * 40 + 2, "what a repair needs is gone")
        XCTAssertEqual(try fixture.files().count, fixture.tableCounts.reduce(0, +))
    }

    func testDamage_foundElsewhereDuringACompaction_doesNotConcernIt() throws {
        let fixture = try fixtureInACompaction()
        let job = fixture.engine.worker.compaction.map(ObjectIdentifier.init)
        try fixture.put("x", "1")
        try fixture.flush()
        fixture.quarantine(try XCTUnwrap(fixture.engine.retainedView().version.levels[0].first))
        XCTAssertEqual(try fixture.engine.work(budget: 1), .worked(.compaction))
        XCTAssertEqual(fixture.engine.worker.compaction.map(ObjectIdentifier.init), job)
        try fixture.workThatEnds()
        XCTAssertEqual(entryCount(fixture), 41)
        XCTAssertEqual(fixture.engine.metrics.failures, 0)
    }

    // MARK: The first level

    func testFirstLevel_tablesOlderThanADamagedOne_goDown() throws {
        var options = options
        options.levelZeroTables = 4
        options.levelBaseBytes = 1 << 20
        let fixture = try EngineFixture(options: options)
        for round in 0..<2 {
            try putAll(fixture, round)
            try fixture.flush()
        }
        let table = try putWideTable(fixture)
        try damage(fixture, table)
        for round in 3..<12 {
            try putAll(fixture, round)
            try fixture.flush()
            try fixture.workThatEnds()
        }
        let first = fixture.engine.retainedView().version.levels[0]
        XCTAssertEqual(first.last?.metadata.number, table.metadata.number, "older ones are above the others yet")
        XCTAssertLessThan(first.count, 6)
        XCTAssertEqual(
            fixture.engine.retainedView().version.levels.dropFirst().joined().reduce(0) {
                $0 + $1.metadata.entryCount
            },
            80
        )
        for number in 0..<QuarantineWorkTests.keyCount {
            XCTAssertEqual(try fixture.get(key(number)), Bytes([UInt8](repeating: 11, count: 200)))
        }
        XCTAssertNil(fixture.engine.checkInvariants())
    }
}

/// Calls a closure at the next sync of a table.
private final class DamageAtSync: DiskHook {
    var found: (() -> Void)?

    func answer(_ call: DiskCall) -> DiskAnswer {
        guard call.operation == .sync, call.path.contains("table-"), let found else { return .proceed }
        self.found = nil
        found()
        return .proceed
    }
}
