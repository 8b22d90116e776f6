import BalsaPlatform
import XCTest

/// Asserts that bytes are refused for this reason, at this offset, and where one is given as a fault of this field.
func assertRefused<Result>(
    _ reason: BalsaPlatform.DecodingError.Reason,
    _ field: String = "",
    at offset: Int,
    _ message: @autoclosure () -> String = "",
    file: StaticString = #filePath,
    line: UInt = #line,
    _ body: () throws -> Result
) {
    XCTAssertThrowsError(try body(), message(), file: file, line: line) { error in
        guard let found = error as? BalsaPlatform.DecodingError else {
            return XCTFail("\(error) \(message())", file: file, line: line)
        }
        XCTAssertEqual(found.reason, reason, "\(found) \(message())", file: file, line: line)
        XCTAssertEqual(found.offset, offset, "\(found) \(message())", file: file, line: line)
        if !field.isEmpty { XCTAssertEqual("\(found.field)", field, "\(message())", file: file, line: line) }
    }
}
