import XCTest

@testable import BalsaRaft

/// Linearizable reads without log entries (dissertation, 6.4).
final class ReadTests: XCTestCase {
    private func name(_ number: UInt64, of member: MemberID = 1) -> ReadID {
        ReadID(member: member, nonce: 5, number: number)
    }

    private func rounds(_ messages: [Message], to peer: MemberID) -> [UInt64] {
        messages.compactMap { message in
            guard message.to == peer, case .heartbeat(let heartbeat) = message.body else { return nil }
            return heartbeat.round
        }
    }

    private func answer(_ member: inout TestMember, round: UInt64, from peer: MemberID) {
        let response = HeartbeatResponse(round: round, sentAt: member.now)
        member.hear(.heartbeatResponse(response), from: peer, term: member.raft.term)
    }

    func testAReadIsAnsweredWithTheCommitIndexOnceAQuorumHasAnswered() throws {
        var member = try TestMember.settledLeader(of: 5)
        member.step(.read(name(1)))
        XCTAssertTrue(member.takeResponses().isEmpty)
        member.hearHeartbeatAnswers(from: [2])
        XCTAssertTrue(member.takeResponses().isEmpty, "two of five")
        member.hearHeartbeatAnswers(from: [2])
        XCTAssertTrue(member.takeResponses().isEmpty, "the same peer twice")
        member.hearHeartbeatAnswers(from: [3])
        XCTAssertEqual(member.takeResponses(), [.readReady(name(1), index: 1)])
    }

    func testAReadIsNotConfirmedByARoundThatBeganBeforeIt() throws {
        var member = try TestMember.settledLeader()
        member.pass(.milliseconds(50))
        let before = try XCTUnwrap(rounds(member.takeSent(), to: 2).last)
        member.step(.read(name(1)))
        let after = try XCTUnwrap(rounds(member.takeSent(), to: 2).last)
        XCTAssertGreaterThan(after, before)
        answer(&member, round: before, from: 2)
        answer(&member, round: before, from: 3)
        XCTAssertTrue(member.takeResponses().isEmpty)
        answer(&member, round: after, from: 2)
        XCTAssertEqual(member.takeResponses(), [.readReady(name(1), index: 1)])
    }

    func testAnAnswerToARoundThatNeverBeganConfirmsNothing() throws {
        var member = try TestMember.settledLeader()
        member.step(.read(name(1)))
        answer(&member, round: 1_000, from: 2)
        XCTAssertTrue(member.takeResponses().isEmpty)
        XCTAssertEqual(member.raft.leadership?.peers[0].answeredRound, 0)
    }

    /// Before a leader has committed in its own term it does not know what is committed.
    func testAReadBeforeTheFirstCommitOfTheTermWaitsForIt() throws {
        var member = try TestMember.leader(of: 3, term: 2, log: [1, 1])
        member.step(.read(name(1)))
        member.hearHeartbeatAnswers(from: [2, 3])
        XCTAssertTrue(member.takeResponses().isEmpty, "a quorum follows, but what is committed?")
        member.takeSent()
        member.hearAcceptance(from: [2], through: 3)
        XCTAssertFalse(rounds(member.takeSent(), to: 2).isEmpty, "its round begins now")
        XCTAssertTrue(member.takeResponses().isEmpty)
        member.hearHeartbeatAnswers(from: [2])
        XCTAssertEqual(member.takeResponses(), [.readReady(name(1), index: 3)])
    }

    func testReadsOfOneMomentShareARound() throws {
        var member = try TestMember.settledLeader()
        for number in UInt64(1)...100 { member.step(.read(name(number))) }
        XCTAssertEqual(rounds(member.takeSent(), to: 2).count, 1, "the other 99 wait for the next")
        member.hearHeartbeatAnswers(from: [2])
        XCTAssertEqual(member.takeResponses(), [.readReady(name(1), index: 1)])
        XCTAssertEqual(rounds(member.takeSent(), to: 2).count, 1)
        member.hearHeartbeatAnswers(from: [3])
        XCTAssertEqual(member.takeResponses(), (2...100).map { .readReady(name($0), index: 1) })
    }

    func testALostRoundIsMadeGoodByTheNextHeartbeat() throws {
        var member = try TestMember.settledLeader()
        member.step(.read(name(1)))
        member.takeSent()
        member.pass(.milliseconds(50))
        let round = try XCTUnwrap(rounds(member.takeSent(), to: 2).last)
        answer(&member, round: round, from: 2)
        XCTAssertEqual(member.takeResponses(), [.readReady(name(1), index: 1)])
    }

    func testAReadSeesTheCommitIndexOfTheMomentItWasAskedAt() throws {
        var member = try TestMember.settledLeader()
        member.step(.read(name(1)))
        member.propose()
        member.hearAcceptance(from: [2], through: 2)
        member.step(.read(name(2)))
        member.hearHeartbeatAnswers(from: [2])
        member.hearHeartbeatAnswers(from: [2])
        XCTAssertEqual(
            member.takeResponses().suffix(2),
            [.readReady(name(1), index: 1), .readReady(name(2), index: 2)]
        )
    }

    /// The delayed answers to the first attempt must not confirm the second, on a leader that was replaced in between.
    func testTheRoundOfOneAttemptDoesNotConfirmTheNext() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.with(1) { $0.step(.read(name(1))) }
        cluster.deliverAll { if case .heartbeatResponse = $0.body { false } else { true } }
        XCTAssertFalse(cluster.network.isEmpty, "the answers to the first attempt are on their way")
        // Time stands still for 1: the others elect 2, which commits something.
        let isOld = { (message: Message) in message.to == 1 && message.term == cluster[1].raft.term }
        let kept = cluster.network.filter { isOld($0.message) }
        cluster.network.removeAll()
        cluster.isCut = { from, to in from == 1 || to == 1 }
        let start = cluster[1].now
        var others = cluster
        others.elect(2)
        others.propose(to: 2)
        others.deliverAll()
        XCTAssertEqual(others[2].raft.commitIndex, 3)
        var old = cluster[1]
        old.now = start
        old.step(.read(name(2)))
        old.takeResponses()
        for packet in kept { old.hear(packet) }
        XCTAssertFalse(
            old.takeResponses().contains(.readReady(name(2), index: 1)),
            "a stale answer to the second attempt"
        )
    }

    func testReadsAreRefusedWhenTheLeaderResigns() throws {
        var member = try TestMember.settledLeader()
        member.step(.read(name(1)))
        member.hear(.readRequest(name(7, of: 2)), from: 2, term: 1)
        member.takeSent()
        member.hear(.appendResponse(.stale), from: 3, term: 2)
        XCTAssertEqual(member.takeResponses(), [.readRefused(name(1), .notLeader(leader: 0))])
        XCTAssertTrue(
            member.takeSent().contains(
                Message(from: 1, to: 2, term: 1, body: .readResponse(name(7, of: 2), .refused))
            )
        )
    }

    func testEarlyReadsAreRefusedWhenTheLeaderResigns() throws {
        var member = try TestMember.leader(of: 3, term: 2, log: [1])
        member.step(.read(name(1)))
        member.sleep(.seconds(1))
        member.step(.timer)
        XCTAssertEqual(member.takeResponses(), [.readRefused(name(1), .notLeader(leader: 0))])
    }

    func testAFollowerAsksTheLeader() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.pass(.milliseconds(100))
        cluster.propose(to: 1)
        cluster.deliverAll()
        cluster.with(2) { $0.step(.read(name(4, of: 2))) }
        cluster.deliverAll()
        XCTAssertEqual(cluster[2].responses, [.readReady(name(4, of: 2), index: 2)])
    }

    func testAFollowerWithoutALeaderRefuses() throws {
        var member = try TestMember.follower()
        member.step(.read(name(1)))
        XCTAssertEqual(member.takeResponses(), [.readRefused(name(1), .notLeader(leader: 0))])
    }

    func testAFollowerThatIsAskedRefusesAndItsRefusalIsPassedOn() throws {
        var member = try TestMember.follower(term: 1)
        member.hear(.readRequest(name(3, of: 2)), from: 2, term: 1)
        XCTAssertEqual(
            member.takeSent(),
            [Message(from: 1, to: 2, term: 1, body: .readResponse(name(3, of: 2), .refused))]
        )
        member.hearHeartbeat(from: 3, term: 1)
        member.hear(.readResponse(name(1), .refused), from: 2, term: 1)
        XCTAssertEqual(member.takeResponses(), [.readRefused(name(1), .notLeader(leader: 3))])
    }

    func testAFollowerConfirmsOnlyOnceItsTermIsDurable() throws {
        var member = try TestMember.follower(term: 1)
        member.holdsPersists = true
        member.hearHeartbeat(from: 2, term: 2, round: 4)
        XCTAssertTrue(member.takeSent().isEmpty, "after a crash it could still help another leader of that term")
        member.completePersists()
        let response = HeartbeatResponse(round: 4, sentAt: .zero)
        XCTAssertEqual(member.takeSent(), [Message(from: 1, to: 2, term: 2, body: .heartbeatResponse(response))])
    }

    func testMoreReadsThanTheLimitAreRefused() throws {
        var options = RaftOptions()
        options.maxPendingReads = 2
        var member = try TestMember.settledLeader(options: options)
        for number in UInt64(1)...3 { member.step(.read(name(number))) }
        XCTAssertEqual(member.takeResponses(), [.readRefused(name(3), .overloaded)])
        member.takeSent()
        member.hear(.readRequest(name(9, of: 2)), from: 2, term: 1)
        XCTAssertEqual(member.takeSent().map(\.body), [.readResponse(name(9, of: 2), .refused)])
        member.hearHeartbeatAnswers(from: [2])
        member.hearHeartbeatAnswers(from: [2])
        XCTAssertEqual(member.takeResponses().count, 2)
        member.step(.read(name(4)))
        XCTAssertTrue(member.takeResponses().isEmpty, "there is room again")
    }

    /// A leader that is cut off from its quorum answers no read, whatever it believes.
    func testALeaderWithoutAQuorumAnswersNoRead() throws {
        var cluster = try TestCluster(3)
        cluster.elect(1)
        cluster.isCut = { from, to in from == 1 || to == 1 }
        cluster.with(1) { $0.step(.read(name(1))) }
        cluster.pass(.seconds(2))
        XCTAssertEqual(cluster[1].responses.filter { if case .readReady = $0 { true } else { false } }, [])
        XCTAssertEqual(cluster[1].responses.last, .readRefused(name(1), .notLeader(leader: 0)))
    }
}
