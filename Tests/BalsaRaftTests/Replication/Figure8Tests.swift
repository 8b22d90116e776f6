import XCTest

@testable import BalsaRaft

/// The story of figure 8, played through: an entry of an old term on a majority is not yet safe.
final class Figure8Tests: XCTestCase {
    /// (a) 1 led term 2 and handed entry 2 only to 2. (b) 5 led term 3 with another entry 2, which nobody got. (c) Now 1 is
    /// elected for term 4 by 2 and 3, and sends what it has; only what `isDelivered` arrives.
    private func cluster(delivering isDelivered: (Message) -> Bool) throws -> TestCluster {
        var options = RaftOptions()
        // One entry an append, so that entry 2 can travel without entry 3.
        options.maxAppendBytes = 1
        var cluster = try TestCluster(5, term: 3, logs: [[1, 2], [1, 2], [1], [1], [1, 3]], options: options)
        cluster.isCut = { from, to in [4, 5].contains(from) || [4, 5].contains(to) }
        cluster.with(1) { $0.timeOut() }
        cluster.deliverAll(isDelivered)
        cluster.drop()
        XCTAssertEqual(cluster[1].raft.currentStanding, Standing(role: .leader, term: 4, leader: 1))
        cluster.isCut = { from, to in from == 1 || to == 1 }
        return cluster
    }

    func testAnOldEntryOnAMajorityIsNotCommittedAndMayBeOverwritten() throws {
        // The first question to 3 reaches beyond its log and is rejected; of what follows, entry 2 arrives and entry 3 does not.
        var isFirst = true
        var cluster = try cluster { message in
            guard message.to == 3, case .append(let append) = message.body, append.lastIndex > 2 else { return true }
            defer { isFirst = false }
            return isFirst
        }
        XCTAssertEqual(cluster.members.map(\.log.terms), [[1, 2, 4], [1, 2, 4], [1, 2], [1], [1, 3]])
        XCTAssertEqual(cluster[1].raft.commitIndex, 0)
        // (d) 1 is gone. 5 asks, learns that the term is 4, asks again, is elected by 3 and 4, and cuts entry 2 off although
        // a majority held it.
        cluster.sleep(.seconds(1))
        cluster.with(5) { $0.step(.timer) }
        cluster.deliverAll()
        cluster.elect(5)
        for id in [MemberID(2), 3, 4, 5] { XCTAssertEqual(cluster[id].disk.log.terms, [1, 3, 5]) }
        cluster.isCut = { _, _ in false }
        cluster.pass(.seconds(3))
        XCTAssertEqual(cluster[1].disk.log.terms, cluster[5].disk.log.terms, "1 comes back and follows")
    }

    func testAnOldEntryIsCommittedAlongWithOneOfTheTermAndNeverOverwritten() throws {
        var cluster = try cluster { _ in true }
        XCTAssertEqual(cluster.members.map(\.log.terms), [[1, 2, 4], [1, 2, 4], [1, 2, 4], [1], [1, 3]])
        XCTAssertEqual(cluster[1].raft.commitIndex, 3)
        // (e) 1 is gone. 5 asks, and cannot win: a majority holds entries of term 4.
        for _ in 0..<5 {
            cluster.sleep(.seconds(1))
            cluster.with(5) { $0.step(.timer) }
            cluster.deliverAll()
            XCTAssertNotEqual(cluster[5].raft.role, .leader)
        }
        cluster.pass(.seconds(3))
        let leader = try XCTUnwrap(cluster.leaders.first { $0 != 1 })
        XCTAssertTrue([2, 3].contains(leader))
        XCTAssertEqual(cluster[5].disk.log.terms.prefix(3), [1, 2, 4])
    }
}
