import Foundation
import XCTest

@testable import BalsaLSM

/// Where the memory of indexes and filters comes from, and where it goes.
final class RawMemoryTests: XCTestCase {
    func testMemory_ofAnyLength_isAlignedAndCountsWholePagesIfItIsLong() throws {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        for count in [0, 1, 100, RawMemory.mappedBytes - 1, RawMemory.mappedBytes, RawMemory.mappedBytes + 1, 3 << 20] {
            let memory = RawMemory(count: count, alignment: 64)
            XCTAssertEqual(Int(bitPattern: memory.base) % 64, 0, "\(count)")
            memory.mutableBytes.initializeMemory(as: UInt8.self, repeating: 7)
            XCTAssertEqual(memory.bytes.count, count)
            XCTAssertTrue(memory.bytes.allSatisfy { $0 == 7 }, "\(count)")
            let isLong = count >= RawMemory.mappedBytes
            XCTAssertEqual(memory.memoryBytes, isLong ? (count + page - 1) / page * page : count)
        }
    }

    /// Filters come and go while blocks that lie between them stay.
    func testLongPieces_amongBlocksThatStay_goBackToTheSystem() throws {
        // Below the length from which the heap takes memory from the system, too.
        let (pieceBytes, count) = (100 << 10, 300)
        var pieces: [RawMemory] = []
        var blocks: [Block] = []
        for _ in 0..<count {
            let piece = RawMemory(count: pieceBytes)
            piece.mutableBytes.initializeMemory(as: UInt8.self, repeating: 1)
            pieces.append(piece)
            blocks.append(Block.make(byteCount: 4_096))
        }
        let full = try residentBytes()
        pieces = []
        let left = try residentBytes()
        XCTAssertEqual(blocks.count, count)
        XCTAssertGreaterThan(full - left, pieceBytes * count * 9 / 10)
    }

    /// How much memory of its own this process has resident.
    private func residentBytes() throws -> Int {
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try XCTUnwrap(status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") })
        return try XCTUnwrap(line.split { !$0.isNumber }.first.flatMap { Int($0) }) * 1_024
    }
}
