import BalsaPlatform
import XCTest

@testable import BalsaLSM

/// What a page over deleted keys may do besides passing entries: blocks that it reads, and jumps. Counted, not timed.
final class PageWorkTests: XCTestCase {
    private var options: EngineOptions {
        var options = EngineOptions.tiny
        options.memtableBytes = 1 << 30
        options.cacheBytes = 1 << 24
        options.blockBytes = 4_096
        options.tableBytes = 1 << 20
        options.levelZeroTables = 1
        return options
    }

    private func key(_ number: Int) -> Bytes { Bytes("queue/\(1_000_000 + number)") }

    /// A queue with long values, all of whose first keys were taken. Nothing of it is in the cache.
    private func queue(
        _ consumed: Int,
        valueBytes: Int = 1_024,
        live: Int = 10,
        _ options: EngineOptions? = nil
    ) throws -> EngineFixture {
        let fixture = try EngineFixture(options: options ?? self.options)
        let value = Bytes([UInt8](repeating: 7, count: valueBytes))
        for number in 0..<consumed + live { try fixture.put(key(number), value) }
        try fixture.flush()
        for number in 0..<consumed { try fixture.delete(key(number)) }
        try fixture.flush()
        try fixture.reopen()
        return fixture
    }

    /// A page of one key, always from the beginning of the queue.
    private func page(
        of fixture: EngineFixture,
        isBackward: Bool = false,
        from: Bytes = "queue/",
        to: Bytes = "queue0",
        limit: Int
    ) throws -> (key: Bytes?, pause: Bytes?, misses: Int, asked: Int) {
        let before = fixture.engine.metrics
        var cursor = try fixture.engine.makeCursor(from: from, to: to)
        cursor.limitHiddenEntries(to: limit)
        if isBackward { try cursor.seekToLast() } else { try cursor.seekToFirst() }
        let after = fixture.engine.metrics
        let (misses, hits) = (after.cacheMisses - before.cacheMisses, after.cacheHits - before.cacheHits)
        return (cursor.isValid ? Bytes(copying: cursor.key) : nil, cursor.pause, Int(misses), Int(misses + hits))
    }

    func testPage_blocksThatHaveToBeRead_countAsManyEntries() throws {
        for isBackward in [false, true] {
            let fixture = try queue(2_000)
            let to: Bytes = isBackward ? key(2_000) : "queue0"
            var (pages, most) = (0, 0)
            while true {
                let page = try page(of: fixture, isBackward: isBackward, to: to, limit: 1_000)
                pages += 1
                most = max(most, page.misses)
                guard page.pause != nil else {
                    XCTAssertEqual(page.key, isBackward ? nil : key(2_000))
                    break
                }
                XCTAssertLessThan(pages, 100)
            }
            // Four values make a block, so that 2,000 are in 500 blocks.
            XCTAssertLessThanOrEqual(most, 1_000 / CursorWork.unitsPerRead, "backward \(isBackward)")
            XCTAssertGreaterThan(pages, 10)
        }
    }

    /// A page reads more than it may for a single key. The next one, which begins with the same key, gets further,
    /// whether the cache kept the block or not.
    func testPages_valuesLongerThanTheLimitAllows_getFurtherEachTime() throws {
        for cacheBytes in [1 << 24, 0] {
            var options = options
            options.cacheBytes = cacheBytes
            let fixture = try queue(40, valueBytes: 100_000, options)
            var (pages, most) = (0, 0)
            while true {
                let page = try page(of: fixture, limit: 100)
                pages += 1
                most = max(most, page.misses)
                if page.key != nil { break }
                guard pages < 200 else { return XCTFail("the front is not found with a cache of \(cacheBytes)") }
            }
            XCTAssertEqual(try page(of: fixture, limit: 100).key, key(40))
            XCTAssertLessThanOrEqual(most, 6, "a cache of \(cacheBytes)")
            XCTAssertLessThanOrEqual(pages, 80, "a cache of \(cacheBytes)")
        }
    }

    /// A jump over what a range deletion covers is a search in all sources, and counts as one.
    func testPage_jumpsOverManyRangeDeletions_countAsSearches() throws {
        let fixture = try EngineFixture(options: options)
        for number in 0..<20_000 { try fixture.put(key(number), "value") }
        try fixture.flush()
        try fixture.work()
        for first in stride(from: 0, to: 19_900, by: 20) {
            try fixture.delete(key(first))
            try fixture.deleteRange(key(first + 1), key(first + 20))
        }
        for isBackward in [false, true] {
            let to = isBackward ? key(19_900) : "queue0"
            let page = try page(of: fixture, isBackward: isBackward, to: to, limit: 600)
            XCTAssertNotNil(page.pause)
            // One jump costs six entries and a search in two sources.
            XCTAssertLessThanOrEqual(page.asked, 60, "backward \(isBackward)")
        }
    }

    func testFront_inAKnownRange_isFoundWithoutWhatWasTaken() throws {
        var options = options
        options.cacheBytes = 0
        for isBackward in [false, true] {
            let fixture = try queue(2_000, options)
            let (from, to): (Bytes, Bytes) = isBackward ? ("queue", key(2_000)) : ("queue/", "queue0")
            try fixture.put("queue", "first")
            while try page(of: fixture, isBackward: isBackward, from: from, to: to, limit: 2_000).key == nil {}
            let page = try page(of: fixture, isBackward: isBackward, from: from, to: to, limit: 2_000)
            XCTAssertEqual(page.key, isBackward ? "queue" : key(2_000))
            // One block of each table, and as many as may be passed without a note. There are 500.
            XCTAssertLessThanOrEqual(page.misses, 2 + 256 / CursorWork.unitsPerRead, "backward \(isBackward)")
        }
    }

    /// What is put into a known range is found, however the scan begins.
    func testFront_keyPutIntoAKnownRange_isFoundFromItsBounds() throws {
        let fixture = try queue(2_000)
        while try page(of: fixture, limit: 2_000).key == nil {}
        for number in [0, 1_999, 1_000] {
            try fixture.put(key(number), "again")
            XCTAssertEqual(try page(of: fixture, limit: 2_000).key, key(number))
            let back = try page(of: fixture, isBackward: true, to: key(2_000), limit: 2_000)
            XCTAssertEqual(back.key, key(number))
            try fixture.delete(key(number))
        }
    }

    // MARK: First use

    /// Tables with these numbers of keys, each flushed by itself, in an engine that was just opened.
    private func opened(_ counts: [Int], tableMemoryBytes: Int = 1 << 20) throws -> EngineFixture {
        var options = options
        options.levelZeroTables = 8
        options.levelZeroTablesToPause = 20
        options.tableMemoryBytes = tableMemoryBytes
        let fixture = try EngineFixture(options: options)
        for (round, count) in counts.enumerated() {
            for number in 0..<count {
                try fixture.put(key(number), Bytes([UInt8](repeating: UInt8(round), count: 100)))
            }
            try fixture.flush()
        }
        try fixture.reopen()
        return fixture
    }

    func testOpening_longTables_readsTheirIndexesBeforeAnybodyReads() throws {
        let fixture = try opened([12_000, 10, 12_000])
        XCTAssertEqual(fixture.engine.metrics.tableReads, 2)
        XCTAssertNotNil(try page(of: fixture, limit: 100).key)
        // That of the short one.
        XCTAssertEqual(fixture.engine.metrics.tableReads, 3)
    }

    func testOpening_littleMemoryForTables_readsNoMoreIndexesThanHalfOfItHolds() throws {
        let fixture = try opened([12_000, 12_000, 12_000], tableMemoryBytes: 40_000)
        XCTAssertEqual(fixture.engine.metrics.tableReads, 1)
        XCTAssertGreaterThan(fixture.engine.metrics.tableMemoryBytes, 20_000)
    }

    func testHiddenEntries_ofAllCursors_areCounted() throws {
        let fixture = try queue(100)
        XCTAssertEqual(fixture.engine.metrics.hiddenEntries, 0)
        XCTAssertEqual(try page(of: fixture, limit: .max).key, key(100))
        XCTAssertEqual(fixture.engine.metrics.hiddenEntries, 200)
        // These were few entries, in so many blocks that the range has been noted.
        XCTAssertEqual(try page(of: fixture, limit: .max).key, key(100))
        XCTAssertEqual(fixture.engine.metrics.hiddenEntries, 200)
        try fixture.delete(key(100))
        XCTAssertEqual(try page(of: fixture, limit: .max).key, key(101))
        XCTAssertEqual(fixture.engine.metrics.hiddenEntries, 202)
    }
}
