import XCTest

@testable import BalsaRaft

/// What operators ask for, how a member closes, and which recoveries are refused.
final class RequestTests: XCTestCase {
    private func isSilent(_ member: inout TestMember) -> Bool {
        member.takeSent().isEmpty && member.waiting.isEmpty
    }

    func testWhatIsNotSupportedYetIsAnsweredAndDoesNothing() throws {
        var member = try TestMember.settledLeader()
        let configuration = try Configuration(voters: [1, 2])
        member.step(.changeMembership(configuration, request: 1))
        member.step(.setPriority(3, request: 3))
        XCTAssertEqual(
            member.takeResponses(),
            [.refused(request: 1, .notSupported), .refused(request: 3, .notSupported)]
        )
        XCTAssertEqual(member.raft.configuration.voters, [1, 2, 3])
        XCTAssertTrue(isSilent(&member))
    }

    func testAClosedLeaderResignsAndRefuses() throws {
        var member = try TestMember.settledLeader()
        let read = ReadID(member: 1, nonce: 1, number: 1)
        member.step(.read(read))
        member.step(.close)
        XCTAssertEqual(member.takeResponses(), [.readRefused(read, .notLeader(leader: 0))])
        XCTAssertEqual(member.raft.role, .follower)
        member.propose(id: 4)
        member.step(.read(read))
        member.step(.transferLeadership(to: 2, request: 5))
        XCTAssertEqual(
            member.takeResponses(),
            [.proposalRefused(4, .closed), .readRefused(read, .closed), .refused(request: 5, .closed)]
        )
    }

    func testAClosedMemberIsSilentWhateverHappens() throws {
        var member = try TestMember.follower(term: 1)
        member.hearAppend(from: 2, term: 1, behind: .zero, [1])
        member.takeSent()
        member.step(.close)
        member.hearAppend(from: 2, term: 1, behind: .at(1, 1), [1])
        member.hear(.voteRequest(VoteRequest(last: .at(1, 5), campaign: 1)), from: 3, term: 2)
        member.hear(.snapshot(SnapshotOffer(position: .at(1, 9))), from: 2, term: 1)
        member.step(.peerUnreachable(2))
        member.pass(.seconds(5))
        XCTAssertTrue(isSilent(&member))
        XCTAssertNil(member.installing)
    }

    func testAMemberThatIsClosedWhileItInstallsACheckpointStaysSilent() throws {
        var member = try TestMember.follower(term: 1)
        member.hear(.snapshot(SnapshotOffer(position: .at(1, 9))), from: 2, term: 1)
        member.step(.close)
        member.finishInstall()
        XCTAssertTrue(isSilent(&member))
        XCTAssertEqual(member.raft.log.base, .at(1, 9), "but knows where its log begins")
    }

    func testWhatWasUnderWayWhenTheMemberClosedStillBecomesDurable() throws {
        var member = try TestMember.follower(term: 1)
        member.holdsPersists = true
        member.hearAppend(from: 2, term: 1, behind: .zero, [1, 1], commit: 2)
        member.step(.close)
        member.completePersists()
        XCTAssertEqual(member.raft.durableIndex, 2)
        XCTAssertEqual(member.applied, 2, "what is committed may still be applied")
    }

    func testAFailureOutranksAClose() throws {
        var member = try TestMember.settledLeader()
        member.holdsPersists = true
        member.propose(id: 1)
        member.step(.close)
        member.failPersist()
        member.takeResponses()
        member.propose(id: 2)
        XCTAssertEqual(member.takeResponses(), [.proposalRefused(2, .failed)])
    }

    func testTheLeaderOfAClosedMembersGroupIsReplaced() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.with(1) { $0.step(.close) }
        cluster.pass(.seconds(3))
        XCTAssertEqual(cluster.leaders.count, 1)
        XCTAssertNotEqual(cluster.leader, 1)
    }

    func testARecoveryThatContradictsItselfIsRefused() throws {
        let configuration = try Configuration(voters: [1, 2, 3])
        let log = LogOutline(base: .at(1, 5), entries: [.command(term: 2), .command(term: 2)])
        func state(_ term: Term, commit: LogIndex, applied: LogIndex) -> RecoveredState {
            let hardState = HardState(term: term, vote: 0)
            return RecoveredState(hardState: hardState, log: log, commitIndex: commit, appliedIndex: applied)
        }
        let states = [
            // An entry of a term that the vote does not know.
            (state(1, commit: 5, applied: 5), "the log has an entry of term 2, the vote is of term 1"),
            // Applied what the log does not reach, or less than it has dropped.
            (state(2, commit: 5, applied: 8), "applied 8 and committed 5 must lie within the log, 5 to 7"),
            (state(2, commit: 5, applied: 4), "applied 4 and committed 5 must lie within the log, 5 to 7"),
            (state(2, commit: 8, applied: 5), "applied 5 and committed 8 must lie within the log, 5 to 7"),
            (RecoveredState(hardState: HardState(term: .max, vote: 0)), "a term or an index is out of bounds"),
        ]
        for (state, reason) in states {
            assertRefused(reason) { try Raft(member: 1, configuration: configuration, recovered: state, seed: 1) }
        }
        assertRefused("0 is not a member id") { try Raft(member: 0, configuration: configuration, seed: 1) }
    }

    func testAMemberThatRecoversAppliesWhatItKnowsToBeCommitted() throws {
        let member = try TestMember.follower(term: 2, log: [1, 1, 2], commit: 2)
        XCTAssertEqual(member.applied, 2)
        XCTAssertEqual(member.raft.durableIndex, 3)
    }

    func testOptions_thatCannotWork_areRefusedWithNameBoundAndValue() throws {
        typealias Change = (inout RaftOptions) -> Void
        let changes: [(Change, String)] = [
            ({ $0.heartbeatInterval = .zero }, "heartbeatInterval must be above 0, not 0.0 seconds"),
            (
                { $0.heartbeatInterval = .seconds(1_000_000) },
                "heartbeatInterval must be at most 3600.0 seconds, not 1000000.0 seconds"
            ),
            (
                { $0.heartbeatInterval = .milliseconds(151) },
                "minElectionTimeout must be at least two of heartbeatInterval, 0.302 seconds, not 0.3 seconds"
            ),
            (
                { $0.maxElectionTimeout = $0.minElectionTimeout },
                "maxElectionTimeout must be above minElectionTimeout, 0.3 seconds, not 0.3 seconds"
            ),
            (
                { $0.maxElectionTimeout = .seconds(1_000_000) },
                "maxElectionTimeout must be at most 3600.0 seconds, not 1000000.0 seconds"
            ),
            ({ $0.maxInflightMessages = 0 }, "maxInflightMessages must be at least 1, not 0"),
            ({ $0.maxPendingReads = -1 }, "maxPendingReads must be at least 1, not -1"),
            ({ $0.maxAppendBytes = 0 }, "maxAppendBytes must be at least 1, not 0"),
            ({ $0.maxInflightBytes = 0 }, "maxInflightBytes must be at least 1, not 0"),
            ({ $0.maxUncommittedBytes = 0 }, "maxUncommittedBytes must be at least 1, not 0"),
        ]
        let configuration = try Configuration(voters: [1])
        for (change, reason) in changes {
            var options = RaftOptions()
            change(&options)
            assertRefused(reason) { try Raft(member: 1, configuration: configuration, options: options, seed: 1) }
        }
    }
}
