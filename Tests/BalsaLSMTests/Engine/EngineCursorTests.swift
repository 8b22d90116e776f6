import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Cursors: order, bounds, turning around, and the moment that they show.
final class EngineCursorTests: XCTestCase {
    /// Keys spread over levels, a flushed table, a sealed memtable and the active one, with hidden versions in each.
    private func layered() throws -> (fixture: EngineFixture, expected: [String]) {
        let fixture = try EngineFixture()
        for number in stride(from: 0, to: 40, by: 2) { try fixture.put("k\(100 + number)".bytes, "deep".bytes) }
        try fixture.flush()
        try fixture.put("k100", "deeper")
        try fixture.flush()
        try fixture.work()
        for number in stride(from: 1, to: 40, by: 4) { try fixture.put("k\(100 + number)".bytes, "table".bytes) }
        try fixture.delete("k104")
        try fixture.flush()
        for number in stride(from: 3, to: 40, by: 8) { try fixture.put("k\(100 + number)".bytes, "sealed".bytes) }
        try fixture.deleteRange("k110", "k115")
        try fixture.seal()
        for number in stride(from: 0, to: 40, by: 7) { try fixture.put("k\(100 + number)".bytes, "active".bytes) }
        try fixture.delete("k101")
        let expected: [String] = (0..<40).compactMap { number in
            if number % 7 == 0 { return "k\(100 + number)=active" }
            if number == 1 || number == 4 || (10..<15).contains(number) { return nil }
            if number % 8 == 3 { return "k\(100 + number)=sealed" }
            if number % 4 == 1 { return "k\(100 + number)=table" }
            return number % 2 == 0 ? "k\(100 + number)=deep" : nil
        }
        return (fixture, expected)
    }

    func testAllSourcesAreMergedInBothDirections() throws {
        let (fixture, expected) = try layered()
        var cursor = try fixture.engine.makeCursor()
        XCTAssertEqual(try EngineFixture.forward(&cursor), expected)
        XCTAssertEqual(try EngineFixture.backward(&cursor), expected.reversed())
    }

    /// What the sources' keys have in common becomes less, source by source, while the cursor is under way.
    func testKeysThatShareLessAndLessStayInOrder() throws {
        let fixture = try EngineFixture()
        let long = String(repeating: "a", count: 90)
        var keys = ["", "a", "aa", "b", "\u{0}", "a\u{0}", "a\u{0}\u{0}"]
        for count in [3, 7, 8, 9, 15, 16, 17, 31, 63, 64, 65, 90] {
            let prefix = String(long.prefix(count))
            keys += [prefix, prefix + "\u{0}", prefix + "b", prefix + "bcdefghij", prefix + "bcdefghik"]
        }
        keys = keys.filter { !$0.isEmpty }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        keys = zip([""] + keys, keys).compactMap { $0 == $1 ? nil : $1 }
        for source in 0..<3 {
            for (index, key) in keys.enumerated() where index % 3 == source { try fixture.put(key.bytes, "v") }
            if source == 0 { try fixture.flush() }
            if source == 1 { try fixture.seal() }
        }
        let expected = keys.map { "\($0.bytes)=v" }
        var cursor = try fixture.engine.makeCursor()
        XCTAssertEqual(try EngineFixture.forward(&cursor), expected)
        XCTAssertEqual(try EngineFixture.backward(&cursor), expected.reversed())
        for (index, key) in keys.enumerated() {
            try cursor.seek(key.bytes)
            XCTAssertEqual(cursor.isValid ? Array(cursor.key) : nil, Array(key.utf8))
            if index + 1 < keys.count {
                try cursor.next()
                XCTAssertEqual(cursor.isValid ? Array(cursor.key) : nil, Array(keys[index + 1].utf8))
            }
        }
    }

    func testBoundsCutBothEnds() throws {
        let (fixture, expected) = try layered()
        for (from, to) in [
            ("k105", "k130"), ("k105a", "k130a"), ("", "k103"), ("k138", "z"), ("k12", "k13"), ("x", "y"),
        ] {
            var cursor = try fixture.engine.makeCursor(from: from.bytes, to: to.bytes)
            let within = expected.filter { $0.prefix(4) >= from && $0.prefix(4) < to }
            XCTAssertEqual(try EngineFixture.forward(&cursor), within, "\(from) to \(to)")
            XCTAssertEqual(try EngineFixture.backward(&cursor), within.reversed(), "\(from) to \(to)")
        }
    }

    func testSeeksFindTheNeighbourOnTheirSide() throws {
        let (fixture, expected) = try layered()
        for bounds in [nil, ("k103", "k133")] as [(String, String)?] {
            var cursor = try fixture.engine.makeCursor(from: bounds?.0.bytes, to: bounds?.1.bytes)
            let within = expected.filter { bounds == nil || ($0 >= bounds!.0 && $0 < bounds!.1) }
            for number in 0..<42 {
                for key in ["k\(100 + number)", "k\(100 + number)+"] {
                    try cursor.seek(key.bytes)
                    let above = within.first { $0.prefix(4) >= key }
                    XCTAssertEqual(cursor.isValid ? EngineFixture.text(cursor) : nil, above, key)
                    try cursor.seekBefore(key.bytes)
                    let below = within.last { $0.prefix(4) < key }
                    XCTAssertEqual(cursor.isValid ? EngineFixture.text(cursor) : nil, below, key)
                }
            }
        }
    }

    func testTurningAroundAtEveryPositionSkipsNothing() throws {
        let (fixture, expected) = try layered()
        var cursor = try fixture.engine.makeCursor()
        for position in expected.indices {
            try cursor.seekToFirst()
            for _ in 0..<position { try cursor.next() }
            // Forward, backward, forward, backward.
            if position + 1 < expected.count {
                try cursor.next()
                XCTAssertEqual(EngineFixture.text(cursor), expected[position + 1])
                try cursor.previous()
            }
            XCTAssertEqual(EngineFixture.text(cursor), expected[position])
            if position > 0 {
                try cursor.previous()
                XCTAssertEqual(EngineFixture.text(cursor), expected[position - 1])
                try cursor.next()
            }
            XCTAssertEqual(EngineFixture.text(cursor), expected[position])
        }
        try cursor.seekToFirst()
        try cursor.previous()
        XCTAssertFalse(cursor.isValid)
        try cursor.seekToLast()
        try cursor.next()
        XCTAssertFalse(cursor.isValid)
    }

    func testARandomWalkAgreesWithTheList() throws {
        let (fixture, expected) = try layered()
        var random = RandomSource(seed: 7)
        var cursor = try fixture.engine.makeCursor()
        try cursor.seekToFirst()
        var position = 0
        for _ in 0..<1_000 {
            if random.chance(1, in: 2) {
                try cursor.next()
                position += 1
            } else {
                try cursor.previous()
                position -= 1
            }
            guard expected.indices.contains(position) else {
                XCTAssertFalse(cursor.isValid)
                position = random.draw(0...expected.count - 1)
                try cursor.seek(expected[position].prefix(4).description.bytes)
                continue
            }
            XCTAssertEqual(EngineFixture.text(cursor), expected[position])
        }
    }

    func testDirectionFlipsWithNewWritesSkipNothing() throws {
        // The reduced case of a LevelDB bug: writes between the moves of a cursor that turns around.
        let fixture = try EngineFixture()
        for number in 1...4 { try fixture.put("\(number)".bytes, "b".bytes) }
        var cursor = try fixture.engine.makeCursor()
        try fixture.put("5", "f")
        try cursor.seek("5" as Bytes)
        XCTAssertFalse(cursor.isValid)
        try cursor.seekToLast()
        XCTAssertEqual(EngineFixture.text(cursor), "4=b")
        try cursor.previous()
        try fixture.put("2a", "new")
        try cursor.previous()
        XCTAssertEqual(EngineFixture.text(cursor), "2=b")
        try cursor.next()
        XCTAssertEqual(EngineFixture.text(cursor), "3=b")
        try cursor.next()
        XCTAssertEqual(EngineFixture.text(cursor), "4=b")
    }

    func testACursorShowsItsMomentWhateverHappens() throws {
        let fixture = try EngineFixture()
        for number in 100..<120 { try fixture.put("k\(number)".bytes, "v1".bytes) }
        var cursor = try fixture.engine.makeCursor()
        for round in 0..<20 {
            for number in 100..<120 { try fixture.put("k\(number)".bytes, "w\(round)".bytes) }
            try fixture.flush(mark: fixture.sequence)
            try fixture.work()
        }
        XCTAssertGreaterThan(fixture.engine.floor, cursor.readSequence)
        XCTAssertEqual(try EngineFixture.forward(&cursor), (100..<120).map { "k\($0)=v1" })
        XCTAssertEqual(try EngineFixture.backward(&cursor), (100..<120).map { "k\($0)=v1" }.reversed())
    }

    func testACursorThatMayNotWaitSaysSo() throws {
        final class Waiting: DiskHook {
            func answer(_ call: DiskCall) -> DiskAnswer {
                call.operation == .read && !call.mayWait ? .wouldWait : .proceed
            }
        }
        var options = EngineOptions.tiny
        options.cacheBytes = 1 << 20
        let fixture = try EngineFixture(hook: Waiting(), options: options)
        for number in 100..<120 { try fixture.put("k\(number)".bytes, "v".bytes) }
        try fixture.flush()
        try fixture.work()
        func isWaiting(_ error: any Error) { XCTAssertEqual((error as? EngineError)?.code, .wouldWait) }
        XCTAssertThrowsError(try fixture.engine.get("k110", waiting: .forbidden)) { isWaiting($0) }
        var cursor = try fixture.engine.makeCursor(waiting: .forbidden)
        do throws(EngineError) {
            try cursor.seekToFirst()
            XCTFail("the disk was not waited for")
        } catch { isWaiting(error) }
        XCTAssertFalse(cursor.isValid)
        // Whoever may wait brings the blocks into memory, and then nobody has to.
        XCTAssertEqual(try fixture.pairs().count, 20)
        XCTAssertEqual(try fixture.engine.get("k110", waiting: .forbidden)?.value, "v")
        XCTAssertEqual(try EngineFixture.forward(&cursor).count, 20)
    }
}

extension EngineCursorTests {
    func testASnapshotKeepsItsMomentReadable() throws {
        let fixture = try EngineFixture()
        let empty = fixture.engine.snapshot()
        try fixture.put("k", "v1")
        try fixture.put("l", "w1")
        let first = fixture.engine.snapshot()
        try fixture.put("k", "v2")
        let second = fixture.engine.snapshot()
        let same = fixture.engine.snapshot()
        try fixture.delete("k")
        try fixture.deleteRange("l", "m")
        try fixture.flush(mark: fixture.sequence)
        try fixture.put("z", "forces a second table")
        try fixture.flush(mark: fixture.sequence)
        try fixture.work()
        XCTAssertEqual(fixture.engine.metrics.snapshotCount, 4)
        XCTAssertEqual(fixture.engine.metrics.oldestSnapshot, 0)
        func pairs(_ snapshot: EngineSnapshot) throws -> [String] {
            var cursor = try fixture.engine.makeCursor(in: snapshot)
            return try EngineFixture.forward(&cursor)
        }
        XCTAssertEqual(try pairs(empty), [])
        XCTAssertEqual(try pairs(first), ["k=v1", "l=w1"])
        XCTAssertEqual(try pairs(second), ["k=v2", "l=w1"])
        XCTAssertEqual(try pairs(same), ["k=v2", "l=w1"])
        XCTAssertEqual(try fixture.engine.get("k", in: first)?.value, "v1")
        XCTAssertNil(try fixture.get("k"))
        assertFails(.compacted) { try fixture.get("k", at: first.sequence) }
        for snapshot in [empty, first, second, same] { snapshot.close() }
        XCTAssertEqual(fixture.engine.metrics.snapshotCount, 0)
        XCTAssertNil(fixture.engine.metrics.oldestSnapshot)
    }
}
