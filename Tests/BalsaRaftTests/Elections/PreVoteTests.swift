import XCTest

@testable import BalsaRaft

/// Asking before disturbing anybody, and helping nobody against a leader that is alive.
final class PreVoteTests: XCTestCase {
    func testATentativeQuestionChangesNothingOnTheVoter() throws {
        var member = try TestMember.follower(term: 3)
        member.holdsPersists = true
        let deadline = member.raft.electionDeadline
        member.hear(.preVoteRequest(VoteRequest(last: .zero, campaign: 7)), from: 2, term: 9)
        XCTAssertEqual(member.raft.term, 3)
        XCTAssertEqual(member.raft.vote, 0)
        XCTAssertEqual(member.raft.electionDeadline, deadline)
        XCTAssertTrue(member.waiting.isEmpty)
        let answer = Message.Body.preVoteResponse(VoteResponse(isGranted: true, campaign: 7))
        XCTAssertEqual(member.takeSent(), [Message(from: 1, to: 2, term: 3, body: answer)])
    }

    func testATentativeAnswerFromAVoterTermsBehindCounts() throws {
        var member = try TestMember.preCandidate(of: 3, term: 9)
        let campaign = try XCTUnwrap(member.raft.campaign).number
        member.hear(.preVoteResponse(VoteResponse(isGranted: true, campaign: campaign)), from: 2, term: 3)
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .candidate, term: 10, leader: 0))
    }

    func testARejectionTeachesTheTermAndMovesNoTimer() throws {
        var member = try TestMember.preCandidate(of: 3, term: 2)
        let campaign = try XCTUnwrap(member.raft.campaign).number
        let deadline = member.raft.electionDeadline
        member.hear(.preVoteResponse(VoteResponse(isGranted: false, campaign: campaign)), from: 2, term: 6)
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 6, leader: 0))
        XCTAssertEqual(member.raft.electionDeadline, deadline)
        XCTAssertEqual(member.disk.hardState, HardState(term: 6, vote: 0))
    }

    func testAQuestionFromThePastIsAnsweredWithThePresentTerm() throws {
        var member = try TestMember.follower(term: 6)
        member.hear(.preVoteRequest(VoteRequest(last: .zero, campaign: 3)), from: 2, term: 2)
        member.hear(.voteRequest(VoteRequest(last: .zero, campaign: 4)), from: 2, term: 3)
        XCTAssertEqual(
            member.takeSent(),
            [
                Message(from: 1, to: 2, term: 6, body: .preVoteResponse(VoteResponse(isGranted: false, campaign: 3))),
                Message(from: 1, to: 2, term: 6, body: .voteResponse(VoteResponse(isGranted: false, campaign: 4))),
            ]
        )
    }

    /// Two members that notice at the same moment that the leader is gone must help each other, or nobody will.
    func testTwoThatAskAtTheSameTimeDoNotBlockEachOther() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.isCut = { from, to in from == 1 || to == 1 }
        cluster.sleep(.milliseconds(700))
        for id in [MemberID(2), 3] { cluster.with(id) { $0.step(.timer) } }
        XCTAssertEqual([cluster[2].raft.role, cluster[3].raft.role], [.preCandidate, .preCandidate])
        cluster.deliverAll()
        XCTAssertEqual([cluster[2].raft.vote, cluster[3].raft.vote], [2, 3], "both go on; nobody refuses")
        cluster.pass(.seconds(2))
        XCTAssertEqual(cluster.leaders.filter { $0 != 1 }.count, 1, "the next timeouts differ")
    }

    /// A short log in a high term and a long log in a low term: only the second can win, and only in a higher term.
    func testTheLongerLogWinsAlthoughItsTermIsBehind() throws {
        var cluster = try TestCluster(3, term: 2, logs: [[1, 2, 2], [1], [1, 2, 2]])
        cluster.isCut = { from, to in from == 3 || to == 3 }
        // Member 2 heard of a much later term while it was away.
        cluster.with(2) { $0.hear(.voteResponse(VoteResponse(isGranted: false, campaign: 1)), from: 3, term: 9) }
        XCTAssertEqual(cluster[2].raft.term, 9)
        cluster.pass(.seconds(4))
        XCTAssertEqual(cluster.leaders, [1])
        XCTAssertGreaterThan(cluster[1].raft.term, 9)
        XCTAssertEqual(cluster[2].log.terms.prefix(3), [1, 2, 2])
    }

    func testAMemberThatComesBackDoesNotDisturbTheLeader() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        let term = cluster[1].raft.term
        cluster.isCut = { from, to in from == 3 || to == 3 }
        cluster.pass(.seconds(10))
        XCTAssertEqual(cluster[3].raft.term, term, "alone it asks again and again and changes nothing")
        XCTAssertNotEqual(cluster[3].raft.leader, 1)
        cluster.isCut = { _, _ in false }
        cluster.pass(.seconds(1))
        XCTAssertEqual(cluster.members.map(\.raft.leader), [1, 1, 1])
        XCTAssertEqual(cluster[1].raft.term, term)
    }

    func testAVoterThatHearsALeaderHelpsNobodyAgainstIt() throws {
        var member = try TestMember.follower(term: 1)
        member.hearHeartbeat(from: 2, term: 1)
        member.takeSent()
        member.sleep(.milliseconds(299))
        let request = VoteRequest(last: .at(1, 9), campaign: 5)
        member.hear(.preVoteRequest(request), from: 3, term: 1)
        let no = Message.Body.preVoteResponse(VoteResponse(isGranted: false, campaign: 5))
        XCTAssertEqual(member.takeSent().map(\.body), [no])
        member.hear(.voteRequest(request), from: 3, term: 2)
        XCTAssertTrue(member.takeSent().isEmpty, "a candidate that cannot hear the leader is not even answered")
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 1, leader: 2))
        member.sleep(.milliseconds(1))
        member.hear(.voteRequest(request), from: 3, term: 2)
        XCTAssertEqual(member.raft.vote, 3, "after the minimum timeout it helps")
    }

    func testAMemberThatJustStartedHelpsNobodyForAMinimumTimeout() throws {
        var member = try TestMember(1, of: [1, 2, 3])
        member.hear(.voteRequest(VoteRequest(last: .zero, campaign: 5)), from: 3, term: 2)
        XCTAssertEqual(member.raft.vote, 0)
        XCTAssertEqual(member.raft.term, 0)
        member.sleep(member.options.minElectionTimeout)
        member.hear(.voteRequest(VoteRequest(last: .zero, campaign: 5)), from: 3, term: 2)
        XCTAssertEqual(member.raft.vote, 3)
    }

    func testALeaderHelpsNobody() throws {
        var member = try TestMember.settledLeader(term: 1)
        let request = VoteRequest(last: .at(1, 9), campaign: 5)
        member.hear(.preVoteRequest(request), from: 3, term: 1)
        let no = Message.Body.preVoteResponse(VoteResponse(isGranted: false, campaign: 5))
        XCTAssertEqual(member.takeSent().map(\.body), [no])
        member.hear(.voteRequest(request), from: 3, term: 2)
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .leader, term: 1, leader: 1))
    }

    /// A candidate whose term is above the leader's could never be led again if the leader did not learn of it.
    func testACandidateAheadOfTheLeaderIsLedAgainInAHigherTerm() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.with(3) { $0.hear(.voteResponse(VoteResponse(isGranted: false, campaign: 1)), from: 2, term: 7) }
        XCTAssertEqual(cluster[3].raft.term, 7)
        cluster.pass(.seconds(3))
        XCTAssertEqual(cluster.leaders.count, 1)
        let leader = try XCTUnwrap(cluster.leader)
        XCTAssertEqual(cluster.members.map(\.raft.leader), [leader, leader, leader])
        XCTAssertGreaterThanOrEqual(cluster[leader].raft.term, 7)
        cluster.propose(to: leader)
        cluster.deliverAll()
        XCTAssertEqual(cluster[3].raft.commitIndex, cluster[leader].log.lastIndex)
    }

    func testStrangersAreNotHeardWhateverTheirTerm() throws {
        var member = try TestMember.settledLeader(term: 2)
        let bodies: [Message.Body] = [
            .voteRequest(VoteRequest(last: .at(9, 9), campaign: 1)),
            .preVoteRequest(VoteRequest(last: .at(9, 9), campaign: 1)),
            .heartbeat(Heartbeat(round: 1, sentAt: .zero, commit: 0)), .appendResponse(.stale),
            .voteResponse(VoteResponse(isGranted: false, campaign: 1)),
        ]
        for body in bodies {
            member.hear(body, from: 9, term: 99)
            XCTAssertEqual(member.takeReports(), [.unknownPeer(9)])
        }
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .leader, term: 2, leader: 1))
        XCTAssertTrue(member.takeSent().isEmpty)
    }

    func testAMessageToSomebodyElseOrFromItselfIsNotHeard() throws {
        var member = try TestMember.follower(term: 1)
        let body = Message.Body.heartbeat(Heartbeat(round: 1, sentAt: .zero, commit: 0))
        member.step(.message(Message(from: 2, to: 3, term: 5, body: body), entries: []))
        member.step(.message(Message(from: 1, to: 1, term: 5, body: body), entries: []))
        XCTAssertEqual(member.raft.term, 1)
        XCTAssertTrue(member.takeSent().isEmpty)
    }
}
