import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Cursors where their direction, their place or the disk changes under them.
final class TableCursorTests: XCTestCase {
    private func entries(_ count: Int) -> [TestEntry] {
        (0..<count).map { TestEntry(key: Array("key\(1_000 + $0)".utf8), sequence: 5, value: [UInt8($0 % 251)]) }
    }

    func testATurnAfterEveryEntry() throws {
        let entries = entries(60)
        let table = try TableFixture(blockBytes: 128).table(entries)
        var cursor = table.makeCursor(fillsCache: true)
        for place in entries.indices {
            try cursor.seek(entries[place].key, entries[place].trailer)
            try cursor.next()
            XCTAssertEqual(cursor.isValid ? cursor.entry : nil, place + 1 < 60 ? entries[place + 1] : nil)
            if cursor.isValid {
                try cursor.previous()
                XCTAssertEqual(cursor.entry, entries[place])
            }
            try cursor.seek(entries[place].key, entries[place].trailer)
            try cursor.previous()
            XCTAssertEqual(cursor.isValid ? cursor.entry : nil, place > 0 ? entries[place - 1] : nil)
            if cursor.isValid {
                try cursor.next()
                XCTAssertEqual(cursor.entry, entries[place])
            }
        }
    }

    func testARandomWalkFollowsTheArray() throws {
        var random = RandomSource(seed: 5)
        let entries = KeyShape.sharedPrefix.entries(200, &random)
        let table = try TableFixture(cacheBytes: 1_000, blockBytes: 128).table(entries)
        var cursor = table.makeCursor(fillsCache: true)
        var place: Int?
        for _ in 0..<3_000 {
            switch random.draw(0...9) {
            case 0:
                try cursor.seekToFirst()
                place = 0
            case 1:
                try cursor.seekToLast()
                place = entries.count - 1
            case 2:
                let key = KeyShape.sharedPrefix.key(&random)
                let trailer = Trailer.seek(random.below(12))
                try cursor.seek(key, trailer)
                place = entries.firstIndex { !$0.isBefore(key, trailer) }
            case 3:
                let key = KeyShape.sharedPrefix.key(&random)
                try cursor.seekBefore(key)
                place = entries.lastIndex { $0.key.lexicographicallyPrecedes(key) }
            case 4...6:
                guard let now = place else { continue }
                try cursor.next()
                place = now + 1 < entries.count ? now + 1 : nil
            default:
                guard let now = place else { continue }
                try cursor.previous()
                place = now > 0 ? now - 1 : nil
            }
            XCTAssertEqual(cursor.isValid ? cursor.entry : nil, place.map { entries[$0] })
        }
        XCTAssertNil(table.cache.checkInvariants())
    }

    func testACursorCanBeMovedByItsOwnKey() throws {
        var random = RandomSource(seed: 8)
        // Long and short keys, so that the memory for the key grows on the way and its beginning changes.
        let entries = TestEntry.sorted(KeyShape.allCases.flatMap { $0.entries(60, &random) })
        let keys = entries.map(\.key)
        let table = try TableFixture(blockBytes: 128).table(entries)
        for place in entries.indices {
            var cursor = table.makeCursor(fillsCache: true)
            try cursor.seek(entries[place].key, entries[place].trailer)
            try cursor.seek(cursor.key, Trailer(rawValue: 0))
            let next = entries.firstIndex { !$0.isBefore(keys[place], Trailer(rawValue: 0)) }
            XCTAssertEqual(cursor.isValid ? cursor.entry : nil, next.map { entries[$0] })
            guard cursor.isValid else { continue }
            let key = [UInt8](cursor.key)
            try cursor.seekBefore(cursor.key)
            XCTAssertEqual(
                cursor.isValid ? cursor.entry : nil,
                entries.last { $0.key.lexicographicallyPrecedes(key) }
            )
        }
    }

    func testACursorOutlivesTheTablesPlaceInTheCache() throws {
        let entries = entries(40)
        let fixture = TableFixture()
        let table = try fixture.table(entries)
        var cursor = table.makeCursor(fillsCache: true)
        try cursor.seekToFirst()
        table.close()
        XCTAssertEqual(fixture.cache.byteCount, 0)
        XCTAssertEqual(fixture.epochs.retiredCount, 0)
        XCTAssertEqual(cursor.entry, entries[0])
        try cursor.next()
        XCTAssertEqual(cursor.entry, entries[1], "the block is the cursor's")
        XCTAssertThrowsError(try cursor.seekToLast(), "another block would need the file") {
            XCTAssertEqual(($0 as? EngineError)?.code, .closed)
        }
        XCTAssertEqual(fixture.cache.byteCount, 0)
    }

    func testAFailedMoveCanBeTriedAgain() throws {
        let entries = entries(40)
        let hook = ReadFailures()
        let fixture = TableFixture(blockBytes: 128, hook: hook)
        let table = try fixture.table(entries)
        var cursor = table.makeCursor(fillsCache: false)
        for forward in [true, false] {
            if forward { try cursor.seekToFirst() } else { try cursor.seekToLast() }
            let expected = forward ? entries : entries.reversed()
            var failures = 0
            for entry in expected {
                XCTAssertEqual(cursor.entry, entry)
                hook.fails = true
                do {
                    if forward { try cursor.next() } else { try cursor.previous() }
                } catch {
                    failures += 1
                    XCTAssertEqual(error.code, .file)
                    XCTAssertEqual(cursor.entry, entry, "a failed move leaves the cursor where it is")
                    hook.fails = false
                    if forward { try cursor.next() } else { try cursor.previous() }
                }
                hook.fails = false
            }
            XCTAssertFalse(cursor.isValid)
            XCTAssertEqual(failures, table.index.count - 1, "every block but the first is read behind a failure")
        }
    }

    func testAReadThatMayNotWaitSaysSo() throws {
        let entries = entries(40)
        let hook = ReadFailures()
        let fixture = TableFixture(blockBytes: 128, hook: hook)
        let table = try fixture.table(entries)
        hook.waits = true
        var cursor = table.makeCursor(fillsCache: true)
        cursor.waiting = .forbidden
        func expectWait(_ body: () throws -> Void) {
            XCTAssertThrowsError(try body()) { XCTAssertEqual(($0 as? EngineError)?.code, .wouldWait) }
        }
        expectWait { try cursor.seekToFirst() }
        XCTAssertFalse(cursor.isValid)
        expectWait { _ = try table.get(entries[0].key, waiting: .forbidden) }
        XCTAssertEqual(try table.get(entries[0].key, waiting: .allowed), entries[0])
        XCTAssertEqual(try table.get(entries[0].key, waiting: .forbidden), entries[0], "now it is in the cache")
        XCTAssertNil(try table.get(Array("absent".utf8), waiting: .forbidden), "the filter needs no disk")
        hook.waits = false
        try cursor.seekToFirst()
        XCTAssertEqual(cursor.entry, entries[0], "the page cache has it")
    }
}

/// Lets reads fail, or says that they would have to wait.
final class ReadFailures: DiskHook {
    var fails = false
    var waits = false

    func answer(_ call: DiskCall) -> DiskAnswer {
        guard call.operation == .read else { return .proceed }
        if fails { return .fail(.inputOutput) }
        return waits && !call.mayWait ? .wouldWait : .proceed
    }
}
