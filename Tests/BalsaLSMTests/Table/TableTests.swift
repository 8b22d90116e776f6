import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Tables as LevelDB's `table_test` tries them: every way to read is held against a sorted array.
final class TableTests: XCTestCase {
    private func puts(_ keys: [[UInt8]]) -> [TestEntry] {
        keys.map { TestEntry(key: $0, sequence: 7, value: [UInt8]("v".utf8) + $0) }
    }

    private func puts(_ keys: [String]) -> [TestEntry] { puts(keys.map { Array($0.utf8) }) }

    /// Reads a table in every way and expects the entries, which are in order.
    private func check(
        _ table: Table,
        _ entries: [TestEntry],
        probes: [[UInt8]] = [],
        file: StaticString = #filePath,
        line: UInt = #line
    ) throws {
        XCTAssertEqual(try table.entries(), entries, "forward", file: file, line: line)
        XCTAssertEqual(try table.entriesBackwards(), entries.reversed(), "backward", file: file, line: line)
        XCTAssertEqual(try table.entries(fillsCache: false), entries, "past the cache", file: file, line: line)
        var cursor = table.makeCursor(fillsCache: true)
        for probe in probes + [[], [0xff, 0xff, 0xff]] {
            for sequence in [0, 3, 7, largestSequenceNumber] {
                let trailer = Trailer.seek(sequence)
                let expected = entries.firstIndex { !$0.isBefore(probe, trailer) }.map { entries[$0] }
                try cursor.seek(probe, trailer)
                let message = "\(Bytes(probe)) at \(sequence)"
                XCTAssertEqual(cursor.isValid ? cursor.entry : nil, expected, "seek \(message)", file: file, line: line)
                let found = try table.get(probe, at: sequence)
                XCTAssertEqual(found, expected?.key == probe ? expected : nil, "get \(message)", file: file, line: line)
            }
            let before = entries.last { $0.key.lexicographicallyPrecedes(probe) }
            try cursor.seekBefore(probe)
            XCTAssertEqual(cursor.isValid ? cursor.entry : nil, before, "before", file: file, line: line)
        }
        XCTAssertNoThrow(try table.verify(), file: file, line: line)
        XCTAssertNil(table.cache.checkInvariants(), file: file, line: line)
    }

    // MARK: LevelDB's cases

    func testLoad_entryOfNoKnownKind_isDamageOfItsFile() throws {
        let fixture = TableFixture()
        let entry = TestEntry(key: Array("a".utf8), sequence: 1, value: Array("b".utf8))
        let table = try fixture.table([entry])
        XCTAssertThrowsError(try LoadedParts().load(TableMiss(table: table, part: .kind), .allowed)) { error in
            XCTAssertEqual((error as? EngineError)?.code, .damaged)
            XCTAssertTrue("\(error)".contains(table.metadata.fileName), "\(error)")
        }
    }

    func testTheEmptyKey() throws {
        let entries = puts([""])
        try check(try TableFixture().table(entries), entries, probes: [[0], [1]])
    }

    func testASingleKey() throws {
        let entries = puts(["abc"])
        let probes = ["ab", "abb", "abc", "abcd", "abd"].map { Array($0.utf8) }
        try check(try TableFixture().table(entries), entries, probes: probes)
    }

    func testSeveralKeys() throws {
        let entries = puts(["abc", "abcd", "ac", "ac2"])
        let probes = ["a", "abc", "abca", "abcd", "ab", "ac", "ac2", "ad"].map { Array($0.utf8) }
        try check(try TableFixture().table(entries), entries, probes: probes)
    }

    func testASpecialKey() throws {
        let entries = puts([[0xff, 0xff]])
        let probes: [[UInt8]] = [[0xff], [0xff, 0xfe], [0xff, 0xff], [0xff, 0xff, 0]]
        try check(try TableFixture().table(entries), entries, probes: probes)
    }

    func testKeysThatDifferByTrailingZerosOnly() throws {
        // Missing bytes and zeros have the same head; the searches must not take one for the other.
        let entries = puts((0...12).map { [1] + [UInt8](repeating: 0, count: $0) })
        for blockBytes in [128, 4096] {
            try check(try TableFixture(blockBytes: blockBytes).table(entries), entries, probes: entries.map(\.key))
        }
    }

    func testRandomTablesOfEveryBlockSize() throws {
        for (round, blockBytes) in [128, 200, 512, 1_024, 4_096, 16_384, 32_768].enumerated() {
            for shape in KeyShape.allCases {
                var random = RandomSource(seed: UInt64(100 * round) + shape.rawValue)
                let entries = shape.entries(random.draw(1...160), &random)
                let table = try TableFixture(blockBytes: blockBytes).table(entries)
                let present = (0..<8).map { _ in random.pick(entries).key }
                let absent = (0..<8).map { _ in shape.key(&random) }
                try check(table, entries, probes: present + absent + present.map { $0 + [0] })
            }
        }
    }

    // MARK: Shapes of their own

    func testValuesLargerThanABlock() throws {
        var entries = puts((0..<40).map { "key\(1_000 + $0)" })
        entries[3].value = [UInt8](repeating: 3, count: 1_000)
        entries[4].value = [UInt8](repeating: 4, count: 70_000)
        entries[20].value = [UInt8](repeating: 5, count: 1 << 20)
        let fixture = TableFixture(cacheBytes: 4 << 20)
        let table = try fixture.table(entries)
        try check(table, entries, probes: entries.map(\.key))
        // A long value has a block of its own, so that its neighbours are read without it.
        let long = try XCTUnwrap((0..<table.index.count).map { table.index.place($0).byteCount }.max())
        XCTAssertLessThan(long, (1 << 20) + 64)
    }

    func testAKeyWithManyVersionsOverSeveralBlocks() throws {
        let key = Array("same".utf8)
        var entries = [TestEntry(key: Array("before".utf8), sequence: 9, value: [1])]
        for sequence in stride(from: SequenceNumber(600), through: 2, by: -2) {
            let kind = sequence % 10 == 0 ? ValueKind.deletion : .put
            let value = kind == .put ? Array("value \(sequence)".utf8) : []
            entries.append(TestEntry(key: key, sequence: sequence, kind: kind, value: value))
        }
        entries.append(TestEntry(key: Array("samf".utf8), sequence: 4, value: [2]))
        let table = try TableFixture().table(entries)
        XCTAssertGreaterThan(table.index.count, 20)
        try check(table, entries, probes: [key, Array("samf".utf8), Array("before".utf8)])
        for sequence in SequenceNumber(0)...603 {
            let expected = entries.first { $0.key == key && $0.sequence <= sequence }
            XCTAssertEqual(try table.get(key, at: sequence), expected, "at \(sequence)")
        }
        XCTAssertEqual(table.metadata.entryCount, 302)
        XCTAssertEqual(table.metadata.deletionCount, 60)
        XCTAssertEqual(table.metadata.smallestSequence, 2)
        XCTAssertEqual(table.metadata.largestSequence, 600)
    }

    func testABlockIsCutBeforeAKeyThatTakesTheSharedPrefixAway() throws {
        // Long keys with a long prefix in common fit into one block, until a key without it comes.
        let prefix = [UInt8](repeating: 0x61, count: 4_000)
        var entries = puts((0..<30).map { prefix + [UInt8($0)] })
        entries.append(TestEntry(key: [0x62], sequence: 7, value: [1]))
        let table = try TableFixture(blockBytes: 4_096).table(entries)
        try check(table, entries, probes: entries.map(\.key) + [prefix])
        for number in 0..<table.index.count {
            XCTAssertLessThanOrEqual(table.index.place(number).byteCount, 2 * 4_096)
        }
    }

    func testTheLongestKeyAndOneThatIsTooLong() throws {
        let fixture = TableFixture()
        let writer = try fixture.writer()
        let longest = [UInt8](repeating: 1, count: 65_535)
        try writer.add(TestEntry(key: longest, sequence: 1, value: [1]))
        XCTAssertThrowsError(try writer.add(TestEntry(key: longest + [1], sequence: 1, value: []))) { error in
            XCTAssertEqual((error as? EngineError)?.code, .invalid)
        }
        try writer.add(TestEntry(key: [2], sequence: 1, value: [2]))
        let table = try fixture.open(try writer.finish())
        XCTAssertEqual(try table.get(longest)?.value, [1])
        XCTAssertEqual(try table.entries().map(\.key.count), [65_535, 1])
        XCTAssertNoThrow(try table.verify())
    }

    // MARK: Metadata and tombstones

    func testBoundsAreThoseOfEntriesAndTombstones() throws {
        func metadata(_ keys: [String], _ ranges: [(Bytes, Bytes)]) throws -> TableMetadata {
            try TableFixture().write(puts(keys), ranges.map { RangeDeletion(start: $0, end: $1, sequence: 9) })
        }
        let entriesOnly = try metadata(["b", "d"], [])
        XCTAssertEqual([entriesOnly.smallest, entriesOnly.largest], ["b", "d"])
        XCTAssertFalse(entriesOnly.largestIsExclusive)
        let wider = try metadata(["b", "d"], [("a", "c"), ("c", "e")])
        XCTAssertEqual([wider.smallest, wider.largest], ["a", "e"])
        XCTAssertTrue(wider.largestIsExclusive)
        XCTAssertEqual(wider.largestSequence, 9)
        XCTAssertEqual(wider.smallestSequence, 7)
        let sameEnd = try metadata(["b", "d"], [("c", "d")])
        XCTAssertEqual([sameEnd.smallest, sameEnd.largest], ["b", "d"])
        XCTAssertFalse(sameEnd.largestIsExclusive)
        let tombstonesOnly = try metadata([], [("c", "d")])
        XCTAssertEqual([tombstonesOnly.smallest, tombstonesOnly.largest], ["c", "d"])
        XCTAssertTrue(tombstonesOnly.largestIsExclusive)
        XCTAssertEqual(tombstonesOnly.entryCount, 0)
        XCTAssertEqual(tombstonesOnly.rangeDeletionCount, 1)
        XCTAssertEqual(tombstonesOnly.smallestSequence, 9)
    }

    func testTombstonesComeBackAndTheFilterDoesNotHideThem() throws {
        let deletions = [
            RangeDeletion(start: "c", end: "x", sequence: 12),
            RangeDeletion(start: "a", end: "m", sequence: 30),
            RangeDeletion(start: "y", end: "y", sequence: 99),
            RangeDeletion(start: "", end: "a", sequence: 8),
        ]
        let fixture = TableFixture()
        let table = try fixture.table(puts(["b"]), deletions)
        XCTAssertEqual(table.tombstones.fragments, TombstoneList(deletions).fragments)
        XCTAssertEqual(table.metadata.rangeDeletionCount, 3)
        XCTAssertEqual(table.metadata.largest, "x")
        let key = Bytes("q")
        XCTAssertEqual(key.withUnsafeBytes { table.tombstones.covering($0, at: 50) }, 12)
        XCTAssertNil(try table.get([UInt8](key)))
        XCTAssertNoThrow(try table.verify())
    }

    func testATableWithTombstonesOnly() throws {
        let table = try TableFixture().table([], [RangeDeletion(start: "a", end: "b", sequence: 3)])
        XCTAssertEqual(table.tombstones.count, 1)
        try check(table, [], probes: [[0x61]])
    }

    func testATableWithoutFilterMayHaveEverything() throws {
        let fixture = TableFixture()
        let table = try fixture.open(try fixture.write(puts(["a", "b"]), filterBitsPerKey: 0))
        XCTAssertTrue(table.mayContain(hash: 1))
        XCTAssertEqual(try table.get([0x61])?.value, Array("va".utf8))
        XCTAssertNil(try table.get([0x62, 0x62]))
        XCTAssertNoThrow(try table.verify())
    }

    func testAFilterSparesTheReadOfABlock() throws {
        let table = try TableFixture().table(puts((0..<100).map { "key\(1_000 + $0)" }))
        var denied = 0
        for number in 0..<100 where try table.get(Array("key\(1_000 + number)x".utf8)) == nil { denied += 1 }
        XCTAssertEqual(denied, 100)
        XCTAssertLessThan(table.cache.misses + table.cache.hits, 10, "most absent keys need no block")
    }
}

/// How the keys of a random table look.
enum KeyShape: UInt64, CaseIterable {
    case short
    case sharedPrefix
    case random
    case high
    case long

    func key(_ random: inout RandomSource) -> [UInt8] {
        func bytes(_ count: Int, _ low: Int, _ high: Int) -> [UInt8] {
            (0..<count).map { _ in UInt8(random.draw(low...high)) }
        }
        switch self {
        case .short: return bytes(random.draw(0...3), 0, 2)
        case .sharedPrefix: return Array("table/000000/".utf8) + bytes(random.draw(0...8), 0x30, 0x33)
        case .random: return bytes(16, 0, 255)
        case .high: return bytes(random.draw(0...6), 0xfe, 0xff)
        case .long: return [UInt8](repeating: 0x70, count: random.draw(80...90)) + bytes(40, 0, 255)
        }
    }

    /// Entries in their order, some of them versions of the same key.
    func entries(_ count: Int, _ random: inout RandomSource) -> [TestEntry] {
        var entries: [TestEntry] = []
        for _ in 0..<count {
            let repeated = entries.isEmpty || random.chance(2, in: 3) ? nil : random.pick(entries).key
            let key = repeated ?? key(&random)
            let isDeletion = random.chance(1, in: 5)
            let value = (0..<(isDeletion ? 0 : random.draw(0...60))).map { _ in UInt8(random.draw(0...255)) }
            let kind = isDeletion ? ValueKind.deletion : .put
            entries.append(TestEntry(key: key, sequence: random.below(12), kind: kind, value: value))
        }
        return TestEntry.sorted(entries)
    }
}
