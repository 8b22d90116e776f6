import BalsaRaft
import XCTest

@testable import Balsa

/// Callers of a leader that was deposed before their commands were committed.
final class SupersededTests: ReplicaTestCase {
    /// The next leader writes nothing but its first entry. Who waits for one of those behind it must not wait for its
    /// deadline.
    func testDeposedLeader_callersOfSeveralCommands_areAllToldThoughNothingElseIsWritten() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.advance(by: .milliseconds(200))
        group.isolate(leader)
        group.expect(.quorumLost, of: leader)
        let writes = (1...3).map {
            group.write(leader, "k", Bytes("\($0)"), as: CommandIdentity(session: 7, number: $0))
        }
        group.advance(by: .milliseconds(50))
        XCTAssertEqual(group.host(leader).replica?.raft.log.lastIndex, 4)
        _ = try group.elect()
        group.isolate()
        group.advance(by: .seconds(1))
        XCTAssertEqual(group.host(leader).replica?.raft.log.lastIndex, 2, "the three were cut off")
        for write in writes {
            XCTAssertEqual(group.host(leader).reply(to: write), .failed(.notApplied, .superseded))
        }
    }
}
