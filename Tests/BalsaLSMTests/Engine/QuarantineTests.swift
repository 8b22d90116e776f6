import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// One damaged block, and everything that goes on beside it.
final class QuarantineTests: XCTestCase {
    /// Decides about calls to the disk, once armed.
    private final class Faults: DiskHook {
        var decide: (DiskCall) -> DiskAnswer = { _ in .proceed }
        func answer(_ call: DiskCall) -> DiskAnswer { decide(call) }
    }

    private static let keyCount = 200

    private func key(_ number: Int) -> Bytes { Bytes("key\(1_000 + number)") }

    private static var options: EngineOptions {
        var options = EngineOptions.tiny
        // Nothing is found in memory that cannot be read any more.
        options.cacheBytes = 0
        options.tableMemoryBytes = 0
        options.levelZeroTablesToPause = 16
        return options
    }

    /// An engine with tables in several levels, and one of them below the first level.
    private func filled(_ faults: Faults? = nil) throws -> (fixture: EngineFixture, table: TableHandle, level: Int) {
        let fixture = try EngineFixture(hook: faults, options: QuarantineTests.options)
        for round in 0..<3 {
            for number in 0..<QuarantineTests.keyCount {
                try fixture.put(key(number), Bytes("value \(round) of \(number)"))
                if fixture.engine.wantsSeal {
                    try fixture.flush(mark: fixture.sequence)
                    try fixture.work()
                }
            }
        }
        try fixture.flush(mark: fixture.sequence)
        try fixture.work()
        let levels = fixture.engine.retainedView().version.levels
        let level = try XCTUnwrap(levels.indices.dropFirst().first { levels[$0].count > 2 })
        let table = try XCTUnwrap(levels[level].dropFirst().first { $0.table.index.count > 2 })
        return (fixture, table, level)
    }

    private func path(_ table: TableHandle) -> String { "engine/\(table.metadata.fileName)" }

    /// Flips a bit of a block.
    private func damage(_ fixture: EngineFixture, _ table: TableHandle, block: Int = 1) {
        let offset = table.table.index.place(block).offset
        XCTAssertTrue(fixture.disk.corrupt(path(table), at: offset + 9, mask: 4))
    }

    /// The keys that cannot be read. All others have the value that `value` says.
    private func unreadable(
        _ fixture: EngineFixture,
        line: UInt = #line,
        value: (Int) -> Bytes?
    ) -> [Bytes] {
        (0..<QuarantineTests.keyCount).compactMap { number -> Bytes? in
            do throws(EngineError) {
                let found = try fixture.get(key(number))
                XCTAssertEqual(found, value(number), "\(key(number))", line: line)
                return nil
            } catch {
                XCTAssertEqual(error.code, .damaged, line: line)
                XCTAssertNotNil(error.quarantine, "\(error)", line: line)
                return key(number)
            }
        }
    }

    // MARK: Reading

    func testARead_ofADamagedBlock_failsWithFileLevelAndRange_andOthersAreServed() throws {
        let (fixture, table, level) = try filled()
        XCTAssertEqual(fixture.engine.quarantines, [])
        damage(fixture, table)
        let index = table.table.index
        let (before, last) = (index.lastKey(of: 0), index.lastKey(of: 1))
        let lost = unreadable(fixture) { Bytes("value 2 of \($0)") }
        XCTAssertEqual(lost, (0..<QuarantineTests.keyCount).map(key).filter { $0 > before && $0 <= last })
        XCTAssertFalse(lost.isEmpty)
        let range = try XCTUnwrap(fixture.engine.quarantines.first)
        XCTAssertEqual(fixture.engine.quarantines.count, 1)
        XCTAssertEqual(fixture.engine.metrics.quarantines, 1)
        XCTAssertEqual(range.file, path(table))
        XCTAssertEqual(range.level, level)
        XCTAssertEqual(range.smallest, before)
        XCTAssertEqual(range.largest, last)
        XCTAssertThrowsError(try fixture.get(lost[0])) {
            let text = "\($0)"
            for part in [path(table), "level \(level)", "\(before)", "\(last)"] {
                XCTAssertTrue(text.contains(part), "\(part) is not in: \(text)")
            }
        }
    }

    func testAScan_stopsBeforeADamagedBlock_andOneBehindItIsServed() throws {
        let (fixture, table, _) = try filled()
        damage(fixture, table)
        let range = (table.table.index.lastKey(of: 0), table.table.index.lastKey(of: 1))
        var cursor = try fixture.engine.makeCursor()
        var seen = 0
        do throws(EngineError) {
            try cursor.seekToFirst()
            while cursor.isValid {
                seen += 1
                try cursor.next()
            }
            XCTFail("a scan passed a damaged block")
        } catch {
            XCTAssertNotNil(error.quarantine)
        }
        XCTAssertEqual(seen, (0..<QuarantineTests.keyCount).count { key($0) <= range.0 })
        let behind = try fixture.pairs(from: Bytes("\(String(range.1))\0"))
        XCTAssertEqual(behind.count, (0..<QuarantineTests.keyCount).count { key($0) > range.1 })
    }

    // MARK: Working

    func testWork_besideADamagedTable_goesOnAndLeavesItInPlace() throws {
        let (fixture, table, level) = try filled()
        damage(fixture, table)
        XCTAssertThrowsError(try fixture.get(table.table.index.lastKey(of: 1)))
        let smallest = table.metadata.smallest
        let largest = table.metadata.largest
        // Twenty rounds over all keys: every level is compacted, again and again.
        for round in 3..<23 {
            for number in 0..<QuarantineTests.keyCount {
                try fixture.put(key(number), Bytes("value \(round) of \(number)"))
                if fixture.engine.wantsSeal {
                    try fixture.flush(mark: fixture.sequence)
                    try fixture.work()
                    XCTAssertNotEqual(fixture.engine.pressure, .stopped)
                }
            }
        }
        try fixture.flush(mark: fixture.sequence)
        try fixture.work()
        XCTAssertEqual(fixture.engine.metrics.quarantines, 1)
        XCTAssertFalse(fixture.engine.hasWork)
        let levels = fixture.engine.retainedView().version.levels
        XCTAssertTrue(levels[level].contains { $0.metadata.number == table.metadata.number })
        XCTAssertNil(fixture.engine.checkInvariants())
        XCTAssertLessThan(levels[0].count, fixture.options.levelZeroTablesToPause)
        // Whatever is newer than the damaged table can be read, within its bounds as well.
        XCTAssertEqual(unreadable(fixture) { Bytes("value 22 of \($0)") }, [])
        // Old versions are gone outside of the range, and are all there within it.
        let entries = levels.joined().filter { $0 !== table }.reduce(0) { $0 + Int($1.metadata.entryCount) }
        let inside = (0..<QuarantineTests.keyCount).count { key($0) >= smallest && key($0) <= largest }
        XCTAssertGreaterThanOrEqual(entries, 20 * inside + QuarantineTests.keyCount - inside)
    }

    func testWork_overADamagedTableOfTheBaseLevel_bringsTheFirstLevelDown() throws {
        var options = QuarantineTests.options
        options.levelBaseBytes = 1 << 20
        let fixture = try EngineFixture(options: options)
        func fill(_ round: Int) throws {
            for number in 0..<QuarantineTests.keyCount { try fixture.put(key(number), Bytes("\(round) of \(number)")) }
            try fixture.flush(mark: fixture.sequence)
            try fixture.work()
        }
        for round in 0..<4 { try fill(round) }
        let base = try XCTUnwrap(fixture.tableCounts.indices.dropFirst().first { fixture.tableCounts[$0] > 0 })
        XCTAssertGreaterThan(base, 1)
        let table = try XCTUnwrap(fixture.engine.retainedView().version.levels[base].first { $0.table.index.count > 2 })
        damage(fixture, table)
        for round in 4..<16 {
            try fill(round)
            XCTAssertLessThan(fixture.tableCounts[0], options.levelZeroTables + 1, "after round \(round)")
        }
        XCTAssertEqual(fixture.engine.quarantines.map(\.file), [path(table)])
        XCTAssertEqual(unreadable(fixture) { Bytes("15 of \($0)") }, [])
        let first = fixture.engine.retainedView().version.levels[0].reduce(0) { $0 + $1.metadata.entryCount }
        XCTAssertLessThan(first, 3 * UInt64(QuarantineTests.keyCount), "\(fixture.tableCounts)")
        XCTAssertNil(fixture.engine.checkInvariants())
        XCTAssertFalse(fixture.engine.hasWork)
    }

    func testDeletions_overADamagedTable_areKept() throws {
        let (fixture, table, _) = try filled()
        damage(fixture, table)
        let key = table.table.index.lastKey(of: 1)
        try fixture.delete(key)
        try fixture.deleteRange(table.metadata.smallest, table.metadata.largest)
        for _ in 0..<4 {
            try fixture.put("zzz", "1")
            try fixture.flush(mark: fixture.sequence)
            try fixture.work()
        }
        XCTAssertNil(try fixture.get(key), "the deletion was dropped, and what it deletes cannot be read")
        let levels = fixture.engine.retainedView().version.levels
        XCTAssertTrue(levels.joined().contains { $0.metadata.rangeDeletionCount > 0 })
    }

    func testACompaction_thatFindsDamage_isGivenUpAndTheNextOneLeavesTheTable() throws {
        let (fixture, table, level) = try filled()
        damage(fixture, table)
        // Nobody reads: the work alone finds it.
        for round in 0..<6 {
            for number in 0..<QuarantineTests.keyCount {
                try fixture.put(key(number), Bytes("newer \(round) of \(number)"))
                guard fixture.engine.wantsSeal else { continue }
                try fixture.flush()
                try fixture.work()
            }
        }
        XCTAssertEqual(fixture.engine.quarantines.map(\.file), [path(table)])
        XCTAssertTrue(
            fixture.engine.retainedView().version.levels[level].contains { $0.metadata.number == table.metadata.number }
        )
        XCTAssertEqual(try fixture.files().count, fixture.tableCounts.reduce(0, +))
    }

    func testABlock_thatTheDeviceDoesNotRead_isLeftAfterSomeAttempts() throws {
        let faults = Faults()
        let (fixture, table, level) = try filled(faults)
        let place = table.table.index.place(1)
        faults.decide = { [path = path(table)] call in
            let isBlock = call.operation == .read && call.path.hasSuffix(path) && call.offset == place.offset
            return isBlock ? .fail(.inputOutput) : .proceed
        }
        XCTAssertThrowsError(try fixture.get(table.table.index.lastKey(of: 1))) {
            XCTAssertEqual(($0 as? EngineError)?.cause?.number, .inputOutput)
            XCTAssertEqual(($0 as? EngineError)?.quarantine?.level, level)
        }
        XCTAssertEqual(fixture.engine.quarantines, [], "a device may recover")
        var failures = 0
        for round in 0..<6 {
            for number in 0..<QuarantineTests.keyCount {
                try fixture.put(key(number), Bytes("newer \(round) of \(number)"))
                guard fixture.engine.wantsSeal else { continue }
                try fixture.seal()
                for _ in 0..<200 {
                    do throws(EngineError) {
                        if try fixture.engine.work(budget: 1 << 20) == .idle { break }
                    } catch {
                        XCTAssertEqual(error.cause?.number, .inputOutput)
                        failures += 1
                    }
                }
            }
        }
        XCTAssertGreaterThan(failures, 2)
        XCTAssertEqual(fixture.engine.quarantines.map(\.file), [path(table)])
        XCTAssertFalse(fixture.engine.hasWork)
    }

    // MARK: Opening

    func testOpening_withUnreadableRangeDeletions_servesWhatLiesOutside() throws {
        let fixture = try EngineFixture(options: QuarantineTests.options)
        for name in ["a", "m", "z"] as [Bytes] { try fixture.put(name, "1") }
        try fixture.flush()
        try fixture.deleteRange("l", "n")
        try fixture.flush()
        let table = try XCTUnwrap(
            fixture.engine.retainedView().version.levels.joined().first { $0.metadata.rangeDeletionCount > 0 }
        )
        let footer = table.metadata.byteCount - UInt64(TableLayout.footerBytes)
        XCTAssertTrue(fixture.disk.corrupt(path(table), at: footer + 20, mask: 1))
        try fixture.reopen()
        XCTAssertEqual(fixture.engine.quarantines.map(\.file), [path(table)])
        XCTAssertEqual(try fixture.get("a"), "1")
        XCTAssertEqual(try fixture.get("z"), "1")
        XCTAssertThrowsError(try fixture.get("m"), "what was deleted came back") {
            XCTAssertEqual(($0 as? EngineError)?.code, .damaged)
        }
        XCTAssertThrowsError(try fixture.pairs())
    }
}
