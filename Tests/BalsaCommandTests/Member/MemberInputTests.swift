import Foundation
import XCTest

@testable import BalsaCommand

/// The lines that a member is asked by are bounded, and can be left at any time.
final class MemberInputTests: XCTestCase {
    private let pipe = Pipe()

    private func input(_ bounds: MemberInput.Bounds = .init()) throws -> MemberInput {
        try MemberInput(pipe.fileHandleForReading.fileDescriptor, bounds)
    }

    private func send(_ text: String) { pipe.fileHandleForWriting.write(Data(text.utf8)) }

    func testItIsLeftWhileTheOtherEndStaysOpen() async throws {
        let input = try input()
        send("1 close\n")
        for await line in input.lines {
            XCTAssertEqual(line, Array("1 close".utf8))
            break
        }
        // Most likely it waits for the next line by then.
        try await Task.sleep(for: .milliseconds(100))
        input.stop()
        send("2 still open\n")
    }

    func testItIsLeftWhileTooMuchIsUnderWay() async throws {
        let input = try input(.init(lines: 1))
        send("1\n2\n")
        for await _ in input.lines { break }
        input.stop()
    }

    func testNoMoreIsReadThanMayBeUnderWay() async throws {
        for bounds in [MemberInput.Bounds(lines: 3), MemberInput.Bounds(bytes: 5)] {
            let pipe = Pipe()
            let input = try MemberInput(pipe.fileHandleForReading.fileDescriptor, bounds)
            pipe.fileHandleForWriting.write(Data((10..<30).map { "\($0)\n" }.joined().utf8))
            try pipe.fileHandleForWriting.close()
            var lines = input.lines.makeAsyncIterator()
            var waiting: [[UInt8]?] = []
            for _ in 0..<3 {
                if let line = await lines.next() { waiting.append(line) }
            }
            XCTAssertEqual(input.countUnderWay, 3)
            try await Task.sleep(for: .milliseconds(50))
            XCTAssertEqual(input.countUnderWay, 3, "nothing was answered")
            // Each answer lets one more in.
            for _ in 3..<20 {
                input.answered(waiting.removeFirst())
                if let line = await lines.next() { waiting.append(line) }
                XCTAssertEqual(input.countUnderWay, 3)
            }
            XCTAssertEqual(waiting.last, Array("29".utf8))
            input.answered(waiting.removeFirst())
            let hasEnded = await lines.next() == nil
            XCTAssertTrue(hasEnded)
            input.stop()
        }
    }

    func testALineThatIsTooLongIsToldAndTheNextIsRead() async throws {
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
}
