import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaCommand

/// The example of `Docs/Member.md`, run as it is written, in another folder and on other ports.
final class MemberPageTests: XCTestCase {
    private var folder = ""

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-page-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        folder = url.path
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(atPath: folder) }

    private func page() throws -> String {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return try String(contentsOf: root.appendingPathComponent("Docs/Member.md"), encoding: .utf8)
    }

    /// A line without the revision, which depends on how often members were elected.
    private func plain(_ line: String) -> String {
        let words = line.split(separator: " ").map(String.init)
        return words.indices.map { words[$0 == 0 ? 0 : $0 - 1] == "value" ? "REVISION" : words[$0] }.joined(
            separator: " "
        )
    }

    func testExample_ofThreeMembers_answersAsThePageSays() async throws {
        let text = try page()
        let commands = text.components(separatedBy: "\n").filter { $0.hasPrefix(".build/release/balsa member ") }
        XCTAssertEqual(commands.count, 3)
        let ports = try ReservedPorts(3)
        var members: [(process: Process, input: Pipe, lines: Locked<[String]>)] = []
        defer {
            for member in members where member.process.isRunning { kill(member.process.processIdentifier, SIGKILL) }
        }
        for command in commands {
            var command = command
            for (place, port) in ports.ports.enumerated() {
                XCTAssertTrue(command.contains(":710\(place + 1)"))
                command = command.replacingOccurrences(of: ":710\(place + 1)", with: ":\(port)")
            }
            let process = Process()
            let (input, output, lines) = (Pipe(), Pipe(), Locked<[String]>([]))
            process.executableURL = try MemberExecutable.url()
            process.arguments = command.split(separator: " ").dropFirst().map(String.init)
            process.currentDirectoryURL = URL(fileURLWithPath: folder)
            process.standardInput = input
            process.standardOutput = output
            try process.run()
            Thread {
                var reader = LineReader(output.fileHandleForReading.fileDescriptor, limit: 1 << 20)
                while case .line(let line) = reader.next() {
                    let text = String(decoding: line, as: UTF8.self)
                    lines.withLock { if !text.hasPrefix("*") { $0.append(text) } }
                }
                withExtendedLifetime(output) {}
            }.start()
            members.append((process, input, lines))
        }
        let session = text.components(separatedBy: "```session\n")[1].components(separatedBy: "\n```")[0]
            .components(separatedBy: "\n")
        var expected: [String] = []
        for line in session {
            guard line.hasPrefix("< ") else {
                members[0].input.fileHandleForWriting.write(Data("\(line)\n".utf8))
                continue
            }
            expected.append(String(line.dropFirst(2)))
            let count = expected.count
            try await eventually("there is answer \(count)") { members[0].lines.withLock { $0.count } >= count }
        }
        var found = members[0].lines.withLock { $0 }
        // The answer to a put is its revision.
        XCTAssertTrue(found[0].hasPrefix("1 ok "), found[0])
        (found[0], expected[0]) = ("1 ok REVISION", expected[0].hasPrefix("1 ok ") ? "1 ok REVISION" : expected[0])
        XCTAssertEqual(found.map(plain), expected.map(plain))
        XCTAssertEqual(expected.count, 7)
        // The statuses: of `close`, of the end of the input, and of a signal.
        try members[1].input.fileHandleForWriting.close()
        try await eventually("two have ended") { !members[0].process.isRunning && !members[1].process.isRunning }
        XCTAssertEqual(members[0].process.terminationStatus, 0)
        XCTAssertEqual(members[1].process.terminationStatus, 0)
        kill(members[2].process.processIdentifier, SIGTERM)
        try await eventually("the third has ended") { !members[2].process.isRunning }
        XCTAssertEqual(members[2].process.terminationReason, .exit)
        XCTAssertEqual(members[2].process.terminationStatus, 0)
        XCTAssertTrue(text.contains("SIGTERM, SIGINT and SIGHUP close the member in order"))
    }
}
