import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import Foundation
import XCTest

@testable import BalsaLog

/// The format pages in `Docs` against the code: their examples are decoded, and written again byte for byte.
final class FormatPageTests: XCTestCase {
    private func text(_ page: String) throws -> String {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: package.appendingPathComponent("Docs/" + page), encoding: .utf8)
    }

    /// The bytes of the example in a page: what stands between "```hex" and "```".
    private func example(_ page: String) throws -> [UInt8] {
        let parts = try text(page).components(separatedBy: "```hex\n")
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
        let record = VoteRecord(
            group: 1,
            sequence: 3,
            state: HardState(term: 7, vote: 2),
            logEnd: LogPlace(segment: 1, offset: 8_192)
        )
        let encoded = [UInt8](record.encoded())
        XCTAssertEqual(encoded.count, 4_096)
        XCTAssertEqual(Array(encoded[..<bytes.count]), bytes)
        XCTAssertTrue(encoded[bytes.count..<4_092].allSatisfy { $0 == 0 })
        let checksum = encoded[4_092...].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
        XCTAssertTrue(try text("VoteFormat.md").contains("Its last four bytes are `\(checksum)`"), checksum)
        XCTAssertEqual(try VoteRecord(decoding: Bytes(encoded)), record)
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

    /// A record ends with its own checksum, so that a CRC of a body alone is the same whichever record it holds.
    func testABodyChecksum_ofAnotherRecordOfThatLength_isAnother() throws {
        let states = GroupState.encode([], mark: DirectoryMark(opening: Opening(boot: 1, nonce: 1))).bytes
        let bodies = (1...50 as ClosedRange<UInt64>).map { index in
            let position = LogPosition(term: 1, index: index)
            let record = ControlRecord(kind: .prefixRemoval, group: 1, position: position).encoded()
            return Bytes([UInt8](states) + [UInt8](record))
        }
        XCTAssertEqual(Set(bodies.map { CRC32C.checksum($0) }).count, 1, "a CRC does not tell them apart")
        XCTAssertEqual(Set(bodies.map { BodyChecksum.checksum($0) }).count, 50)
        for body in bodies {
            var parts = BodyChecksum()
            for cut in [0..<3, 3..<40, 40..<41, 41..<body.count] {
                body.slice(cut).withUnsafeBytes { parts.append($0) }
            }
            XCTAssertEqual(parts.value, BodyChecksum.checksum(body), "in parts as in one")
        }
    }
}
