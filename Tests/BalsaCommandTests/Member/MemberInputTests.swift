import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaCommand

/// The lines that a member is asked by are bounded, and reading them can be stopped at any time.
final class MemberInputTests: XCTestCase {
    private let pipe = Pipe()

    private func input(_ bounds: MemberInput.Bounds = .init()) throws -> MemberInput {
        try MemberInput(pipe.fileHandleForReading.fileDescriptor, bounds)
    }

    private func send(_ text: String) { pipe.fileHandleForWriting.write(Data(text.utf8)) }

    /// How many threads of this process wait in `poll`, by the numbers that x86-64 and arm64 give it and `ppoll`.
    private func pollingThreadCount() throws -> Int {
        let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")
        return threads.count { thread in
            // A thread that has ended meanwhile has no file.
            let text = try? String(contentsOfFile: "/proc/self/task/\(thread)/syscall", encoding: .utf8)
            return ["7", "73", "271"].contains(text?.split(separator: " ").first.map(String.init))
        }
    }

    func testStop_whileItWaitsForALineAndTheOtherEndStaysOpen_endsTheLinesAndReadsNoMore() async throws {
        let before = try pollingThreadCount()
        let input = try input()
        send("1 close\n")
        var lines = input.lines.makeAsyncIterator()
        let first = await lines.next()
        XCTAssertEqual(first, Array("1 close".utf8))
        try await eventually("it waits for the next line") { try self.pollingThreadCount() > before }
        input.stop()
        let second = await lines.next()
        XCTAssertTrue(second == nil, "the lines have ended")
        send("2 still open\n")
        var unread = [UInt8](repeating: 0, count: 100)
        let descriptor = pipe.fileHandleForReading.fileDescriptor
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        let count = read(descriptor, &unread, unread.count)
        XCTAssertEqual(unread.prefix(max(0, count)), Array("2 still open\n".utf8)[...], "what comes later is not taken")
        input.stop()
    }

    func testStop_whileTooMuchIsUnderWay_endsTheLinesWithoutTheNext() async throws {
        let input = try input(.init(lines: 1))
        send("1\n2\n")
        var lines = input.lines.makeAsyncIterator()
        let first = await lines.next()
        XCTAssertEqual(first, Array("1".utf8))
        input.stop()
        XCTAssertEqual(input.countUnderWay, 1)
        input.answered(Array("1".utf8))
        XCTAssertEqual(input.countUnderWay, 0)
        let second = await lines.next()
        XCTAssertTrue(second == nil, "it was read, and nobody had to answer it")
    }

    func testLines_moreThanMayBeUnderWay_waitForAnswers() async throws {
        for bounds in [MemberInput.Bounds(lines: 3), MemberInput.Bounds(bytes: 5)] {
            let pipe = Pipe()
            let input = try MemberInput(pipe.fileHandleForReading.fileDescriptor, bounds)
            pipe.fileHandleForWriting.write(Data((10..<30).map { "\($0)\n" }.joined().utf8))
            try pipe.fileHandleForWriting.close()
            var lines = input.lines.makeAsyncIterator()
            var waiting: [[UInt8]] = []
            func take() async throws {
                let line = await lines.next()
                waiting.append(try XCTUnwrap(try XCTUnwrap(line, "the lines have ended"), "a line is too long"))
            }
            for _ in 0..<3 { try await take() }
            XCTAssertEqual(input.countUnderWay, 3)
            // Each answer lets one more in.
            for _ in 3..<20 {
                input.answered(waiting.removeFirst())
                try await take()
                XCTAssertEqual(input.countUnderWay, 3, "one was answered, and one came")
            }
            XCTAssertEqual(waiting.map { String(decoding: $0, as: UTF8.self) }, ["27", "28", "29"])
            input.answered(waiting.removeFirst())
            let end = await lines.next()
            XCTAssertTrue(end == nil, "the input has ended")
            input.stop()
        }
    }

    func testLines_tooLong_isToldAndTheNextIsRead() async throws {
        let input = try input(.init(bytesOfLine: 100_000))
        let text = String(repeating: "x", count: 300_000) + "\nnext\n"
        let writing = Task.detached { [pipe] in pipe.fileHandleForWriting.write(Data(text.utf8)) }
        var found: [[UInt8]?] = []
        for await line in input.lines {
            found.append(line)
            if found.count == 2 { break }
        }
        XCTAssertEqual(found, [nil, Array("next".utf8)])
        await writing.value
        input.stop()
    }

    func testInit_withoutADescriptorLeft_saysWhyAndWhatToDo() throws {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        XCTAssertEqual(getrlimit(resource, &limit), 0)
        var none = limit
        none.rlim_cur = 0
        XCTAssertEqual(setrlimit(resource, &none), 0)
        let results = [
            Result { _ = try input() }, Result { try EndSignals().start() }, Result { _ = try ReservedPorts(1) },
        ]
        XCTAssertEqual(setrlimit(resource, &limit), 0)
        let beginnings = [
            "there is no pipe to wake the thread that reads", "there is no pipe for signals",
            "no port of the loopback can be reserved",
        ]
        for (result, beginning) in zip(results, beginnings) {
            XCTAssertThrowsError(try result.get()) { error in
                let reason = "Too many open files (errno 24); raise the limit of open files"
                XCTAssertEqual("\(error)", "\(beginning): \(reason)")
            }
        }
    }
}
