import BalsaPlatform
import BalsaSimulation
import Foundation
import XCTest

@testable import BalsaLSM

/// The page of the write-ahead log's format against the code: its example is read, and written again byte for byte.
final class WriteAheadLogPageTests: XCTestCase {
    private func example() throws -> [UInt8] {
        var package = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { package.deleteLastPathComponent() }
        let page = package.appendingPathComponent("Docs/WriteAheadLogFormat.md")
        let parts = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "```hex\n")
        XCTAssertEqual(parts.count, 2, "the page has one example")
        let block = try XCTUnwrap(parts.last?.components(separatedBy: "```").first)
        return try block.split(whereSeparator: \.isWhitespace).map { try XCTUnwrap(UInt8($0, radix: 16), "\($0)") }
    }

    func testTheExampleIsWhatIsWritten() throws {
        let disk = SimulatedDisk()
        let log = try OpenedLog(disk.mount()).log
        try log.append(1, "hi")
        try log.seal()
        XCTAssertEqual(try XCTUnwrap(disk.contents(of: OpenedLog.path(1))), try example())
    }

    func testTheExampleIsRead() throws {
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.createDirectory(OpenedLog.directory)
        try files.open(OpenedLog.path(1), .create).write(Bytes(try example()), at: 0)
        let opened = try OpenedLog(files)
        XCTAssertEqual(opened.batches, [LoggedBatch(1, "hi")])
        XCTAssertEqual(opened.log.report.rewrittenBatches, 0)
    }
}
