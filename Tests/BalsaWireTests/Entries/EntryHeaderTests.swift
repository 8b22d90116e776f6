import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

/// The header of an entry: its bytes, and what is refused.
final class EntryHeaderTests: XCTestCase {
    private let header = EntryHeader(
        group: 1,
        index: 2,
        term: 4,
        previousTerm: 3,
        stamp: 5,
        kind: .command,
        flags: 6,
        payloadByteCount: 7,
        payloadChecksum: 8
    )

    private func encoded(_ header: EntryHeader) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xff, count: EntryHeader.encodedByteCount)
        bytes.withUnsafeMutableBytes { header.encode(into: $0) }
        return bytes
    }

    private func decode(_ bytes: [UInt8]) throws -> EntryHeader {
        try bytes.withUnsafeBytes { try EntryHeader(decoding: $0) }
    }

    /// The same bytes under a checksum that matches them.
    private func resealed(_ bytes: [UInt8]) -> [UInt8] {
        let checksum = bytes.withUnsafeBytes { CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[0..<52])) }
        return bytes[0..<52] + withUnsafeBytes(of: checksum.littleEndian) { [UInt8]($0) }
    }

    func testEveryFieldLiesWhereTheFormatPageSays() {
        let bytes = encoded(header)
        let expected: [UInt8] = [
            1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
            5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 2, 6, 0, 0,
        ]
        XCTAssertEqual(Array(bytes[0..<52]), expected)
        XCTAssertEqual(bytes, resealed(bytes))
    }

    func testAHeaderIsDecodedAsItWasEncoded() throws {
        XCTAssertEqual(try decode(encoded(header)), header)
        XCTAssertEqual(header.entryByteCount, 63)
        XCTAssertEqual(header.position, LogPosition(term: 4, index: 2))
    }

    func testEveryFlippedBitIsNoticed() {
        let bytes = encoded(header)
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            assertRefused(.checksum, "entry header checksum", at: 52, "bit \(bit)") { try decode(flipped) }
        }
    }

    func testEveryTruncationIsNoticed() {
        let bytes = encoded(header)
        for count in 0..<bytes.count {
            XCTAssertThrowsError(try decode(Array(bytes[0..<count]))) {
                XCTAssertEqual(($0 as? DecodingError)?.reason, .truncated)
            }
        }
    }

    func testAnOffsetOutsideOfTheBytesIsRefused() {
        let bytes = encoded(header)
        for offset in [-1, 1, 57, Int.max] {
            assertRefused(.truncated, "entry header", at: max(0, min(offset, bytes.count)), "\(offset)") {
                try bytes.withUnsafeBytes { try EntryHeader(decoding: $0, at: offset) }
            }
        }
    }

    func testNumbersAboveTheLargestAreRefused() {
        let changes: [(inout EntryHeader) -> Void] = [
            { $0.index = largestNumber + 1 }, { $0.term = largestNumber + 1 }, { $0.previousTerm = .max },
            { $0.stamp = largestNumber + 1 },
        ]
        for change in changes {
            var large = header
            change(&large)
            XCTAssertThrowsError(try decode(encoded(large))) {
                XCTAssertEqual(($0 as? DecodingError)?.reason, .outOfBounds)
            }
        }
    }

    func testReservedBytesAreRefusedUnlessTheyAreZero() {
        for place in [50, 51] {
            var bytes = encoded(header)
            bytes[place] = 1
            assertRefused(.outOfBounds, "entry reserved bytes", at: 50) { try decode(resealed(bytes)) }
        }
    }

    func testKindsAreOfEntriesOrOfTheLog() {
        XCTAssertFalse(EntryKind(rawValue: 0).isEntry)
        XCTAssertTrue(EntryKind.noOp.isEntry)
        XCTAssertTrue(EntryKind(rawValue: 127).isEntry)
        XCTAssertFalse(EntryKind(rawValue: 128).isEntry)
        XCTAssertEqual(EntryKind.noOp.rawValue, EntryMetadata.noOpKind)
        XCTAssertEqual(EntryKind.command.rawValue, EntryMetadata.commandKind)
        XCTAssertEqual(EntryHeader.encodedByteCount, Int(EntryMetadata.headerByteCount))
    }
}
