import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// What is not as it was written is refused, wherever in the file it is, and nothing in a file takes the process down.
final class TableDamageTests: XCTestCase {
    private let deletions = [
        RangeDeletion(start: "key1003x", end: "key1010", sequence: 4),
        RangeDeletion(start: "key1020", end: "z", sequence: 9),
    ]

    private var entries: [TestEntry] {
        (0..<24).map { number in
            let isDeletion = number % 5 == 2
            return TestEntry(
                key: Array("key\(1_000 + number)".utf8),
                sequence: UInt64(number % 3 + 1),
                kind: isDeletion ? .deletion : .put,
                value: isDeletion ? [] : Array("value".utf8)
            )
        }
    }

    /// Reads everything that can be read, as a user of the table does.
    ///
    /// - Returns: what was read; nil if any of it was refused.
    private func read(_ fixture: TableFixture, _ metadata: TableMetadata) -> [TestEntry]? {
        do {
            let table = try fixture.open(metadata)
            defer { table.close() }
            var found = try table.entries()
            guard try table.entriesBackwards() == found.reversed() else { return [] }
            for key in entries.map(\.key) { if let entry = try table.get(key) { found.append(entry) } }
            return found
        } catch {
            expectDamage(error, fixture)
            return nil
        }
    }

    private func isRefused(_ fixture: TableFixture, _ metadata: TableMetadata) -> Bool {
        do {
            let table = try fixture.open(metadata)
            defer { table.close() }
            try table.verify()
            return false
        } catch {
            expectDamage(error, fixture)
            return true
        }
    }

    /// The error says damage, and names the file.
    private func expectDamage(_ error: any Error, _ fixture: TableFixture, line: UInt = #line) {
        XCTAssertEqual((error as? EngineError)?.code, .damaged, "\(error)", line: line)
        XCTAssertTrue("\(error)".contains(fixture.path(1)), "\(error)", line: line)
    }

    // MARK: Decay

    func testEveryFlippedBitIsRefused() throws {
        let fixture = TableFixture(blockBytes: 128)
        let metadata = try fixture.write(entries, deletions)
        XCTAssertLessThan(metadata.byteCount, 2_048)
        let right = try XCTUnwrap(read(fixture, metadata))
        XCTAssertEqual(right.count, 48)
        for offset in 0..<metadata.byteCount {
            for bit in 0..<8 {
                XCTAssertTrue(fixture.disk.corrupt(fixture.path(1), at: offset, mask: 1 << UInt8(bit)))
                XCTAssertTrue(isRefused(fixture, metadata), "bit \(bit) of byte \(offset)")
                // All keys are looked for, so that there is no byte that a reader could leave out.
                if bit == offset % 8 { XCTAssertNil(read(fixture, metadata), "bit \(bit) of byte \(offset)") }
                fixture.disk.corrupt(fixture.path(1), at: offset, mask: 1 << UInt8(bit))
            }
        }
        XCTAssertEqual(read(fixture, metadata), right)
    }

    func testEveryTruncationIsRefused() throws {
        let fixture = TableFixture(blockBytes: 128)
        let metadata = try fixture.write(entries, deletions)
        let file = try fixture.files.open(fixture.path(1), .readWrite)
        for length in (0..<metadata.byteCount).reversed() {
            try file.setSize(length)
            XCTAssertTrue(isRefused(fixture, metadata))
            // A manifest that says the same does not make a table of it.
            var shorter = metadata
            shorter.byteCount = length
            XCTAssertTrue(isRefused(fixture, shorter))
        }
    }

    func testALongerFileIsRefused() throws {
        let fixture = TableFixture()
        var metadata = try fixture.write(entries)
        try fixture.files.open(fixture.path(1), .readWrite).write("x", at: metadata.byteCount)
        XCTAssertTrue(isRefused(fixture, metadata))
        metadata.byteCount += 1
        XCTAssertTrue(isRefused(fixture, metadata))
    }

    func testAMissingFileIsNamed() throws {
        let fixture = TableFixture()
        let metadata = try fixture.write(entries)
        try fixture.files.remove(fixture.path(1))
        XCTAssertThrowsError(try fixture.open(metadata)) { error in
            let error = error as? EngineError
            XCTAssertEqual(error?.cause?.number, .notFound)
            XCTAssertTrue(error?.description.contains("table-1") ?? false)
        }
    }

    // MARK: Right bytes in the wrong place

    func testSwappedBlocksAreRefused() throws {
        let fixture = TableFixture(blockBytes: 128)
        let same = (0..<64).map { TestEntry(key: [UInt8($0)], sequence: 1, value: [1, 2, 3, 4]) }
        let metadata = try fixture.write(same)
        let table = try fixture.open(metadata)
        let first = table.index.place(1)
        let second = table.index.place(2)
        XCTAssertEqual(first.byteCount, second.byteCount, "the blocks could take each other's place")
        let bytes = try XCTUnwrap(fixture.disk.contents(of: fixture.path(1)))
        func block(_ place: TablePlace) -> Bytes { Bytes(Array(bytes[Int(place.offset)..<Int(place.end)])) }
        let file = try fixture.files.open(fixture.path(1), .readWrite)
        try file.write(block(second), at: first.offset)
        try file.write(block(first), at: second.offset)
        XCTAssertEqual(try table.get([0]), same[0], "the other blocks are as they were")
        var refused = 0
        for entry in same {
            do {
                let found = try table.get(entry.key)
                XCTAssertEqual(found, entry)
            } catch {
                XCTAssertEqual((error as? EngineError)?.code, .damaged)
                refused += 1
            }
        }
        XCTAssertGreaterThan(refused, 4)
        assertFails(.damaged, naming: fixture.path(1)) { try table.entries() }
        assertFails(.damaged, naming: fixture.path(1)) { try table.verify() }
    }

    func testABlockOfAnotherTableWithTheSameBytesIsRefused() throws {
        let fixture = TableFixture(blockBytes: 128)
        let metadata = try fixture.write(entries, number: 1)
        let other = try fixture.write(entries, number: 2)
        XCTAssertEqual(metadata.byteCount, other.byteCount)
        let place = try fixture.open(metadata).index.place(1)
        let bytes = try XCTUnwrap(fixture.disk.contents(of: fixture.path(2)))
        let file = try fixture.files.open(fixture.path(1), .readWrite)
        try file.write(Bytes(Array(bytes[Int(place.offset)..<Int(place.end)])), at: place.offset)
        XCTAssertTrue(isRefused(fixture, metadata))
        XCTAssertNil(read(fixture, metadata))
    }

    func testAnotherTableUnderTheNameIsRefused() throws {
        let fixture = TableFixture()
        let metadata = try fixture.write(entries, number: 1)
        _ = try fixture.write(entries, number: 2)
        try fixture.files.rename(fixture.path(2), to: fixture.path(1))
        XCTAssertTrue(isRefused(fixture, metadata))
    }

    func testMetadataThatSaysAnythingElseIsRefused() throws {
        let fixture = TableFixture()
        let metadata = try fixture.write(entries, deletions)
        let changes: [(inout TableMetadata) -> Void] = [
            { $0.id += 1 }, { $0.smallest = "k" }, { $0.largest = "zz" }, { $0.largestIsExclusive = false },
            { $0.smallestSequence += 1 }, { $0.largestSequence += 1 }, { $0.entryCount += 1 },
            { $0.deletionCount -= 1 }, { $0.rangeDeletionCount = 0 },
        ]
        for (number, change) in changes.enumerated() {
            var changed = metadata
            change(&changed)
            XCTAssertTrue(isRefused(fixture, changed), "change \(number)")
        }
        XCTAssertFalse(isRefused(fixture, metadata))
    }

    // MARK: Forgery

    func testANewerFormatIsToldFromDamage() throws {
        let fixture = TableFixture()
        let metadata = try fixture.write(entries)
        let forger = try TableForger(fixture, metadata)
        try forger.change(0..<28) { $0[8] = 2 }
        XCTAssertThrowsError(try fixture.open(metadata)) { error in
            XCTAssertEqual((error as? EngineError)?.code, .upgradeRequired)
        }
    }

    func testAFilterOfAnUnknownKindIsNotAsked() throws {
        let fixture = TableFixture()
        let metadata = try fixture.write(entries)
        let forger = try TableForger(fixture, metadata)
        try forger.changeFooter { $0[8] = 77 }
        let table = try fixture.open(metadata)
        XCTAssertTrue((0..<100).allSatisfy { table.mayContain(hash: $0 &* 0x9e37_79b9_7f4a_7c15) })
        XCTAssertEqual(try table.entries(), entries)
        for entry in entries { XCTAssertEqual(try table.get(entry.key), entry) }
    }

    func testBytesWithRightChecksumsThatNoWriterWroteDoNotTrap() throws {
        let fixture = TableFixture(blockBytes: 128)
        let metadata = try fixture.write(entries, deletions)
        let forger = try TableForger(fixture, metadata)
        var random = RandomSource(seed: 11)
        var refused = 0
        let rounds = 3_000
        for _ in 0..<rounds {
            try forger.restore()
            for _ in 0..<random.draw(1...3) {
                let place = random.pick(forger.places)
                try forger.change(place) { bytes in
                    guard !bytes.isEmpty else { return }
                    // Lengths and counts lie at the beginnings of the sections.
                    let reach = random.chance(1, in: 2) ? min(bytes.count, 24) : bytes.count
                    let value: UInt8 = random.pick([0, 1, 0x7f, 0x80, 0xff, UInt8(random.draw(0...255))])
                    bytes[random.draw(0...reach - 1)] = value
                }
            }
            do {
                let table = try fixture.open(metadata)
                defer { table.close() }
                for key in entries.map(\.key) { _ = try table.get(key) }
                _ = try table.entries()
                _ = try table.entriesBackwards()
                var cursor = table.makeCursor(fillsCache: true)
                for entry in entries {
                    try cursor.seek(entry.key, entry.trailer)
                    try cursor.seekBefore(entry.key)
                }
                try table.verify()
            } catch {
                refused += 1
                let code = (error as? EngineError)?.code
                XCTAssertTrue(code == .damaged || code == .upgradeRequired, "\(error)")
            }
        }
        // What passes is a changed value, or a byte that was set to what it was.
        XCTAssertGreaterThan(refused, rounds / 2)
    }
}

/// Changes a table's bytes and makes the checksums right again, as no accident does.
private final class TableForger {
    /// The blocks and sections, without their checksums; the footer is the last.
    let places: [Range<Int>]
    private let bytes: [UInt8]
    private let file: any File
    private let id: UInt64

    init(_ fixture: TableFixture, _ metadata: TableMetadata) throws {
        let table = try fixture.open(metadata)
        let bytes = try XCTUnwrap(fixture.disk.contents(of: fixture.path(metadata.number)))
        let end = bytes.count - TableLayout.footerBytes
        let footer = try bytes[end...].withUnsafeBytes {
            try TableFooter(decoding: $0, id: metadata.id, fileBytes: metadata.byteCount)
        }
        let sections = [footer.filter, footer.index, footer.tombstones, footer.properties]
        places =
            ((0..<table.index.count).map { table.index.place($0) } + sections).map {
                Int($0.offset)..<Int($0.offset + $0.byteCount)
            } + [end..<bytes.count - 4]
        self.bytes = bytes
        id = metadata.id
        file = try fixture.files.open(fixture.path(metadata.number), .readWrite)
    }

    func restore() throws { try file.write(Bytes(bytes), at: 0) }

    func changeFooter(_ body: (inout [UInt8]) -> Void) throws { try change(places[places.count - 1], body) }

    func change(_ range: Range<Int>, _ body: (inout [UInt8]) -> Void) throws {
        let offset = UInt64(range.lowerBound)
        var changed = [UInt8](try file.read(range.count, at: offset))
        body(&changed)
        let checksum = changed.withUnsafeBytes { TableLayout.checksum($0, id: id, offset: offset) }
        try file.write(Bytes(changed), at: offset)
        try file.write(Bytes(withUnsafeBytes(of: checksum.littleEndian) { [UInt8]($0) }), at: UInt64(range.upperBound))
    }
}
