import XCTest

@testable import BalsaRaft

/// Leadership that is handed over: by whom, to whom, when, and what becomes of it if nobody takes it.
final class TransferTests: XCTestCase {
    /// Who was told to campaign, and with which last position.
    private func told(_ messages: [Message]) -> [MemberID: LogPosition] {
        var told: [MemberID: LogPosition] = [:]
        for case (let to, .timeoutNow(let last)) in messages.map({ ($0.to, $0.body) }) { told[to] = last }
        return told
    }

    private func votes(_ messages: [Message]) -> [VoteRequest] {
        messages.compactMap { if case .voteRequest(let request) = $0.body { request } else { nil } }
    }

    private func isGranted(_ messages: [Message]) -> Bool? {
        messages.compactMap { if case .voteResponse(let response) = $0.body { response.isGranted } else { nil } }.last
    }

    private let transferred = VoteRequest(last: .at(1, 9), campaign: 5, flags: VoteRequest.transferFlag)

    // MARK: The leader

    func testLeader_askedToHandOver_tellsAPeerThatHoldsItsLogAndTakesNoProposals() throws {
        var member = try TestMember.settledLeader()
        member.step(.transferLeadership(to: 3, request: 1))
        XCTAssertEqual(told(member.takeSent()), [3: .at(1, 1)])
        XCTAssertTrue(member.raft.isTransferring)
        member.propose(id: 9)
        XCTAssertEqual(member.takeResponses(), [.proposalRefused(9, .notLeader(leader: 0))])
        XCTAssertEqual(member.log.lastIndex, 1)
        member.hearHeartbeatAnswers(from: [2, 3])
        XCTAssertEqual(told(member.takeSent()), [:], "once is enough")
    }

    func testLeader_whoseSuccessorLacksEntries_bringsItUpToDateFirst() throws {
        var member = try TestMember.settledLeader()
        member.propose(2)
        member.takeSent()
        member.step(.transferLeadership(to: 3, request: 1))
        member.hearAcceptance(from: [2], through: 3)
        member.hearAcceptance(from: [3], through: 2)
        XCTAssertEqual(told(member.takeSent()), [:])
        member.hearAcceptance(from: [3], through: 3)
        XCTAssertEqual(told(member.takeSent()), [3: .at(1, 3)])
    }

    func testLeader_withoutANamedSuccessor_tellsTheFirstThatHoldsItsLog() throws {
        var member = try TestMember.settledLeader()
        member.propose(2)
        member.takeSent()
        member.step(.transferLeadership(to: nil, request: 1))
        member.hearAcceptance(from: [3], through: 3)
        XCTAssertEqual(told(member.takeSent()), [3: .at(1, 3)])
    }

    func testLeader_thatHearsTheSuccessorsQuestion_votesForItAndSaysSo() throws {
        var member = try TestMember.settledLeader()
        member.step(.transferLeadership(to: 3, request: 7))
        member.takeSent()
        member.hear(.voteRequest(transferred), from: 3, term: 2)
        XCTAssertEqual(member.takeResponses(), [.handedOver(7)])
        XCTAssertEqual(member.raft.role, .follower)
        XCTAssertEqual(member.raft.vote, 3)
        XCTAssertEqual(isGranted(member.takeSent()), true)
    }

    func testLeader_whoseSuccessorDoesNotTakeOver_leadsOnAndTriesTheNext() throws {
        var member = try TestMember.settledLeader()
        var order: [MemberID] = []
        for request in 1...3 as ClosedRange<UInt64> {
            member.step(.transferLeadership(to: nil, request: request))
            order += told(member.takeSent()).keys
            for _ in 0..<11 {
                member.pass(.milliseconds(50))
                member.hearHeartbeatAnswers(from: [2, 3])
            }
            member.propose(id: 8)
            XCTAssertEqual(member.takeResponses(), [.proposalRefused(8, .notLeader(leader: 0))])
            member.pass(.milliseconds(50))
            XCTAssertEqual(member.takeResponses(), [.refused(request: request, .timedOut)])
            member.hearHeartbeatAnswers(from: [2, 3])
            member.propose(id: 9)
            let index = member.log.lastIndex
            XCTAssertEqual(member.takeResponses(), [.proposed(9, first: index, term: 1)])
            member.hearAcceptance(from: [2, 3], through: index)
            member.takeSent()
        }
        XCTAssertEqual(order, [2, 3, 2])
    }

    /// What it holds it may hold for ever without being heard.
    func testLeader_withASilentPeer_tellsTheOtherOne() throws {
        var member = try TestMember.settledLeader()
        for _ in 0..<6 {
            member.pass(.milliseconds(50))
            member.hearHeartbeatAnswers(from: [3])
        }
        member.takeSent()
        member.step(.transferLeadership(to: 2, request: 1))
        XCTAssertEqual(told(member.takeSent()), [:])
        member.hearHeartbeatAnswers(from: [2])
        XCTAssertEqual(told(member.takeSent()), [2: .at(1, 1)], "it is heard again")
        var other = try TestMember.settledLeader()
        for _ in 0..<6 {
            other.pass(.milliseconds(50))
            other.hearHeartbeatAnswers(from: [3])
        }
        other.takeSent()
        other.step(.transferLeadership(to: nil, request: 1))
        XCTAssertEqual(told(other.takeSent()), [3: .at(1, 1)])
    }

    func testRequests_thatCannotBeServed_areRefused() throws {
        var member = try TestMember.settledLeader()
        member.step(.transferLeadership(to: 1, request: 1))
        member.step(.transferLeadership(to: 4, request: 2))
        member.step(.transferLeadership(to: nil, request: 3))
        member.step(.transferLeadership(to: 2, request: 4))
        XCTAssertEqual(
            member.takeResponses(),
            [
                .refused(request: 1, .notSupported), .refused(request: 2, .notSupported),
                .refused(request: 4, .overloaded),
            ]
        )
        member.hear(.appendResponse(.stale), from: 2, term: 5)
        XCTAssertEqual(member.takeResponses(), [.handedOver(3)])
        member.step(.transferLeadership(to: 2, request: 5))
        XCTAssertEqual(member.takeResponses(), [.refused(request: 5, .notLeader(leader: 0))])
        var alone = try TestMember.settledLeader(of: 1)
        alone.step(.transferLeadership(to: nil, request: 6))
        XCTAssertEqual(alone.takeResponses(), [.refused(request: 6, .notSupported)])
    }

    /// Its leadership ends before anybody was told.
    func testLeader_thatIsDeposedBeforeItHasHandedOver_saysThatItDidNot() throws {
        var member = try TestMember.settledLeader()
        member.propose()
        member.step(.transferLeadership(to: 2, request: 1))
        member.takeResponses()
        member.hear(.appendResponse(.stale), from: 3, term: 2)
        XCTAssertEqual(member.takeResponses(), [.refused(request: 1, .notLeader(leader: 0))])
    }

    // MARK: The successor

    func testFollower_toldToCampaign_asksForVotesAtOnce() throws {
        var member = try TestMember.follower(term: 2, log: [1, 2])
        member.hearHeartbeat(from: 3, term: 2)
        member.takeSent()
        member.hear(.timeoutNow(.at(2, 2)), from: 3, term: 2)
        let sent = member.takeSent()
        XCTAssertEqual(votes(sent).map(\.isTransfer), [true, true])
        XCTAssertEqual(sent.map(\.to), [2, 3], "the leader votes, too")
        XCTAssertEqual(sent.map(\.term), [3, 3])
        member.hearVotes(from: [3])
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .leader, term: 3, leader: 1))
    }

    /// The next campaign is one like any other.
    func testFollower_thatLosesAfterItWasTold_asksTentativelyNext() throws {
        var member = try TestMember.follower(term: 2, log: [1, 2])
        member.hear(.timeoutNow(.at(2, 2)), from: 3, term: 2)
        member.hearVotes(false, from: [2, 3])
        member.takeSent()
        member.timeOut()
        XCTAssertEqual(member.raft.role, .preCandidate)
        member.hearVotes(from: [2])
        XCTAssertEqual(votes(member.takeSent()).map(\.flags), [0, 0])
    }

    func testFollower_thatShouldNotLead_doesNotCampaign() throws {
        func check(
            _ sentence: String,
            term: Term = 2,
            _ last: LogPosition = .at(2, 2),
            _ prepare: (inout TestMember) -> Void
        )
            throws
        {
            var member = try TestMember.follower(term: 2, log: [1, 2])
            prepare(&member)
            member.takeSent()
            member.hear(.timeoutNow(last), from: 3, term: term)
            XCTAssertEqual(votes(member.takeSent()), [], sentence)
            XCTAssertEqual(member.raft.role, .follower, sentence)
        }
        try check("the leader has gone on since") { $0.hearAppend(from: 3, term: 2, behind: .at(2, 2), [2]) }
        try check("it has lost entries", .at(2, 3)) { _ in }
        try check("another member leads") { $0.hearHeartbeat(from: 2, term: 2) }
        try check("the term is over") { $0.hearHeartbeat(from: 3, term: 3) }
        try check("it waits for a checkpoint") {
            $0.hear(.snapshot(SnapshotOffer(position: .at(2, 5))), from: 3, term: 2)
        }
        try check("its state differs") {
            $0.hearAppend(from: 3, term: 2, behind: .at(2, 2), commit: 2)
            $0.step(.digest(StateDigest(index: 2, value: 7)))
            $0.hear(.notice(.diverged(StateDigest(index: 2, value: 8))), from: 3, term: 2)
        }
        try check("its disk does not answer") {
            $0.holdsPersists = true
            $0.hearAppend(from: 3, term: 2, behind: .at(1, 1), [2])
            $0.hear(.preVoteRequest(VoteRequest(last: .zero, campaign: 1)), from: 2, term: 2)
            $0.hearAppend(from: 3, term: 2, behind: .at(2, 2), [2])
            $0.sleep(.milliseconds(300))
        }
    }

    func testFollower_toldInATermThatIsOver_teachesTheNewOne() throws {
        var member = try TestMember.follower(term: 3, log: [1, 2])
        member.hear(.timeoutNow(.at(2, 2)), from: 3, term: 2)
        XCTAssertEqual(member.takeSent(), [Message(from: 1, to: 3, term: 3, body: .appendResponse(.stale))])
    }

    // MARK: The voters

    func testVoter_thatHearsALeader_helpsOnlyACandidateThatTheLeaderAsked() throws {
        var member = try TestMember.follower(term: 1, log: [1])
        member.hearHeartbeat(from: 2, term: 1)
        member.takeSent()
        member.hear(.voteRequest(VoteRequest(last: .at(1, 9), campaign: 5)), from: 3, term: 2)
        XCTAssertEqual(member.takeSent(), [])
        XCTAssertEqual(member.raft.term, 1)
        member.hear(.voteRequest(transferred), from: 3, term: 2)
        XCTAssertEqual(isGranted(member.takeSent()), true)
        XCTAssertEqual(member.raft.vote, 3)
    }

    func testVoter_ofACandidateThatTheLeaderAsked_stillVotesOnceAndForNoShorterLog() throws {
        var member = try TestMember.follower(term: 1, log: [1, 1])
        member.hearHeartbeat(from: 2, term: 1)
        member.takeSent()
        let behind = VoteRequest(last: .at(1, 1), campaign: 5, flags: VoteRequest.transferFlag)
        member.hear(.voteRequest(behind), from: 3, term: 2)
        XCTAssertEqual(isGranted(member.takeSent()), false)
        member.hear(.voteRequest(transferred), from: 2, term: 2)
        XCTAssertEqual(isGranted(member.takeSent()), true)
        member.hear(.voteRequest(transferred), from: 3, term: 2)
        XCTAssertEqual(isGranted(member.takeSent()), false)
    }

    func testQuestion_withAFlagThatItCannotHave_isReportedAndNotHeard() throws {
        for flags in [VoteRequest.transferFlag, 2, 0x81] {
            var member = try TestMember.follower(term: 1)
            let request = VoteRequest(last: .zero, campaign: 1, flags: flags)
            if flags != VoteRequest.transferFlag { member.hear(.voteRequest(request), from: 2, term: 2) }
            member.hear(.preVoteRequest(request), from: 2, term: 2)
            XCTAssertTrue(member.reports.allSatisfy { $0 == .malformedMessage(from: 2) })
            XCTAssertEqual(member.reports.count, flags == VoteRequest.transferFlag ? 1 : 2)
            XCTAssertEqual(member.takeSent(), [])
        }
        var member = try TestMember.follower(term: 1)
        member.hear(.timeoutNow(.zero), from: 2, term: 1)
        XCTAssertEqual(member.takeReports(), [.malformedMessage(from: 2)])
    }

    // MARK: All together

    func testGroup_whoseLeaderHandsOver_isLedByAnotherBeforeATimerFires() throws {
        for target in [MemberID?.none, 2, 3] {
            var cluster = try TestCluster(3)
            cluster.elect(1)
            cluster.propose(to: 1, 3)
            cluster.with(1) { $0.step(.transferLeadership(to: target, request: 1)) }
            cluster.deliverAll()
            let leader = try XCTUnwrap(cluster.leader)
            XCTAssertNotEqual(leader, 1)
            if let target { XCTAssertEqual(leader, target) }
            XCTAssertEqual(cluster.leaders, [leader])
            XCTAssertEqual(cluster[leader].raft.term, 2)
            XCTAssertEqual(cluster[1].responses.last, .handedOver(1))
            cluster.propose(to: leader)
            cluster.pass(.milliseconds(100))
            XCTAssertEqual(cluster.members.map(\.applied), [6, 6, 6])
        }
    }
}
