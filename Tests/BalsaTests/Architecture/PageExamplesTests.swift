import Foundation
import XCTest

/// Every page with an example in bytes is read by a test, so that no example can be wrong for long.
final class PageExamplesTests: XCTestCase {
    func testEveryPage_withAnExampleInBytes_isReadByATest() throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let pages = tests.deletingLastPathComponent().appendingPathComponent("Docs")
        let found = FileManager.default.enumerator(at: tests, includingPropertiesForKeys: nil)
        let sources = try (found?.allObjects as? [URL] ?? []).filter { $0.pathExtension == "swift" }
            .map { try String(contentsOf: $0, encoding: .utf8) }
            .filter { $0.contains("String(contentsOf") && $0.contains("hex") }
        XCTAssertGreaterThan(sources.count, 5)
        var examples = 0
        for page in try FileManager.default.contentsOfDirectory(at: pages, includingPropertiesForKeys: nil) {
            guard page.pathExtension == "md" else { continue }
            let parts = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "```hex")
            examples += parts.count - 1
            guard parts.count > 1 else { continue }
            let name = page.deletingPathExtension().lastPathComponent
            XCTAssertTrue(
                sources.contains {
                    $0.contains("\"Docs/\(name).md\"") || $0.contains("\"\(name)\"") || $0.contains("\"\(name).md\"")
                },
                name
            )
        }
        XCTAssertGreaterThan(examples, 10)
    }
}
