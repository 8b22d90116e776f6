import BalsaPlatform
import XCTest

@testable import BalsaLSM

/// Queues: keys that are put at one end and deleted at the other. What a look at the front costs is counted.
final class QueueTests: XCTestCase {
    private enum Layer: CaseIterable {
        case memtable
        case sealed
        case table
        case level
    }

    private enum Deletion: CaseIterable {
        case points
        case ranges
    }

    private var options: EngineOptions {
        var options = EngineOptions.tiny
        options.memtableBytes = 1 << 30
        options.cacheBytes = 1 << 24
        options.levelZeroTables = 1
        return options
    }

    private func key(_ number: Int) -> Bytes { Bytes("queue/\(1_000_000 + number)") }

    private func consume(_ numbers: Range<Int>, by deletion: Deletion, _ fixture: EngineFixture) throws {
        switch deletion {
        case .points:
            for number in numbers { try fixture.delete(key(number)) }
        case .ranges:
            for first in stride(from: numbers.lowerBound, to: numbers.upperBound, by: 100) {
                try fixture.deleteRange(key(first), key(min(first + 100, numbers.upperBound)))
            }
        }
    }

    private func queue(_ consumed: Int, live: Int, by deletion: Deletion, in layer: Layer) throws -> EngineFixture {
        let fixture = try EngineFixture(options: options)
        for number in 0..<consumed + live { try fixture.put(key(number), "value") }
        try consume(0..<consumed, by: deletion, fixture)
        switch layer {
        case .memtable: break
        case .sealed: try fixture.seal()
        case .table: try fixture.flush()
        case .level:
            try fixture.flush()
            try fixture.work()
        }
        return fixture
    }

    /// The first key, or the last, and how many entries were passed on the way.
    private func end(
        of fixture: EngineFixture,
        isBackward: Bool = false,
        limit: Int = .max,
        at sequence: SequenceNumber? = nil
    ) throws -> (key: String?, passed: Int) {
        var cursor = try fixture.engine.makeCursor(from: "queue/", to: "queue0", at: sequence)
        cursor.limitHiddenEntries(to: limit)
        if isBackward { try cursor.seekToLast() } else { try cursor.seekToFirst() }
        return (cursor.isValid ? "\(Bytes(copying: cursor.key))" : nil, cursor.hiddenEntries)
    }

    func testFront_afterItWasFoundOnce_costsTheSameWhateverWasConsumed() throws {
        for layer in Layer.allCases {
            for deletion in Deletion.allCases {
                for isBackward in [false, true] {
                    let fixture = try queue(3_000, live: 10, by: deletion, in: layer)
                    if isBackward { try consume(3_001..<3_010, by: .points, fixture) }
                    let message = "\(layer), \(deletion), backward \(isBackward)"
                    let first = try end(of: fixture, isBackward: isBackward)
                    let second = try end(of: fixture, isBackward: isBackward)
                    XCTAssertEqual(first.key, "\(key(isBackward ? 3_000 : 3_000))", message)
                    XCTAssertEqual(second.key, first.key, message)
                    XCTAssertLessThanOrEqual(second.passed, 20, message)
                }
            }
        }
    }

    func testFront_pagesThatEndEarly_findItInTheEnd() throws {
        let fixture = try queue(3_000, live: 10, by: .points, in: .table)
        // With all blocks in the cache, only entries count.
        for number in 0..<3_010 { _ = try fixture.get(key(number)) }
        // Each page begins at the front of the range and gets further.
        var pages = 0
        while try end(of: fixture, limit: 300).key == nil, pages < 100 { pages += 1 }
        XCTAssertLessThan(pages, 12)
        XCTAssertEqual(try end(of: fixture, limit: 300).key, "\(key(3_000))")
    }

    /// Puts and deletions go on, with flushes and compactions, and each look at the front costs little.
    func testFront_whileTheQueueMovesOn_alwaysCostsLittle() throws {
        for deletion in Deletion.allCases {
            var options = options
            options.maxRangeDeletionsPerMemtable = 40
            let fixture = try EngineFixture(options: options)
            for number in 0..<100 { try fixture.put(key(number), "value") }
            var most = 0
            for number in 0..<4_000 {
                try fixture.put(key(number + 100), "value")
                switch deletion {
                case .points: try fixture.delete(key(number))
                case .ranges: try fixture.deleteRange(key(0), key(number + 1))
                }
                let (found, passed) = try end(of: fixture)
                XCTAssertEqual(found, "\(key(number + 1))")
                most = max(most, passed)
                if fixture.engine.wantsSeal || number % 1_500 == 1_499 { try fixture.flush() }
            }
            XCTAssertLessThanOrEqual(most, 270, "\(deletion)")
        }
    }

    func testFront_keyPutIntoWhatWasConsumed_isFound() throws {
        for layer in Layer.allCases {
            let fixture = try queue(1_000, live: 10, by: .points, in: layer)
            XCTAssertEqual(try end(of: fixture).key, "\(key(1_000))")
            let before = fixture.sequence
            try fixture.put(key(500), "again")
            XCTAssertEqual(try end(of: fixture).key, "\(key(500))", "\(layer)")
            XCTAssertEqual(try end(of: fixture, at: before).key, "\(key(1_000))", "\(layer)")
            try fixture.seal()
            XCTAssertEqual(try end(of: fixture).key, "\(key(500))", "\(layer)")
            try fixture.delete(key(500))
            let (found, passed) = try end(of: fixture)
            XCTAssertEqual(found, "\(key(1_000))", "\(layer)")
            XCTAssertLessThanOrEqual(passed, 20, "\(layer)")
        }
    }

    /// The older versions of a key that is shown are passed as well, and belong to no range without values.
    func testScan_keyWithVersionsInManySources_isShownAgain() throws {
        let fixture = try EngineFixture(options: options)
        for round in 0..<20 {
            try fixture.put("a", "\(round)".bytes)
            try fixture.put("z", "\(round)".bytes)
            try fixture.seal()
        }
        for number in 0..<600 { try fixture.delete(key(number)) }
        let expected = ["a=19", "z=19"]
        for _ in 0..<2 {
            var cursor = try fixture.engine.makeCursor()
            XCTAssertEqual(try EngineFixture.forward(&cursor), expected)
            var other = try fixture.engine.makeCursor()
            XCTAssertEqual(try EngineFixture.backward(&other), expected.reversed())
        }
        XCTAssertEqual(fixture.engine.emptyRanges.ranges.count, 1)
    }

    func testFront_readBelowTheSequenceAtWhichItWasFound_showsWhatWasThere() throws {
        let fixture = try EngineFixture(options: options)
        for number in 0..<600 { try fixture.put(key(number), "value") }
        let full = fixture.sequence
        let snapshot = fixture.engine.snapshot()
        try consume(0..<500, by: .points, fixture)
        XCTAssertEqual(try end(of: fixture).key, "\(key(500))")
        XCTAssertLessThanOrEqual(try end(of: fixture).passed, 20)
        XCTAssertEqual(try end(of: fixture, at: full).key, "\(key(0))")
        XCTAssertEqual(try end(of: fixture, at: full + 100).key, "\(key(100))")
        var cursor = try fixture.engine.makeCursor(in: snapshot)
        XCTAssertEqual(try EngineFixture.forward(&cursor).count, 600)
        snapshot.close()
    }

    /// The writer is ahead of the cursor that finds the range: it reads the range again.
    func testFront_writesSinceTheCursorWasMade_areLookedAtBeforeTheRangeIsAdded() throws {
        let fixture = try queue(1_000, live: 10, by: .points, in: .memtable)
        var cursor = try fixture.engine.makeCursor()
        try fixture.put(key(700), "again")
        try fixture.put(key(2_000), "more")
        XCTAssertEqual(try EngineFixture.forward(&cursor).first, "\(key(1_000))=value")
        XCTAssertEqual(fixture.engine.emptyRanges.ranges.map { "\($0.end)" }, ["\(key(700))"])
        let (found, passed) = try end(of: fixture)
        XCTAssertEqual(found, "\(key(700))")
        XCTAssertLessThanOrEqual(passed, 20)
    }
}
