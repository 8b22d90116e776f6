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

    // MARK: What the member says

    func testLines_eachThatTheMemberSays_hasARow() throws {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let sources = root.appendingPathComponent("Sources/BalsaCommand/Member")
        let pattern = try NSRegularExpression(pattern: "\"\\* ([a-z-]+)( member)?")
        var said: Set<String> = []
        for url in try FileManager.default.contentsOfDirectory(at: sources, includingPropertiesForKeys: nil) {
            let source = try String(contentsOf: url, encoding: .utf8)
            for match in pattern.matches(in: source, range: NSRange(source.startIndex..., in: source)) {
                guard let range = Range(match.range, in: source) else { continue }
                said.insert(String(source[range].dropFirst()))
            }
        }
        XCTAssertGreaterThan(said.count, 15)
        let table = try page().components(separatedBy: "| line | when |\n|---|---|\n")
        XCTAssertEqual(table.count, 2)
        let listed = table[1].components(separatedBy: "\n\n")[0].components(separatedBy: "\n").flatMap { row in
            row.components(separatedBy: "|")[1].components(separatedBy: ",").map {
                $0.trimmingCharacters(in: CharacterSet(charactersIn: " `"))
            }
        }
        XCTAssertEqual(listed.sorted(), said.sorted())
    }

    // MARK: Damaged files

    /// Runs the member of a cluster of one until it has read these lines.
    private func runMember(_ port: UInt16, _ input: [String] = []) throws -> (lines: [String], status: Int32) {
        let process = Process()
        let (lines, output) = (Pipe(), Pipe())
        process.executableURL = try MemberExecutable.url()
        process.arguments = ["member", "--directory", "member-1", "--member", "1", "--peers", "1=127.0.0.1:\(port)"]
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardInput = lines
        process.standardOutput = output
        process.standardError = output
        try process.run()
        lines.fileHandleForWriting.write(Data(input.map { $0 + "\n" }.joined().utf8))
        try lines.fileHandleForWriting.close()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (text.components(separatedBy: "\n"), process.terminationStatus)
    }

    /// Changes a byte of a file of the member.
    private func damage(_ file: String, at offset: Int) throws {
        let url = URL(fileURLWithPath: "\(folder)/member-1/\(file)")
        var bytes = try Data(contentsOf: url)
        bytes[offset] ^= 0xff
        try bytes.write(to: url)
    }

    /// Without numbers, which depend on how long addresses are and how often the log was synced.
    private func unnumbered(_ line: String) -> String {
        line.replacingOccurrences(of: "at byte [0-9]+", with: "at byte N", options: .regularExpression)
    }

    func testDamagedFiles_ofThePage_areToldInTheLinesOfThePage() throws {
        let ports = try ReservedPorts(1)
        let first = try runMember(ports.ports[0], ["1 put a 1", "2 put b 2", "3 put c 3"])
        XCTAssertEqual(first.status, 0, "\(first.lines)")
        // A second one, so that a later frame confirms those of the first.
        XCTAssertEqual(try runMember(ports.ports[0], ["1 put d 4"]).status, 0)
        let directory = "\(folder)/member-1"
        try FileManager.default.copyItem(atPath: directory, toPath: directory + "-kept")
        let damages: [(status: Int32, change: () throws -> Void)] = [
            (1, { for copy in [20, 4_116] { try self.damage("groups/1/VOTE", at: copy) } }),
            (1, { try self.damage("log/0000000000000001.log", at: 8_200) }),
            (1, { try FileManager.default.removeItem(atPath: directory + "/IDENTITY") }),
            (0, { try self.damage("IDENTITY", at: 40) }),
        ]
        var told: [String] = []
        for (status, change) in damages {
            try FileManager.default.removeItem(atPath: directory)
            try FileManager.default.copyItem(atPath: directory + "-kept", toPath: directory)
            try change()
            let run = try runMember(ports.ports[0])
            XCTAssertEqual(run.status, status, "\(run.lines)")
            // Also where the folder of temporary files is a symbolic link.
            let line = run.lines.first { $0.contains("damaged") } ?? "\(run.lines)"
            told.append(
                line.replacingOccurrences(
                    of: "(?:/[^/ ]+)+/member-1",
                    with: "/srv/member-1",
                    options: .regularExpression
                )
            )
        }
        let block = try page().components(separatedBy: "```damaged\n")[1].components(separatedBy: "\n```")[0]
        XCTAssertEqual(told.map(unnumbered), block.components(separatedBy: "\n").map(unnumbered))
    }
}
