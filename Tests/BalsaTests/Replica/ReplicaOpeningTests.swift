import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import XCTest

@testable import Balsa
@testable import BalsaLog

/// What a replica refuses to open, and how it says so.
final class ReplicaOpeningTests: ReplicaTestCase {
    private let directory = "balsa/groups/1"

    /// A group of one that has a vote, a log and perhaps a durable seal, and is not open.
    private func closedGroup(seals: Bool = true) throws -> ReplicaGroup {
        let group = ReplicaGroup(members: 1)
        group.options.sealStateAfterBytes = seals ? 4_096 : 1 << 30
        group.options.entriesKeptBehindSeal = 0
        _ = try group.start()
        group.writeMany(1, 60)
        group.crash(1, powerLoss: nil)
        return group
    }

    /// Why the replica is refused. Every byte on its disk has to be as it was.
    private func refusal(_ group: ReplicaGroup, file: StaticString = #filePath, line: UInt = #line) -> ReplicaError? {
        let digest = group.host(1).disk.contentDigest
        do {
            try group.open(1)
            XCTFail("it was opened", file: file, line: line)
            return nil
        } catch {
            XCTAssertEqual(group.host(1).disk.contentDigest, digest, "a byte has changed", file: file, line: line)
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
                provider: RegisterProvider(),
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

    /// Whether it still has its log, its root, or both.
    func testAMemberWithoutItsVoteIsRefused() throws {
        let missing = "balsa/groups/1/VOTE is missing, though the member has a log or a checkpoint"
        for (lost, message) in [
            (nil, missing), ("balsa/log", missing),
            ("\(directory)/ROOT", "balsa/groups/1/ROOT is missing, though the member has a log"),
        ] {
            for seals in [true, false] {
                let group = try closedGroup(seals: seals)
                let files = group.host(1).disk.mount()
                try files.remove("\(directory)/VOTE")
                if let lost { try lost.hasSuffix("log") ? files.removeDirectory(lost) : files.remove(lost) }
                let error = refusal(group)
                XCTAssertEqual(error?.code, .damaged, lost ?? "the vote alone")
                XCTAssertEqual(error?.message, message)
                XCTAssertNil(group.host(1).disk.contents(of: "\(directory)/VOTE"), "none is made up")
            }
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

    /// Whether the last entry is in the log or only in a checkpoint.
    func testAVote_thatIsOlderThanTheLastEntry_isRefusedByName() throws {
        for seals in [true, false] {
            let group = try closedGroup(seals: seals)
            let files = group.host(1).disk.mount()
            try files.remove("\(directory)/VOTE")
            _ = try VoteFile.create(files, directory: directory, group: 1)
            let error = refusal(group)
            XCTAssertEqual(error?.code, .damaged)
            XCTAssertEqual(
                error?.message,
                "balsa/groups/1/VOTE is of term 0 and older than balsa/log, which ends at 1/61: put "
                    + "balsa/groups/1/VOTE back as it was when the member stopped, never a copy made while it ran, or "
                    + "leave the member stopped"
            )
        }
    }

    /// The other copy is used, and both are written. It is no incident: a power loss during a write leaves such a copy.
    func testVote_withOneDamagedCopy_isMended() throws {
        for copy in [0, 4_096] as [UInt64] {
            let group = try closedGroup()
            XCTAssertTrue(group.host(1).disk.corrupt("\(directory)/VOTE", at: copy + 24, mask: 0x10))
            XCTAssertNoThrow(try group.open(1), "\(copy)")
            XCTAssertEqual(
                group.host(1).disk.contents(of: "\(directory)/VOTE").map { Array($0[..<4_096]) == Array($0[4_096...]) },
                true
            )
        }
    }

    func testADamagedRootIsRefusedByName() throws {
        for offset in [0, 8, 31, 47] as [UInt64] {
            let group = try closedGroup()
            XCTAssertTrue(group.host(1).disk.corrupt("\(directory)/ROOT", at: offset, mask: 0x10))
            XCTAssertTrue(group.host(1).disk.corrupt("\(directory)/ROOT", at: 4_096 + offset, mask: 0x10))
            let error = refusal(group)
            XCTAssertEqual(error?.code, .damaged)
            XCTAssertTrue(error?.message.hasPrefix("balsa/groups/1/ROOT: ") ?? false, error?.message ?? "")
            // With one copy as it was all is there. The next opening finds both.
            XCTAssertTrue(group.host(1).disk.corrupt("\(directory)/ROOT", at: offset, mask: 0x10))
            group.expect(.damagedCopy, of: 1)
            XCTAssertNoThrow(try group.open(1))
            XCTAssertEqual(
                group.host(1).disk.contents(of: "\(directory)/ROOT").map { Array($0[..<4_096]) == Array($0[4_096...]) },
                true
            )
        }
    }

    func testAStateThatTheStateMachineCannotReadIsRefusedWithItsReason() throws {
        for offset in [0, 20, 56, 100] as [UInt64] {
            let group = try closedGroup()
            let path = try pathOfSeal(group)
            XCTAssertTrue(group.host(1).disk.corrupt(path, at: offset, mask: 0x10))
            let error = refusal(group)
            XCTAssertEqual(error?.code, .stateMachine)
            XCTAssertTrue(error?.message.hasPrefix("\(path): ") ?? false, error?.message ?? "")
            // Nothing was done to what it holds: were the bit mended, all would be there.
            XCTAssertTrue(group.host(1).disk.corrupt(path, at: offset, mask: 0x10))
            XCTAssertNoThrow(try group.open(1))
        }
    }

    private func pathOfSeal(_ group: ReplicaGroup) throws -> String {
        let name = try XCTUnwrap(try group.host(1).disk.mount().list("\(directory)/state-1").first { $0 != "OWNER" })
        return "\(directory)/state-1/\(name)"
    }

    /// The state is gone, and the log begins behind it.
    func testAStateThatIsGoneIsRefused() throws {
        let group = try closedGroup()
        try group.host(1).disk.mount().remove(try pathOfSeal(group))
        let error = refusal(group)
        XCTAssertEqual(error?.code, .damaged)
        XCTAssertTrue(
            error?.message.contains("\(directory)/state-1: the log begins behind 1/") ?? false,
            error?.message ?? ""
        )
    }

    func testAGenerationThatIsGoneIsRefused() throws {
        let group = try closedGroup()
        let files = group.host(1).disk.mount()
        try files.remove(try pathOfSeal(group))
        try files.remove("\(directory)/state-1/OWNER")
        try files.remove("\(directory)/state-1")
        let error = refusal(group)
        XCTAssertEqual(error?.code, .damaged)
        XCTAssertEqual(error?.message, "\(directory)/state-1 is missing, though \(directory)/ROOT names it")
    }

    func testAMember_thatHasVotedAndLostItsLog_isRefused() throws {
        let group = try closedGroup(seals: false)
        let files = group.host(1).disk.mount()
        try files.removeDirectory("balsa/log")
        try files.syncDirectory("balsa")
        group.host(1).disk.processCrash()
        let error = refusal(group)
        XCTAssertEqual(error?.code, .damaged)
        XCTAssertEqual(error?.message, "balsa/log holds no segment, though the member has voted")
    }

    /// Whatever became of it, what was applied is not: the member could contradict itself.
    func testAStateThatContainsWhatTheLogDoesNotIsRefused() throws {
        let group = try closedGroup()
        let path = try pathOfSeal(group)
        let bytes = try XCTUnwrap(group.host(1).disk.contents(of: path))
        for position in [LogPosition(term: 1, index: 62), LogPosition(term: 2, index: 61)] {
            var state = try RegisterState(decoding: Bytes(bytes))
            state.position.position = position
            let files = group.host(1).disk.mount()
            let file = try files.open(path, .readWrite)
            try file.write(try state.encoded(), at: 0)
            let error = refusal(group)
            XCTAssertEqual(error?.code, .damaged)
            XCTAssertTrue(
                error?.message.contains("state-1: the state contains \(position)") ?? false,
                error?.message ?? ""
            )
            try file.write(Bytes(bytes), at: 0)
        }
        XCTAssertNoThrow(try group.open(1))
    }

    func testAMemberWithoutItsRootIsRefused() throws {
        for seals in [true, false] {
            let group = try closedGroup(seals: seals)
            try group.host(1).disk.mount().remove("\(directory)/ROOT")
            let error = refusal(group)
            XCTAssertEqual(error?.code, .damaged)
            XCTAssertEqual(error?.message, "balsa/groups/1/ROOT is missing, though the member has a log")
        }
    }

    /// It voted, and its log was never written.
    func testAMemberThatHasVotedAndHasNoRootIsRefused() throws {
        let group = ReplicaGroup(members: 1)
        group.host(1).holdsWrites = true
        try group.open(1)
        while group.host(1).held.allSatisfy(\.isVote) { group.releaseWrite(1) }
        group.crash(1, powerLoss: 1)
        group.host(1).holdsWrites = false
        try group.host(1).disk.mount().remove("\(directory)/ROOT")
        let error = refusal(group)
        XCTAssertEqual(error?.code, .damaged)
        XCTAssertEqual(error?.message, "balsa/groups/1/ROOT is missing, though the member has voted")
    }

    /// A power loss before the root of a new member was durable leaves a directory that nobody named: it begins again.
    func testANewMemberThatDiedBeforeItsRootWasNamedBeginsAgain() throws {
        let disk = SimulatedDisk()
        var beginnings = 0
        try disk.forEachCrashPoint { files in
            _ = try open(files)
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 20) {
                beginnings += 1
                let again = SimulatedDisk(image)
                let replica = try open(again.mount())
                let root = try XCTUnwrap(replica.generations.root)
                XCTAssertEqual(root, RootFile(generation: 1, position: .zero, state: root.state), "\(point)")
                XCTAssertNotEqual(root.state, .none, "\(point)")
                XCTAssertEqual(replica.raft.log.last, .zero)
                XCTAssertEqual(try again.mount().list(directory), ["ROOT", "VOTE", "state-1"], "\(point)")
            }
        }
        XCTAssertGreaterThan(beginnings, 100)
    }

    /// Each of them is of a release to come; none is damaged.
    func testRoot_voteOrSegment_ofANewerFormat_needsAnUpgradeAndIsNamed() throws {
        let files: [(path: String, versions: [UInt64])] = [
            ("\(directory)/ROOT", [4, 4_100]), ("\(directory)/VOTE", [8, VoteFile.copyDistance + 8]),
            ("balsa/log/", [8]),
        ]
        for (path, versions) in files {
            let group = try closedGroup()
            let disk = group.host(1).disk
            var path = path
            if path.hasSuffix("/") { path += try XCTUnwrap(try disk.mount().list(String(path.dropLast())).first) }
            for place in versions { XCTAssertTrue(disk.corrupt(path, at: place, mask: 2), path) }
            let error = refusal(group)
            XCTAssertEqual(error?.code, .upgradeRequired, path)
            XCTAssertTrue(error?.message.contains(path) ?? false, error?.message ?? "")
        }
    }

    func testADamagedLogIsRefusedByName() throws {
        let group = try closedGroup(seals: false)
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
        XCTAssertEqual(group.host(1).values[read]?.hasPrefix("59-"), true, "all of it is there again")
    }

    func testWhatACrashLeftBesidesTheLiveGenerationIsRemoved() throws {
        let group = try closedGroup()
        let files = group.host(1).disk.mount()
        try files.open("\(directory)/ROOT.new", .create).write("half", at: 0)
        try files.createDirectory("\(directory)/state-999")
        try files.open("\(directory)/state-999/part", .create).write("half", at: 0)
        try group.open(1)
        XCTAssertEqual(try group.host(1).disk.mount().list(directory), ["ROOT", "VOTE", "state-1"])
    }

    func testAFailedCallOfOpeningIsToldWithItsFile() throws {
        let group = try closedGroup()
        group.host(1).provider.openFailure = { _ in
            StateMachineError("no", file: FileError(.read, "balsa/groups/1/state-1/x", .inputOutput))
        }
        let error = refusal(group)
        XCTAssertEqual(error?.code, .stateMachine)
        XCTAssertEqual(error?.file?.path, "balsa/groups/1/state-1/x")
        group.host(1).provider.openFailure = { _ in StateMachineError("of a newer release", needsUpgrade: true) }
        XCTAssertEqual(refusal(group)?.code, .upgradeRequired)
        group.host(1).provider.openFailure = { _ in nil }
        XCTAssertNoThrow(try group.open(1), "and the lock was given up each time")
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
            do {
                _ = try open(disk.mount(hook))
                XCTAssertFalse(hook.hasCrashed, "call \(calls)")
                break
            } catch {
                XCTAssertTrue(hook.hasCrashed, "call \(calls): \(error)")
                let refusal = error as? ReplicaError
                let isOfTheState = refusal?.file?.path.hasPrefix("\(directory)/state-1") ?? false
                XCTAssertEqual(refusal?.code, isOfTheState ? .stateMachine : .file, "call \(calls): \(error)")
                XCTAssertTrue("\(error)".contains("errno 108"), "call \(calls): the process was ended: \(error)")
            }
            disk.powerLoss(salt: calls)
            let replica = try open(disk.mount())
            XCTAssertEqual(replica.raft.log.last, LogPosition(term: 1, index: 61), "call \(calls)")
            XCTAssertEqual(replica.raft.term, 1, "call \(calls)")
        }
        XCTAssertGreaterThan(calls, 10)
    }

    private func open(_ files: SimulatedFileSystem) throws -> Replica {
        var options = ReplicaGroup(members: 1).options
        options.sealStateAfterBytes = 4_096
        var effects: [ReplicaEffect] = []
        let replica = try Replica.open(
            directory: "balsa",
            fileSystem: files,
            member: 1,
            configuration: try Configuration(voters: [1, 2, 3]),
            provider: RegisterProvider(),
            options: options,
            seed: 1,
            at: .zero,
            into: &effects
        )
        XCTAssertEqual(effects.compactMap { Incident($0) }, [])
        return replica
    }
}

/// Ends a process behind one of its changing calls.
private final class CrashingHook: DiskHook {
    private var left: UInt64
    var hasCrashed: Bool { left == 0 }

    init(at call: UInt64) { left = call }

    func answer(_ call: DiskCall) -> DiskAnswer {
        guard call.isChange else { return .proceed }
        guard left > 0 else { return .proceed }
        left -= 1
        return left == 0 ? (call.number % 2 == 0 ? .crashAfter : .crashBefore) : .proceed
    }
}
