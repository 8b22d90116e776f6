import XCTest

@testable import BalsaRaft

/// Asserts that what `body` makes is refused with this sentence.
func assertRefused<Result>(
    _ reason: String,
    file: StaticString = #filePath,
    line: UInt = #line,
    _ body: () throws -> Result
) {
    XCTAssertThrowsError(try body(), reason, file: file, line: line) { error in
        XCTAssertEqual((error as? ConfigurationError)?.description, reason, "\(error)", file: file, line: line)
    }
}
