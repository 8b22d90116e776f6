import Foundation
import XCTest

@testable import BalsaBench

/// A folder that goes away, and what tests of the benchmark compare.
class BenchTestCase: XCTestCase {
    private var parent = ""

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        parent = url.path
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(atPath: parent) }

    /// A new folder for a run.
    func makeFolder() throws -> WorkFolder {
        let url = URL(fileURLWithPath: parent).appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return try WorkFolder(below: url.path)
    }

    /// The sentence with which `body` ends a run; nil, and a failed test, where it ends none.
    func sentence(
        file: StaticString = #filePath,
        line: UInt = #line,
        _ body: () throws -> Void
    ) -> String? {
        do {
            try body()
            XCTFail("nothing was reported", file: file, line: line)
            return nil
        } catch let error as BenchmarkError {
            return error.description
        } catch let error as OptionReader.Failure {
            return error.line
        } catch {
            XCTFail("another error: \(error)", file: file, line: line)
            return nil
        }
    }
}
