import XCTest

@testable import BalsaRaft

/// What is sent again is sent again seldom, however often a peer shows that it lives.
final class PacingTests: XCTestCase {
    private func appends(_ messages: [Message], to peer: MemberID) -> Int {
        messages.filter { message in
            if case .append = message.body { message.to == peer } else { false }
        }.count
    }

    /// A read is confirmed by heartbeats, many a millisecond. Each answer shows that the peer lives; none of them shows that
    /// what it was sent is lost, for its disk may only take its time.
    func testRoundsForReadsDoNotRepeatAProbe() throws {
        var member = try TestMember.leader(of: 3, term: 2, log: [1])
        member.hearAcceptance(from: [2], through: 2)
        member.takeSent()
        for number in UInt64(1)...50 {
            member.step(.read(ReadID(member: 1, nonce: 1, number: number)))
            member.hearHeartbeatAnswers(from: [2, 3])
        }
        XCTAssertEqual(member.takeResponses().count, 50)
        XCTAssertLessThanOrEqual(appends(member.takeSent(), to: 3), 1)
    }

    /// A peer that is probed is sent no append for the commit alone: when it has answered, the next heartbeat tells it.
    /// It thus learns of a commit one heartbeat interval after its answer at the latest.
    func testAProbedPeer_thatAnswersAfterTheCommit_learnsOfItByTheNextHeartbeat() throws {
        var member = try TestMember.leader(of: 3, term: 2, log: [1])
        member.hearAcceptance(from: [2], through: 2)
        XCTAssertEqual(member.raft.commitIndex, 2)
        XCTAssertEqual(appends(member.takeSent(), to: 3), 0, "what it was sent as a probe is on its way")
        member.pass(.milliseconds(20))
        member.hearAcceptance(from: [3], through: 2)
        XCTAssertEqual(appends(member.takeSent(), to: 3), 0)
        member.pass(.milliseconds(30))
        let commits = member.takeSent().compactMap { message -> LogIndex? in
            guard message.to == 3, case .heartbeat(let heartbeat) = message.body else { return nil }
            return heartbeat.commit
        }
        XCTAssertEqual(commits, [2])
    }

    func testRoundsForReadsDoNotAskForWhatIsOnItsWay() throws {
        var member = try TestMember.settledLeader()
        member.propose()
        member.takeSent()
        for number in UInt64(1)...50 {
            member.step(.read(ReadID(member: 1, nonce: 1, number: number)))
            member.hearHeartbeatAnswers(from: [2, 3])
        }
        XCTAssertLessThanOrEqual(appends(member.takeSent(), to: 2), 1)
    }

    /// A peer that holds less than it acknowledged has lost its disk. It must not be asked in a loop.
    func testAPeerThatLostWhatItAcknowledgedIsNotAskedInALoop() throws {
        var member = try TestMember.settledLeader(log: [])
        member.propose(4)
        member.hearAcceptance(from: [2], through: 5)
        member.step(.peerUnreachable(2))
        member.pass(.milliseconds(50))
        member.hearHeartbeatAnswers(from: [2, 3])
        member.takeSent()
        var asked = 0
        for _ in 0..<50 {
            member.hear(.appendResponse(.rejected(previous: 5, hint: .zero)), from: 2, term: 1)
            asked += appends(member.takeSent(), to: 2)
        }
        XCTAssertEqual(asked, 0, "the next heartbeat is soon enough")
    }

    /// A leader goes on asking while a follower's disk does not answer. What the follower would answer must not pile up.
    func testAnswersDoNotPileUpBehindADiskThatDoesNotAnswer() throws {
        var member = try TestMember.follower(term: 1)
        member.holdsPersists = true
        for round in UInt64(1)...200 {
            member.hearHeartbeat(from: 2, term: 2, round: round)
            member.hearAppend(from: 2, term: 2, behind: .zero, [2])
            member.pass(.milliseconds(50))
        }
        XCTAssertLessThan(member.waiting.count, 20)
        // When the disk answers at last, the member is heard again.
        member.completePersists()
        member.takeSent()
        member.holdsPersists = false
        member.hearHeartbeat(from: 2, term: 2, round: 201)
        member.hearAppend(from: 2, term: 2, behind: .zero, [2])
        XCTAssertEqual(member.takeSent().count, 2)
    }
}
