import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// What a leader takes on while its state cannot be flushed.
final class BackPressureTests: ReplicaTestCase {
    /// A leader whose flushes do not get on (a full disk) refuses commands before its log grows without end.
    func testALeaderWhoseStateIsOverloadedRefusesCommands() throws {
        for viaFollower in [false, true] {
            let group = ReplicaGroup(members: 3)
            group.options.log.boundBytes = 16 << 10
            group.options.maxWaitingBytes = 4 << 10
            group.options.maxBacklogBytes = 16 << 10
            group.options.sealStateAfterBytes = 4 << 10
            group.options.raft.maxUncommittedBytes = 8 << 10
            let leader = try group.start()
            let follower = leader % 3 + 1
            group.advance(by: .milliseconds(100))
            group.host(leader).provider.sealAfterBytes = 2_048
            group.host(leader).provider.maxPendingSeals = 2
            group.host(leader).holdsWork = true
            for number in 0..<3_000 {
                let identity = CommandIdentity(session: 1, number: UInt64(number + 1))
                let value = Bytes(String(repeating: "x", count: 60))
                group.write(viaFollower ? follower : leader, "k", value, as: identity, within: .milliseconds(200))
                group.advance(by: .milliseconds(10))
            }
            let replica = try XCTUnwrap(group.host(leader).replica)
            XCTAssertTrue(replica.isBacklogged)
            XCTAssertEqual(replica.stall, .backlog, "an operator can see it")
            XCTAssertLessThan(replica.commitIndex - replica.appliedIndex, 400)
            XCTAssertLessThan(replica.logMetrics.bytes, 128 << 10)

            // When the disk is well again, everything goes on.
            group.releaseWork(leader)
            group.advance(by: .seconds(2))
            let write = group.write(leader, "last", "one", as: CommandIdentity(session: 1, number: 5_000))
            group.advance(by: .milliseconds(200))
            guard case .success? = group.host(leader).reply(to: write) else { return XCTFail("it does not go on") }
            XCTAssertNil(replica.stall)
        }
    }
}
