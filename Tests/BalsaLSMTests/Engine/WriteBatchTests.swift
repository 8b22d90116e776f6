import BalsaPlatform
import XCTest

@testable import BalsaLSM

/// Batches and their encoded form.
final class WriteBatchTests: XCTestCase {
    private func texts(_ batch: WriteBatch) -> [String] {
        var found: [String] = []
        batch.visit { kind, key, value in
            found.append("\(kind) \(Bytes(copying: key)) \(Bytes(copying: value))")
        }
        return found
    }

    private var sample: WriteBatch {
        var batch = WriteBatch()
        batch.put("key", "a value that is longer than fifteen bytes")
        batch.delete("")
        batch.deleteRange(from: "a", to: "b")
        return batch
    }

    private func encoded(_ batch: WriteBatch) -> [UInt8] { batch.withEncoded { [UInt8]($0) } }

    func testWritesAreInTheirOrder() {
        let batch = sample
        XCTAssertEqual(
            texts(batch),
            ["put key a value that is longer than fifteen bytes", "deletion  ", "rangeDeletion a b"]
        )
        XCTAssertEqual(batch.count, 3)
        XCTAssertEqual(batch.rangeDeletionCount, 1)
        XCTAssertEqual(batch.longestKeyBytes, 3)
        XCTAssertEqual(batch.longestValueBytes, 41)
    }

    func testTheEncodedFormIsThatOfTheComment() {
        var batch = WriteBatch()
        batch.put("k", "vw")
        XCTAssertEqual(encoded(batch), [1, 0, 0, 0, 1, 1, 0, 0, 0, 2, 0, 0, 0] + Array("kvw".utf8))
        XCTAssertEqual(batch.byteCount, 16)
    }

    func testAnEmptiedBatchIsAsNew() {
        var batch = sample
        batch.removeAll()
        XCTAssertTrue(batch.isEmpty)
        XCTAssertEqual(encoded(batch), encoded(WriteBatch()))
        XCTAssertEqual(batch.longestKeyBytes, 0)
    }

    func testReuse_afterALongerBatch_showsNothingOfIt() {
        var batch = WriteBatch()
        for number in 0..<100 { batch.put(Bytes("long \(number)"), Bytes([UInt8](repeating: 7, count: number))) }
        let longest = batch.byteCount
        batch.removeAll()
        XCTAssertEqual(batch.byteCount, WriteBatch().byteCount)
        batch.delete("short")
        batch.deleteRange(from: "b", to: "a")
        var fresh = WriteBatch()
        fresh.delete("short")
        XCTAssertEqual(encoded(batch), encoded(fresh))
        XCTAssertEqual(batch.byteCount, fresh.byteCount)
        XCTAssertLessThan(batch.byteCount, longest)
        XCTAssertEqual(texts(batch), ["deletion short "])
        XCTAssertNil(batch.repetition)
        XCTAssertNotNil(batch.fault, "the range deletion that is the wrong way round is left out and noted")
        let copy = batch
        batch.removeAll()
        batch.put("other", "value")
        XCTAssertEqual(texts(copy), ["deletion short "], "a copy keeps what it was made of")
    }

    func testKeysInTwoPiecesAreKeysInOne() {
        var pieces = WriteBatch()
        var whole = WriteBatch()
        let values: [[UInt8]] = [Array("pre".utf8), Array("key".utf8), Array("value".utf8), Array("preky".utf8)]
        values[0].withUnsafeBytes { prefix in
            values[1].withUnsafeBytes { key in
                values[2].withUnsafeBytes { pieces.put(prefix: prefix, key: key, value: $0) }
                pieces.delete(prefix: prefix, key: key)
                values[3].withUnsafeBytes { pieces.deleteRange(prefix: prefix, from: key, to: $0) }
                // What begins behind its end deletes nothing.
                values[0].withUnsafeBytes { pieces.deleteRange(prefix: prefix, from: key, to: $0) }
            }
        }
        whole.put("prekey", "value")
        whole.delete("prekey")
        whole.deleteRange(from: "prekey", to: "preky")
        whole.deleteRange(from: "prekey", to: "pre")
        whole.deleteRange(from: "prekey", to: "prekey")
        XCTAssertEqual(encoded(pieces), encoded(whole))
        XCTAssertEqual(pieces.count, 3)
    }

    func testDecodingGivesTheBatchBack() throws {
        for batch in [sample, WriteBatch()] {
            let decoded = try encoded(batch).withUnsafeBytes { try WriteBatch(decoding: $0) }
            XCTAssertEqual(texts(decoded), texts(batch))
            XCTAssertEqual(decoded.count, batch.count)
            XCTAssertEqual(decoded.longestValueBytes, batch.longestValueBytes)
            XCTAssertEqual(decoded.rangeDeletionCount, batch.rangeDeletionCount)
        }
    }

    func testEveryTruncationIsRefusedAndNoFlippedBitTraps() {
        let bytes = encoded(sample)
        // Where each field begins that a reader takes at once, and where each write does.
        var fields = [0]
        var writes = [4]
        for (key, value) in [(3, 41), (0, 0), (1, 1)] {
            let start = writes[writes.count - 1]
            fields += [start, start + 1, start + 5, start + 9, start + 9 + key]
            writes.append(start + 9 + key + value)
        }
        XCTAssertEqual(writes.last, bytes.count)
        for count in 0..<bytes.count {
            let isBetweenWrites = writes.contains(count)
            let place = isBetweenWrites ? 0 : fields.last { $0 <= count } ?? 0
            assertRefused(isBetweenWrites ? .inconsistent : .truncated, at: place, "cut to \(count)") {
                try bytes[..<count].withUnsafeBytes { try WriteBatch(decoding: $0) }
            }
        }
        var accepted = 0
        for bit in 0..<8 * bytes.count {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            guard let batch = flipped.withUnsafeBytes({ try? WriteBatch(decoding: $0) }) else { continue }
            // The checksum around a batch is that of the log. What is accepted here can be walked through.
            XCTAssertEqual(texts(batch).count, batch.count)
            accepted += 1
        }
        // The bits of the keys and the value, and those of the kind that make a put of a deletion.
        XCTAssertTrue((8 * 40...8 * 48).contains(accepted), "\(accepted)")
    }
}
