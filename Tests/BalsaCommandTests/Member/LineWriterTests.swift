import BalsaPlatform
import Foundation
import Glibc
import XCTest

@testable import BalsaCommand

/// A caller never waits for a reader, and replies are not lost for that.
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
        let failure = await output.finish(within: nil)
        XCTAssertNil(failure)
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

    // MARK: Writes that fail

    /// Plays the kernel: takes three bytes, and fails with `number` until there is space.
    private final class Disk: Sendable {
        private let shared = Locked((space: 3, failures: 0))
        private let number: Int32

        init(failingWith number: Int32) { self.number = number }

        var failures: Int { shared.withLock { $0.failures } }

        func makeSpace() { shared.withLock { $0.space = .max } }

        func write(_ descriptor: Int32, _ base: UnsafeRawPointer?, _ count: Int) -> Int {
            let space = shared.withLock { shared in
                if shared.space == 0 { shared.failures += 1 }
                return shared.space
            }
            guard space > 0 else {
                errno = number
                return number == 0 ? 0 : -1
            }
            let written = Glibc.write(descriptor, base, min(count, space))
            shared.withLock { if $0.space != .max { $0.space -= written } }
            return written
        }
    }

    private func finish(_ writer: LineWriter) async {
        let promise = Promise<Void>()
        writer.finish { promise.give(()) }
        await promise.value()
    }

    func testWrite_thatFailsForAWhile_isTriedAgainAndCompletesTheLine() async throws {
        for number in [ENOSPC, EDQUOT, EIO, EFBIG] {
            let pipe = Pipe()
            let disk = Disk(failingWith: number)
            let writer = try LineWriter(pipe.fileHandleForWriting.fileDescriptor, call: disk.write)
            let written = Locked(0)
            writer.write(Array("1 value 7 hello".utf8)) { written.withLock { $0 += 1 } }
            try await eventually("the write fails twice") { disk.failures >= 2 }
            XCTAssertEqual(writer.failure?.rawValue, number)
            let notices = LineWriter.maxNotices + 500
            for notice in 0..<notices { writer.note(Array("* notice \(notice)".utf8)) }
            for reply in 2...3 { writer.write(Array("\(reply) none".utf8)) { written.withLock { $0 += 1 } } }
            XCTAssertEqual(written.withLock { $0 }, 0, "none is written")
            disk.makeSpace()
            await finish(writer)
            try pipe.fileHandleForWriting.close()

            let text = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
            let all = text.components(separatedBy: "\n").dropLast()
            let kept = (500..<notices).map { "* notice \($0)" }
            XCTAssertEqual(Array(all), ["1 value 7 hello", "* dropped 500"] + kept + ["2 none", "3 none"])
            XCTAssertEqual(written.withLock { $0 }, 3)
            XCTAssertNil(writer.failure)
        }
    }

    func testWrite_toAFullPipeThatDoesNotBlock_waitsForTheReader() async throws {
        let target = pipe.fileHandleForWriting.fileDescriptor
        XCTAssertEqual(fcntl(target, F_SETFL, O_NONBLOCK), 0)
        let failures = Locked(0)
        let writer = try LineWriter(target) {
            let count = Glibc.write($0, $1, $2)
            if count < 0, errno == EAGAIN { failures.withLock { $0 += 1 } }
            return count
        }
        // More than a pipe holds.
        let filler = String(repeating: "x", count: 10_000)
        for _ in 0..<20 { writer.write(Array(filler.utf8)) }
        try await eventually("the pipe is full") { failures.withLock { $0 } > 0 }
        writer.finish { [pipe] in try? pipe.fileHandleForWriting.close() }
        XCTAssertEqual(lines(.max), [String](repeating: filler, count: 20))
    }

    func testWrite_whereNothingCanEverBeWritten_isNotTriedAgain() async throws {
        // The last one says nothing: no byte was written, and no error is told.
        for number in [EPIPE, EBADF, 0] {
            let calls = Locked(0)
            let writer = try LineWriter(pipe.fileHandleForWriting.fileDescriptor) { _, _, _ in
                calls.withLock { $0 += 1 }
                errno = number
                return number == 0 ? 0 : -1
            }
            let promise = Promise<Void>()
            writer.write(Array("1 ok".utf8)) { promise.give(()) }
            await promise.value()
            XCTAssertEqual(calls.withLock { $0 }, 1)
            XCTAssertNil(writer.failure)
            await finish(writer)
        }
    }

    func testFinish_whileWritesFail_givesUpAndSaysWhy() async throws {
        let disk = Disk(failingWith: ENOSPC)
        let target = pipe.fileHandleForWriting.fileDescriptor
        let writer = try LineWriter(target, patienceAtEnd: .milliseconds(1), call: disk.write)
        let written = Locked(0)
        writer.write(Array("1 ok".utf8)) { written.withLock { $0 += 1 } }
        await finish(writer)
        XCTAssertEqual(written.withLock { $0 }, 1, "nobody waits for it any more")
        XCTAssertEqual(writer.failure, .noSpace)
    }
}
