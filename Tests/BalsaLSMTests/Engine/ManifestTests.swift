import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// The files MANIFEST and CURRENT, byte by byte.
final class ManifestTests: XCTestCase {
    private func table(_ number: UInt64, _ smallest: Bytes, _ largest: Bytes, sequences: ClosedRange<UInt64>)
        -> TableMetadata
    {
        TableMetadata(
            number: number,
            id: number * 1_000,
            byteCount: 77,
            smallest: smallest,
            largest: largest,
            largestIsExclusive: number % 2 == 0,
            smallestSequence: sequences.lowerBound,
            largestSequence: sequences.upperBound,
            entryCount: 5,
            deletionCount: 2,
            rangeDeletionCount: 1,
            keyCount: 4,
            largestEntrySequence: sequences.upperBound,
            deadBytes: 31,
            deadSequence: sequences.lowerBound
        )
    }

    /// An edit with everything in it.
    private var fullEdit: VersionEdit {
        var edit = VersionEdit()
        edit.removed = [VersionEdit.Removed(level: 1, number: 3)]
        edit.added = [
            VersionEdit.Placed(level: 0, table: table(8, "", "\u{7f}", sequences: 5...9)),
            VersionEdit.Placed(level: 15, table: table(9, "a key of more than fifteen bytes", "b", sequences: 1...1)),
        ]
        edit.seal = SealRecord(sequence: 9, term: 2, stamp: 3, retentionMark: 4, systemState: "state")
        edit.nextFileNumber = 10
        edit.floor = 4
        return edit
    }

    func testAnEditIsWhatItWasAfterEncodingAndDecoding() throws {
        XCTAssertEqual(try VersionEdit(decoding: fullEdit.encoded()), fullEdit)
        XCTAssertEqual(try VersionEdit(decoding: VersionEdit().encoded()), VersionEdit())
    }

    func testEveryTruncatedEditIsRefusedOrShorter() throws {
        let encoded = try fullEdit.encoded()
        var (shortened, refused) = (0, 0)
        for count in 0..<encoded.count {
            // An edit has no length of its own: the record around it does. Cut between two fields it is another edit.
            do throws(BalsaPlatform.DecodingError) {
                let shorter = try VersionEdit(decoding: encoded.slice(0..<count))
                shortened += 1
                XCTAssertNotEqual(shorter, fullEdit)
            } catch {
                refused += 1
                XCTAssertEqual(error.reason, .truncated, "cut to \(count): \(error)")
            }
        }
        XCTAssertGreaterThanOrEqual(shortened, 6)
        XCTAssertGreaterThan(refused, 220)
    }

    func testUnknownFieldsAndImpossibleNumbersAreRefused() {
        func reason(_ bytes: [UInt8]) -> BalsaPlatform.DecodingError.Reason? {
            do { _ = try VersionEdit(decoding: Bytes(bytes)) } catch { return error.reason }
            return nil
        }
        XCTAssertEqual(reason([200]), .version)
        XCTAssertEqual(reason([1, 16] + [UInt8](repeating: 0, count: 8)), .outOfBounds)
        XCTAssertEqual(reason([1, 0, 1]), .truncated)
        // A state of four gigabytes that is not there.
        XCTAssertEqual(reason([3] + [UInt8](repeating: 0, count: 32) + [0xff, 0xff, 0xff, 0xff]), .truncated)
    }

    func testCountsThatAreNotThoseOfAnyTableAreRefused() throws {
        for change: (inout TableMetadata) -> Void in [
            { $0.entryCount = .max }, { $0.entryCount = 78 }, { $0.deletionCount = 6 },
            { $0.rangeDeletionCount = .max },
            { $0.byteCount = 4 },
        ] {
            var edit = fullEdit
            change(&edit.added[0].table)
            let encoded = try edit.encoded()
            XCTAssertThrowsError(try VersionEdit(decoding: encoded)) {
                XCTAssertEqual(($0 as? BalsaPlatform.DecodingError)?.reason, .inconsistent)
            }
        }
        var edit = fullEdit
        edit.nextFileNumber = ManifestState.maxFileNumber
        XCTAssertEqual(try VersionEdit(decoding: edit.encoded()), edit)
        edit.nextFileNumber = ManifestState.maxFileNumber + 1
        XCTAssertThrowsError(try VersionEdit(decoding: edit.encoded())) {
            XCTAssertEqual(($0 as? BalsaPlatform.DecodingError)?.reason, .outOfBounds)
        }
    }

    func testTablesThatHaveMoreBytesThanCanBeCountedAreRefused() {
        var edit = VersionEdit()
        for number in 1...3 as ClosedRange<UInt64> {
            var table = table(number, "a\(number)".bytes, "b\(number)".bytes, sequences: number...number)
            table.byteCount = 1 << 63
            table.entryCount = 1 << 63
            edit.added.append(VersionEdit.Placed(level: 0, table: table))
        }
        edit.seal = SealRecord(sequence: 9)
        edit.nextFileNumber = 10
        var state = ManifestState()
        XCTAssertTrue(state.apply(edit)?.contains("bytes") ?? false)
        var one = ManifestState()
        edit.added.removeLast(2)
        XCTAssertNil(one.apply(edit))
    }

    func testAReceivedManifestWithImpossibleCountsIsDamage() throws {
        let (disk, manifest) = try written()
        let number = try XCTUnwrap(UInt64(manifest.dropFirst("engine/MANIFEST-".count)))
        var state = ManifestState()
        state.seal = SealRecord(sequence: 9)
        state.nextFileNumber = 100
        var table = table(8, "a", "b", sequences: 5...9)
        table.entryCount = .max
        state.levels = [[table]]
        let current = try CurrentFile(decoding: Bytes(try XCTUnwrap(disk.contents(of: "engine/CURRENT"))))
        let image = try Manifest.image(of: state, number: number, engineID: current.engineID)
        try disk.replace(manifest, with: [UInt8](image))
        XCTAssertThrowsError(try open(disk)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .damaged)
            XCTAssertTrue("\($0)".contains("counts of a table"), "\($0)")
        }
    }

    func testTheBytesOfAManifestAreThoseOfTheFormatPage() throws {
        var state = ManifestState()
        state.nextFileNumber = 2
        let manifest = try Manifest.image(of: state, number: 1, engineID: 0x0807_0605_0403_0201)
        XCTAssertEqual([UInt8](manifest), try example())
        let current = CurrentFile(manifestNumber: 1, engineID: 0x0807_0605_0403_0201)
        XCTAssertEqual(try CurrentFile(decoding: current.encoded()), current)
    }

    /// The bytes of the example of `Docs/ManifestFormat.md`: what stands between "```hex" and "```".
    private func example() throws -> [UInt8] {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let page = package.appendingPathComponent("Docs/ManifestFormat.md")
        let parts = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "```hex\n")
        XCTAssertEqual(parts.count, 2, "the page has one example")
        let block = try XCTUnwrap(parts.last?.components(separatedBy: "```").first)
        return try block.split(whereSeparator: \.isWhitespace).map { try XCTUnwrap(UInt8($0, radix: 16), "\($0)") }
    }

    /// A disk with an engine whose manifest holds an image and three edits.
    private func written() throws -> (disk: SimulatedDisk, manifest: String) {
        let fixture = try EngineFixture()
        for number in 1...3 {
            try fixture.put("k\(number)".bytes, "v".bytes)
            try fixture.flush()
        }
        let manifest = "engine/" + (try XCTUnwrap(try fixture.files("MANIFEST-").first))
        fixture.disk.processCrash()
        return (fixture.disk, manifest)
    }

    private func open(_ disk: SimulatedDisk) throws(EngineError) -> StorageEngine {
        var options = EngineOptions.tiny
        options.levelZeroTables = 8
        options.levelZeroTablesToPause = 16
        return try StorageEngine.open("engine", fileSystem: disk.mount(), options: options, seed: 1)
    }

    /// Where the header and the records of a manifest are; zeros lie between them.
    private func records(of bytes: [UInt8], number: UInt64) -> [Range<Int>] {
        var records = [0..<ManifestRecord.FileHeader.byteCount]
        var offset = ManifestRecord.FileHeader.byteCount
        while let body = ManifestRecord.body(at: offset, of: Bytes(bytes), number: number) {
            records.append(offset..<body.upperBound)
            offset = ManifestRecord.start(behind: body.upperBound)
        }
        return records
    }

    func testEveryFlippedBitIsRefusedOrCostsTheLastRecordAlone() throws {
        let (disk, manifest) = try written()
        let bytes = try XCTUnwrap(disk.contents(of: manifest))
        let image = disk.snapshot()
        var refused = 0
        var shortened = 0
        for offset in records(of: bytes, number: 1).joined() {
            for bit in 0..<8 where (offset + bit) % 3 == 0 {
                let flipped = SimulatedDisk(image)
                flipped.corrupt(manifest, at: UInt64(offset), mask: 1 << UInt8(bit))
                do throws(EngineError) {
                    // The last record cannot be told from one that was never finished.
                    let engine = try open(flipped)
                    XCTAssertEqual(engine.durableSeal?.sequence, 2, "byte \(offset), bit \(bit)")
                    shortened += 1
                } catch {
                    XCTAssertEqual(error.code, .damaged, "byte \(offset), bit \(bit)")
                    refused += 1
                }
            }
        }
        XCTAssertGreaterThan(refused, 2 * shortened)
        XCTAssertGreaterThan(shortened, 100)
    }

    /// Without the record the tables that it took away are missing. Who reads of the table alone looks at the wrong
    /// file.
    func testALastRecord_thatIsLostAndTookTablesAway_isRefusedByTheNameOfTheManifest() throws {
        let fixture = try EngineFixture()
        var isGone = false
        for number in 0..<40 where !isGone {
            let before = try fixture.files()
            try fixture.put("k", Bytes("\(number)"))
            try fixture.flush()
            try fixture.work()
            isGone = !Set(before).isSubset(of: try fixture.files())
        }
        XCTAssertTrue(isGone, "a compaction has taken tables away")
        fixture.disk.processCrash()
        let manifest = try XCTUnwrap(try fixture.files("MANIFEST-").first)
        let path = "engine/" + manifest
        let bytes = try XCTUnwrap(fixture.disk.contents(of: path))
        let number = try XCTUnwrap(UInt64(manifest.dropFirst("MANIFEST-".count)))
        let last = try XCTUnwrap(records(of: bytes, number: number).last)
        let image = fixture.disk.snapshot()
        for isCut in [false, true] {
            let damaged = SimulatedDisk(image)
            if isCut {
                try damaged.mount().open(path, .readWrite).setSize(UInt64(last.lowerBound))
            } else {
                damaged.corrupt(path, at: UInt64(last.lowerBound + 20), mask: 4)
            }
            XCTAssertThrowsError(try open(damaged)) { error in
                let sentence = "\(error)"
                XCTAssertTrue(sentence.contains("engine/table-"), sentence)
                XCTAssertTrue(sentence.contains(" is missing, and \(path) names it"), sentence)
            }
        }
    }

    func testABitThatIsFlippedBetweenRecordsChangesNothing() throws {
        let (disk, manifest) = try written()
        let bytes = try XCTUnwrap(disk.contents(of: manifest))
        let records = records(of: bytes, number: 1)
        XCTAssertEqual(records.count, 5, "the header, the image and three edits")
        XCTAssertTrue(records.dropFirst(2).allSatisfy { $0.lowerBound % ManifestRecord.sectorBytes == 0 })
        let image = disk.snapshot()
        for offset in bytes.indices where offset % 61 == 0 && !records.contains(where: { $0.contains(offset) }) {
            XCTAssertEqual(bytes[offset], 0)
            let flipped = SimulatedDisk(image)
            flipped.corrupt(manifest, at: UInt64(offset), mask: 4)
            XCTAssertEqual(try open(flipped).durableSeal?.sequence, 3)
        }
    }

    func testEveryTruncationCostsWhatItCutsOff() throws {
        let (disk, manifest) = try written()
        let bytes = try XCTUnwrap(disk.contents(of: manifest))
        let image = disk.snapshot()
        var seen: [UInt64] = []
        let records = records(of: bytes, number: 1)
        for count in bytes.indices where count % 61 == 0 || records.contains(where: { $0.contains(count) }) {
            let cut = SimulatedDisk(image)
            try cut.mount().open(manifest, .readWrite).setSize(UInt64(count))
            do {
                let sequence = try open(cut).durableSeal?.sequence ?? 0
                if seen.last != sequence { seen.append(sequence) }
            } catch { XCTAssertEqual(error.code, .damaged) }
        }
        // What fills the sector of the last record may be missing.
        XCTAssertEqual(seen, [0, 1, 2, 3])
    }

    func testGarbageBehindTheLastRecordIsDropped() throws {
        for garbage in [[UInt8](repeating: 0, count: 5_000), Array("MREC".utf8), [1, 2, 3]] {
            let (disk, manifest) = try written()
            let end = UInt64(try XCTUnwrap(disk.contents(of: manifest)).count)
            try disk.mount().open(manifest, .readWrite).write(Bytes(garbage), at: end)
            XCTAssertEqual(try open(disk).durableSeal?.sequence, 3)
        }
    }

    func testEveryFlippedBitOfCurrentIsRefused() throws {
        let (disk, _) = try written()
        let image = disk.snapshot()
        for offset in 0..<CurrentFile.byteCount {
            for bit in 0..<8 {
                let flipped = SimulatedDisk(image)
                flipped.corrupt("engine/CURRENT", at: UInt64(offset), mask: 1 << UInt8(bit))
                XCTAssertThrowsError(try open(flipped)) { XCTAssertEqual(($0 as? EngineError)?.code, .damaged) }
            }
        }
    }

    func testAManifestOfAnotherEngineIsRefused() throws {
        let (disk, manifest) = try written()
        let other = try EngineFixture(disk: disk, options: .tiny)
        other.engine.close()
        let stranger = try StorageEngine.open("other", fileSystem: disk.mount(), options: .tiny, seed: 1)
        stranger.close()
        let strange = try XCTUnwrap(disk.contents(of: "other/MANIFEST-1"))
        let files = disk.mount()
        for name in try files.list("engine") where name.hasPrefix("MANIFEST-") { try files.remove("engine/" + name) }
        let current = try CurrentFile(decoding: Bytes(try XCTUnwrap(disk.contents(of: "engine/CURRENT"))))
        let live = "engine/" + EngineFileName.manifestName(current.manifestNumber)
        try files.open(live, .create).write(Bytes(strange), at: 0)
        XCTAssertThrowsError(try open(disk)) { XCTAssertEqual(($0 as? EngineError)?.code, .damaged) }
        XCTAssertNotEqual(live, manifest)
    }

    func testANewerFormatIsAnUpgradeAndNoDamage() throws {
        // The version field of CURRENT with a checksum that fits.
        var bytes = [UInt8](try CurrentFile(manifestNumber: 1, engineID: 2).encoded())
        bytes[8] = 2
        let checksum = bytes[0..<32].withUnsafeBytes { CRC32C.checksum($0) }
        withUnsafeBytes(of: checksum.littleEndian) { raw in for index in 0..<4 { bytes[32 + index] = raw[index] } }
        XCTAssertThrowsError(try CurrentFile(decoding: Bytes(bytes))) {
            XCTAssertEqual(($0 as? BalsaPlatform.DecodingError)?.reason, .version)
        }
    }
}
