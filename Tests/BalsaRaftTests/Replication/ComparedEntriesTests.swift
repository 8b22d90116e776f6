import XCTest

@testable import BalsaRaft

/// What a follower commits: only entries that an append of the present term has compared with the leader's.
final class ComparedEntriesTests: XCTestCase {
    private func appends(_ messages: [Message], to peer: MemberID) -> [Append] {
        messages.compactMap { message in
            if case .append(let append) = message.body, message.to == peer { append } else { nil }
        }
    }

    func testHeartbeat_beforeAnAppendOfItsTerm_commitsNothing() throws {
        var member = try TestMember.follower(term: 2, log: [1, 1, 2])
        member.hearHeartbeat(from: 2, term: 2, commit: 3)
        XCTAssertEqual(member.raft.commitIndex, 0)
        XCTAssertEqual(member.applied, 0)
        member.hearAppend(from: 2, term: 2, behind: .at(1, 2))
        member.hearHeartbeat(from: 2, term: 2, commit: 3)
        XCTAssertEqual(member.raft.commitIndex, 2, "entry 3 was not compared")
        member.hearAppend(from: 2, term: 2, behind: .at(2, 3))
        member.hearHeartbeat(from: 2, term: 2, commit: 3)
        XCTAssertEqual(member.raft.commitIndex, 3)
        XCTAssertEqual(member.applied, 3)
    }

    /// What was compared with the log of one leader says nothing about the log of the next.
    func testHeartbeat_ofALaterTerm_commitsNothingThatAnEarlierTermCompared() throws {
        var member = try TestMember.follower(term: 2, log: [1])
        member.hearAppend(from: 2, term: 2, behind: .at(1, 1), [2, 2])
        member.hearHeartbeat(from: 3, term: 3, commit: 3)
        XCTAssertEqual(member.raft.commitIndex, 0)
        member.hearAppend(from: 3, term: 3, behind: .at(1, 1), [3])
        member.hearHeartbeat(from: 3, term: 3, commit: 2)
        XCTAssertEqual(member.log.terms, [1, 3])
        XCTAssertEqual(member.raft.commitIndex, 2)
    }

    /// A member that was started again asks, until an append has compared its log; after that nothing is to be asked.
    func testFollower_thatHearsOfACommitItHasNotCompared_saysWhatItKnows() throws {
        var member = try TestMember.follower(term: 2, log: [1, 1, 2], commit: 1)
        member.hearHeartbeat(from: 2, term: 2, commit: 1)
        XCTAssertEqual(member.takeSent().compactMap(\.acceptedIndex), [])
        member.hearHeartbeat(from: 2, term: 2, commit: 3)
        XCTAssertEqual(member.takeSent().compactMap(\.acceptedIndex), [1])
        member.hearAppend(from: 2, term: 2, behind: .at(2, 3))
        member.takeSent()
        member.hearHeartbeat(from: 2, term: 2, commit: 3)
        XCTAssertEqual(member.takeSent().compactMap(\.acceptedIndex), [])
    }

    func testLeader_whosePeerKnowsLessThanItAcknowledged_comparesOnceAHeartbeatInterval() throws {
        var member = try TestMember.settledLeader()
        member.propose(2)
        member.hearAcceptance(from: [2, 3], through: 3)
        member.takeSent()
        member.pass(.milliseconds(50))
        member.takeSent()
        for _ in 0..<3 { member.hearAcceptance(from: [2], through: 1) }
        let sent = member.takeSent()
        XCTAssertEqual(appends(sent, to: 2).map(\.previous), [.at(1, 3)])
        XCTAssertTrue(appends(sent, to: 2).allSatisfy { $0.entries == nil && $0.commit == 3 })
        member.hearAcceptance(from: [3], through: 3)
        XCTAssertEqual(appends(member.takeSent(), to: 3), [], "it knows all that it acknowledged")
    }

    /// Nobody proposes anything, and the leader sees no broken connection.
    func testFollower_thatIsStartedAgainInAnIdleGroup_learnsWhatIsCommitted() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.propose(to: 1, 3)
        cluster.pass(.milliseconds(200))
        XCTAssertEqual(cluster[2].applied, 4)
        try cluster.crash(2)
        XCTAssertEqual(cluster[2].raft.commitIndex, 0, "its disk does not say")
        cluster.pass(.milliseconds(200))
        XCTAssertEqual(cluster[1].raft.currentStanding, Standing(role: .leader, term: 1, leader: 1))
        XCTAssertEqual(cluster[2].raft.commitIndex, 4)
        XCTAssertEqual(cluster[2].applied, 4)
    }

    /// Its disk is put back as it was before the leader replaced the last entries, and the leader knows nothing of it.
    func testFollower_setBackToAnotherLeadersEntries_appliesNoneOfThemAndIsFound() throws {
        var leader = try TestMember.settledLeader(of: 3, term: 2)
        leader.propose(2)
        leader.hearAcceptance(from: [2, 3], through: 3)
        leader.takeSent()
        XCTAssertEqual(leader.raft.commitIndex, 3)
        var follower = try TestMember(
            2,
            of: [1, 2, 3],
            state: HardState(term: 2, vote: 1),
            log: ShellLog(terms: [1, 1, 1]),
            at: leader.now
        )
        for _ in 0..<8 {
            leader.pass(.milliseconds(25))
            follower.sleep(.milliseconds(25))
            for packet in leader.sent where packet.message.to == 2 { follower.hear(packet) }
            leader.sent.removeAll()
            for packet in follower.sent where packet.message.to == 1 { leader.hear(packet) }
            follower.sent.removeAll()
            leader.hearHeartbeatAnswers(from: [3])
        }
        XCTAssertEqual(follower.applied, 0)
        let loss = Anomaly.acknowledgedEntriesLost(by: 2, through: .at(2, 3))
        XCTAssertEqual(follower.takeReports(), [loss])
        XCTAssertEqual(leader.takeReports(), [loss])
    }

    // MARK: What contradicts what is committed

    /// A follower of member 2 that has committed these entries; the first lie before the beginning of its log.
    private func committed(_ terms: [Term], base: LogPosition = .zero) throws -> TestMember {
        var member = try TestMember.follower(term: 3, log: terms, base: base)
        member.hearAppend(from: 2, term: 3, behind: member.log.last, commit: member.log.lastIndex)
        XCTAssertEqual(member.raft.commitIndex, member.log.lastIndex)
        member.takeSent()
        return member
    }

    private func check(_ index: LogIndex, _ member: TestMember, line: UInt = #line, _ body: (inout TestMember) -> Void)
    {
        var member = member
        let terms = member.log.terms
        body(&member)
        XCTAssertEqual(member.takeReports(), [.committedEntryContradicted(index)], line: line)
        XCTAssertEqual(member.log.terms, terms, line: line)
        XCTAssertNil(member.installing, line: line)
        member.takeSent()
        member.hearAppend(from: 2, term: 3, behind: member.log.last, [3])
        member.pass(.seconds(5))
        XCTAssertEqual(member.takeSent(), [], "it stops", line: line)
    }

    func testAppend_behindAnotherEntryThanWhatIsCommitted_isAContradictionAndStopsTheMember() throws {
        let member = try committed([1, 1, 2])
        check(2, member) { $0.hearAppend(from: 2, term: 3, behind: .at(2, 2)) }
        check(2, member) { $0.hearAppend(from: 2, term: 3, behind: .at(2, 2), [2]) }
        check(2, member) { $0.hearAppend(from: 2, term: 3, behind: .at(2, 2), [2, 3], commit: 4) }
        check(3, member) { $0.hearAppend(from: 2, term: 3, behind: .at(3, 3)) }
        check(3, member) { $0.hearAppend(from: 2, term: 3, behind: .at(1, 3), [3]) }
        check(3, member) { $0.hearAppend(from: 2, term: 3, behind: .at(1, 2), [1]) }
        let compacted = try committed([2], base: .at(2, 10))
        check(10, compacted) { $0.hearAppend(from: 2, term: 3, behind: .at(1, 10)) }
        check(10, compacted) { $0.hearAppend(from: 2, term: 3, behind: .at(1, 8), [1, 1, 2]) }
    }

    func testCheckpoint_ofAnotherEntryThanWhatIsCommitted_isAContradictionAndStopsTheMember() throws {
        let member = try committed([1, 1, 2])
        check(2, member) { $0.hear(.snapshot(SnapshotOffer(position: .at(2, 2))), from: 2, term: 3) }
        check(3, member) { $0.hear(.snapshot(SnapshotOffer(position: .at(3, 3))), from: 2, term: 3) }
    }

    func testAppend_thatAgreesWithWhatIsCommittedOrLiesBeforeTheLog_isAccepted() throws {
        var member = try committed([1, 1, 2])
        member.hearAppend(from: 2, term: 3, behind: .at(1, 1), [1, 2])
        member.hearAppend(from: 2, term: 3, behind: .zero)
        XCTAssertEqual(member.takeSent().compactMap(\.acceptedIndex), [3, 0])
        var compacted = try committed([2], base: .at(2, 10))
        compacted.hearAppend(from: 2, term: 3, behind: .at(1, 4), [1])
        XCTAssertEqual(compacted.takeSent().compactMap(\.acceptedIndex), [5])
        XCTAssertEqual(member.takeReports() + compacted.takeReports(), [])
    }
}
