import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaCommand

/// Signals that ask `balsa member` and `balsa demo` to end.
final class SignalTests: XCTestCase {
    private var folder = ""
    private var programs: [Program] = []

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-signal-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        folder = url.path
    }

    override func tearDownWithError() throws {
        for program in programs { program.end() }
        try FileManager.default.removeItem(atPath: folder)
    }

    /// A process whose input stays open, and whose output is read unless it is said otherwise.
    private final class Program: @unchecked Sendable {
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
        let lines = Locked<[String]>([])

        init(_ words: [String], in folder: String) {
            process.executableURL = URL(fileURLWithPath: words[0])
            process.arguments = Array(words.dropFirst())
            process.environment = ProcessInfo.processInfo.environment.merging(["TMPDIR": folder]) { $1 }
            process.standardInput = input
            process.standardOutput = output
        }

        var said: [String] { lines.withLock { $0 } }

        func start(reading: Bool = true) throws {
            try process.run()
            guard reading else { return }
            Thread { [self] in
                var reader = LineReader(output.fileHandleForReading.fileDescriptor, limit: 1 << 20)
                while case .line(let line) = reader.next() {
                    let text = String(decoding: line, as: UTF8.self)
                    lines.withLock { $0.append(text) }
                }
            }.start()
        }

        func write(_ text: String) { input.fileHandleForWriting.write(Data(text.utf8)) }

        func end() {
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
        }
    }

    private func program(_ words: [String]) -> Program {
        let program = Program(words, in: folder)
        programs.append(program)
        return program
    }

    private func wait(for line: String, of program: Program) async throws {
        try await eventually("it says '\(line)'") { program.said.contains { $0.hasPrefix(line) } }
    }

    private func waitForEnd(of program: Program) async throws {
        try await eventually("it ends") { !program.process.isRunning }
    }

    /// The command line of member 1 of so many.
    private func member(_ ports: ReservedPorts, in name: String = "1") throws -> [String] {
        let peers = ports.ports.enumerated().map { "\($0.offset + 1)=127.0.0.1:\($0.element)" }
        return [
            try MemberExecutable.url().path, "member", "--directory", "\(folder)/\(name)", "--member", "1", "--peers",
            peers.joined(separator: ","),
        ]
    }

    func testMember_byEachSignal_closesInOrder() async throws {
        let ports = try ReservedPorts(1)
        let signals = [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT"), (SIGHUP, "SIGHUP")]
        for (place, (signal, name)) in signals.enumerated() {
            let member = program(try self.member(ports))
            try member.start()
            member.write("1 put \(name) v\n")
            try await wait(for: "1 ok", of: member)
            member.write("2 count\n")
            try await wait(for: "2 ok \(place + 1)", of: member)
            kill(member.process.processIdentifier, signal)
            try await waitForEnd(of: member)
            XCTAssertEqual(member.process.terminationReason, .exit)
            XCTAssertEqual(member.process.terminationStatus, 0)
            try await wait(for: "* state closed", of: member)
            XCTAssertTrue(member.said.contains("* signal \(name)"), "\(member.said)")
        }
    }

    func testMember_withRequestsUnderWayAtItsEnd_answersThemClosed() async throws {
        // One of three, and nobody else is there: no write can be acknowledged. Each end has a member of its own.
        var members: [(end: String, program: Program)] = []
        for end in ["SIGTERM", "close", "the end of the input"] {
            let words = try member(try ReservedPorts(3), in: "of \(end)")
            let program = program(words)
            try program.start()
            program.write("1 put k v\n2 get k\n3 status\n")
            members.append((end, program))
        }
        for (end, member) in members {
            try await wait(for: "3 status", of: member)
            switch end {
            case "SIGTERM": kill(member.process.processIdentifier, SIGTERM)
            case "close": member.write("4 close\n")
            default: try member.input.fileHandleForWriting.close()
            }
        }
        for (end, member) in members {
            try await waitForEnd(of: member)
            XCTAssertEqual(member.process.terminationReason, .exit, end)
            XCTAssertEqual(member.process.terminationStatus, 0, end)
            try await wait(for: "* state closed", of: member)
            XCTAssertTrue(member.said.contains("1 error not-applied closed"), "\(end): \(member.said)")
            XCTAssertTrue(member.said.contains("2 error not-applied closed"), "\(end): \(member.said)")
        }
        XCTAssertTrue(members[1].program.said.contains("4 ok"), "\(members[1].program.said)")
    }

    func testMember_whoseInputEndsRightAfterRequests_servesThem() async throws {
        let words = try member(try ReservedPorts(1))
        let first = program(words)
        try first.start()
        first.write("1 put k v\n")
        try await wait(for: "1 ok", of: first)
        // A change of options is two calls of the store.
        let requests = (2...40).map { "\($0) put k\($0) v\n" }.joined()
        first.write(requests + "41 change-options 1 maxValueBytes=4194304\n42 close\n")
        try await waitForEnd(of: first)
        try await wait(for: "* state closed", of: first)
        for request in 2...42 {
            XCTAssertTrue(first.said.contains { $0.hasPrefix("\(request) ok") }, "\(request): \(first.said)")
        }
    }

    /// A member whose output is full, since nobody reads it.
    private func unread() async throws -> Program {
        let member = program(try self.member(try ReservedPorts(1)))
        try member.start(reading: false)
        let word = String(repeating: "w", count: 1_000)
        // The answers are more than a pipe takes, and the requests are not.
        for _ in 0..<200 { member.write("\(word) status\n") }
        let full = member.output.fileHandleForReading.fileDescriptor
        try await eventually("the output is full") {
            var count: Int32 = 0
            return ioctl(full, UInt(FIONREAD), &count) == 0 && count >= 48 << 10
        }
        return member
    }

    func testMember_whoseOutputNobodyReads_endsAllTheSame() async throws {
        let member = try await unread()
        kill(member.process.processIdentifier, SIGTERM)
        try await waitForEnd(of: member)
        XCTAssertEqual(member.process.terminationReason, .exit)
        XCTAssertEqual(member.process.terminationStatus, 0)
    }

    func testMember_byASecondSignal_endsAtOnce() async throws {
        let member = try await unread()
        // It waits for a reader after the first one.
        try await eventually("it ends") {
            kill(member.process.processIdentifier, SIGTERM)
            return !member.process.isRunning
        }
        XCTAssertEqual(member.process.terminationReason, .uncaughtSignal)
        XCTAssertEqual(member.process.terminationStatus, SIGTERM)
    }

    func testMember_withASignalThatItsParentIgnores_goesOn() async throws {
        let words = ["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"] + (try member(try ReservedPorts(1)))
        let member = program(words)
        try member.start()
        try await wait(for: "* open", of: member)
        kill(member.process.processIdentifier, SIGHUP)
        member.write("1 put k v\n")
        try await wait(for: "1 ok", of: member)
        XCTAssertFalse(member.said.contains("* signal SIGHUP"))
        kill(member.process.processIdentifier, SIGTERM)
        try await waitForEnd(of: member)
        XCTAssertEqual(member.process.terminationStatus, 0)
    }

    func testMember_asTheFirstProcessOfAContainer_closesInOrder() async throws {
        // The first process of a name space of its own, in a name space of users where this user may make none
        // otherwise.
        let unshare = ["/usr/bin/env", "unshare"] + (geteuid() == 0 ? [] : ["--user", "--map-root-user"])
        let trial = program(unshare + ["--pid", "--fork", "true"])
        try trial.start()
        try await waitForEnd(of: trial)
        guard trial.process.terminationStatus == 0 else { throw XCTSkip("no process can be the first one here") }

        for (signal, name) in [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT"), (SIGHUP, "SIGHUP")] {
            let member = program(unshare + ["--pid", "--fork", "--kill-child"] + (try member(try ReservedPorts(1))))
            try member.start()
            member.write("1 status\n")
            try await wait(for: "1 status", of: member)
            XCTAssertTrue(member.said.contains { $0.hasSuffix(" pid=1") }, "\(member.said)")
            let parent = member.process.processIdentifier
            let children = try String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)
            let pid = try XCTUnwrap(Int32(children.split(separator: " ").first ?? ""))
            kill(pid, signal)
            try await waitForEnd(of: member)
            XCTAssertEqual(member.process.terminationStatus, 0)
            try await wait(for: "* state closed", of: member)
            XCTAssertTrue(member.said.contains("* signal \(name)"), "\(member.said)")
        }
    }

    func testDemo_thatIsInterrupted_leavesNothing() async throws {
        let demo = program([try MemberExecutable.url().path, "demo", "--pairs", "100000"])
        try demo.start()
        func folders() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder) }
        try await eventually("its members have files") {
            try folders().contains { FileManager.default.fileExists(atPath: "\(folder)/\($0)/member-3/IDENTITY") }
        }
        let pid = demo.process.processIdentifier
        let children = try String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)
        kill(pid, SIGINT)
        try await waitForEnd(of: demo)
        XCTAssertEqual(demo.process.terminationReason, .uncaughtSignal)
        XCTAssertEqual(demo.process.terminationStatus, SIGINT)
        XCTAssertEqual(try folders(), [])
        for child in children.split(separator: " ") {
            let words = (try? String(contentsOfFile: "/proc/\(child)/cmdline", encoding: .utf8)) ?? ""
            XCTAssertFalse(words.contains(folder), "process \(child) is left")
        }
    }
}
