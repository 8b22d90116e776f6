import XCTest

@testable import BalsaRaft

/// A group of one: a quorum alone, and bound by its own disk all the same.
final class SoleVoterTests: XCTestCase {
    func testItLeadsAtOnceAndWithoutWaitingForATimeout() throws {
        let member = try TestMember(1, of: [1])
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .leader, term: 1, leader: 1))
        XCTAssertEqual(member.now, .zero)
        XCTAssertEqual(member.raft.commitIndex, 1)
        XCTAssertTrue(member.sent.isEmpty)
    }

    func testItLeadsOnlyOnceItsVoteIsDurable() throws {
        var member = try TestMember(1, of: [1], holdsPersists: true)
        XCTAssertEqual(member.raft.role, .candidate)
        member.completePersist()
        XCTAssertEqual(member.raft.role, .leader)
        XCTAssertEqual(member.raft.commitIndex, 0)
        member.completePersist()
        XCTAssertEqual(member.raft.commitIndex, 1)
    }

    func testItCommitsAndAppliesOnlyWhatItHasPersisted() throws {
        var member = try TestMember(1, of: [1])
        member.holdsPersists = true
        member.propose()
        XCTAssertEqual(member.raft.commitIndex, 1)
        try member.crash()
        XCTAssertEqual(member.disk.log.lastIndex, 1, "what was not durable was not acknowledged")
        member.completePersists()
        member.propose()
        member.completePersists()
        XCTAssertEqual(member.raft.commitIndex, member.log.lastIndex)
        XCTAssertEqual(member.applied, member.log.lastIndex)
    }

    func testItAnswersReadsItself() throws {
        var member = try TestMember(1, of: [1])
        let read = ReadID(member: 1, nonce: 2, number: 3)
        member.step(.read(read))
        XCTAssertEqual(member.takeResponses(), [.readReady(read, index: 1)])
    }

    func testAReadThatComesBeforeTheFirstCommitIsAnsweredAfterIt() throws {
        var member = try TestMember(1, of: [1], holdsPersists: true)
        member.completePersist()
        let read = ReadID(member: 1, nonce: 2, number: 3)
        member.step(.read(read))
        XCTAssertTrue(member.takeResponses().isEmpty)
        member.completePersists()
        XCTAssertEqual(member.takeResponses(), [.readReady(read, index: 1)])
    }

    func testItLeadsForEverWithoutAnybodyToHear() throws {
        var member = try TestMember(1, of: [1])
        member.pass(.seconds(20))
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .leader, term: 1, leader: 1))
    }

    func testItsTermGrowsWithEveryLife() throws {
        var member = try TestMember(1, of: [1])
        try member.crash()
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .leader, term: 2, leader: 1))
        XCTAssertEqual(member.raft.commitIndex, 2)
    }

    func testAStalledDiskEndsItsLeadershipAndAWorkingOneBringsItBack() throws {
        var member = try TestMember(1, of: [1])
        member.holdsPersists = true
        member.propose()
        member.pass(.seconds(3))
        XCTAssertEqual(member.raft.role, .follower)
        member.completePersists()
        member.holdsPersists = false
        member.pass(.seconds(1))
        XCTAssertEqual(member.raft.role, .leader)
        XCTAssertEqual(member.raft.commitIndex, member.log.lastIndex)
    }
}
