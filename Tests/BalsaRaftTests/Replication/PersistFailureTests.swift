import XCTest

@testable import BalsaRaft

/// A write that failed cannot be taken back from those who were sent it. The member stops, for good.
final class PersistFailureTests: XCTestCase {
    func testALeaderWhosePersistFailsIsNoLeaderAnyMore() throws {
        var member = try TestMember.settledLeader(term: 1)
        member.holdsPersists = true
        member.propose()
        member.takeResponses()
        member.takeSent()
        member.failPersist()
        XCTAssertEqual(member.takeReports(), [.persistFailed])
        XCTAssertEqual(member.raft.role, .follower)
        member.hearAcceptance(from: [2, 3], through: 2)
        XCTAssertEqual(member.raft.commitIndex, 1)
        member.propose(id: 2)
        XCTAssertEqual(member.takeResponses(), [.proposalRefused(2, .failed)])
        XCTAssertEqual(member.log.lastIndex, 2, "nothing takes the place of what failed")
    }

    func testAFailedMemberNeitherVotesNorAcknowledgesNorCampaigns() throws {
        var member = try TestMember.follower(term: 1)
        member.holdsPersists = true
        member.hearAppend(from: 2, term: 1, behind: .zero, [1])
        member.failPersist()
        member.hearAppend(from: 2, term: 1, behind: .zero, [1])
        member.hear(.voteRequest(VoteRequest(last: .at(1, 5), campaign: 1)), from: 3, term: 2)
        member.hear(.preVoteRequest(VoteRequest(last: .at(1, 5), campaign: 1)), from: 3, term: 2)
        member.hearHeartbeat(from: 2, term: 1)
        member.pass(.seconds(5))
        XCTAssertTrue(member.takeSent().isEmpty)
        XCTAssertTrue(member.waiting.isEmpty, "and asks its disk for nothing")
        XCTAssertEqual(member.raft.term, 1)
    }

    func testACompletionAfterAFailureChangesNothing() throws {
        var member = try TestMember.preCandidate(term: 1)
        member.takeSent()
        member.holdsPersists = true
        member.hearVotes(from: [2])
        let id = try XCTUnwrap(member.waiting.first?.persist.id)
        member.failPersist()
        member.takeSent()
        member.step(.persistFailed(id))
        member.hearVotes(from: [2, 3])
        XCTAssertEqual(member.raft.role, .follower)
        XCTAssertTrue(member.takeSent().isEmpty)
    }

    func testAFailedMemberAppliesNothingMore() throws {
        var member = try TestMember.settledLeader(term: 1)
        member.propose()
        member.holdsPersists = true
        member.propose()
        member.failPersist()
        XCTAssertEqual(member.applied, 1)
        member.hearAcceptance(from: [2, 3], through: 3)
        XCTAssertEqual(member.applied, 1)
    }

    func testReadsThatWaitAreRefusedWhenThePersistFails() throws {
        var member = try TestMember.settledLeader(term: 1)
        let read = ReadID(member: 1, nonce: 1, number: 1)
        member.step(.read(read))
        member.holdsPersists = true
        member.propose()
        member.takeResponses()
        member.failPersist()
        XCTAssertEqual(member.takeResponses(), [.readRefused(read, .notLeader(leader: 0))])
        member.step(.read(ReadID(member: 1, nonce: 1, number: 2)))
        XCTAssertEqual(member.takeResponses(), [.readRefused(ReadID(member: 1, nonce: 1, number: 2), .failed)])
    }

    func testTheRestOfTheGroupGoesOn() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.holdPersists(of: 1)
        cluster.propose(to: 1)
        cluster.with(1) { $0.failPersist() }
        cluster.pass(.seconds(3))
        let leader = try XCTUnwrap(cluster.leader)
        XCTAssertNotEqual(leader, 1)
        cluster.propose(to: leader)
        cluster.pass(.milliseconds(200))
        XCTAssertEqual(cluster[leader].raft.commitIndex, cluster[leader].log.lastIndex)
        // Opened anew, the member takes part again.
        try cluster.crash(1)
        cluster.heal(for: .seconds(2))
        XCTAssertEqual(cluster[1].log.last, cluster[leader].log.last)
    }
}
