import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaCommand

/// Whoever says something never waits for a reader, and replies are not lost for that.
final class LineWriterTests: XCTestCase {
    private let pipe = Pipe()
    private var source: Int32 { pipe.fileHandleForReading.fileDescriptor }

    private func lines(_ count: Int) -> [String] {
        var reader = LineReader(source, limit: 1 << 20)
        var lines: [String] = []
        while lines.count < count, case .line(let line) = reader.next() {
            lines.append(String(decoding: line, as: UTF8.self))
        }
        return lines
    }

    func testWhileNobodyReadsNoticesAreDroppedAndCountedAndRepliesAreNot() async throws {
        let writer = try LineWriter(pipe.fileHandleForWriting.fileDescriptor)
        let written = Locked(0)
        let (replies, notices) = (50, 5_000)
        // More than a pipe holds.
        let filler = [UInt8](repeating: UInt8(ascii: "x"), count: 10_000)
        for number in 0..<notices {
            writer.note(Array("* notice \(number)".utf8))
            if number % (notices / replies) == 0 { writer.write(filler) { written.withLock { $0 += 1 } } }
        }
        XCTAssertLessThan(written.withLock { $0 }, replies, "the pipe is full")
        writer.write(Array("last".utf8))
        writer.finish { [pipe] in try? pipe.fileHandleForWriting.close() }

        let all = lines(.max)
        XCTAssertEqual(all.filter { $0.hasPrefix("x") }.count, replies)
        XCTAssertEqual(written.withLock { $0 }, replies)
        XCTAssertEqual(all.last, "last")
        let dropped = all.filter { $0.hasPrefix("* dropped ") }.compactMap { Int($0.dropFirst(10)) }.reduce(0, +)
        let told = all.filter { $0.hasPrefix("* notice ") }.compactMap { Int($0.dropFirst(9)) }
        XCTAssertGreaterThan(dropped, 0)
        XCTAssertEqual(told.count + dropped, notices)
        XCTAssertEqual(told.last, notices - 1, "the oldest are dropped")
        XCTAssertEqual(told, told.sorted())
    }

    func testWhatAMemberSaysOfItselfWaitsForNoReader() async throws {
        let output = try MemberOutput(pipe.fileHandleForWriting.fileDescriptor)
        let reason = String(repeating: "r", count: 1_000)
        for _ in 0..<500 { output.write("* state failed \(reason)") }
        output.write("* state closed")
        // Only now somebody reads.
        XCTAssertEqual(lines(501).last, "* state closed")
        await output.finish(within: nil)
    }

    func testLinesThatNobodyCanReadAnyMoreAreDoneWith() async throws {
        let writer = try LineWriter(pipe.fileHandleForWriting.fileDescriptor)
        let written = Locked(0)
        for _ in 0..<20 { writer.write([UInt8](repeating: 7, count: 10_000)) { written.withLock { $0 += 1 } } }
        try pipe.fileHandleForReading.close()
        let promise = Promise<Void>()
        writer.finish { promise.give(()) }
        await promise.value()
        XCTAssertEqual(written.withLock { $0 }, 20)
        writer.write([]) { written.withLock { $0 += 1 } }
        XCTAssertEqual(written.withLock { $0 }, 21)
    }
}
