import XCTest

@testable import BalsaRaft

/// A leader that gives way and finds nobody that can take over: when it resigns, and when it leads on.
final class GivingWayTests: DigestTestCase {
    /// The leader cannot read a part of its state: each checkpoint that it is to send fails at once.
    private func failCheckpoints(_ member: inout TestMember) {
        for peer in member.wantedSnapshots {
            member.step(.snapshotSent(to: peer, position: .at(1, 5), succeeded: false))
        }
        member.wantedSnapshots.removeAll()
    }

    /// The leader gives way, and peers answer its heartbeats for more than a longest timeout.
    ///
    /// - Returns: its role at the end.
    private func giveWay(
        _ member: inout TestMember,
        heard: [MemberID],
        as input: Input = .giveWay,
        also act: (inout TestMember) -> Void = { _ in }
    ) -> Role {
        member.step(input)
        for _ in 0..<14 where member.raft.role == .leader {
            member.pass(member.options.heartbeatInterval)
            guard member.raft.role == .leader else { break }
            member.hearHeartbeatAnswers(from: heard)
            act(&member)
            failCheckpoints(&member)
        }
        return member.raft.role
    }

    /// A leader of `size` with an entry that is not committed, of which one peer needs what the log has dropped.
    private func damagedLeader(of size: UInt64 = 3, lagging peer: MemberID = 3) throws -> TestMember {
        var member = try compactedLeader(of: size, lagging: peer)
        lag(&member, peer)
        failCheckpoints(&member)
        pass(&member, 1, heard: Array(2...size)) { self.failCheckpoints(&$0) }
        member.propose(2)
        return member
    }

    /// A part of its state cannot be read, so that it has no checkpoint for the one that makes its quorum. The third
    /// member holds the log, and does not hear it.
    func testLeader_thatHoldsUpAGroupThatWaitsForItsCheckpoint_resigns() throws {
        var member = try damagedLeader()
        XCTAssertEqual(giveWay(&member, heard: [3]), .follower)
        XCTAssertEqual(member.takeReports(), [], "it has not lost its quorum")
        member.takeSent()
        member.pass(member.options.maxElectionTimeout * 4)
        XCTAssertEqual(member.takeSent().count, 0, "others can be elected")
        member.pass(member.options.maxElectionTimeout * 2)
        XCTAssertGreaterThan(member.takeSent().count, 0, "it does not wait for ever")
    }

    /// The rest of the log is on its way to the other one, and another leader could do no better.
    func testLeader_thatCommitsWithoutThePeerThatWaits_leadsOn() throws {
        var member = try damagedLeader()
        XCTAssertEqual(giveWay(&member, heard: [2, 3]), .leader)
    }

    /// Both are as they were when the term began: nothing is known of what they need.
    func testLeader_whosePeersHaveAcknowledgedNothingInItsTerm_leadsOn() throws {
        for heard in [[2], [3], [2, 3]] as [[MemberID]] {
            var member = try TestMember.leader(of: 3, term: 2, base: .at(1, 5))
            XCTAssertGreaterThan(member.raft.log.lastIndex, member.raft.commitIndex)
            XCTAssertEqual(giveWay(&member, heard: heard), .leader, "\(heard)")
        }
    }

    /// It would be lost with the leadership, and the next transfer fails.
    func testLeader_whoseCheckpointIsOnItsWay_leadsOn() throws {
        var member = try compactedLeader(of: 3, lagging: 3)
        lag(&member, 3)
        pass(&member, 1, heard: [2, 3])
        XCTAssertEqual(Set(member.wantedSnapshots), [3])
        member.wantedSnapshots.removeAll()
        member.propose(2)
        XCTAssertEqual(giveWay(&member, heard: [3]), .leader)
    }

    /// It does not wait: it is down. The other one answers, and its disk does not.
    func testLeader_whosePeerThatNeedsACheckpointIsSilent_leadsOn() throws {
        for isSilent in [true, false] {
            var member = try damagedLeader()
            let heard: [MemberID] = isSilent ? [2] : [2, 3]
            pass(&member, 9, heard: heard) { self.failCheckpoints(&$0) }
            XCTAssertEqual(giveWay(&member, heard: heard), isSilent ? .leader : .follower)
        }
    }

    func testLeader_thatHasCommittedMeanwhile_leadsOn() throws {
        for isProgress in [true, false] {
            var member = try damagedLeader()
            let last = member.raft.log.lastIndex
            let role = giveWay(&member, heard: [3]) {
                if isProgress { $0.hearAcceptance(from: [2], through: last - 1) }
            }
            XCTAssertEqual(role, isProgress ? .leader : .follower)
        }
    }

    /// An operator has asked for it: that says nothing of its state.
    func testLeader_thatIsAskedToHandOverAndCannot_leadsOn() throws {
        var member = try damagedLeader()
        let input = Input.transferLeadership(to: nil, request: 7)
        XCTAssertEqual(giveWay(&member, heard: [3], as: input), .leader)
        XCTAssertTrue(member.takeResponses().contains(.refused(request: 7, .timedOut)))
    }

    /// It was told to campaign, and may win yet.
    func testLeader_withASuccessorThatTakesItsTime_leadsOn() throws {
        var member = try damagedLeader(of: 5, lagging: 5)
        let last = member.raft.log.lastIndex
        XCTAssertEqual(giveWay(&member, heard: [2, 5]) { $0.hearAcceptance(from: [2], through: last) }, .leader)
        XCTAssertLessThan(member.raft.commitIndex, last)
        XCTAssertEqual(told(member.takeSent()), [2])
    }

    func testLeader_withoutAnythingToCommit_leadsOn() throws {
        var member = try compactedLeader(of: 3, lagging: 3)
        lag(&member, 3)
        pass(&member, 1, heard: [2, 3]) { self.failCheckpoints(&$0) }
        // Member 2 holds all of it, and cannot be told to campaign: it is silent.
        member.pass(.milliseconds(50))
        for _ in 0..<7 {
            member.hearHeartbeatAnswers(from: [3])
            member.pass(.milliseconds(50))
        }
        XCTAssertEqual(giveWay(&member, heard: [3]), .leader)
    }
}
