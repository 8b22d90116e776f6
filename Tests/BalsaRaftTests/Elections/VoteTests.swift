import XCTest

@testable import BalsaRaft

/// What a vote promises, and when it may be counted.
final class VoteTests: XCTestCase {
    private func request(_ last: LogPosition = .zero, campaign: UInt64 = 1) -> Message.Body {
        .voteRequest(VoteRequest(last: last, campaign: campaign))
    }

    private func isGrant(_ message: Message) -> Bool {
        if case .voteResponse(let response) = message.body { response.isGranted } else { false }
    }

    func testNoVoteLeavesBeforeItIsDurable() throws {
        var member = try TestMember.follower(term: 4)
        member.holdsPersists = true
        member.hear(request(), from: 2, term: 5)
        XCTAssertTrue(member.takeSent().isEmpty, "nothing is promised yet")
        XCTAssertEqual(member.waiting.map(\.persist.hardState), [HardState(term: 5, vote: 2)])
        member.completePersist()
        XCTAssertEqual(member.takeSent().filter(isGrant).map(\.to), [2])
    }

    func testAMemberThatForgotAVoteInACrashHadNotGivenIt() throws {
        var member = try TestMember.follower(term: 4)
        member.holdsPersists = true
        member.hear(request(), from: 2, term: 5)
        XCTAssertTrue(member.takeSent().isEmpty)
        try member.crash()
        member.sleep(member.options.minElectionTimeout)
        member.hear(request(), from: 3, term: 5)
        member.completePersists()
        XCTAssertEqual(member.takeSent().filter(isGrant).map(\.to), [3], "3 gets the vote of the term, and alone does")
    }

    func testAMemberThatGaveAVoteKnowsItAfterACrash() throws {
        var member = try TestMember.follower(term: 4)
        member.hear(request(), from: 2, term: 5)
        XCTAssertEqual(member.takeSent().filter(isGrant).map(\.to), [2])
        try member.crash()
        member.sleep(member.options.minElectionTimeout)
        member.hear(request(.at(4, 9)), from: 3, term: 5)
        XCTAssertTrue(member.takeSent().filter(isGrant).isEmpty)
        member.hear(request(), from: 2, term: 5)
        XCTAssertEqual(member.takeSent().filter(isGrant).map(\.to), [2], "to the same candidate it may be repeated")
    }

    func testAVoteThatIsAskedForTwiceIsNotRepeatedBeforeItIsDurable() throws {
        var member = try TestMember.follower(term: 4)
        member.holdsPersists = true
        member.hear(request(), from: 2, term: 5)
        member.hear(request(), from: 2, term: 5)
        XCTAssertTrue(member.takeSent().isEmpty)
        member.completePersists()
        XCTAssertEqual(member.takeSent().filter(isGrant).map(\.to), [2, 2])
    }

    func testACandidatesOwnVoteCountsOnlyWhenItIsDurable() throws {
        var member = try TestMember.preCandidate(term: 1)
        member.takeSent()
        member.holdsPersists = true
        member.hearVotes(from: [2])
        XCTAssertEqual(member.raft.role, .candidate)
        XCTAssertTrue(member.takeSent().isEmpty, "nobody hears of the new term before it is durable")
        // Even if one answer came too early, it is not a majority without the member's own vote.
        member.hearVotes(from: [2])
        XCTAssertEqual(member.raft.role, .candidate)
        member.completePersists()
        XCTAssertEqual(member.raft.role, .leader)
    }

    func testAVoteForItselfThatIsDurableTooLateIsNotCounted() throws {
        var member = try TestMember.preCandidate(term: 1)
        member.holdsPersists = true
        member.hearVotes(from: [2])
        member.hearHeartbeat(from: 3, term: 2)
        member.completePersists()
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 2, leader: 3))
        member.hearHeartbeat(from: 3, term: 3)
        member.completePersists()
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 3, leader: 3))
    }

    func testALeaderThatResignsKeepsTheVoteOfItsTerm() throws {
        var member = try TestMember.settledLeader(term: 5)
        member.sleep(member.options.minElectionTimeout)
        member.step(.timer)
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 5, leader: 0))
        member.hear(request(.at(5, 9)), from: 2, term: 5)
        XCTAssertEqual(member.raft.vote, 1)
        XCTAssertTrue(member.takeSent().filter(isGrant).isEmpty)
    }

    func testACandidateThatFollowsKeepsTheVoteOfItsTerm() throws {
        var member = try TestMember.candidate(term: 5)
        member.hearHeartbeat(from: 2, term: 5)
        member.sleep(member.options.minElectionTimeout)
        member.hear(request(.at(5, 9)), from: 3, term: 5)
        XCTAssertEqual(member.raft.vote, 1)
        XCTAssertTrue(member.takeSent().filter(isGrant).isEmpty)
    }

    func testAVoteOfAnEarlierTermIsNotCounted() throws {
        var member = try TestMember.candidate(of: 5, term: 2)
        let campaign = try XCTUnwrap(member.raft.campaign).number
        let yes = Message.Body.voteResponse(VoteResponse(isGranted: true, campaign: campaign))
        for peer in [MemberID(2), 3, 4, 5] { member.hear(yes, from: peer, term: 1) }
        XCTAssertEqual(member.raft.role, .candidate)
    }

    func testAVoteThatArrivesTwiceCountsOnce() throws {
        var member = try TestMember.candidate(of: 5, term: 2)
        member.hearVotes(from: [2, 2, 2, 2])
        XCTAssertEqual(member.raft.role, .candidate)
        member.hearVotes(from: [3])
        XCTAssertEqual(member.raft.role, .leader)
    }

    func testARefusalIsNotTakenBackByALaterAnswer() throws {
        var member = try TestMember.candidate(of: 3, term: 2)
        member.hearVotes(false, from: [2])
        member.hearVotes(true, from: [2])
        XCTAssertEqual(member.raft.role, .candidate)
    }

    func testATentativeAnswerIsNeverCountedAsAVote() throws {
        var member = try TestMember.preCandidate(of: 3, term: 1)
        let tentative = try XCTUnwrap(member.raft.campaign).number
        member.hearVotes(from: [2])
        XCTAssertEqual(member.raft.role, .candidate)
        let real = try XCTUnwrap(member.raft.campaign).number
        for number in [tentative, real] {
            let answer = Message.Body.preVoteResponse(VoteResponse(isGranted: true, campaign: number))
            for term in [Term(1), 2] { member.hear(answer, from: 3, term: term) }
        }
        let yes = Message.Body.voteResponse(VoteResponse(isGranted: true, campaign: tentative))
        member.hear(yes, from: 3, term: 2)
        XCTAssertEqual(member.raft.role, .candidate, "two of three only asked back")
        member.hearVotes(from: [3])
        XCTAssertEqual(member.raft.role, .leader)
    }

    func testATentativeAnswerToAnEarlierCampaignIsNotCounted() throws {
        var member = try TestMember.preCandidate(of: 3, term: 1)
        let first = try XCTUnwrap(member.raft.campaign).number
        member.timeOut()
        XCTAssertEqual(member.raft.role, .preCandidate)
        member.hear(.preVoteResponse(VoteResponse(isGranted: true, campaign: first)), from: 2, term: 1)
        XCTAssertEqual(member.raft.role, .preCandidate)
        member.hearVotes(from: [2])
        XCTAssertEqual(member.raft.role, .candidate)
    }

    func testAnAnswerToACampaignOfAnEarlierLifeIsNotCounted() throws {
        var member = try TestMember.preCandidate(of: 3, term: 1)
        let first = try XCTUnwrap(member.raft.campaign).number
        try member.crash()
        member.timeOut()
        XCTAssertEqual(member.raft.role, .preCandidate)
        member.hear(.preVoteResponse(VoteResponse(isGranted: true, campaign: first)), from: 2, term: 1)
        XCTAssertEqual(member.raft.role, .preCandidate)
    }

    func testLogsAreComparedByTermBeforeLength() throws {
        for (mine, theirs, isGranted) in [
            ([Term(1), 1, 1, 1], LogPosition.at(2, 1), true), ([1, 2], .at(1, 9), false),
        ] {
            var member = try TestMember.follower(term: 2, log: mine)
            member.hear(.preVoteRequest(VoteRequest(last: theirs, campaign: 1)), from: 2, term: 2)
            let answer = Message.Body.preVoteResponse(VoteResponse(isGranted: isGranted, campaign: 1))
            XCTAssertEqual(member.takeSent().map(\.body), [answer])
            member.hear(request(theirs), from: 2, term: 3)
            XCTAssertEqual(member.takeSent().contains(where: isGrant), isGranted)
        }
    }

    /// Somebody leads the term already, so the request can only be late. To grant it would hold back, behind a write of the
    /// vote, what that leader sends.
    func testALateRequestInATermThatIsLedGetsNoVote() throws {
        var member = try TestMember.follower(term: 1)
        member.hearHeartbeat(from: 3, term: 2, round: 1)
        member.pass(.milliseconds(301))
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 2, leader: 3))
        member.hear(.voteRequest(VoteRequest(last: .at(2, 9), campaign: 1)), from: 2, term: 2)
        XCTAssertEqual(member.raft.vote, 0)
    }
}
