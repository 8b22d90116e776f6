import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// A transfer of a checkpoint while nobody knows which of the states are right.
final class PausedTransferTests: ReplicaTestCase {
    private func isChunk(_ frame: PeerFrame) -> Bool {
        if case .checkpointChunk = frame.content { true } else { false }
    }

    /// A peer says of its state what is not true, at the newest entry at which both report.
    private func bringIntoDispute(_ scene: Lagging) throws {
        let replica = try XCTUnwrap(scene.leaderHost.replica)
        let index = replica.appliedIndex / 8 * 8
        XCTAssertGreaterThan(index, 0)
        var response = AppendResponse.accepted(through: replica.raft.log.lastIndex)
        response.digest = StateDigest(index: index, value: 12_345)
        let message = Message.Body.appendResponse(response)
        try scene.group.receive(
            scene.leader,
            from: scene.other,
            term: replica.raft.term,
            .message(message, entries: nil)
        )
        scene.group.settle()
        XCTAssertTrue(replica.raft.isInDispute)
    }

    /// A dispute lasts until enough members have reported the entry: a moment, as a rule.
    func testTransfer_duringADispute_pausesAndGoesOnAfterIt() throws {
        let scene = try Lagging { $0.options.digestInterval = 8 }
        let (group, host) = (scene.group, scene.leaderHost)
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.isolate()
        group.advance(by: .milliseconds(500))
        let transfer = try XCTUnwrap(host.replica?.senders.first?.transfer)
        try bringIntoDispute(scene)
        let sent = host.chunks.count
        group.fate = { _ in .arrives }
        group.advance(by: .milliseconds(800))
        XCTAssertEqual(host.replica?.raft.isInDispute, true)
        XCTAssertEqual(host.replica?.senders.first?.transfer, transfer)
        XCTAssertEqual(host.chunks.count, sent, "none is sent meanwhile")
        // The next answer of that peer says what is true.
        group.writeMany(scene.leader, 1)
        XCTAssertEqual(host.replica?.raft.isInDispute, false)
        group.advance(by: .seconds(2))
        XCTAssertEqual(host.replica?.metrics.transfersStarted, 1)
        XCTAssertEqual(host.replica?.metrics.transfersFailed, 0)
        XCTAssertEqual(host.replica?.metrics.checkpointsSent, 1)
        XCTAssertEqual(scene.host.replica?.appliedIndex, host.replica?.appliedIndex)
    }

    /// The peer says so once more when the last chunk is repeated.
    func testTransfer_thatIsCompleteDuringADispute_isOfferedAfterIt() throws {
        let scene = try Lagging { $0.options.digestInterval = 8 }
        let (group, host) = (scene.group, scene.leaderHost)
        group.isolate()
        // All arrives, and what the peer says of the last chunk is late.
        group.fate = { frame in
            guard case .checkpointChunkResponse(let response) = frame.content else { return .arrives }
            return response.status == .complete ? .isHeld : .arrives
        }
        group.advance(by: .seconds(1))
        XCTAssertFalse(group.heldFrames.isEmpty)
        try bringIntoDispute(scene)
        group.deliverHeld()
        XCTAssertFalse(host.messages.contains { if case .snapshot = $0.body { true } else { false } })
        XCTAssertEqual(host.replica?.senders.count, 1)
        group.fate = { _ in .arrives }
        group.writeMany(scene.leader, 1)
        XCTAssertEqual(host.replica?.raft.isInDispute, false)
        group.advance(by: .seconds(2))
        XCTAssertEqual(host.replica?.metrics.transfersStarted, 1)
        XCTAssertEqual(host.replica?.metrics.transfersFailed, 0)
        XCTAssertEqual(scene.host.replica?.appliedIndex, host.replica?.appliedIndex)
    }

    /// The files of the checkpoint are not held for ever.
    func testTransfer_inADisputeThatLasts_isGivenUp() throws {
        let scene = try Lagging {
            $0.options.digestInterval = 8
            $0.options.giveUpTransferAfter = .seconds(3)
        }
        let (group, host) = (scene.group, scene.leaderHost)
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.isolate()
        group.advance(by: .milliseconds(500))
        XCTAssertEqual(host.replica?.senders.count, 1)
        try bringIntoDispute(scene)
        // The peer that could say what is true is down, and the late one was up to date of late.
        group.advance(by: .milliseconds(1_500))
        XCTAssertEqual(host.replica?.senders.count, 1)
        group.advance(by: .milliseconds(1_500))
        XCTAssertEqual(host.replica?.senders.count, 0)
        XCTAssertEqual(host.replica?.metrics.transfersFailed, 1)
    }
}
