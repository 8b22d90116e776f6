import BalsaPlatform
import BalsaSimulation
import Foundation
import XCTest

@testable import BalsaLSM

/// The example of `Docs/TableFormat.md` is a table, and the one that the code writes.
final class TableFormatPageTests: XCTestCase {
    private func example() throws -> [UInt8] {
        var package = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { package.deleteLastPathComponent() }
        let text = try String(contentsOf: package.appendingPathComponent("Docs/TableFormat.md"), encoding: .utf8)
        let parts = text.components(separatedBy: "```hex\n")
        XCTAssertEqual(parts.count, 2, "the page has one example")
        let block = try XCTUnwrap(parts.last?.components(separatedBy: "```").first)
        return try block.split(whereSeparator: \.isWhitespace).map { try XCTUnwrap(UInt8($0, radix: 16), "\($0)") }
    }

    private let entries = [
        TestEntry(key: Array("raft".utf8), sequence: 5, value: Array("log".utf8)),
        TestEntry(key: Array("raft".utf8), sequence: 3, kind: .deletion, value: []),
        TestEntry(key: Array("rail".utf8), sequence: 4, value: []),
    ]
    private let deletions = [RangeDeletion(start: "rb", end: "s", sequence: 6)]

    func testTheTableOfThePage() throws {
        let fixture = TableFixture()
        let metadata = try fixture.write(entries, deletions, id: 7, filterBitsPerKey: 0)
        let written = try XCTUnwrap(fixture.disk.contents(of: fixture.path(1)))
        let lines = stride(from: 0, to: written.count, by: 16).map { start in
            written[start..<min(start + 16, written.count)].map { byte in
                (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }.joined(separator: " ")
        }
        XCTAssertEqual(try example(), written, lines.joined(separator: "\n"))
        XCTAssertEqual(try fixture.open(metadata).entries(), entries)
    }
}
