import Balsa
import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaCommand

/// The demo's processes, also such that do not behave.
final class ChildMemberTests: XCTestCase {
    /// A process that reads nothing, as one that was stopped, and does not end with its input.
    private func sleeper(_ said: Locked<[String]> = Locked([])) -> ChildMember {
        ChildMember(id: 1, executable: URL(fileURLWithPath: "/bin/sleep"), arguments: ["1000"]) { _, text in
            said.withLock { $0.append(text) }
        }
    }

    func testAProcessThatReadsNothingHoldsNobodyUpAndIsEndedAtLast() async throws {
        let before = try openPipeCount()
        let said = Locked<[String]>([])
        let member = sleeper(said)
        try member.start()
        let pid = member.pid
        let sweeper = Task {
            while !Task.isCancelled {
                member.expire()
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
        // More than a pipe holds, from more tasks than there are threads for them.
        let value = Bytes([UInt8](repeating: 7, count: 50_000))
        let answers = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<16 {
                group.addTask { await member.request("put", "key", value, within: 1) == nil }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        XCTAssertEqual(answers, 16)
        sweeper.cancel()
        member.close(within: 0)
        XCTAssertEqual(kill(pid, 0), -1, "the process is gone")
        XCTAssertEqual(said.withLock { $0 }, ["does not end, and is ended with SIGKILL"])
        // Also what still waited to write to it has ended.
        for _ in 0..<1_000 where try openPipeCount() > before { try await Task.sleep(for: .milliseconds(5)) }
        XCTAssertLessThanOrEqual(try openPipeCount(), before)
    }

    /// How many ends of pipes this process has open.
    private func openPipeCount() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").filter {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)"))?.hasPrefix("pipe:")
                == true
        }.count
    }

    /// A process that says that it leads, and then nothing any more.
    private func leader(_ said: Locked<[String]>) -> ChildMember {
        ChildMember(
            id: 1,
            executable: URL(fileURLWithPath: "/bin/sh"),
            arguments: ["-c", "echo '* state leader'; exec sleep 1000"]
        ) { _, text in said.withLock { $0.append(text) } }
    }

    private func wait(for member: ChildMember, toBe state: String) async throws {
        for _ in 0..<4_000 where member.state != state { try await Task.sleep(for: .milliseconds(5)) }
        XCTAssertEqual(member.state, state)
    }

    func testKill_ofManyThreadsAtOnce_signalsTheProcessOnce() async throws {
        let said = Locked<[String]>([])
        let member = leader(said)
        defer { member.close(within: 0) }
        try member.start()
        for round in 1...5 {
            try await wait(for: member, toBe: "leader")
            let pid = member.pid
            let pids = Locked<[Int32]>([])
            DispatchQueue.concurrentPerform(iterations: 8) { _ in
                let pid = member.killProcess(ifStateIs: "leader")
                pids.withLock { $0.append(pid) }
            }
            XCTAssertEqual(pids.withLock { $0.filter { $0 != 0 } }, [pid], "round \(round)")
            // The next process leads again, as a killed leader may.
            for _ in 0..<4_000 where member.starts == round { try await Task.sleep(for: .milliseconds(5)) }
        }
        try await wait(for: member, toBe: "leader")
        XCTAssertEqual(said.withLock { $0.filter { $0.hasPrefix("ended (signal 9)") }.count }, 5)
    }

    func testKill_inAnotherState_signalsNothing() async throws {
        let member = leader(Locked([]))
        try member.start()
        try await wait(for: member, toBe: "leader")
        let pid = member.pid
        XCTAssertEqual(member.killProcess(ifStateIs: "follower 2"), 0)
        XCTAssertEqual(kill(pid, 0), 0, "it still runs")
        XCTAssertEqual(member.state, "leader")
        XCTAssertEqual(member.killProcess(), pid)
        XCTAssertEqual(member.killProcess(), 0, "it was killed before")
        member.close(within: 0)
        XCTAssertEqual(member.killProcess(), 0, "there is no process")
    }

    func testClose_ofSeveral_asksAllToEndBeforeItWaitsForAny() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-close-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let said = Locked<[String]>([])
        // Each ends once the input of all has ended.
        let script = "cat; : >\"$1\"; until [ -e \"$2\" ] && [ -e \"$3\" ]; do sleep 0.01; done"
        let members = (1...3).map { id in
            ChildMember(
                id: UInt64(id),
                executable: URL(fileURLWithPath: "/bin/sh"),
                arguments: ["-c", script, "sh"] + (0..<3).map { "\(folder.path)/\((id + $0) % 3)" }
            ) { _, text in said.withLock { $0.append(text) } }
        }
        for member in members { try member.start() }
        ChildMember.close(members, within: 20)
        XCTAssertEqual(said.withLock { $0 }, [], "none was ended with SIGKILL")
        XCTAssertEqual(members.map(\.starts), [1, 1, 1])
    }

    func testPatienceAfterASignal_isLongerThanThatOfTheMembers() {
        let drain = StoreOptions().drainLimit + MemberCommand.patienceAfterSignal
        XCTAssertGreaterThan(Duration.seconds(Int(DemoCommand.patienceAfterSignal)), drain)
    }

    func testNoneIsStartedOnceItIsClosed() throws {
        let member = sleeper()
        member.close(within: 0)
        try member.start()
        XCTAssertEqual(member.pid, 0)
    }

    func testThoseThatWereStartedAreClosedWhereALaterOneCannotBe() async throws {
        let good = ChildMember(id: 1, executable: URL(fileURLWithPath: "/bin/cat"), arguments: []) { _, _ in }
        let bad = ChildMember(id: 2, executable: URL(fileURLWithPath: "/no/such/program"), arguments: []) { _, _ in }
        do {
            try await ChildMember.run([good, bad]) { XCTFail("not all run") }
            XCTFail("it was started")
        } catch {
            XCTAssertEqual(good.starts, 1)
        }
        for _ in 0..<1_000 where good.pid != 0 { try await Task.sleep(for: .milliseconds(5)) }
        XCTAssertEqual(good.pid, 0)
    }
}
