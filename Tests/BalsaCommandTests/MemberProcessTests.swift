import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaCommand

/// `balsa member` as processes of their own.
final class MemberProcessTests: XCTestCase {
    private var folder = ""
    private var children: [ChildMember] = []

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-member-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        folder = url.path
    }

    override func tearDownWithError() throws {
        for child in children { child.close() }
        try FileManager.default.removeItem(atPath: folder)
    }

    private func arguments(_ member: Int, _ reserved: ReservedPorts) -> [String] {
        let peers = reserved.ports.enumerated().map { "\($0.offset + 1)=127.0.0.1:\($0.element)" }.joined(
            separator: ","
        )
        return ["member", "--directory", "\(folder)/\(member)", "--member", "\(member)", "--peers", peers]
    }

    /// A member that is started again whenever its process ends. What it says of itself is noted.
    private func child(_ member: Int, _ reserved: ReservedPorts, _ said: Locked<[String]>) throws -> ChildMember {
        let child = ChildMember(
            id: UInt64(member),
            executable: try MemberExecutable.url(),
            arguments: arguments(member, reserved)
        ) { _, text in said.withLock { $0.append("\(member): \(text)") } }
        children.append(child)
        try child.start()
        return child
    }

    private func put(_ key: Bytes, _ value: Bytes, on member: ChildMember) async throws {
        try await eventually("a put on member \(member.id) is acknowledged") {
            defer { member.expire() }
            return await member.request("put", key, value)?.first?.elementsEqual("ok".utf8) ?? false
        }
    }

    /// What a member that does not start says on standard error. It ends with 1.
    private func refusal(of arguments: [String]) throws -> String {
        let process = Process()
        let errors = Pipe()
        process.executableURL = try MemberExecutable.url()
        process.arguments = arguments
        process.standardInput = Pipe()
        process.standardOutput = Pipe()
        process.standardError = errors
        try process.run()
        process.waitUntilExit()
        XCTAssertEqual(process.terminationReason, .exit)
        XCTAssertEqual(process.terminationStatus, 1)
        return String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    }

    func testMember_thatCannotListen_saysWhereAndWhatToPass() throws {
        let base = ["member", "--directory", "\(folder)/1", "--member", "1", "--peers"]
        XCTAssertEqual(
            try refusal(of: base + ["1=0.0.0.0:0"]),
            "balsa member: insecure: others can reach `0.0.0.0:0`, and nothing encrypts or authenticates its "
                + "connections: pass "
                + "--insecure-network if something else protects the network, or listen on the loopback\n"
        )
        XCTAssertEqual(
            try refusal(of: base + ["1=127.0.0.1:99999"]),
            "balsa member: invalid: `99999` in `127.0.0.1:99999` is not a port: a port is a number from 0 to 65535\n"
        )
        XCTAssertEqual(
            try refusal(of: base + ["1=192.0.2.1:0", "--insecure-network"]),
            "balsa member: failed: listen on `192.0.2.1:0`: Cannot assign requested address (errno 99)\n"
        )
    }

    func testADirectoryThatAnotherProcessHasOpenIsRefusedUntilThatHasEnded() async throws {
        let (ports, others) = (try ReservedPorts(1), try ReservedPorts(1))
        let first = try child(1, ports, Locked([]))
        try await put("k", "v", on: first)

        XCTAssertEqual(
            try refusal(of: arguments(1, others)),
            "balsa member: in use: \(folder)/1 is already open; process \(first.pid) of host "
                + "\(ProcessInfo.processInfo.hostName) holds \(folder)/1/LOCK: close it there; if the directory of "
                + "member 1 "
                + "is another one, name that one\n"
        )

        try await put("k", "w", on: first)
        let starts = first.starts
        first.killProcess()
        try await eventually("it is started again") { first.starts > starts }
        // The lock has gone with the process.
        try await put("k", "x", on: first)
    }

    func testAMemberEndsWhenItIsToldToWhileItsInputStaysOpen() async throws {
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
        process.executableURL = try MemberExecutable.url()
        let ports = try ReservedPorts(1)
        process.arguments = arguments(1, ports)
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        input.fileHandleForWriting.write(Data("7 close\n".utf8))
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        try await eventually("it ends") { !process.isRunning }
        XCTAssertEqual(process.terminationStatus, 0)
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        XCTAssertTrue(text.contains("\n7 ok\n"), text)
        // A notice may be written before a line that was given earlier.
        XCTAssertTrue(text.contains("\n* state closed\n"), text)
        try input.fileHandleForWriting.close()
    }

    func testMember_whosePeersAreNotThere_saysWhichAndWhy() async throws {
        let ports = try ReservedPorts(3)
        let said = Locked<[String]>([])
        let first = try child(1, ports, said)
        let missing = [2, 3].map { "member \($0) at 127.0.0.1:\(ports.ports[$0 - 1]): Connection refused (errno 111)" }
        let line = "1: first-boot-misses " + missing.joined(separator: "; ")
        try await eventually("it is said") { said.withLock { $0.contains(line) } }
        XCTAssertEqual(said.withLock { $0.count { $0.hasPrefix("1: first-boot-misses") } }, 1, "once for now")
        // Nothing of it is left when they are there.
        _ = (try child(2, ports, said), try child(3, ports, said))
        try await put("k", "v", on: first)
    }

    func testMembersThatAreKilledInTheirFirstBootBecomeOneClusterWhenTheyAreStartedAgain() async throws {
        let ports = try ReservedPorts(3)
        let said = Locked<[String]>([])
        let (first, second) = (try child(1, ports, said), try child(2, ports, said))
        /// Waits until a member has opened its directory in its so many-th process, and ends that process.
        func kill(_ member: ChildMember, start: Int) async throws {
            let line = "\(member.id): open member \(member.id)"
            try await eventually("process \(start) of member \(member.id) has opened its directory") {
                said.withLock { $0.count { $0 == line } } == start
            }
            XCTAssertGreaterThan(member.killProcess(), 0, "it ran")
            try await eventually("it is started again") { member.starts > start }
        }
        for start in 1...3 {
            try await kill(first, start: start)
            try await kill(second, start: start)
        }
        let third = try child(3, ports, said)
        try await kill(third, start: 1)
        for (key, member) in [("a", third), ("b", second), ("c", first)] {
            try await put(Bytes(key), "v", on: member)
        }
        let joined = said.withLock { $0.filter { $0.contains(": joined ") } }
        let clusters = Set(joined.map { $0.components(separatedBy: ": joined ")[1] })
        XCTAssertEqual(clusters.count, 1, "\(joined)")
        XCTAssertEqual([first.starts, second.starts, third.starts], [4, 4, 2])
        XCTAssertFalse(said.withLock { $0.contains { $0.contains(": state failed") } })
    }
}
