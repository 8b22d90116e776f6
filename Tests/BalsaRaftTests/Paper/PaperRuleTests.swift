import XCTest

@testable import BalsaRaft

/// The rules of the Raft paper about terms and elections (sections 5.1, 5.2 and 5.4.1), one a test. Those about logs are
/// in the other part of the class.
///
/// Where the paper says that a member begins an election when its timer ends, this core first asks tentatively.
final class PaperRuleTests: XCTestCase {
    // MARK: Terms

    func testAFollowerAdoptsAHigherTerm() throws {
        var member = try TestMember.follower(term: 1)
        member.hearAppend(from: 2, term: 2, behind: .zero)
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 2, leader: 2))
    }

    func testACandidateAdoptsAHigherTermAndFollows() throws {
        var member = try TestMember.candidate(term: 1)
        member.hearAppend(from: 2, term: 2, behind: .zero)
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 2, leader: 2))
    }

    func testALeaderAdoptsAHigherTermAndFollows() throws {
        var member = try TestMember.leader(term: 1)
        member.hearAppend(from: 2, term: 2, behind: .zero)
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 2, leader: 2))
    }

    func testAMessageOfALowerTermChangesNothing() throws {
        var member = try TestMember.follower(term: 2, log: [1])
        member.hearAppend(from: 2, term: 1, behind: .at(1, 1), [1], commit: 2)
        XCTAssertEqual(member.log.terms, [1])
        XCTAssertEqual(member.raft.commitIndex, 0)
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 2, leader: 0))
        // The sender learns the present term.
        let answer = Message(from: 1, to: 2, term: 2, body: .appendResponse(.stale))
        XCTAssertEqual(member.takeSent(), [answer])
    }

    // MARK: Elections

    func testAMemberStartsAsAFollower() throws {
        let member = try TestMember(1, of: [1, 2, 3])
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 0, leader: 0))
        XCTAssertTrue(member.sent.isEmpty)
    }

    func testALeaderSendsHeartbeatsToAllFollowers() throws {
        var member = try TestMember.settledLeader()
        member.pass(member.options.heartbeatInterval)
        let sent = member.takeSent()
        XCTAssertEqual(sent.map(\.to), [2, 3])
        for message in sent {
            guard case .heartbeat(let heartbeat) = message.body else { return XCTFail("not a heartbeat: \(message)") }
            XCTAssertEqual(heartbeat.commit, 1)
            XCTAssertEqual(message.term, 1)
        }
    }

    /// After the timeout: the next term, a vote for itself, and questions to all others at the same time.
    private func checkElectionStarts(_ start: TestMember, term: Term) {
        var member = start
        member.takeSent()
        member.timeOut()
        XCTAssertEqual(member.takeSent().map(\.to), [2, 3], "it asks tentatively first")
        XCTAssertEqual(member.raft.term, term - 1)
        member.hearVotes(from: [2])
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .candidate, term: term, leader: 0))
        XCTAssertEqual(member.raft.vote, 1)
        let sent = member.takeSent()
        XCTAssertEqual(sent.map(\.to), [2, 3])
        for message in sent {
            XCTAssertEqual(message.term, term)
            guard case .voteRequest = message.body else { return XCTFail("not a question for a vote: \(message)") }
        }
    }

    func testAFollowerThatHearsNobodyStartsAnElection() throws {
        checkElectionStarts(try .follower(term: 1), term: 2)
    }

    func testACandidateThatIsNotElectedStartsANewElection() throws {
        checkElectionStarts(try .candidate(term: 2), term: 3)
    }

    func testAnElectionIsWonLostOrOpenAfterOneRound() throws {
        let cases: [(UInt64, [MemberID: Bool], Role)] = [
            (1, [:], .leader),
            (3, [2: true, 3: true], .leader), (3, [2: true], .leader),
            (5, [2: true, 3: true, 4: true, 5: true], .leader), (5, [2: true, 3: true, 4: true], .leader),
            (5, [2: true, 3: true], .leader),
            (3, [2: false, 3: false], .follower), (5, [2: false, 3: false, 4: false, 5: false], .follower),
            (5, [2: true, 3: false, 4: false, 5: false], .follower),
            (3, [:], .candidate), (5, [2: true], .candidate), (5, [2: false, 3: false], .candidate),
            (5, [:], .candidate),
        ]
        for (size, votes, role) in cases {
            var member = size == 1 ? try TestMember.leader(of: 1) : try TestMember.candidate(of: size)
            for (voter, isGranted) in votes.sorted(by: { $0.key < $1.key }) {
                member.hearVotes(isGranted, from: [voter])
            }
            XCTAssertEqual(member.raft.role, role, "\(size) members, \(votes)")
            XCTAssertEqual(member.raft.term, 1)
        }
    }

    func testAFollowerVotesOnceATermFirstComeFirstServed() throws {
        for (vote, candidate, isGranted) in [
            (0, 2, true), (0, 3, true), (2, 2, true), (3, 3, true), (2, 3, false), (3, 2, false),
        ] {
            var member = try TestMember.follower(term: 1, vote: MemberID(vote))
            let request = VoteRequest(last: .zero, campaign: 9)
            member.hear(.voteRequest(request), from: MemberID(candidate), term: 1)
            let answer = Message.Body.voteResponse(VoteResponse(isGranted: isGranted, campaign: 9))
            XCTAssertEqual(
                member.takeSent(),
                [Message(from: 1, to: MemberID(candidate), term: 1, body: answer)],
                "voted for \(vote), asked by \(candidate)"
            )
        }
    }

    func testACandidateThatHearsALeaderOfItsTermOrALaterOneFollows() throws {
        for term in [Term(1), 2] {
            var member = try TestMember.candidate(term: 1)
            member.hearAppend(from: 2, term: term, behind: .zero)
            XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: term, leader: 2))
        }
    }

    // MARK: Timeouts

    private func checkTimeoutsAreSpread(_ draw: (UInt64) throws -> TestMember) throws {
        let options = RaftOptions()
        let low = options.minElectionTimeout.nanoseconds
        let high = options.maxElectionTimeout.nanoseconds
        var buckets = Array(repeating: 0, count: 10)
        for seed in 1...300 {
            let member = try draw(UInt64(seed))
            let timeout = member.raft.electionTimeout.nanoseconds
            XCTAssertTrue((low..<high).contains(timeout), "\(timeout) ns")
            buckets[Int((timeout - low) * 10 / (high - low))] += 1
        }
        XCTAssertFalse(buckets.contains(0), "every tenth of the range occurs: \(buckets)")
    }

    func testTheTimeoutOfAFollowerIsRandom() throws {
        try checkTimeoutsAreSpread { try .follower(seed: $0) }
    }

    func testTheTimeoutOfACandidateIsRandom() throws {
        try checkTimeoutsAreSpread { seed in
            var member = try TestMember.follower(seed: seed)
            member.timeOut()
            member.hearVotes(from: [2])
            XCTAssertEqual(member.raft.role, .candidate)
            return member
        }
    }

    /// In most rounds the first of five to time out is well ahead of the second: by 15 ms, many round trips.
    private func checkTimeoutsRarelyCollide(_ prepare: (inout TestMember) -> Void) throws {
        var collisions = 0
        for round in 0..<200 {
            var timeouts: [UInt64] = []
            for id in 1...5 {
                var member = try TestMember.follower(of: 5, seed: UInt64(round * 5 + id))
                prepare(&member)
                timeouts.append(member.raft.electionTimeout.nanoseconds)
            }
            timeouts.sort()
            if timeouts[1] - timeouts[0] < 15_000_000 { collisions += 1 }
        }
        XCTAssertLessThanOrEqual(collisions, 60, "of 200 rounds")
    }

    func testFollowersSeldomTimeOutTogether() throws {
        try checkTimeoutsRarelyCollide { _ in }
    }

    func testCandidatesSeldomTimeOutTogether() throws {
        try checkTimeoutsRarelyCollide { member in
            member.timeOut()
            member.hearVotes(from: [2, 3])
            XCTAssertEqual(member.raft.role, .candidate)
        }
    }

    // MARK: Votes

    func testAQuestionForAVoteNamesTheLastEntryAndGoesToAll() throws {
        for (terms, last) in [([Term(1)], LogPosition.at(1, 1)), ([1, 2], .at(2, 2))] {
            var member = try TestMember.preCandidate(term: 2, log: terms)
            member.takeSent()
            member.hearVotes(from: [3])
            let campaign = try XCTUnwrap(member.raft.campaign).number
            let question = Message.Body.voteRequest(VoteRequest(last: last, campaign: campaign))
            XCTAssertEqual(
                member.takeSent(),
                [2, 3].map { Message(from: 1, to: $0, term: 3, body: question) }
            )
        }
    }

    func testAVoterRefusesACandidateWhoseLogIsBehindItsOwn() throws {
        let cases: [([Term], LogPosition, Bool)] = [
            // The same last term: the longer log, or an equally long one.
            ([1], .at(1, 1), true), ([1], .at(1, 2), true), ([1, 1], .at(1, 1), false),
            // The candidate's last term is higher.
            ([1], .at(2, 1), true), ([1], .at(2, 2), true), ([1, 1], .at(2, 1), true),
            // The voter's is.
            ([2], .at(1, 1), false), ([2], .at(1, 2), false), ([2, 2], .at(1, 1), false), ([1, 2], .at(1, 9), false),
        ]
        for (terms, last, isGranted) in cases {
            var member = try TestMember.follower(term: 2, log: terms)
            member.hear(.voteRequest(VoteRequest(last: last, campaign: 4)), from: 2, term: 3)
            let answer = Message.Body.voteResponse(VoteResponse(isGranted: isGranted, campaign: 4))
            XCTAssertEqual(
                member.takeSent(),
                [Message(from: 1, to: 2, term: 3, body: answer)],
                "\(terms), asked with \(last)"
            )
        }
    }
}
