import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// What scans cost where there is much that they do not show, counted and not timed.
final class EngineScanWorkTests: XCTestCase {
    private enum Layer: CaseIterable {
        case memtable
        case sealed
        case table
        case level
    }

    private var options: EngineOptions {
        var options = EngineOptions.tiny
        options.memtableBytes = 1 << 30
        options.cacheBytes = 1 << 24
        options.levelZeroTables = 1
        return options
    }

    /// `a`, `z`, and between them a key with `count` versions, all of them in one layer.
    private func versions(_ count: Int, in layer: Layer) throws -> EngineFixture {
        let fixture = try EngineFixture(options: options)
        try fixture.put("a", "first")
        try fixture.put("z", "last")
        for number in 0..<count { try fixture.put("hot", "\(number)".bytes) }
        try settle(fixture, in: layer)
        return fixture
    }

    private func settle(_ fixture: EngineFixture, in layer: Layer) throws {
        switch layer {
        case .memtable: break
        case .sealed: try fixture.seal()
        case .table: try fixture.flush()
        case .level:
            try fixture.flush()
            try fixture.work()
            XCTAssertEqual(fixture.tableCounts.first, 0)
        }
    }

    /// How much a scan does: entries that it passes, and blocks that it asks for.
    private func work(of fixture: EngineFixture, isBackward: Bool, at sequence: SequenceNumber?) throws -> Int {
        let before = fixture.engine.metrics
        var cursor = try fixture.engine.makeCursor(at: sequence)
        let found = try isBackward ? EngineFixture.backward(&cursor).reversed() : EngineFixture.forward(&cursor)
        XCTAssertEqual(found.count, 3)
        let after = fixture.engine.metrics
        let blocks = after.cacheHits + after.cacheMisses - before.cacheHits - before.cacheMisses
        return cursor.hiddenEntries + Int(blocks)
    }

    func testScan_keyWithManyVersions_costsTheSameWhateverTheirNumber() throws {
        for layer in Layer.allCases {
            let few = try versions(1_000, in: layer)
            let many = try versions(4_000, in: layer)
            for isBackward in [false, true] {
                for part in [1, 2] {
                    let message = "\(layer), backward \(isBackward), at 1/\(part)"
                    let a = try work(of: few, isBackward: isBackward, at: few.sequence / UInt64(part))
                    let b = try work(of: many, isBackward: isBackward, at: many.sequence / UInt64(part))
                    XCTAssertLessThanOrEqual(a, 12, message)
                    XCTAssertLessThanOrEqual(b, 12, message)
                }
            }
        }
    }

    /// A cursor for a reader looks at one version of a key, and the memtable's chain is not walked to its end.
    func testMemtableCursor_forAReader_visitsOneEntryPerKey() throws {
        let memtable = Memtable()
        var sequence: SequenceNumber = 0
        for round in 0..<50 {
            for key in ["a", "b", "c"] {
                sequence += 1
                memtable.put(key.bytes, "\(round)".bytes, at: sequence)
            }
        }
        var cursor = memtable.makeCursor(visibleAt: 60)
        var forward: [SequenceNumber] = []
        cursor.seekToFirst()
        while cursor.isValid {
            forward.append(cursor.trailer.sequence)
            cursor.next()
        }
        XCTAssertEqual(forward, [58, 59, 60])
        var backward: [SequenceNumber] = []
        cursor.seekToLast()
        while cursor.isValid {
            backward.append(cursor.trailer.sequence)
            cursor.previous()
        }
        XCTAssertEqual(backward, [60, 59, 58])
    }

    /// `count` keys, of which a range deletion leaves the first and the last.
    private func deleted(_ count: Int, in layer: Layer, tombstone: Layer) throws -> EngineFixture {
        let fixture = try EngineFixture(options: options)
        for number in 0..<count { try fixture.put("k\(100_000 + number)".bytes, "value".bytes) }
        if layer != tombstone { try settle(fixture, in: layer) }
        try fixture.deleteRange("k100001", "k\(100_000 + count - 1)".bytes)
        try fixture.put("live", "value")
        try settle(fixture, in: tombstone)
        return fixture
    }

    func testScan_deletedRange_isJumpedOverInBothDirections() throws {
        for (layer, tombstone) in [
            (Layer.level, Layer.memtable), (.level, .table), (.table, .sealed), (.table, .memtable),
            (.sealed, .memtable),
        ] {
            let fixture = try deleted(3_000, in: layer, tombstone: tombstone)
            for isBackward in [false, true] {
                let work = try work(of: fixture, isBackward: isBackward, at: nil)
                XCTAssertLessThanOrEqual(work, 30, "\(layer) under \(tombstone), backward \(isBackward)")
            }
        }
    }

    func testScan_entriesAboveTheRangeDeletion_areShown() throws {
        let fixture = try deleted(500, in: .level, tombstone: .memtable)
        try fixture.put("k100200", "again")
        try fixture.seal()
        try fixture.put("k100300", "again")
        let expected = ["k100000=value", "k100200=again", "k100300=again", "k100499=value", "live=value"]
        var cursor = try fixture.engine.makeCursor()
        XCTAssertEqual(try EngineFixture.forward(&cursor), expected)
        XCTAssertEqual(try EngineFixture.backward(&cursor), expected.reversed())
    }

    func testCursor_hiddenEntriesReachTheLimit_pausesAndGoesOn() throws {
        for isBackward in [false, true] {
            let fixture = try EngineFixture(options: options)
            for number in 0..<1_000 { try fixture.put("k\(1_000 + number)".bytes, "value") }
            try fixture.flush()
            // With all blocks in the cache, only entries count.
            for number in 0..<1_000 { XCTAssertNotNil(try fixture.get("k\(1_000 + number)".bytes)) }
            for number in 1..<999 { try fixture.delete("k\(1_000 + number)".bytes) }
            var (from, to): (Bytes?, Bytes?) = (nil, nil)
            var found: [String] = []
            var pages = 0
            while pages < 100 {
                pages += 1
                var cursor = try fixture.engine.makeCursor(from: from, to: to)
                cursor.limitHiddenEntries(to: 100)
                found += try isBackward ? EngineFixture.backward(&cursor) : EngineFixture.forward(&cursor)
                XCTAssertLessThan(cursor.hiddenEntries, 110)
                guard let pause = cursor.pause else { break }
                if isBackward { to = pause } else { from = pause }
            }
            XCTAssertEqual(found.sorted(), ["k1000=value", "k1999=value"], "backward \(isBackward)")
            XCTAssertEqual(pages, 20, "backward \(isBackward)")
        }
    }
}
