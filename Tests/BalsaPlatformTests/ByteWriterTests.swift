import BalsaPlatform
import XCTest

final class ByteWriterTests: XCTestCase {
    func testNothingIsWrittenPastTheLimit() throws {
        var writer = ByteWriter(capacity: 1 << 20, limit: 10)
        try writer.uint64(1, "number")
        let before = writer.array
        assertRefused(at: 8) { try writer.uint32(1, "word") }
        assertRefused(at: 8) { try writer.uint64(1, "long") }
        assertRefused(at: 8) { try writer.bytes("abc", "body") }
        assertRefused(at: 8) { try writer.zeros(3, "zeros") }
        assertRefused(at: 8) { try writer.zeros(.max, "zeros") }
        assertRefused(at: 8) { try [UInt8](repeating: 1, count: 3).withUnsafeBytes { try writer.bytes($0, "raw") } }
        XCTAssertEqual(writer.array, before, "a refused write changes nothing")
        try writer.uint16(2, "the last two bytes")
        assertRefused(at: 10) { try writer.uint8(1, "byte") }
        try writer.bytes("", "nothing")
        XCTAssertEqual(writer.count, 10)
    }

    private func assertRefused(at offset: Int, line: UInt = #line, _ write: () throws -> Void) {
        XCTAssertThrowsError(try write(), line: line) { error in
            XCTAssertEqual((error as? BalsaPlatform.DecodingError)?.reason, .outOfBounds, line: line)
            XCTAssertEqual((error as? BalsaPlatform.DecodingError)?.offset, offset, line: line)
        }
    }

    func testALengthIsWrittenOnceItIsKnown() throws {
        var writer = ByteWriter()
        try writer.uint8(0xff, "kind")
        try writer.uint32(0, "length")
        try writer.bytes("body", "body")
        writer.overwrite(UInt32(4), at: 1)
        XCTAssertEqual(writer.array, [0xff, 4, 0, 0, 0] + Array("body".utf8))
    }

    func testTheChecksumCoversTheRange() throws {
        var writer = ByteWriter()
        try writer.bytes("xx123456789yy", "body")
        XCTAssertEqual(writer.checksum(of: 2..<11), 0xe306_9283)
    }

    func testAWriterIsUsedAgain() throws {
        var writer = ByteWriter(limit: 4)
        try writer.uint32(1, "word")
        writer.removeAll()
        XCTAssertEqual(writer.count, 0)
        try writer.uint32(2, "word")
        XCTAssertEqual(writer.array, [2, 0, 0, 0])
    }
}
