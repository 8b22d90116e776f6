import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaWire

/// Frames of every kind that are committed, one a line of `Tests/Fixtures/wire.txt`: this build reads them, and writes
/// the
/// same. A later build has to read them as well.
final class WireFixtureTests: XCTestCase {
    private var package: URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
    }

    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private func bytes(_ line: Substring) throws -> [UInt8] {
        let digits = Array(line.utf8)
        return try stride(from: 0, to: digits.count, by: 2).map { place in
            try XCTUnwrap(UInt8(String(decoding: digits[place..<place + 2], as: UTF8.self), radix: 16), "\(line)")
        }
    }

    private func committed() throws -> [[UInt8]] {
        let url = package.appendingPathComponent("Tests/Fixtures/wire.txt")
        if ProcessInfo.processInfo.environment["BALSA_WRITE_FIXTURES"] != nil {
            let lines = try PeerFrame.samples.map { hex(try $0.frame()) + "\n" }
            try lines.joined().write(to: url, atomically: true, encoding: .utf8)
        }
        return try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map { try bytes($0) }
    }

    func testFrames_asTheyWereCommitted_areReadAndWrittenAlike() throws {
        let committed = try committed()
        XCTAssertEqual(committed.count, PeerFrame.samples.count, "each sample is committed")
        for (bytes, sample) in zip(committed, PeerFrame.samples) {
            XCTAssertEqual(try sample.frame(), bytes, "\(sample): the same values are written as other bytes")
            XCTAssertEqual(try PeerFrame(decoding: bytes), sample)
        }
    }

    /// A new kind of frame needs a sample.
    func testEveryKindOfFrame_hasACommittedFrame() throws {
        let source = try String(
            contentsOf: package.appendingPathComponent("Sources/BalsaWire/Messages/WireFrameKind.swift"),
            encoding: .utf8
        )
        let kinds = source.components(separatedBy: "= WireFrameKind(rawValue: ").dropFirst().compactMap { part in
            UInt8(part.prefix { $0.isNumber })
        }
        XCTAssertGreaterThan(kinds.count, 15)
        XCTAssertEqual(Set(try committed().map { $0[6] }), Set(kinds))
    }
}
