import BalsaPlatform
import XCTest

@testable import BalsaLSM

/// Asserts that `body` fails for this reason, and where they are given: by this file operation, with this number, and with a
/// sentence that names `name`.
func assertFails<Result>(
    _ code: EngineError.Code,
    _ operation: FileError.Operation? = nil,
    _ number: FileError.Number? = nil,
    _ message: String = "",
    naming name: String = "",
    file: StaticString = #filePath,
    line: UInt = #line,
    _ body: () throws -> Result
) {
    XCTAssertThrowsError(try body(), message, file: file, line: line) { error in
        guard let found = error as? EngineError else { return XCTFail("\(error) \(message)", file: file, line: line) }
        XCTAssertEqual(found.code, code, "\(found) \(message)", file: file, line: line)
        if let operation {
            XCTAssertEqual(found.cause?.operation, operation, "\(found) \(message)", file: file, line: line)
        }
        if let number { XCTAssertEqual(found.cause?.number, number, "\(found) \(message)", file: file, line: line) }
        if !name.isEmpty {
            XCTAssertTrue(found.description.contains(name), "\(found) \(message)", file: file, line: line)
        }
    }
}

/// Asserts that bytes are refused for this reason, at this offset.
func assertRefused<Result>(
    _ reason: DecodingError.Reason,
    at offset: Int,
    _ message: String = "",
    file: StaticString = #filePath,
    line: UInt = #line,
    _ body: () throws -> Result
) {
    XCTAssertThrowsError(try body(), message, file: file, line: line) { error in
        guard let found = error as? DecodingError else { return XCTFail("\(error) \(message)", file: file, line: line) }
        XCTAssertEqual(found.reason, reason, "\(found) \(message)", file: file, line: line)
        XCTAssertEqual(found.offset, offset, "\(found) \(message)", file: file, line: line)
    }
}
