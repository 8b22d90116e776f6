import BalsaPlatform
import XCTest

final class ByteReaderTests: XCTestCase {
    /// One value of every kind that a format may have.
    private struct Sample: Equatable {
        var byte: UInt8
        var short: UInt16
        var word: UInt32
        var long: UInt64
        var signed: Int64
        var body: Bytes

        func encode(into writer: inout ByteWriter) throws(DecodingError) {
            try writer.uint8(byte, "byte")
            try writer.uint16(short, "short")
            try writer.uint32(word, "word")
            try writer.uint64(long, "long")
            try writer.write(signed, "signed")
            try writer.uint32(UInt32(body.count), "body bytes")
            try writer.bytes(body, "body")
            try writer.zeros(3, "reserved")
        }

        init(_ byte: UInt8, _ short: UInt16, _ word: UInt32, _ long: UInt64, _ signed: Int64, _ body: Bytes) {
            (self.byte, self.short, self.word) = (byte, short, word)
            (self.long, self.signed, self.body) = (long, signed, body)
        }

        init(from reader: inout ByteReader) throws(DecodingError) {
            byte = try reader.uint8("byte")
            short = try reader.uint16("short")
            word = try reader.uint32("word")
            long = try reader.uint64("long")
            signed = try reader.read(Int64.self, "signed")
            body = try reader.bytes(Int(try reader.uint32("body bytes")), "body")
            try reader.skip(3, "reserved")
            try reader.finish("sample")
        }
    }

    private let samples = [
        Sample(0, 0, 0, 0, 0, ""),
        Sample(1, 2, 3, 4, -5, "short"),
        Sample(.max, .max, .max, .max, .min, "a body that does not fit inline"),
        Sample(0x12, 0x3456, 0x789a_bcde, 0x0123_4567_89ab_cdef, .max, [0, 0xff]),
    ]

    private func encoded(_ sample: Sample) throws -> Bytes {
        var writer = ByteWriter()
        try sample.encode(into: &writer)
        return Bytes(writer.array)
    }

    func testWhatWasWrittenIsRead() throws {
        for sample in samples {
            let bytes = try encoded(sample)
            XCTAssertEqual(try bytes.withReader { reader in try Sample(from: &reader) }, sample)
        }
    }

    func testIntegersAreLittleEndian() throws {
        var writer = ByteWriter()
        try writer.uint16(0x0102, "a")
        try writer.uint32(0x0304_0506, "b")
        try writer.uint64(0x0708_090a_0b0c_0d0e, "c")
        XCTAssertEqual(writer.array, [2, 1, 6, 5, 4, 3, 14, 13, 12, 11, 10, 9, 8, 7])
    }

    func testEveryTruncationIsAnErrorAndNotATrap() throws {
        for sample in samples {
            let bytes = try encoded(sample)
            for count in 0..<bytes.count {
                XCTAssertThrowsError(try bytes.slice(0..<count).withReader { try Sample(from: &$0) }) { error in
                    XCTAssertEqual((error as? BalsaPlatform.DecodingError)?.reason, .truncated, "cut to \(count) bytes")
                }
            }
        }
    }

    func testAByteTooManyIsAnError() throws {
        let bytes = Bytes([UInt8](try encoded(samples[1])) + [0])
        XCTAssertThrowsError(try bytes.withReader { try Sample(from: &$0) }) { error in
            XCTAssertEqual(
                error as? BalsaPlatform.DecodingError,
                DecodingError(.inconsistent, "sample", at: bytes.count - 1)
            )
        }
    }

    func testAFailedReadNamesItsFieldAndPlaceAndMovesNothing() throws {
        try Bytes([1, 2, 3, 4, 5]).withReader { reader in
            _ = try reader.uint32("good")
            XCTAssertEqual(reader.offset, 4)
            XCTAssertEqual(reader.remaining, 1)
            do {
                _ = try reader.uint16("bad")
                XCTFail("there is one byte only")
            } catch let error as BalsaPlatform.DecodingError {
                XCTAssertEqual(error, DecodingError(.truncated, "bad", at: 4))
                XCTAssertEqual(error.description, "bad: truncated at byte 4")
            }
            XCTAssertEqual(reader.offset, 4)
            XCTAssertEqual(try reader.uint8("rest"), 5)
        }
    }

    func testALengthOfAnySizeIsHeldAgainstWhatIsLeft() {
        for length in [6, 1 << 40, Int.max, -1, Int.min] {
            for bytes in [Bytes([1, 2, 3, 4, 5]), Bytes()] {
                let fault = BalsaPlatform.DecodingError(.truncated, "body", at: 0)
                XCTAssertThrowsError(try bytes.withReader { _ = try $0.bytes(length, "body") }) {
                    XCTAssertEqual($0 as? BalsaPlatform.DecodingError, fault)
                }
                XCTAssertThrowsError(try bytes.withReader { try $0.skip(length, "body") }) {
                    XCTAssertEqual($0 as? BalsaPlatform.DecodingError, fault)
                }
            }
        }
    }

    func testUnalignedNumbersAreRead() throws {
        let array = (0..<40).map { UInt8($0) }
        for start in 0..<32 {
            try Bytes(array).withReader { reader in
                try reader.skip(start, "before")
                XCTAssertEqual(try reader.uint64("number") & 0xff, UInt64(start))
            }
        }
    }

    func testTheChecksumCountsFromWhereTheReaderBegan() throws {
        try Bytes("xx123456789yy").withReader { reader in
            try reader.skip(11, "before")
            XCTAssertEqual(reader.checksum(of: 2..<11), 0xe306_9283)
            XCTAssertEqual(reader.checksum(of: 0..<0), 0)
        }
    }
}
