import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// A checkpoint that takes the place of a state.
final class InstallTests: ReplicaTestCase {
    private let directory = "balsa/groups/1"

    /// Hands member 1 a checkpoint of member 2, and offers it.
    private func install(
        _ checkpoint: TestCheckpoint,
        _ group: ReplicaGroup,
        term: Term,
        transfer: UInt64 = 1,
        cluster: UniqueID = .none
    ) throws {
        for chunk in try checkpoint.chunks(of: 100, transfer: transfer, cluster: cluster) {
            try group.receive(1, from: 2, term: term, .checkpointChunk(chunk))
        }
        try offer(checkpoint, group, term: term)
    }

    private func offer(_ checkpoint: TestCheckpoint, _ group: ReplicaGroup, term: Term) throws {
        let offer = SnapshotOffer(position: checkpoint.state.position)
        try group.receive(1, from: 2, term: term, .message(.snapshot(offer), entries: nil))
        group.settle()
    }

    /// Gives member 1 entries of member 2's, with commands that write their index into `k`.
    private func append(_ group: ReplicaGroup, previous: LogPosition, count: Int, term: Term, commit: LogIndex) throws {
        var builder = EntryBatch.Builder(group: 1, previous: previous, capacityBytes: 1_000)
        for offset in 1...UInt64(count) {
            let command = RegisterCommand(identity: nil, key: "k", value: Bytes("\(previous.index + offset)"))
            builder.append(term: term, stamp: 5, kind: .command, payload: try command.encoded())
        }
        let entries = builder.finish()
        let range = EntryRange(first: entries.firstIndex, last: entries.last)
        let append = Append(previous: previous, entries: range, commit: commit)
        try group.receive(1, from: 2, term: term, .message(.append(append), entries: entries))
        group.settle()
    }

    /// Member 1 of three, alone, in term 1 of member 2, with three entries of which two are applied.
    private func following() throws -> (ReplicaGroup, ReplicaHost) {
        let group = ReplicaGroup(members: 3)
        try group.open(1)
        try append(group, previous: .zero, count: 3, term: 1, commit: 2)
        try append(group, previous: LogPosition(term: 1, index: 3), count: 1, term: 1, commit: 2)
        XCTAssertEqual(group.host(1).replica?.appliedIndex, 2)
        return (group, group.host(1))
    }

    private func checkpoint(_ index: LogIndex, term: Term = 1, _ value: Bytes = "new") throws -> TestCheckpoint {
        try TestCheckpoint(position: LogPosition(term: term, index: index), stamp: 9, state: [("k", value)])
    }

    func testTheLogBeginsAnewBehindACheckpointThatItDoesNotHold() throws {
        let (group, host) = try following()
        try install(checkpoint(60), group, term: 1)
        let replica = try XCTUnwrap(host.replica)
        XCTAssertEqual(replica.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(replica.applied, StatePosition(position: LogPosition(term: 1, index: 60), stamp: 9))
        XCTAssertEqual(replica.raft.log.base, LogPosition(term: 1, index: 60))
        XCTAssertEqual(replica.raft.log.lastIndex, 60)
        XCTAssertEqual(host.machine?.value(of: "k"), "new")
        XCTAssertEqual(host.provider.opened.map(\.isReceived), [false, true])
        XCTAssertTrue(host.provider.opened[0].machine.isClosed)
        XCTAssertEqual(try host.disk.mount().list(directory), ["ROOT", "VOTE", "state-2"])
        try append(group, previous: LogPosition(term: 1, index: 60), count: 2, term: 1, commit: 62)
        XCTAssertEqual(host.machine?.value(of: "k"), "62")
        for salt in [1, 2, 3] as [UInt64] {
            group.crash(1, powerLoss: salt)
            try group.open(1)
            XCTAssertEqual(host.machine?.durable.position.index, 60)
            XCTAssertEqual(host.replica?.raft.log.base, LogPosition(term: 1, index: 60))
            XCTAssertEqual(host.replica?.raft.log.last, LogPosition(term: 1, index: 62))
        }
    }

    /// What it has acknowledged behind the checkpoint may be all that a majority has of it.
    func testTheLogGoesOnBehindACheckpointWhoseLastEntryItHolds() throws {
        let (group, host) = try following()
        try install(checkpoint(3), group, term: 1)
        let replica = try XCTUnwrap(host.replica)
        XCTAssertEqual(replica.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(replica.raft.log.base, LogPosition(term: 1, index: 3))
        XCTAssertEqual(replica.raft.log.last, LogPosition(term: 1, index: 4))
        group.crash(1, powerLoss: 1)
        try group.open(1)
        XCTAssertEqual(host.replica?.raft.log.last, LogPosition(term: 1, index: 4))
        XCTAssertEqual(host.machine?.value(of: "k"), "new")
    }

    /// The first one may have diverged. What it has sent, whole, is not what the next one offers.
    func testACheckpoint_ofALeaderThatIsGone_isNotTakenForThatOfTheNext() throws {
        let (group, host) = try following()
        for chunk in try checkpoint(30, "wrong").chunks(of: 100, transfer: 1) {
            try group.receive(1, from: 2, term: 1, .checkpointChunk(chunk))
        }
        XCTAssertEqual(host.replica?.incoming?.isComplete, true)
        let heartbeat = Heartbeat(round: 1, sentAt: .zero, commit: 2)
        try group.receive(1, from: 3, term: 2, .message(.heartbeat(heartbeat), entries: nil))
        group.settle()
        let offer = PeerFrame.Content.message(
            .snapshot(SnapshotOffer(position: LogPosition(term: 1, index: 30))),
            entries: nil
        )
        try group.receive(1, from: 3, term: 2, offer)
        group.settle()
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 0, "what was offered did not arrive")
        for chunk in try checkpoint(30, "right").chunks(of: 100, transfer: 2) {
            try group.receive(1, from: 3, term: 2, .checkpointChunk(chunk))
        }
        try group.receive(1, from: 3, term: 2, offer)
        group.settle()
        XCTAssertEqual(host.machine?.value(of: "k"), "right")
    }

    func testAnOlderCheckpointThanTheStateChangesNothing() throws {
        let (group, host) = try following()
        try install(checkpoint(2), group, term: 1)
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 0)
        XCTAssertEqual(host.provider.opened.count, 1)
        XCTAssertEqual(host.machine?.value(of: "k"), "2")
        XCTAssertEqual(try host.disk.mount().list(directory), ["ROOT", "VOTE", "state-1"])
    }

    func testAnOfferOfWhatDidNotArriveChangesNothing() throws {
        let (group, host) = try following()
        try offer(checkpoint(60), group, term: 1)
        let (first, whole) = (try checkpoint(60), try checkpoint(61))
        try group.receive(1, from: 2, term: 1, .checkpointChunk(first.chunks(of: 20)[0]))
        try offer(first, group, term: 1)
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 0, "a part of one is none")
        XCTAssertEqual(host.replica?.incoming?.received, 20, "and it goes on arriving")
        for chunk in try whole.chunks(of: 100, transfer: 2) {
            try group.receive(1, from: 2, term: 1, .checkpointChunk(chunk))
        }
        try offer(first, group, term: 1)
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 0, "another one is none either")
        XCTAssertEqual(host.machine?.value(of: "k"), "2")
        XCTAssertNil(try XCTUnwrap(host.replica).failure)
        XCTAssertEqual(try host.disk.mount().list(directory), ["ROOT", "VOTE", "state-1", "state-3"])
        try append(group, previous: LogPosition(term: 1, index: 4), count: 1, term: 1, commit: 5)
        XCTAssertEqual(host.machine?.value(of: "k"), "5", "the log goes on")
        try offer(whole, group, term: 1)
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(try host.disk.mount().list(directory), ["ROOT", "VOTE", "state-3"])
    }

    func testACheckpointThatCannotBeReadLeavesTheStateThatWasThere() throws {
        let (group, host) = try following()
        host.provider.openFailure = { $0 ? StateMachineError("of a newer release", needsUpgrade: true) : nil }
        try install(checkpoint(60), group, term: 1)
        XCTAssertEqual(host.replica?.metrics.checkpointsUnreadable, 1)
        XCTAssertEqual(host.refusedCheckpoints, ["member 2: of a newer release"])
        group.expect(.checkpointRefused, of: 1)
        XCTAssertNil(try XCTUnwrap(host.replica).failure, "the state is well")
        XCTAssertEqual(host.machine?.value(of: "k"), "2")
        let root = try XCTUnwrap(host.replica?.generations.root)
        XCTAssertEqual(root.generation, 1)
        XCTAssertEqual(root.position, .zero)
        XCTAssertEqual(try host.disk.mount().list(directory), ["ROOT", "VOTE", "state-1"], "it is given up")
        try append(group, previous: LogPosition(term: 1, index: 4), count: 1, term: 1, commit: 5)
        XCTAssertEqual(host.machine?.value(of: "k"), "5", "and goes on")
        // Another one is welcome.
        host.provider.openFailure = { _ in nil }
        try install(checkpoint(60), group, term: 1, transfer: 2)
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(host.machine?.value(of: "k"), "new")
    }

    /// The bytes arrived as they were sent, and what they say is not what was offered.
    func testACheckpointThatContainsSomethingElseIsNotInstalled() throws {
        let (group, host) = try following()
        for position in [LogPosition(term: 1, index: 59), LogPosition(term: 1, index: 60)] {
            var state = RegisterState()
            state.position = StatePosition(position: position, stamp: 1)
            let wrong = TestCheckpoint(
                position: LogPosition(term: 1, index: 60),
                stamp: 9,
                files: [("seal-1", try state.encoded())]
            )
            try install(wrong, group, term: 1, transfer: position.index)
        }
        let empty = TestCheckpoint(position: LogPosition(term: 1, index: 60), files: [])
        try install(empty, group, term: 1, transfer: 70)
        XCTAssertEqual(host.replica?.metrics.checkpointsUnreadable, 3)
        XCTAssertEqual(
            host.refusedCheckpoints,
            ([59, 60] as [LogIndex]).map {
                "member 2: it contains everything through \(LogPosition(term: 1, index: $0)) with the stamp 1, and was "
                    + "offered with \(LogPosition(term: 1, index: 60)) and the stamp 9"
            } + ["member 2: balsa/groups/1/state-4 holds no state"]
        )
        group.expect(.checkpointRefused, of: 1)
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 0)
        XCTAssertEqual(host.machine?.value(of: "k"), "2")
        XCTAssertTrue(host.provider.opened.dropFirst().allSatisfy(\.machine.isClosed))
    }

    /// The list of files names the cluster, and so does the state itself. Either is enough.
    func testACheckpoint_ofAnotherCluster_isRefusedWithASentenceAndTheStateStays() throws {
        let (group, host) = try following()
        let other = UniqueID(high: 0xd1, low: 0xd2)
        try install(checkpoint(60), group, term: 1, transfer: 1, cluster: other)
        XCTAssertEqual(host.replica?.metrics.transfersRefused, 1)
        let others = try TestCheckpoint(
            position: LogPosition(term: 1, index: 60),
            stamp: 9,
            cluster: other,
            state: [("k", "theirs")]
        )
        try install(others, group, term: 1, transfer: 2)
        XCTAssertEqual(host.replica?.metrics.checkpointsUnreadable, 1)
        let own = UniqueID.none
        XCTAssertEqual(
            host.refusedCheckpoints,
            [
                "member 2: the checkpoint is of the cluster \(other), and this member belongs to the cluster \(own)",
                "member 2: the state in balsa/groups/1/state-3 is of the cluster \(other), and the member belongs "
                    + "to the cluster \(own): put back what belongs together",
            ]
        )
        group.expect(.checkpointRefused, of: 1)
        XCTAssertNil(try XCTUnwrap(host.replica).failure, "the member is well")
        XCTAssertEqual(host.machine?.value(of: "k"), "2")
        XCTAssertEqual(try host.disk.mount().list(directory), ["ROOT", "VOTE", "state-1"], "both are given up")
        try install(checkpoint(60), group, term: 1, transfer: 3)
        XCTAssertEqual(host.machine?.value(of: "k"), "new", "its own cluster's is welcome")
    }

    // MARK: What is under way

    func testAStateIsReplacedWhileItsWorkIsUnderWay() throws {
        let group = ReplicaGroup(members: 3)
        group.host(1).provider.sealAfterBytes = 1
        let host = group.host(1)
        host.holdsWork = true
        try group.open(1)
        try append(group, previous: .zero, count: 3, term: 1, commit: 2)
        try append(group, previous: LogPosition(term: 1, index: 3), count: 1, term: 1, commit: 3)
        XCTAssertEqual(host.heldWork.count, 1)
        try install(checkpoint(60), group, term: 1)
        XCTAssertEqual(host.machine?.value(of: "k"), "new")
        let old = host.provider.opened[0].machine
        XCTAssertFalse(old.isClosed, "a step of it is under way on another thread")
        XCTAssertEqual(try host.disk.mount().list(directory), ["ROOT", "VOTE", "state-1", "state-2"])
        try append(group, previous: LogPosition(term: 1, index: 60), count: 1, term: 1, commit: 61)
        XCTAssertEqual(host.machine?.pending.count, 1)
        XCTAssertEqual(host.heldWork.count, 1, "never two steps at once")
        group.releaseWork(1)
        XCTAssertTrue(old.isClosed)
        XCTAssertEqual(try host.disk.mount().list(directory), ["ROOT", "VOTE", "state-2"])
        XCTAssertEqual(host.machine?.durable.position.index, 61, "and the work of the new one has gone on")
    }

    func testWorkOfAReplacedStateMayFailAsItLikes() throws {
        for error in [
            StateMachineError("damaged"), StateMachineError("full", file: FileError(.write, "x", .noSpace)),
        ] {
            let group = ReplicaGroup(members: 3)
            let host = group.host(1)
            host.provider.sealAfterBytes = 1
            host.holdsWork = true
            try group.open(1)
            try append(group, previous: .zero, count: 3, term: 1, commit: 0)
            try append(group, previous: LogPosition(term: 1, index: 3), count: 1, term: 1, commit: 3)
            try install(checkpoint(60), group, term: 1)
            host.provider.workFailures = [error]
            group.releaseWork(1)
            XCTAssertNil(try XCTUnwrap(host.replica).failure)
            XCTAssertEqual(try host.disk.mount().list(directory), ["ROOT", "VOTE", "state-2"])
        }
    }

    /// Two installations while one step of the first state's work is under way.
    func testAStateThatIsReplacedTwiceLeavesNothingBehind() throws {
        let group = ReplicaGroup(members: 3)
        let host = group.host(1)
        host.provider.sealAfterBytes = 1
        host.holdsWork = true
        try group.open(1)
        try append(group, previous: .zero, count: 3, term: 1, commit: 0)
        try append(group, previous: LogPosition(term: 1, index: 3), count: 1, term: 1, commit: 3)
        XCTAssertEqual(host.heldWork.count, 1)
        try install(checkpoint(60, "first"), group, term: 1, transfer: 1)
        try install(checkpoint(70, "second"), group, term: 1, transfer: 2)
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 2)
        XCTAssertEqual(host.machine?.value(of: "k"), "second")
        group.releaseWork(1)
        XCTAssertEqual(host.provider.opened.map(\.machine.isClosed), [true, true, false])
        XCTAssertEqual(try host.disk.mount().list(directory), ["ROOT", "VOTE", "state-3"])
    }

    // MARK: Files

    func testWhatCannotBeRemovedIsRemovedWhenItIsOpened() throws {
        let group = ReplicaGroup(members: 3)
        let hook = FailingHook { $0.operation == .remove && $0.path.hasSuffix("state-1") }
        group.host(1).hook = hook
        try group.open(1)
        try append(group, previous: .zero, count: 3, term: 1, commit: 2)
        hook.isArmed = true
        try install(checkpoint(60), group, term: 1)
        XCTAssertEqual(group.host(1).replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(group.host(1).replica?.metrics.generationsLeftBehind, 1)
        XCTAssertEqual(try group.host(1).disk.mount().list(directory), ["ROOT", "VOTE", "state-1", "state-2"])
        group.crash(1, powerLoss: nil)
        hook.isArmed = false
        try group.open(1)
        XCTAssertEqual(try group.host(1).disk.mount().list(directory), ["ROOT", "VOTE", "state-2"])
    }

    /// Which of the two roots the disk holds, nobody knows then. Opened again, either is whole.
    func testARootThatCannotBePublishedStopsTheReplica() throws {
        for operation in [FileError.Operation.rename, .syncDirectory, .write, .sync] {
            let group = ReplicaGroup(members: 3)
            let hook = FailingHook { call in
                call.operation == operation && (call.path.hasSuffix("ROOT.new") || call.path.hasSuffix("groups/1"))
            }
            let host = group.host(1)
            host.hook = hook
            try group.open(1)
            try append(group, previous: .zero, count: 3, term: 1, commit: 2)
            hook.isArmed = true
            group.expect(.failed(.file), of: 1)
            try install(checkpoint(60), group, term: 1)
            XCTAssertEqual(host.replica?.failure?.code, .file, "\(operation)")
            XCTAssertTrue(host.provider.opened.dropFirst().allSatisfy(\.machine.isClosed))
            group.crash(1, powerLoss: 2)
            hook.isArmed = false
            try group.open(1)
            let generation = try XCTUnwrap(host.replica?.generations.root?.generation)
            XCTAssertTrue(generation == 1 || host.machine?.value(of: "k") == "new", "\(operation)")
            XCTAssertEqual(try host.disk.mount().list(directory), ["ROOT", "VOTE", "state-\(generation)"])
        }
    }

    /// ROOT names the checkpoint, and the log does not know of it yet.
    func testACrashBetweenRootAndTheResetOfTheLogIsMendedWhenOpened() throws {
        for salt in [nil] + (0..<12).map(UInt64?.some) {
            let scene = try Lagging()
            let (group, host) = (scene.group, scene.host)
            group.isolate()
            // Its vote may have to follow first: only what comes after the checkpoint is held back.
            for _ in 0..<300 where host.replica?.metrics.checkpointsInstalled == 0 {
                group.advance(by: .milliseconds(1))
                let isOffered = group.hosts.contains { $0.replica?.metrics.checkpointsSent ?? 0 > 0 }
                host.holdsWrites = isOffered || host.replica?.raft.currentStanding.leader != 0
                if !host.holdsWrites || host.held.contains(where: \.isVote) { group.releaseWrites(scene.late) }
            }
            let root = try XCTUnwrap(host.replica?.generations.root)
            XCTAssertEqual(root.generation, 2)
            XCTAssertFalse(host.held.isEmpty, "the log is not told yet")
            group.crash(scene.late, powerLoss: salt)
            host.holdsWrites = false
            try group.open(scene.late)
            XCTAssertEqual(host.replica?.raft.log.base, root.position, "salt \(String(describing: salt))")
            XCTAssertEqual(host.replica?.appliedIndex, root.position.index)
            group.advance(by: .seconds(2))
            XCTAssertEqual(try host.digest(), try scene.leaderHost.digest())

            group.crash(scene.late, powerLoss: salt)
            try group.open(scene.late)
            XCTAssertGreaterThanOrEqual(host.replica?.appliedIndex ?? 0, root.position.index, "and it stays mended")
        }
    }
}

/// Fails the calls that a test names, from a moment on.
private final class FailingHook: DiskHook {
    var isArmed = false
    private let fails: (DiskCall) -> Bool

    init(_ fails: @escaping (DiskCall) -> Bool) { self.fails = fails }

    func answer(_ call: DiskCall) -> DiskAnswer { isArmed && fails(call) ? .fail(.inputOutput) : .proceed }
}
