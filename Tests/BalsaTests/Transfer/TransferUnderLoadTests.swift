import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// Checkpoints that are sent while the group goes on, and messages of transfers that are over.
final class TransferUnderLoadTests: ReplicaTestCase {
    private func isChunk(_ frame: PeerFrame) -> Bool {
        if case .checkpointChunk = frame.content { true } else { false }
    }

    /// While a checkpoint is sent, the log behind it must not be dropped, unless the log is over its bound.
    func testTheLogBehindACheckpointUnderWayIsKept() throws {
        let scene = try Lagging()
        let group = scene.group
        group.fate = { self.isChunk($0) ? .isHeld : .arrives }
        group.isolate()
        group.advance(by: .milliseconds(900))
        let position = try XCTUnwrap(scene.leaderHost.replica?.senders.first?.source.state.position)
        for _ in 0..<4 { group.writeMany(scene.leader, 60); group.advance(by: .milliseconds(10)) }
        let base = try XCTUnwrap(scene.leaderHost.replica?.raft.log.base.index)
        XCTAssertLessThanOrEqual(base, position.index)
    }

    /// Under a steady load each checkpoint is outdated when it has arrived.
    func testAMemberCatchesUpUnderLoad() throws {
        let scene = try Lagging()
        let group = scene.group
        group.fate = { self.isChunk($0) ? .isHeld : .arrives }
        group.isolate()
        for _ in 0..<200 {
            group.advance(by: .milliseconds(20))
            group.writeMany(scene.leader, 20)
            group.deliverHeld()
        }
        let late = try XCTUnwrap(scene.host.replica)
        let leader = try XCTUnwrap(scene.leaderHost.replica)
        XCTAssertGreaterThan(late.appliedIndex + 200, leader.appliedIndex)
        XCTAssertLessThanOrEqual(late.metrics.checkpointsInstalled, 3)
    }

    /// A late copy of the first chunk of a transfer that is over ends the one that goes on.
    func testALateFirstChunkOfAnOldTransferChangesNothing() throws {
        let scene = try Lagging()
        let (group, host) = (scene.group, scene.host)
        var first: Bytes?
        var seen = 0
        group.fate = { frame in
            guard case .checkpointChunk(let chunk) = frame.content else { return .arrives }
            if chunk.transfer.number == 1 {
                if chunk.offset == 0, first == nil {
                    first = (try? frame.encoded(options: group.options.wire, version: 1)).map {
                        Bytes($0.flatMap { [UInt8]($0) })
                    }
                }
                return .isLost
            }
            seen += 1
            return seen <= 3 ? .arrives : .isLost
        }
        group.isolate()
        group.advance(by: .seconds(32))
        XCTAssertEqual(host.replica?.incoming?.received, 300)
        let transfer = host.replica?.incoming?.transfer
        group.step(scene.late, .received(try XCTUnwrap(first)))
        XCTAssertEqual(host.replica?.incoming?.transfer, transfer, "the newer transfer goes on")
        XCTAssertEqual(host.replica?.incoming?.received, 300)
    }

    /// A late offer of another position ends the transfer that goes on.
    func testALateOfferDoesNotEndATransfer() throws {
        let scene = try Lagging()
        let (group, host) = (scene.group, scene.host)
        var seen = 0
        group.fate = { frame in
            guard self.isChunk(frame) else { return .arrives }
            seen += 1
            return seen <= 3 ? .arrives : .isHeld
        }
        group.isolate()
        group.advance(by: .milliseconds(900))
        XCTAssertEqual(host.replica?.incoming?.received, 300)
        let term = try XCTUnwrap(host.replica?.raft.term)
        try group.receive(
            scene.late,
            from: scene.leader,
            term: term,
            .message(.snapshot(SnapshotOffer(position: LogPosition(term: 1, index: 20))), entries: nil)
        )
        XCTAssertEqual(host.replica?.incoming?.received, 300, "a late offer of another checkpoint")
    }
}
