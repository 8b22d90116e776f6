import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

/// Batches: building, slicing, joining, and what is refused when bytes are decoded.
final class EntryBatchTests: XCTestCase {
    /// Entries 5 to 9, of terms 3, 3, 4, 4 and 6, the last without a payload.
    private func sample() -> EntryBatch {
        var builder = EntryBatch.Builder(group: 7, previous: LogPosition(term: 2, index: 4), capacityBytes: 0)
        builder.append(term: 3, stamp: 10, kind: .noOp)
        builder.append(term: 3, stamp: 11, kind: .command, payload: "short")
        builder.append(term: 4, stamp: 12, kind: .command, payload: Bytes(String(repeating: "long", count: 50)))
        builder.append(term: 4, stamp: 13, kind: .configuration, flags: 1, payload: "members")
        builder.append(term: 6, stamp: 14, kind: .noOp)
        return builder.finish()
    }

    private func decode(_ bytes: Bytes, limit: Int = .max) throws(DecodingError) -> EntryBatch {
        try EntryBatch(decoding: bytes, group: 7, entriesBytesLimit: limit)
    }

    func testABatchKnowsItsEntries() {
        let batch = sample()
        XCTAssertEqual(batch.group, 7)
        XCTAssertEqual(batch.firstIndex, 5)
        XCTAssertEqual(batch.lastIndex, 9)
        XCTAssertEqual(batch.count, 5)
        XCTAssertEqual(batch.previous, LogPosition(term: 2, index: 4))
        XCTAssertEqual(batch.last, LogPosition(term: 6, index: 9))
        XCTAssertEqual(batch.byteCount, 5 * 56 + 5 + 200 + 7)
        XCTAssertEqual(batch.bytes.count, batch.byteCount)
        XCTAssertEqual(batch.payload(at: 6), "short")
        XCTAssertEqual(batch.payload(at: 9), "")
        XCTAssertEqual(batch.header(at: 8).kind, .configuration)
        XCTAssertEqual(batch.header(at: 8).flags, 1)
        XCTAssertEqual(batch.header(at: 8).stamp, 13)
        XCTAssertEqual(batch.encodedByteCount(at: 7), 256)
        XCTAssertEqual(batch.byteOffset(at: 7), 56 + 61)
    }

    func testDecodingGivesBackWhatWasBuilt() throws {
        let batch = sample()
        let decoded = try decode(batch.bytes)
        XCTAssertEqual(decoded, batch)
        XCTAssertEqual(decoded.previous, batch.previous)
    }

    func testSlicesAreBatchesOfTheirOwn() throws {
        let batch = sample()
        let slice = batch.slice(from: 6, through: 8)
        XCTAssertEqual(slice.previous, LogPosition(term: 3, index: 5))
        XCTAssertEqual(slice.last, LogPosition(term: 4, index: 8))
        XCTAssertEqual(slice.payload(at: 8), "members")
        XCTAssertEqual(slice.byteOffset(at: 6), 0)
        XCTAssertEqual(try decode(slice.bytes), slice)
        XCTAssertEqual(slice.slice(from: 7, through: 7).bytes, batch.slice(from: 7, through: 7).bytes)
        XCTAssertEqual(slice.compact(), slice)
        XCTAssertEqual(slice.compact().previous, slice.previous)
    }

    func testAPrefixIsTheLongestThatFitsAndNeverEmpty() {
        let batch = sample()
        XCTAssertEqual(batch.prefix(maxBytes: 0).count, 1)
        XCTAssertEqual(batch.prefix(maxBytes: 116).count, 1)
        XCTAssertEqual(batch.prefix(maxBytes: 117).count, 2)
        XCTAssertEqual(batch.prefix(maxBytes: batch.byteCount - 1).count, 4)
        XCTAssertEqual(batch.prefix(maxBytes: batch.byteCount), batch)
        let slice = batch.slice(from: 7, through: 9)
        XCTAssertEqual(slice.prefix(maxBytes: 256 + 63).lastIndex, 8)
    }

    func testJoiningIsTheReverseOfSlicing() throws {
        let batch = sample()
        let parts = [
            batch.slice(from: 5, through: 5), batch.slice(from: 6, through: 8), batch.slice(from: 9, through: 9),
        ]
        let joined = EntryBatch.joining(parts)
        XCTAssertEqual(joined, batch)
        XCTAssertEqual(joined.slice(from: 7, through: 8), batch.slice(from: 7, through: 8))
        XCTAssertEqual(try decode(joined.bytes), batch)
    }

    func testEveryFlippedByteIsRefused() {
        let batch = sample()
        let bytes = [UInt8](batch.bytes)
        for place in bytes.indices {
            var flipped = bytes
            flipped[place] ^= 0x20
            let start = (5...9).map { batch.byteOffset(at: $0) }.last { $0 <= place } ?? 0
            // A flipped checksum of a payload is noticed by that of the header, which covers it.
            if place < start + 56 {
                assertRefused(.checksum, "entry header checksum", at: start + 52, "byte \(place)") {
                    try decode(Bytes(flipped))
                }
            } else {
                assertRefused(.checksum, "entry payload checksum", at: start + 56, "byte \(place)") {
                    try decode(Bytes(flipped))
                }
            }
        }
    }

    func testEveryTruncationInsideAnEntryIsRefused() throws {
        let batch = sample()
        let borders = [0] + (5...9).map { batch.byteOffset(at: $0) + batch.encodedByteCount(at: $0) }
        for count in 0..<batch.byteCount {
            let cut = batch.bytes.slice(0..<count)
            if count > 0 && borders.contains(count) {
                XCTAssertEqual(try decode(cut), batch.prefix(maxBytes: count))
            } else {
                let start = borders.last { $0 <= count } ?? 0
                let fault =
                    count == 0
                    ? ("entries", 0) : count < start + 56 ? ("entry header", start) : ("entry payload", start + 56)
                assertRefused(.truncated, fault.0, at: fault.1, "\(count) bytes") { try decode(cut) }
            }
        }
    }

    func testTooManyBytesAreRefusedBeforeTheyAreLookedAt() {
        let batch = sample()
        XCTAssertThrowsError(try decode(batch.bytes, limit: batch.byteCount - 1)) {
            XCTAssertEqual(($0 as? DecodingError)?.reason, .outOfBounds)
        }
        XCTAssertNoThrow(try decode(batch.bytes, limit: batch.byteCount))
    }

    func testAnotherGroupIsRefused() {
        assertRefused(.inconsistent, "entry group", at: 0) {
            try EntryBatch(decoding: sample().bytes, group: 8, entriesBytesLimit: .max)
        }
    }

    func testEntriesThatAreNotConsecutiveAreRefused() {
        let batch = sample()
        func bytes(_ indexes: [LogIndex]) -> Bytes {
            Bytes(indexes.flatMap { [UInt8](batch.slice(from: $0, through: $0).bytes) })
        }
        XCTAssertNoThrow(try decode(bytes([5, 6])))
        for wrong in [[5, 7], [6, 5], [5, 5]] as [[LogIndex]] {
            XCTAssertThrowsError(try decode(bytes(wrong))) {
                XCTAssertEqual(($0 as? DecodingError)?.reason, .inconsistent)
            }
        }
    }

    /// An entry of any header, right or wrong, under matching checksums.
    private func entry(_ change: (inout EntryHeader) -> Void) -> [UInt8] {
        var header = EntryHeader(group: 7, index: 5, term: 3, previousTerm: 2, stamp: 0, kind: .command)
        change(&header)
        var bytes = [UInt8](repeating: 0, count: EntryHeader.encodedByteCount)
        bytes.withUnsafeMutableBytes { header.encode(into: $0) }
        return bytes
    }

    func testHeadersThatContradictThemselvesAreRefused() {
        XCTAssertNoThrow(try decode(Bytes(entry { _ in })))
        typealias Change = (inout EntryHeader) -> Void
        let changes: [(Change, DecodingError.Reason, field: String, offset: Int)] = [
            ({ $0.index = 0 }, .outOfBounds, "entry index", 8), ({ $0.term = 0 }, .inconsistent, "entry term", 16),
            ({ $0.term = 1 }, .inconsistent, "entry term", 16),
            ({ $0.kind = EntryKind(rawValue: 0) }, .outOfBounds, "entry kind", 48),
            ({ $0.kind = EntryKind(rawValue: 128) }, .outOfBounds, "entry kind", 48),
            ({ $0.payloadByteCount = 1 }, .truncated, "entry payload", 56),
            ({ $0.payloadByteCount = .max }, .truncated, "entry payload", 56),
            ({ $0.payloadChecksum = 1 }, .checksum, "entry payload checksum", 56),
            ({ $0.index = 1 }, .inconsistent, "entry previous term", 24),
        ]
        for (number, (change, reason, field, offset)) in changes.enumerated() {
            assertRefused(reason, field, at: offset, "change \(number)") { try decode(Bytes(entry(change))) }
        }
    }

    func testAPreviousTermThatIsNotTheOneBeforeIsRefused() {
        let first = entry { _ in }
        XCTAssertNoThrow(try decode(Bytes(first + entry { ($0.index, $0.previousTerm, $0.term) = (6, 3, 3) })))
        assertRefused(.inconsistent, "entry previous term", at: 56 + 24) {
            try decode(Bytes(first + entry { ($0.index, $0.previousTerm, $0.term) = (6, 2, 3) }))
        }
    }

    func testABuilderTakesAChecksumThatWasComputedBefore() throws {
        var builder = EntryBatch.Builder(group: 7, previous: .zero, capacityBytes: 100)
        XCTAssertTrue(builder.isEmpty)
        builder.append(term: 1, stamp: 0, kind: .command, payload: "x", payloadChecksum: CRC32C.checksum("x" as Bytes))
        XCTAssertEqual(builder.count, 1)
        XCTAssertEqual(builder.byteCount, 57)
        XCTAssertEqual(builder.last, LogPosition(term: 1, index: 1))
        XCTAssertNoThrow(try decode(builder.finish().bytes))
    }
}
