import BalsaKeyValue
import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// A member that is refused when it is opened keeps every byte: nothing is repaired, cut, counted or removed before everything
/// was accepted.
final class RefusedOpeningTests: XCTestCase {
    private struct Options {
        var replicated = ReplicatedOptions()
        var local = KeyValueOptions()
    }

    private var seed: UInt64 = 0

    private var logOptions: LogOptions {
        var options = LogOptions()
        options.smallestSegmentBytes = 65_536
        options.largestSegmentBytes = 65_536
        return options
    }

    private func open(
        _ disk: SimulatedDisk,
        member: MemberID = 1,
        members: [MemberID] = [1],
        _ change: (inout Options) -> Void = { _ in }
    ) throws(ReplicaError) -> Member {
        seed += 1
        var setup = MemberSetup(
            directory: "m",
            member: member,
            list: members.map { MemberAddress(member: $0, address: "a:\($0)") },
            seed: seed,
            identitySeed: UniqueID(high: seed, low: 1)
        )
        setup.options.log = logOptions
        var options = Options()
        change(&options)
        var effects: [ReplicaEffect] = []
        return try Member.open(
            setup,
            fileSystem: disk.mount(),
            provider: KeyValueProvider(options: options.local, proposal: options.replicated, seed: 1),
            at: .zero,
            into: &effects
        )
    }

    /// A member that ended with work to do for its next opening: a copy of its vote to mend, files to remove.
    private func closed() throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        try open(disk).close()
        disk.processCrash()
        let files = disk.mount()
        try files.createDirectory("m/groups/1/state-7")
        for name in ["m/groups/1/state-7/part", "m/groups/1/ROOT.new", "m/log/00000000000000ff.preparing"] {
            let file = try files.open(name, .create)
            try file.write("left over", at: 0)
        }
        XCTAssertTrue(disk.corrupt("m/groups/1/VOTE", at: 32, mask: 1))
        disk.processCrash()
        return disk
    }

    /// Makes the log of a member that is closed go on with entries of a term, and leaves a spare segment.
    private func extendLog(_ disk: SimulatedDisk, term: Term) throws {
        let files = disk.mount()
        let log = try Log.open(
            files,
            directory: "m/log",
            options: logOptions,
            binding: try FileBinding.latest(of: disk, in: "m")
        ).log
        var builder = EntryBatch.Builder(group: 1, previous: log.last(1), capacityBytes: 1_000)
        for _ in 0..<3 { builder.append(term: term, stamp: 1, kind: .noOp, payload: Bytes()) }
        _ = log.append(builder.finish())
        while let write = log.nextWrite() {
            try write.perform()
            log.writeFinished(write.number)
        }
        while let task = log.nextTask() {
            while try !task.step(budgetBytes: 1 << 20) {}
            log.taskFinished(task)
        }
        try files.open("m/log/00000000000000ff.preparing", .create).close()
        disk.processCrash()
    }

    /// Entries of a term are in a log only when the vote of that term is durable: a vote of an earlier term was set
    /// back, and the member may have promised since what it no longer knows.
    func testAVote_thatIsOlderThanTheLog_isRefusedByNameAndNoByteChanges() throws {
        let disk = try closed()
        try extendLog(disk, term: 5)
        let segments = try disk.mount().list("m/log")
        XCTAssertEqual(segments.count, 3, "a segment, a spare one, and one that was being prepared: \(segments)")
        disk.processCrash()
        for term in [Term(0), 4] {
            let files = disk.mount()
            try files.remove("m/groups/1/VOTE")
            _ = try VoteFile.create(
                files,
                directory: "m/groups/1",
                group: 1,
                binding: try FileBinding.latest(of: disk, in: "m"),
                state: HardState(term: term, vote: 1)
            )
            disk.processCrash()
            let error = assertRefused(disk, .damaged, "term \(term)") { disk throws(ReplicaError) in try open(disk) }
            XCTAssertEqual(
                error?.message,
                "m/groups/1/VOTE is of term \(term) and older than m/log, which ends at 5/3: put "
                    + "m/groups/1/VOTE back as it was when the member stopped, never a copy made while it ran, or "
                    + "leave the member stopped"
            )
        }
        try disk.mount().remove("m/groups/1/VOTE")
        _ = try VoteFile.create(
            disk.mount(),
            directory: "m/groups/1",
            group: 1,
            binding: try FileBinding.latest(of: disk, in: "m"),
            state: HardState(term: 5, vote: 1)
        )
        disk.processCrash()
        try open(disk).close()
        XCTAssertNotEqual(
            try disk.mount().list("m/log"),
            segments,
            "were it not refused, a file would have been removed"
        )
    }

    /// The state machine of a new member is opened last, behind the identity, the first boot and the vote.
    func testASetup_thatCannotWork_leavesNothing() throws {
        let changes: [(String, (inout Options) -> Void)] = [
            ("sessionWindow must be 1 to", { $0.replicated.sessionWindow = 0 }),
            ("levels", { $0.local.engine.levels = 0 }),
            ("the log of the group is the engine's", { $0.local.engine.hasWriteAheadLog = true }),
        ]
        for members in [[1], [1, 2, 3]] as [[MemberID]] {
            for (sentence, change) in changes {
                let disk = SimulatedDisk()
                let error = assertRefused(disk, .invalid, sentence) { disk throws(ReplicaError) in
                    try open(disk, members: members, change)
                }
                XCTAssertTrue(error?.message.contains(sentence) ?? false, "\(error?.message ?? "")")
                XCTAssertFalse(error?.description.contains("invalid: invalid") ?? true, "the kind is said once")
                XCTAssertFalse(try disk.mount().exists("m"), sentence)
            }
        }
    }

    /// A root in the place of the one that is there.
    private func replaceRoot(_ disk: SimulatedDisk, _ root: RootFile) throws {
        let binding = try FileBinding.latest(of: disk, in: "m")
        var root = root
        (root.owner, root.mark) = (binding.owner, binding.mark)
        let bytes = Bytes(try XCTUnwrap(disk.contents(of: "m/groups/1/ROOT")))
        root.state = try TwinFile.decode(bytes) { bytes throws(DecodingError) in try RootFile(decoding: bytes) }.record
            .state
        let files = disk.mount()
        try files.remove("m/groups/1/ROOT")
        let file = try files.open("m/groups/1/ROOT", .create)
        try file.write(TwinFile.encoded(try root.encoded()), at: 0)
        try file.sync()
        try files.syncDirectory("m/groups/1")
        disk.processCrash()
    }

    func testARoot_thatSaysMoreThanTheStateContains_isRefused() throws {
        let disk = try closed()
        try replaceRoot(disk, RootFile(generation: 1, position: LogPosition(term: 5, index: 1_000)))
        let digest = disk.contentDigest
        XCTAssertThrowsError(try open(disk)) {
            XCTAssertEqual(($0 as? ReplicaError)?.code, .damaged)
            XCTAssertTrue("\($0)".contains("though ROOT was published with"), "\($0)")
        }
        disk.processCrash()
        XCTAssertEqual(disk.contentDigest, digest)
        try replaceRoot(disk, RootFile(generation: 1, position: .zero))
        XCTAssertNoThrow(try open(disk))
    }

    /// The state machine would make the directory, and what it makes is empty.
    func testAGeneration_thatIsGone_isRefusedAndNotMadeAgain() throws {
        for position in [LogPosition.zero, LogPosition(term: 5, index: 1_000)] {
            let disk = try closed()
            try replaceRoot(disk, RootFile(generation: 2, position: position))
            assertRefused(disk, .damaged, "\(position)") { disk throws(ReplicaError) in try open(disk) }
            XCTAssertFalse(try disk.mount().exists("m/groups/1/state-2"))
        }
        let disk = try closed()
        let files = disk.mount()
        try files.removeDirectory("m/groups/1/state-1")
        try files.syncDirectory("m/groups/1")
        disk.processCrash()
        assertRefused(disk, .damaged, "removed") { disk throws(ReplicaError) in try open(disk) }
    }

    @discardableResult
    private func assertRefused(
        _ disk: SimulatedDisk,
        _ code: ReplicaError.Code,
        _ label: String,
        line: UInt = #line,
        _ open: (SimulatedDisk) throws(ReplicaError) -> Member
    ) -> ReplicaError? {
        var refusal: ReplicaError?
        let digest = disk.contentDigest
        do throws(ReplicaError) {
            _ = try open(disk)
            XCTFail("\(label): it was opened", line: line)
        } catch {
            XCTAssertEqual(error.code, code, "\(label): \(error)", line: line)
            refusal = error
        }
        disk.processCrash()
        XCTAssertEqual(disk.contentDigest, digest, "\(label): a byte has changed", line: line)
        return refusal
    }

    func testAMember_thatIsRefused_keepsEveryByte() throws {
        let disk = try closed()
        let names = try disk.mount().list("m/groups/1/state-1")
        let manifest = try XCTUnwrap(names.first { $0.hasPrefix("MANIFEST") })
        disk.processCrash()
        assertRefused(disk, .invalid, "the id of another member") { disk throws(ReplicaError) in
            try open(disk, member: 2, members: [1, 2])
        }
        assertRefused(disk, .invalid, "another list") { disk throws(ReplicaError) in
            try open(disk, members: [1, 2])
        }
        assertRefused(disk, .invalid, "limits that cannot work") { disk throws(ReplicaError) in
            try open(disk) { $0.replicated.sessionWindow = 0 }
        }
        // Of files with two copies both.
        for (path, places) in [
            ("m/IDENTITY", [20, 4_116]), ("m/BOOT", [10, 4_106]), ("m/groups/1/ROOT", [6, 4_102]),
            ("m/groups/1/ROOT", [40, 4_136]), ("m/groups/1/VOTE", [4_096 + 32]),
            ("m/groups/1/state-1/CURRENT", [20]), ("m/groups/1/state-1/\(manifest)", [30]),
        ] as [(String, [UInt64])] {
            for at in places { XCTAssertTrue(disk.corrupt(path, at: at, mask: 4), path) }
            assertRefused(disk, .damaged, "\(path), bytes \(places)") { disk throws(ReplicaError) in try open(disk) }
            for at in places { XCTAssertTrue(disk.corrupt(path, at: at, mask: 4), path) }
        }
        // Were it not refused, all of it would have been done.
        let digest = disk.contentDigest
        let member = try open(disk)
        XCTAssertEqual(member.introduction(to: 1).boot, 2, "refused openings are not counted")
        XCTAssertNotEqual(disk.contentDigest, digest)
        XCTAssertEqual(try disk.mount().list("m/groups/1").sorted(), ["ROOT", "VOTE", "state-1"])
    }
}
