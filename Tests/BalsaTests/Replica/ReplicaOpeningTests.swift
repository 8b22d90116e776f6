import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import XCTest

@testable import Balsa

/// What a replica refuses to open, and how it says so.
final class ReplicaOpeningTests: XCTestCase {
    private let directory = "balsa/groups/1"

    /// A group of one that has a vote, a log and a checkpoint, and is not open.
    private func closedGroup(checkpoints: Bool = true) throws -> ReplicaGroup {
        let group = ReplicaGroup(members: 1)
        group.options.checkpointAfterBytes = checkpoints ? 4_096 : 1 << 30
        group.options.entriesKeptBehindCheckpoint = 0
        _ = try group.start()
        group.writeMany(1, 60)
        group.crash(1, powerLoss: nil)
        return group
    }

    private func refusal(_ group: ReplicaGroup, file: StaticString = #filePath, line: UInt = #line) -> ReplicaError? {
        do {
            try group.open(1)
            XCTFail("it was opened", file: file, line: line)
            return nil
        } catch {
            XCTAssertTrue(error is ReplicaError, "\(error)", file: file, line: line)
            return error as? ReplicaError
        }
    }

    func testASecondOpenerIsToldThatTheDirectoryIsLocked() throws {
        let group = ReplicaGroup(members: 1)
        _ = try group.start()
        let write = group.write(1, "k", "v")
        let second = group.host(1).disk.mount()
        var effects: [ReplicaEffect] = []
        XCTAssertThrowsError(
            try Replica.open(
                directory: "balsa",
                fileSystem: second,
                member: 1,
                configuration: try Configuration(voters: [1]),
                machine: RegisterMachine(),
                seed: 9,
                at: group.now,
                into: &effects
            )
        ) { error in
            XCTAssertEqual((error as? ReplicaError)?.code, .locked)
            XCTAssertTrue("\(error)".contains("balsa/LOCK"), "\(error)")
        }
        group.settle()
        XCTAssertEqual(group.host(1).reply(to: write), .written(2), "the first one is not disturbed")
    }

    func testAMemberWithoutItsVoteIsRefused() throws {
        for checkpoints in [true, false] {
            let group = try closedGroup(checkpoints: checkpoints)
            try group.host(1).disk.mount().remove("\(directory)/VOTE")
            let error = refusal(group)
            XCTAssertEqual(error?.code, .damaged)
            XCTAssertEqual(
                error?.message,
                "balsa/groups/1/VOTE is missing, though the member has a log or a checkpoint"
            )
            XCTAssertNil(group.host(1).disk.contents(of: "\(directory)/VOTE"), "none is made up")
        }
    }

    func testADamagedVoteIsRefusedAndHalfOfOneIsMended() throws {
        let group = try closedGroup()
        XCTAssertTrue(group.host(1).disk.corrupt("\(directory)/VOTE", at: 32, mask: 1))
        try group.open(1)
        group.crash(1, powerLoss: nil)
        XCTAssertTrue(group.host(1).disk.corrupt("\(directory)/VOTE", at: 32, mask: 1))
        XCTAssertTrue(group.host(1).disk.corrupt("\(directory)/VOTE", at: 4_096 + 32, mask: 1))
        let error = refusal(group)
        XCTAssertEqual(error?.code, .damaged)
        XCTAssertTrue(error?.message.contains("VOTE") ?? false, error?.message ?? "")
    }

    func testADamagedRootIsRefusedByName() throws {
        for offset in [0, 8, 31, 47] as [UInt64] {
            let group = try closedGroup()
            XCTAssertTrue(group.host(1).disk.corrupt("\(directory)/ROOT", at: offset, mask: 0x10))
            let error = refusal(group)
            XCTAssertEqual(error?.code, .damaged)
            XCTAssertTrue(error?.message.hasPrefix("balsa/groups/1/ROOT: ") ?? false, error?.message ?? "")
            // Nothing was done to what it holds: were the bit mended, all would be there.
            XCTAssertTrue(group.host(1).disk.corrupt("\(directory)/ROOT", at: offset, mask: 0x10))
            XCTAssertNoThrow(try group.open(1))
        }
    }

    func testADamagedCheckpointIsRefusedByName() throws {
        for offset in [0, 20, 56, 100] as [UInt64] {
            let group = try closedGroup()
            let files = group.host(1).disk.mount()
            let name = try XCTUnwrap(try files.list(directory).first { $0.hasPrefix("state-") })
            XCTAssertTrue(group.host(1).disk.corrupt("\(directory)/\(name)", at: offset, mask: 0x10))
            let error = refusal(group)
            XCTAssertEqual(error?.code, .damaged)
            XCTAssertTrue(error?.message.hasPrefix("balsa/groups/1/\(name): ") ?? false, error?.message ?? "")
        }
    }

    func testACheckpointThatIsGoneIsRefused() throws {
        let group = try closedGroup()
        let files = group.host(1).disk.mount()
        let name = try XCTUnwrap(try files.list(directory).first { $0.hasPrefix("state-") })
        try files.remove("\(directory)/\(name)")
        let error = refusal(group)
        XCTAssertEqual(error?.file?.number, .notFound)
        XCTAssertTrue(error?.message.contains(name) ?? false, error?.message ?? "")
    }

    func testALogThatBeginsBehindNothingIsRefused() throws {
        let group = try closedGroup()
        try group.host(1).disk.mount().remove("\(directory)/ROOT")
        let error = refusal(group)
        XCTAssertEqual(error?.code, .damaged)
        XCTAssertTrue(error?.message.contains("there is no checkpoint") ?? false, error?.message ?? "")
    }

    func testADamagedLogIsRefusedByName() throws {
        let group = try closedGroup(checkpoints: false)
        let files = group.host(1).disk.mount()
        let segments = try files.list("balsa/log").filter { $0.hasSuffix(".log") }
        XCTAssertGreaterThan(segments.count, 3)
        let path = "balsa/log/\(segments[1])"
        XCTAssertTrue(group.host(1).disk.corrupt(path, at: 300, mask: 0x10))
        let error = refusal(group)
        XCTAssertEqual(error?.code, .damaged)
        XCTAssertTrue(error?.message.contains(path) ?? false, error?.message ?? "")
        XCTAssertTrue(group.host(1).disk.corrupt(path, at: 300, mask: 0x10))
        try group.open(1)
        _ = try group.elect()
        let read = group.read(1, "k4")
        group.settle()
        guard case .success? = group.host(1).reply(to: read) else { return XCTFail("all of it is there again") }
    }

    func testWhatACrashLeftBesidesTheLiveCheckpointIsRemoved() throws {
        let group = try closedGroup()
        let files = group.host(1).disk.mount()
        for name in ["ROOT.new", "state-999"] {
            try files.open("\(directory)/\(name)", .create).write("half", at: 0)
        }
        try group.open(1)
        let names = try group.host(1).disk.mount().list(directory)
        XCTAssertEqual(names.filter { $0.hasPrefix("state-") }.count, 1)
        XCTAssertFalse(names.contains("state-999") || names.contains("ROOT.new"))
    }

    func testWhatCannotWorkIsRefusedWithTheRule() throws {
        let group = ReplicaGroup(members: 1)
        group.options.raft.heartbeatInterval = .zero
        let error = refusal(group)
        XCTAssertEqual(error?.code, .invalid)
        XCTAssertTrue(error?.message.contains("heartbeat") ?? false, error?.message ?? "")
        group.options.raft.heartbeatInterval = .milliseconds(50)
        XCTAssertEqual(try group.start(), 1)
    }

    /// At any of its file calls the power goes; opened again, the replica has what it had.
    func testACrashInAnyCallOfOpeningChangesNothing() throws {
        let group = try closedGroup()
        let image = group.host(1).disk.snapshot()
        var calls: UInt64 = 0
        while true {
            calls += 1
            let disk = SimulatedDisk(image)
            let hook = CrashingHook(at: calls)
            if (try? open(disk.mount(hook))) != nil { break }
            disk.powerLoss(salt: calls)
            let replica = try open(disk.mount())
            XCTAssertEqual(replica.raft.log.last, LogPosition(term: 1, index: 61), "call \(calls)")
            XCTAssertEqual(replica.raft.term, 1, "call \(calls)")
        }
        XCTAssertGreaterThan(calls, 10)
    }

    private func open(_ files: SimulatedFileSystem) throws -> Replica {
        var options = ReplicaGroup(members: 1).options
        options.checkpointAfterBytes = 4_096
        var effects: [ReplicaEffect] = []
        return try Replica.open(
            directory: "balsa",
            fileSystem: files,
            member: 1,
            configuration: try Configuration(voters: [1, 2, 3]),
            machine: RegisterMachine(),
            options: options,
            seed: 1,
            at: .zero,
            into: &effects
        )
    }
}

/// Ends a process behind one of its changing calls.
private final class CrashingHook: DiskHook {
    private var left: UInt64

    init(at call: UInt64) { left = call }

    func answer(_ call: DiskCall) -> DiskAnswer {
        guard call.isChange else { return .proceed }
        left -= 1
        return left == 0 ? (call.number % 2 == 0 ? .crashAfter : .crashBefore) : .proceed
    }
}
