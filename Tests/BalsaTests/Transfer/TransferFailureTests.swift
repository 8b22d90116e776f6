import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// What goes wrong at one of the ends of a transfer, and that both ends go on.
final class TransferFailureTests: ReplicaTestCase {
    private func isChunk(_ frame: PeerFrame) -> Bool {
        if case .checkpointChunk = frame.content { true } else { false }
    }

    func testADamagedChunkIsRefusedAndTheTransferBegunAnew() throws {
        let scene = try Lagging()
        let (group, host) = (scene.group, scene.host)
        group.fate = { self.isChunk($0) ? .isHeld : .arrives }
        group.isolate()
        group.advance(by: .milliseconds(900))
        // The first one arrives. The second was read from a file that rots.
        var held = try group.heldFrames.map { try PeerFrame(decoding: $0.bytes, options: group.options.wire) }
        guard case .checkpointChunk(let first) = held.removeFirst().content,
            case .checkpointChunk(var second) = held.removeFirst().content
        else { return XCTFail("chunks are held") }
        var bytes = [UInt8](second.bytes)
        bytes[50] ^= 1
        second.bytes = Bytes(bytes)
        let term = try XCTUnwrap(scene.leaderHost.replica?.raft.term)
        try group.receive(scene.late, from: scene.leader, term: term, .checkpointChunk(first))
        XCTAssertEqual(host.replica?.incoming?.received, 100)
        try group.receive(scene.late, from: scene.leader, term: term, .checkpointChunk(second))
        XCTAssertNil(try XCTUnwrap(host.replica).incoming)
        XCTAssertEqual(host.replica?.metrics.transfersRefused, 1)
        XCTAssertEqual(
            host.refusedCheckpoints,
            ["member \(scene.leader): a chunk at 100 is not of the checkpoint that began"]
        )
        group.expect(.checkpointRefused, of: scene.late)
        XCTAssertNil(try XCTUnwrap(host.replica).failure, "the member is well")
        XCTAssertEqual(try host.disk.mount().list("balsa/groups/1"), ["ROOT", "VOTE", "state-1"])
        group.fate = { _ in .arrives }
        group.advance(by: .seconds(2))
        XCTAssertEqual(scene.leaderHost.replica?.metrics.transfersFailed, 1)
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 1)
    }

    func testAReceiverWithoutSpaceRefusesAndIsServedLater() throws {
        let hook = SpaceHook()
        let scene = try Lagging { for host in $0.hosts { host.hook = hook } }
        let (group, host) = (scene.group, scene.host)
        hook.full = "/state-"
        hook.spared = "/state-1/"
        group.isolate()
        group.advance(by: .seconds(60))
        XCTAssertNil(try XCTUnwrap(host.replica).failure)
        let attempts = try XCTUnwrap(scene.leaderHost.replica?.metrics.transfersStarted)
        XCTAssertTrue((5...8).contains(attempts), "\(attempts) attempts: the pause doubles each time")
        XCTAssertEqual(host.replica?.metrics.transfersRefused, attempts)
        XCTAssertEqual(host.refusedCheckpoints.count, 1, "it is said once: \(host.refusedCheckpoints)")
        XCTAssertTrue(host.refusedCheckpoints.first?.contains("it cannot be written here now") == true)
        group.expect(.checkpointRefused, of: scene.late)
        hook.full = nil
        group.advance(by: longestPause(of: group))
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(try host.digest(), try scene.leaderHost.digest())
    }

    func testCheckpoint_thatDoesNotFitOnTheDisk_isRefusedAtTheFirstChunkAndComesOnceThereIsSpace() throws {
        let scene = try Lagging { group in
            var small = DiskOptions()
            small.capacityBytes = 64 << 20
            for host in group.hosts { host.disk = SimulatedDisk(options: small) }
        }
        let (group, host) = (scene.group, scene.host)
        let kept = try XCTUnwrap(host.replica).log.nextSegmentByteCount + GenerationStore.publicationByteCount
        let files = host.disk.mount()
        let filler = try files.open("filler", .create)
        try filler.setSize(try files.availableBytes(at: "/") - kept - 100)
        let written = try files.availableBytes(at: "/")
        group.isolate()
        group.advance(by: .seconds(60))

        let needed = try XCTUnwrap(scene.leaderHost.chunks.first).streamByteCount
        XCTAssertGreaterThan(needed, 100)
        XCTAssertEqual(
            host.refusedCheckpoints,
            [
                "member \(scene.leader): it takes \(needed) bytes, and \(written) bytes are available in "
                    + "balsa/groups/1, of which \(kept) are kept for the log and for ROOT: free "
                    + "\(needed - 100) bytes there; the leader tries again by itself"
            ],
            "it is said once"
        )
        group.expect(.checkpointRefused, of: scene.late)
        XCTAssertEqual(scene.leaderHost.chunks.map(\.offset).max(), 100, "no more than the first two are sent")
        let attempts = try XCTUnwrap(scene.leaderHost.replica?.metrics.transfersStarted)
        XCTAssertTrue((5...8).contains(attempts), "\(attempts) attempts: the pause doubles each time")
        XCTAssertEqual(try files.list("balsa/groups/1"), ["ROOT", "VOTE", "state-1"], "nothing of it was written")
        XCTAssertNil(try XCTUnwrap(host.replica).failure)

        // As it advises: exactly as much is freed as it said.
        try filler.setSize(try filler.size() - (needed - 100))
        group.advance(by: longestPause(of: group))
        XCTAssertEqual(host.replica?.failure?.description, nil)
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(try host.digest(), try scene.leaderHost.digest())
    }

    /// The pause before a checkpoint is sent again, at most, and the time for it to arrive.
    private func longestPause(of group: ReplicaGroup) -> TimeSpan {
        group.options.raft.maxElectionTimeout * 64 + .seconds(2)
    }

    func testALeaderThatCannotReadItsStateGoesOnLeading() throws {
        let hook = SpaceHook()
        let scene = try Lagging { for host in $0.hosts { host.hook = hook } }
        let group = scene.group
        hook.unreadable = "/seal-"
        group.isolate()
        group.advance(by: .seconds(3))
        let leader = try XCTUnwrap(scene.leaderHost.replica)
        XCTAssertGreaterThan(leader.metrics.transfersFailed, 0)
        XCTAssertLessThan(leader.metrics.transfersFailed, 12, "it is not tried in a loop")
        XCTAssertEqual(leader.raft.role, .leader)
        let write = group.write(scene.leader, "k", "v")
        group.settle()
        XCTAssertEqual(scene.leaderHost.reply(to: write)?.isSuccess, true)
        hook.unreadable = nil
        group.advance(by: .seconds(2))
        XCTAssertEqual(scene.host.replica?.metrics.checkpointsInstalled, 1)
    }

    /// While it arrives, the log gets further than the checkpoint, as when another leader still has the entries.
    func testACheckpointThatTheLogHasOvertakenIsGivenUp() throws {
        let group = ReplicaGroup(members: 3)
        try group.open(1)
        group.settle()
        let checkpoint = try TestCheckpoint(position: LogPosition(term: 1, index: 2), stamp: 0, state: [("k", "v")])
        let chunks = try checkpoint.chunks(of: 50)
        try group.receive(1, from: 2, term: 1, .checkpointChunk(chunks[0]))
        XCTAssertEqual(group.host(1).replica?.incoming?.received, 50)
        var builder = EntryBatch.Builder(group: 1, previous: .zero, capacityBytes: 1_000)
        for _ in 0..<3 { builder.append(term: 1, stamp: 0, kind: .noOp, payload: Bytes()) }
        let entries = builder.finish()
        let range = EntryRange(first: 1, last: entries.last)
        let append = Append(previous: .zero, entries: range, commit: 3)
        try group.receive(1, from: 2, term: 1, .message(.append(append), entries: entries))
        group.settle()
        XCTAssertNil(try XCTUnwrap(group.host(1).replica).incoming)
        XCTAssertEqual(try group.host(1).disk.mount().list("balsa/groups/1"), ["ROOT", "VOTE", "state-1"])
        // The sender is told that nothing more of it is needed.
        try group.receive(1, from: 2, term: 1, .checkpointChunk(chunks[1]))
        guard case .checkpointChunkResponse(let response)? = group.host(1).sent.last?.content else {
            return XCTFail("the sender should be told")
        }
        XCTAssertEqual(response.status, .complete)
    }
}

/// A disk that has no space below some directory, or cannot read some files.
private final class SpaceHook: DiskHook {
    var full: String?
    /// What of that has space.
    var spared: String?
    var unreadable: String?

    func answer(_ call: DiskCall) -> DiskAnswer {
        if let full, call.operation == .write, call.path.contains(full), !call.path.contains(spared ?? "//") {
            return .fail(.noSpace)
        }
        if let unreadable, call.operation == .read, call.path.contains(unreadable) { return .fail(.inputOutput) }
        return .proceed
    }
}
