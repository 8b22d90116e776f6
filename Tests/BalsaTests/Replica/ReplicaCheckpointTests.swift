import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import XCTest

@testable import Balsa

/// Checkpoints: taken, opened from, sent, installed, and mended after a crash in between.
final class ReplicaCheckpointTests: XCTestCase {
    private func group(_ members: UInt64) -> ReplicaGroup {
        let group = ReplicaGroup(members: members)
        group.options.checkpointAfterBytes = 4_096
        group.options.entriesKeptBehindCheckpoint = 3
        return group
    }

    func testACheckpointIsTakenTheLogIsDroppedAndTheReplicaOpensFromIt() throws {
        let group = group(1)
        _ = try group.start()
        group.writeMany(1, 60)
        let host = group.host(1)
        let replica = try XCTUnwrap(host.replica)
        XCTAssertGreaterThan(replica.metrics.checkpointsTaken, 1)
        let root = try XCTUnwrap(replica.checkpoints.root)
        XCTAssertEqual(replica.raft.log.base.index, root.position.index - 3, "three entries are kept behind it")
        XCTAssertGreaterThan(root.position.index, 30)
        XCTAssertEqual(try host.disk.mount().list("balsa/groups/1"), ["ROOT", "VOTE", "state-\(root.generation)"])
        let digest = try XCTUnwrap(host.machine?.digest)

        group.crash(1, powerLoss: 3)
        try group.open(1)
        XCTAssertGreaterThanOrEqual(host.replica?.appliedIndex ?? 0, root.position.index, "the state was not replayed")
        _ = try group.elect()
        let read = group.read(1, "k4")
        group.settle()
        XCTAssertEqual(host.machine?.digest, digest)
        guard case .success? = host.reply(to: read) else { return XCTFail("no answer") }
    }

    func testWhileTheLogIsOverItsBoundNothingIsKeptBehindTheCheckpoint() throws {
        let group = group(1)
        group.options.entriesKeptBehindCheckpoint = 1_000
        group.options.log.boundBytes = 8_192
        _ = try group.start()
        group.writeMany(1, 150)
        let replica = try XCTUnwrap(group.host(1).replica)
        XCTAssertGreaterThan(replica.raft.log.base.index, 30)
    }

    /// A leader, a follower, and one that has missed so much that the log cannot serve it.
    private func lagging(_ group: ReplicaGroup) throws -> (leader: MemberID, late: MemberID) {
        let leader = try group.start()
        let late = leader % 3 + 1
        group.advance(by: .milliseconds(100))
        group.isolate(late)
        group.writeMany(leader, 60)
        XCTAssertGreaterThan(group.host(leader).replica?.raft.log.base.index ?? 0, 30)
        XCTAssertEqual(group.host(late).replica?.appliedIndex, 1)
        return (leader, late)
    }

    func testAMemberThatIsFarBehindGetsACheckpointAndThenTheLog() throws {
        let group = group(3)
        let (leader, late) = try lagging(group)
        let stale = group.read(late, "k0", within: .seconds(60))
        group.isolate()
        group.advance(by: .seconds(2))
        let now = try XCTUnwrap(group.hosts.first { $0.replica?.raft.role == .leader })
        let write = group.write(now.id, "last", "one")
        group.advance(by: .milliseconds(200))
        guard case .success? = now.reply(to: write) else { return XCTFail("the group goes on") }
        let host = group.host(late)
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(host.machine?.digest, group.host(leader).machine?.digest)
        XCTAssertEqual(host.machine?.value(of: "last"), "one")
        XCTAssertNotNil(host.reply(to: stale))

        // What it installed is on its disk.
        group.crash(late, powerLoss: 5)
        try group.open(late)
        XCTAssertGreaterThan(host.replica?.appliedIndex ?? 0, 30)
        group.advance(by: .seconds(1))
        XCTAssertEqual(host.machine?.digest, group.host(leader).machine?.digest)
    }

    /// ROOT names the checkpoint, and the log does not know of it yet.
    func testACrashBetweenRootAndTheResetOfTheLogIsMendedWhenOpened() throws {
        for salt in [nil] + (0..<12).map(UInt64?.some) {
            let group = group(3)
            let (leader, late) = try lagging(group)
            let host = group.host(late)
            group.isolate()
            // Its vote may have to follow first: only what comes after the checkpoint is held back.
            for _ in 0..<300 where host.replica?.metrics.checkpointsInstalled == 0 {
                group.advance(by: .milliseconds(1))
                let isOffered = group.hosts.contains { $0.replica?.metrics.checkpointsSent ?? 0 > 0 }
                host.holdsWrites = isOffered || host.replica?.raft.currentStanding.leader != 0
                if !host.holdsWrites || host.held.contains(where: \.isVote) { group.releaseWrites(late) }
            }
            let root = try XCTUnwrap(host.replica?.checkpoints.root)
            XCTAssertFalse(host.held.isEmpty, "the log is not told yet")
            group.crash(late, powerLoss: salt)
            host.holdsWrites = false
            try group.open(late)
            XCTAssertEqual(host.replica?.raft.log.base, root.position, "salt \(String(describing: salt))")
            XCTAssertEqual(host.replica?.appliedIndex, root.position.index)
            group.advance(by: .seconds(2))
            XCTAssertEqual(host.machine?.digest, group.host(leader).machine?.digest)

            group.crash(late, powerLoss: salt)
            try group.open(late)
            XCTAssertGreaterThanOrEqual(host.replica?.appliedIndex ?? 0, root.position.index, "and it stays mended")
        }
    }

    func testALeaderWhoseCommandACheckpointCoversIsToldThatItIsUnknown() throws {
        let group = group(3)
        let old = try group.start()
        group.advance(by: .milliseconds(100))
        group.isolate(old)
        let command = group.write(old, "k", "whose?")
        group.settle()
        let new = try group.elect()
        group.writeMany(new, 60)
        group.isolate()
        group.advance(by: .seconds(2))
        XCTAssertEqual(group.host(old).replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(group.host(old).reply(to: command), .failed(.unknown, .overtakenByCheckpoint))
    }
}
