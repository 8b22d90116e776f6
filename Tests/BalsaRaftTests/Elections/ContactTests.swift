import XCTest

@testable import BalsaRaft

/// A leader that has lost its quorum, its disk or its time gives up, and the others find another.
final class ContactTests: XCTestCase {
    func testALeaderThatHearsNoQuorumResignsAfterAMinimumTimeout() throws {
        var member = try TestMember.settledLeader(of: 5)
        member.hearHeartbeatAnswers(from: [2])
        member.pass(.milliseconds(299))
        XCTAssertEqual(member.raft.role, .leader)
        member.pass(.milliseconds(1))
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 1, leader: 0))
        XCTAssertEqual(member.takeReports(), [.quorumLost])
    }

    func testContactCountsFromTheSendingOfTheHeartbeatNotFromItsAnswer() throws {
        var member = try TestMember.settledLeader(of: 3)
        let start = member.now
        member.pass(.milliseconds(250))
        // The answer to the very first heartbeat took long; a voter may have turned away since.
        let late = HeartbeatResponse(round: 1, sentAt: start)
        member.hear(.heartbeatResponse(late), from: 2, term: 1)
        member.pass(.milliseconds(50))
        XCTAssertEqual(member.raft.role, .follower)
    }

    func testAnAnswerThatNamesTheFutureDoesNotKeepALeaderInOffice() throws {
        var member = try TestMember.settledLeader(of: 3)
        let impossible = HeartbeatResponse(round: 1, sentAt: Instant(nanoseconds: .max))
        member.hear(.heartbeatResponse(impossible), from: 2, term: 1)
        member.pass(.milliseconds(300))
        XCTAssertEqual(member.raft.role, .follower)
    }

    func testALeaderThatIsAnsweredStays() throws {
        var member = try TestMember.settledLeader(of: 3)
        for _ in 0..<40 {
            member.pass(.milliseconds(50))
            member.hearHeartbeatAnswers(from: [2])
        }
        XCTAssertEqual(member.raft.role, .leader)
    }

    /// The leader can send to all and hear nobody. Its heartbeats keep the others from electing, so it has to go itself.
    func testALeaderThatCanSpeakAndNotHearIsReplaced() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.isCut = { _, to in to == 1 }
        cluster.pass(.seconds(3))
        XCTAssertNotEqual(cluster[1].raft.role, .leader)
        XCTAssertEqual(cluster.leaders.count, 1)
    }

    func testALeaderThatCanHearAndNotSpeakIsReplaced() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.isCut = { from, _ in from == 1 }
        cluster.pass(.seconds(3))
        XCTAssertFalse(cluster.leaders.contains(1))
        XCTAssertEqual(cluster.leaders.count, 1)
    }

    /// All ways in which one member of three can lose one link or one direction: the others commit within two seconds.
    func testAnyOneMemberCutOffInAnyWayLeavesTheRestWorking() throws {
        for lost in [MemberID(1), 2, 3] {
            for kind in 0..<3 {
                var cluster = try TestCluster(3, seed: UInt64(kind))
                cluster.elect(1)
                cluster.isCut = { from, to in (kind != 1 && from == lost) || (kind != 2 && to == lost) }
                cluster.pass(.seconds(2))
                let leader = try XCTUnwrap(cluster.leader)
                XCTAssertNotEqual(leader, lost == 1 ? 1 : 0, "cut \(lost), kind \(kind)")
                let before = cluster.judge.commitIndex
                cluster.propose(to: leader)
                cluster.pass(.milliseconds(200))
                XCTAssertEqual(cluster.judge.commitIndex, cluster[leader].log.lastIndex)
                XCTAssertGreaterThan(cluster.judge.commitIndex, before)
                let term = cluster[leader].raft.term
                cluster.pass(.seconds(3))
                XCTAssertEqual(cluster[leader].raft.term, term, "nobody disturbs the leader; cut \(lost), kind \(kind)")
            }
        }
    }

    /// 1 leads, 2 cannot reach it, 3 can reach both: 2 asks in vain, and the leader stays.
    func testAMemberThatOnlyMissesTheLeaderDoesNotDepose() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        let term = cluster[1].raft.term
        cluster.isCut = { from, to in (from == 1 && to == 2) || (from == 2 && to == 1) }
        cluster.pass(.seconds(20))
        XCTAssertEqual(cluster.leaders, [1])
        XCTAssertEqual(cluster[1].raft.term, term)
        cluster.propose(to: 1)
        cluster.pass(.milliseconds(100))
        XCTAssertEqual(cluster[3].raft.commitIndex, cluster[1].log.lastIndex)
    }

    /// The leader 1 reaches only 3, which also belongs to the connected majority 3, 4, 5 of five. Its heartbeats must not
    /// keep that majority from electing.
    func testALeaderThatReachesOnlyABridgeIsReplaced() throws {
        var cluster = try TestCluster(5)
        cluster.elect(1)
        cluster.isCut = { from, to in
            let pair = [from, to].sorted()
            return (pair[0] == 1 && pair[1] != 3) || pair == [2, 3] || pair == [2, 4] || pair == [2, 5]
        }
        cluster.pass(.seconds(5))
        let leader = try XCTUnwrap(cluster.leader)
        XCTAssertTrue([3, 4, 5].contains(leader))
        XCTAssertEqual(cluster.leaders, [leader])
        cluster.propose(to: leader)
        cluster.pass(.milliseconds(200))
        XCTAssertEqual(cluster[leader].raft.commitIndex, cluster[leader].log.lastIndex)
    }

    /// Only 1 reaches everybody, and 2 leads: 1 comes to lead, and the terms do not run away.
    func testTheOnlyMemberThatReachesAQuorumComesToLead() throws {
        var cluster = try TestCluster(5)
        cluster.elect(2)
        let term = cluster[2].raft.term
        cluster.isCut = { from, to in from != 1 && to != 1 }
        cluster.pass(.seconds(10))
        XCTAssertEqual(cluster.leaders, [1])
        XCTAssertLessThanOrEqual(cluster[1].raft.term, term + 5)
    }

    /// 1 - 2 - 3 in a chain: whoever leads, terms stay bounded and what is proposed is committed.
    func testAChainOfThreeKeepsServing() throws {
        for first in [MemberID(1), 2, 3] {
            var cluster = try TestCluster(3)
            cluster.elect(first)
            cluster.isCut = { from, to in from != 2 && to != 2 }
            cluster.pass(.seconds(10))
            let leader = try XCTUnwrap(cluster.leader)
            XCTAssertLessThanOrEqual(cluster[leader].raft.term, 6)
            cluster.propose(to: leader)
            cluster.pass(.milliseconds(300))
            XCTAssertEqual(cluster[leader].raft.commitIndex, cluster[leader].log.lastIndex)
        }
    }

    func testAPausedLeaderDoesNothingAsALeaderWhenItGoesOn() throws {
        var member = try TestMember.settledLeader(of: 3)
        member.sleep(.milliseconds(301))
        member.propose(id: 8)
        XCTAssertEqual(member.takeResponses(), [.proposalRefused(8, .notLeader(leader: 0))])
        XCTAssertTrue(member.takeSent().isEmpty)
        XCTAssertEqual(member.log.terms, [1])
    }

    func testAnswersThatWaitedForAPausedLeaderDoNotBringItBack() throws {
        var member = try TestMember.settledLeader(of: 3)
        member.propose()
        member.takeSent()
        member.sleep(.milliseconds(301))
        member.hearAcceptance(from: [2, 3], through: 2)
        member.hear(.heartbeatResponse(HeartbeatResponse(round: 1, sentAt: member.now)), from: 2, term: 1)
        XCTAssertEqual(member.raft.role, .follower)
        XCTAssertEqual(member.raft.commitIndex, 1)
        XCTAssertTrue(member.takeSent().isEmpty)
    }

    func testALeaderWhoseDiskStallsResigns() throws {
        var member = try TestMember.settledLeader(of: 3)
        member.holdsPersists = true
        member.propose()
        for _ in 0..<5 {
            member.pass(.milliseconds(50))
            member.hearHeartbeatAnswers(from: [2, 3])
        }
        XCTAssertEqual(member.raft.role, .leader)
        member.pass(.milliseconds(50))
        XCTAssertEqual(member.raft.role, .follower, "its quorum is there, its disk is not")
        XCTAssertEqual(member.takeReports(), [.persistStalled])
    }

    func testAMemberWhoseDiskStallsDoesNotCampaignUntilTheDiskAnswers() throws {
        var member = try TestMember.follower(of: 3, term: 1)
        member.holdsPersists = true
        member.hearAppend(from: 2, term: 1, behind: .zero, [1])
        member.takeSent()
        member.pass(.seconds(5))
        XCTAssertEqual(member.raft.role, .follower)
        XCTAssertTrue(member.takeSent().isEmpty)
        member.completePersists()
        member.takeSent()
        member.pass(.seconds(1))
        XCTAssertEqual(member.raft.role, .preCandidate, "its timer still runs")
    }

    /// As on a full disk: it cannot campaign, and must not name a leader that has gone.
    func testLostLeader_memberWhoseDiskStalls_isForgottenUntilItIsHeardAgain() throws {
        var member = try TestMember.follower(of: 3, term: 1)
        member.holdsPersists = true
        member.hearAppend(from: 2, term: 1, behind: .zero, [1])
        member.pass(.milliseconds(250))
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 1, leader: 2))
        member.pass(member.options.maxElectionTimeout)
        XCTAssertEqual(member.standings.last, Standing(role: .follower, term: 1, leader: 0))
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 1, leader: 0))
        member.hearHeartbeat(from: 2, term: 1)
        XCTAssertEqual(member.standings.last, Standing(role: .follower, term: 1, leader: 2))
    }

    /// A checkpoint takes the place of its state for longer than the leader lasts.
    func testLostLeader_memberThatInstallsACheckpoint_isForgotten() throws {
        var member = try TestMember.follower(of: 3, term: 1)
        member.hear(.snapshot(SnapshotOffer(position: .at(1, 5))), from: 2, term: 1)
        XCTAssertEqual(member.installing, .at(1, 5))
        XCTAssertEqual(member.raft.currentStanding, Standing(role: .follower, term: 1, leader: 2))
        member.pass(member.options.maxElectionTimeout)
        XCTAssertEqual(member.standings.last, Standing(role: .follower, term: 1, leader: 0))
        XCTAssertEqual(member.raft.role, .follower, "it cannot campaign")
    }

    func testASteadyDiskThatIsOnlyBusyDoesNotEndLeadership() throws {
        var member = try TestMember.settledLeader(of: 3)
        member.holdsPersists = true
        for _ in 0..<40 {
            member.propose()
            member.pass(.milliseconds(50))
            member.hearHeartbeatAnswers(from: [2, 3])
            // Something is always under way, but nothing for long.
            if member.waiting.count > 3 { member.completePersist() }
        }
        XCTAssertEqual(member.raft.role, .leader)
    }

    func testTwoLeadersOfOneTermAreReportedAndTheSecondNotFollowed() throws {
        var member = try TestMember.follower(term: 1)
        member.hearHeartbeat(from: 2, term: 1)
        member.hearHeartbeat(from: 3, term: 1)
        XCTAssertEqual(member.takeReports(), [.secondLeader(3, term: 1)])
        XCTAssertEqual(member.raft.leader, 2)
        var leader = try TestMember.settledLeader(term: 1)
        leader.hearAppend(from: 3, term: 1, behind: .zero, [1])
        XCTAssertEqual(leader.takeReports(), [.secondLeader(3, term: 1)])
        XCTAssertEqual(leader.raft.role, .leader)
    }
}
