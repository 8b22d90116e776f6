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

    /// The program, which is built beside the tests.
    private func executable() throws -> URL {
        let url = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appendingPathComponent("balsa")
        guard FileManager.default.isExecutableFile(atPath: url.path) else {
            throw XCTSkip("the program was not built beside the tests")
        }
        return url
    }

    private func arguments(_ member: Int, _ ports: [UInt16]) -> [String] {
        let peers = ports.enumerated().map { "\($0.offset + 1)=127.0.0.1:\($0.element)" }.joined(separator: ",")
        return ["member", "--directory", "\(folder)/\(member)", "--member", "\(member)", "--peers", peers]
    }

    /// A member that is started again whenever its process ends. What it says of itself is noted.
    private func child(_ member: Int, _ ports: [UInt16], _ said: Locked<[String]>) throws -> ChildMember {
        let child = ChildMember(
            id: UInt64(member),
            executable: try executable(),
            arguments: arguments(member, ports)
        ) { _, text in said.withLock { $0.append(text) } }
        children.append(child)
        try child.start()
        return child
    }

    private func put(_ key: Bytes, _ value: Bytes, on member: ChildMember) async throws {
        for _ in 0..<100 {
            if let word = await member.request("put", key, value)?.first, word.elementsEqual("ok".utf8) { return }
            member.expire()
            try await Task.sleep(for: .milliseconds(50))
        }
        XCTFail("a put on member \(member.id) was never acknowledged")
    }

    func testADirectoryThatAnotherProcessHasOpenIsRefusedUntilThatHasEnded() async throws {
        let ports = try LoopbackPorts.free(2)
        let first = try child(1, [ports[0]], Locked([]))
        try await put("k", "v", on: first)

        let second = Process()
        let errors = Pipe()
        second.executableURL = try executable()
        second.arguments = arguments(1, [ports[1]])
        second.standardInput = Pipe()
        second.standardOutput = Pipe()
        second.standardError = errors
        try second.run()
        second.waitUntilExit()
        XCTAssertEqual(second.terminationStatus, 1)
        let text = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        XCTAssertTrue(text.contains("\(folder)/1/LOCK"), text)

        try await put("k", "w", on: first)
        let starts = first.starts
        first.killProcess()
        for _ in 0..<400 where first.starts == starts { try await Task.sleep(for: .milliseconds(20)) }
        // The lock has gone with the process.
        try await put("k", "x", on: first)
    }

    func testAMemberEndsWhenItIsToldToWhileItsInputStaysOpen() throws {
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
        process.executableURL = try executable()
        process.arguments = arguments(1, try LoopbackPorts.free(1))
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        input.fileHandleForWriting.write(Data("7 close\n".utf8))
        for _ in 0..<2_000 where process.isRunning { usleep(10_000) }
        guard !process.isRunning else {
            kill(process.processIdentifier, SIGKILL)
            return XCTFail("it goes on")
        }
        XCTAssertEqual(process.terminationStatus, 0)
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        XCTAssertTrue(text.contains("\n7 ok\n"), text)
        XCTAssertTrue(text.hasSuffix("* state closed\n"), text)
        try input.fileHandleForWriting.close()
    }

    func testMembersThatAreKilledInTheirFirstBootBecomeOneClusterWhenTheyAreStartedAgain() async throws {
        let ports = try LoopbackPorts.free(3)
        let said = Locked<[String]>([])
        let (first, second) = (try child(1, ports, said), try child(2, ports, said))
        for _ in 0..<3 {
            try await Task.sleep(for: .milliseconds(150))
            first.killProcess()
            try await Task.sleep(for: .milliseconds(70))
            second.killProcess()
        }
        let third = try child(3, ports, said)
        try await Task.sleep(for: .milliseconds(60))
        third.killProcess()
        for (key, member) in [("a", third), ("b", second), ("c", first)] {
            try await put(Bytes(key), "v", on: member)
        }
        let clusters = said.withLock { Set($0.filter { $0.hasPrefix("joined ") }) }
        XCTAssertEqual(clusters.count, 1, "\(clusters)")
        XCTAssertGreaterThan(first.starts, 1)
        XCTAssertFalse(said.withLock { $0.contains { $0.hasPrefix("state failed") } })
    }
}
