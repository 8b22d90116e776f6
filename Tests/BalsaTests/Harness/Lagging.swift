import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// A group of three: a leader, a follower, and one that was cut off and has missed so much that the log cannot serve it.
struct Lagging {
    let group: ReplicaGroup
    let leader: MemberID
    let late: MemberID
    let other: MemberID

    /// Brings it about. A checkpoint is sent in chunks of 100 bytes, of which it has about five.
    init(
        _ change: (ReplicaGroup) -> Void = { _ in },
        file: StaticString = #filePath,
        line: UInt = #line
    ) throws {
        group = ReplicaGroup(members: 3, file: file, line: line)
        group.options.sealStateAfterBytes = 4_096
        group.options.entriesKeptBehindSeal = 3
        group.options.chunkBytes = 100
        change(group)
        leader = try group.start()
        late = leader % 3 + 1
        other = late % 3 + 1
        group.advance(by: .milliseconds(100))
        group.isolate(late)
        group.writeMany(leader, 60)
        XCTAssertGreaterThan(group.host(leader).replica?.raft.log.base.index ?? 0, 30)
        XCTAssertEqual(group.host(late).replica?.appliedIndex, 1)
    }

    var leaderHost: ReplicaHost { group.host(leader) }

    /// The one that is behind.
    var host: ReplicaHost { group.host(late) }
}
