import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import Foundation
import XCTest

@testable import BalsaLog

/// The format pages in `Docs` against the code: their examples are decoded, and written again byte for byte.
final class FormatPageTests: XCTestCase {
    /// The bytes of the example in a page: what stands between "```hex" and "```".
    private func example(_ page: String) throws -> [UInt8] {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: package.appendingPathComponent("Docs/" + page), encoding: .utf8)
        let parts = text.components(separatedBy: "```hex\n")
        XCTAssertEqual(parts.count, 2, "\(page) has one example")
        let block = try XCTUnwrap(parts.last?.components(separatedBy: "```").first)
        return try block.split(whereSeparator: \.isWhitespace).map { try XCTUnwrap(UInt8($0, radix: 16), "\($0)") }
    }

    func testTheEntryOfTheEntryPage() throws {
        let bytes = try example("EntryFormat.md")
        let batch = try EntryBatch(decoding: Bytes(bytes), group: 1, entriesBytesLimit: 1_024)
        XCTAssertEqual(batch.count, 1)
        XCTAssertEqual(batch.previous, LogPosition(term: 1, index: 1))
        XCTAssertEqual(batch.last, LogPosition(term: 2, index: 2))
        XCTAssertEqual(batch.header(at: 2).stamp, 1_000)
        XCTAssertEqual(batch.header(at: 2).kind, .command)
        XCTAssertEqual(batch.payload(at: 2), "put")

        var builder = EntryBatch.Builder(group: 1, previous: LogPosition(term: 1, index: 1), capacityBytes: 64)
        builder.append(term: 2, stamp: 1_000, kind: .command, payload: "put")
        XCTAssertEqual([UInt8](builder.finish().bytes), bytes)
    }

    func testTheCopyOfTheVotePage() throws {
        let bytes = try example("VoteFormat.md")
        let record = VoteRecord(group: 1, sequence: 3, state: HardState(term: 7, vote: 2))
        XCTAssertEqual(try VoteRecord(decoding: Bytes(bytes)), record)
        XCTAssertEqual([UInt8](record.encoded()), bytes)
    }

    func testTheSegmentOfTheLogPage() throws {
        let bytes = try example("LogFormat.md")
        let path = "log/0000000000000001.log"
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.createDirectory("log")
        let file = try files.open(path, .create)
        try file.setSize(1_024)
        try file.write(Bytes(bytes), at: 0)
        let (log, groups, report) = try Log.open(files, directory: "log", options: .tiny)
        XCTAssertTrue(report.wasSealed)
        XCTAssertEqual(report.frames, 4)
        XCTAssertEqual(groups.count, 1)
        XCTAssertEqual(groups[0].last, LogPosition(term: 1, index: 1))
        XCTAssertEqual(try log.entries(1, from: 1, through: 1, maxBytes: 100).payload(at: 1), "hi")

        let other = SimulatedDisk()
        let driver = try LogDriver(other.mount())
        try driver.append(1, term: 1, ["hi"])
        try driver.flush()
        try driver.seal()
        let written = try XCTUnwrap(other.contents(of: path))
        XCTAssertEqual(Array(written[..<bytes.count]), bytes)
        XCTAssertTrue(written[bytes.count...].allSatisfy { $0 == 0 })
    }
}
