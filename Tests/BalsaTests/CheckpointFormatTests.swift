import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import Foundation
import XCTest

@testable import Balsa

/// `Docs/CheckpointFormat.md` against the code: its examples are decoded, written again, and damaged in every way.
final class CheckpointFormatTests: XCTestCase {
    private let position = LogPosition(term: 3, index: 40)

    /// The bytes of the examples of the page, in their order: what stands between "```hex" and "```".
    private func examples() throws -> [[UInt8]] {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = package.appendingPathComponent("Docs/CheckpointFormat.md")
        let parts = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "```hex\n")
        XCTAssertEqual(parts.count, 3, "the page has an example of each file")
        return try parts.dropFirst().map { part in
            let block = try XCTUnwrap(part.components(separatedBy: "```").first)
            return try block.split(whereSeparator: \.isWhitespace).map { try XCTUnwrap(UInt8($0, radix: 16), "\($0)") }
        }
    }

    func testTheRootOfThePage() throws {
        let bytes = try examples()[0]
        let root = RootFile(generation: 2, position: position)
        XCTAssertEqual(try RootFile(decoding: Bytes(bytes)), root)
        XCTAssertEqual([UInt8](try root.encoded()), bytes)
        XCTAssertEqual(bytes.count, RootFile.byteCount)
    }

    func testTheCheckpointOfThePage() throws {
        let bytes = try examples()[1]
        let machine = RegisterMachine()
        try machine.restore(Bytes(bytes).slice(CheckpointFile.headerByteCount..<bytes.count))
        XCTAssertEqual(machine.value(of: "k"), "v")

        let checkpoint = CheckpointFile(position: position, stamp: 1_000, state: machine.checkpoint())
        XCTAssertEqual(try CheckpointFile(decoding: Bytes(bytes)), checkpoint)
        XCTAssertEqual([UInt8](try checkpoint.encoded()), bytes)
    }

    func testEveryFlippedBitIsRefused() throws {
        let examples = try examples()
        for (place, bytes) in examples.enumerated() {
            for bit in 0..<bytes.count * 8 {
                var damaged = bytes
                damaged[bit / 8] ^= 1 << (bit % 8)
                XCTAssertThrowsError(try decode(damaged, asRoot: place == 0), "file \(place), bit \(bit)")
            }
        }
    }

    func testEveryCutAndEveryExcessIsRefused() throws {
        let examples = try examples()
        for (place, bytes) in examples.enumerated() {
            for count in 0..<bytes.count {
                XCTAssertThrowsError(try decode(Array(bytes[..<count]), asRoot: place == 0), "file \(place), \(count)")
            }
            XCTAssertThrowsError(try decode(bytes + [0], asRoot: place == 0), "file \(place) and one byte more")
        }
    }

    func testANewerVersionIsRefusedAsSuch() throws {
        for (place, bytes) in try examples().enumerated() {
            var newer = bytes
            newer[4] = 2
            XCTAssertThrowsError(try decode(newer, asRoot: place == 0)) { error in
                XCTAssertEqual((error as? BalsaPlatform.DecodingError)?.reason, .version)
            }
        }
    }

    func testAnEmptyStateIsAState() throws {
        let checkpoint = CheckpointFile(position: position, stamp: .max, state: Bytes())
        XCTAssertEqual(try CheckpointFile(decoding: try checkpoint.encoded()), checkpoint)
    }

    /// Under right checksums, too, numbers must be within their bounds.
    func testPositionsOutsideOfTheirBoundsAreRefused() throws {
        let wrong = [
            LogPosition(term: 3, index: 0), LogPosition(term: largestNumber + 1, index: 40),
            LogPosition(term: 3, index: largestNumber + 1),
        ]
        for position in wrong {
            let root = try RootFile(generation: 1, position: position).encoded()
            XCTAssertThrowsError(try RootFile(decoding: root), "\(position)")
            let checkpoint = try CheckpointFile(position: position, stamp: 0, state: "s").encoded()
            XCTAssertThrowsError(try CheckpointFile(decoding: checkpoint), "\(position)")
        }
        XCTAssertThrowsError(try RootFile(decoding: try RootFile(generation: 0, position: self.position).encoded()))
        XCTAssertNoThrow(
            try RootFile(
                decoding: try RootFile(
                    generation: .max,
                    position: LogPosition(term: largestNumber, index: largestNumber)
                ).encoded()
            )
        )
    }

    private func decode(_ bytes: [UInt8], asRoot: Bool) throws {
        if asRoot { _ = try RootFile(decoding: Bytes(bytes)) } else { _ = try CheckpointFile(decoding: Bytes(bytes)) }
    }
}
