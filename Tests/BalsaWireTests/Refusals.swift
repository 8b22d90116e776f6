import BalsaPlatform
import XCTest

/// Asserts that bytes are refused for this reason, at this offset, and where one is given as a fault of this field.
func assertRefused<Result>(
    _ reason: DecodingError.Reason,
    _ field: String = "",
    at offset: Int,
    _ message: @autoclosure () -> String = "",
    file: StaticString = #filePath,
    line: UInt = #line,
    _ body: () throws -> Result
) {
    XCTAssertThrowsError(try body(), message(), file: file, line: line) { error in
        guard let found = error as? DecodingError else {
            return XCTFail("\(error) \(message())", file: file, line: line)
        }
        XCTAssertEqual(found.reason, reason, "\(found) \(message())", file: file, line: line)
        XCTAssertEqual(found.offset, offset, "\(found) \(message())", file: file, line: line)
        if !field.isEmpty { XCTAssertEqual("\(found.field)", field, "\(message())", file: file, line: line) }
    }
}

/// What a reader says of a frame with one flipped bit: which part tells it depends on where the bit is.
func fault(ofFlippedBit bit: Int) -> (reason: DecodingError.Reason, offset: Int) {
    switch bit {
    case ..<32: (.magic, 0)
    // Version 1 becomes version 0, which never was; every other bit makes it a newer one.
    case 32: (.outOfBounds, 4)
    case ..<48: (.version, 4)
    case ..<(8 * 52): (.checksum, 48)
    default: (.checksum, 44)
    }
}
