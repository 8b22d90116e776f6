import XCTest

@testable import BalsaRaft

/// A member that cannot read a part of its state which the next entry needs.
final class UnreadableStateTests: XCTestCase {
    private func requests(_ messages: [Message]) -> [CheckpointRequest] {
        messages.compactMap { if case .checkpointRequest(let request) = $0.body { request } else { nil } }
    }

    private func told(_ messages: [Message]) -> [MemberID] {
        messages.compactMap { if case .timeoutNow = $0.body { $0.to } else { nil } }
    }

    /// A follower of member 2 that cannot apply the second of three entries.
    private func stopped() throws -> TestMember {
        var member = try TestMember.follower(term: 2, log: [1, 1, 2])
        member.hearAppend(from: 2, term: 2, behind: .at(2, 3), commit: 2)
        member.takeSent()
        member.step(.stateUnreadable)
        return member
    }

    func testFollower_thatCannotReadItsState_acknowledgesAndAsksForACheckpoint() throws {
        var member = try stopped()
        XCTAssertTrue(member.raft.isUnreadable)
        member.hearAppend(from: 2, term: 2, behind: .at(2, 3), [2], commit: 4)
        let sent = member.takeSent()
        XCTAssertEqual(sent.compactMap(\.acceptedIndex), [4])
        XCTAssertEqual(member.applied, 2)
        member.hearHeartbeat(from: 2, term: 2, commit: 4)
        XCTAssertEqual(requests(sent + member.takeSent()), [CheckpointRequest(.unreadable, atLeast: 2)])
        let read = ReadID(member: 1, nonce: 1, number: 1)
        member.step(.read(read))
        XCTAssertEqual(member.takeResponses(), [.readRefused(read, .unreadable)])
    }

    /// What it has applied is right: it is a witness like any other.
    func testFollower_thatCannotReadItsState_goesOnReportingItsDigest() throws {
        var member = try TestMember.follower(term: 2, log: [1, 1, 2])
        member.hearAppend(from: 2, term: 2, behind: .at(2, 3), commit: 2)
        member.step(.digest(StateDigest(index: 2, value: 77)))
        member.step(.stateUnreadable)
        member.takeSent()
        member.hearAppend(from: 2, term: 2, behind: .at(2, 3), [2], commit: 4)
        let digests = member.takeSent().compactMap { message -> StateDigest? in
            if case .appendResponse(let response) = message.body { response.digest } else { nil }
        }
        XCTAssertEqual(digests, [StateDigest(index: 2, value: 77)])
    }

    /// It would go on serving reads of a state that is wrong.
    func testFollower_thatCannotReadItsState_andIsToldThatItDiffers_servesNothing() throws {
        var member = try TestMember.follower(term: 2, log: [1, 1, 2])
        member.hearAppend(from: 2, term: 2, behind: .at(2, 3), commit: 2)
        member.step(.digest(StateDigest(index: 2, value: 77)))
        member.step(.stateUnreadable)
        let majority = StateDigest(index: 2, value: 78)
        for _ in 0..<2 { member.hear(.notice(.diverged(majority)), from: 2, term: 2) }
        XCTAssertEqual(member.takeReports(), [.stateDiverged(1, own: 77, majority: majority)])
        XCTAssertTrue(member.raft.isDiverged)
        XCTAssertFalse(member.raft.isUnreadable)
        member.step(.stateUnreadable)
        XCTAssertFalse(member.raft.isUnreadable, "the other cause is the graver one")
        let read = ReadID(member: 1, nonce: 1, number: 1)
        member.step(.read(read))
        XCTAssertEqual(member.takeResponses(), [.readRefused(read, .diverged)])
        member.takeSent()
        member.hearHeartbeat(from: 2, term: 2, commit: 2)
        XCTAssertEqual(requests(member.takeSent()), [CheckpointRequest(.diverged, atLeast: 2)])
    }

    func testLeader_thatCannotReadItsState_andHasAnotherThanTheMajority_saysSo() throws {
        var member = try TestMember.settledLeader(of: 3)
        member.propose(4)
        member.hearAcceptance(from: [2, 3], through: 5)
        member.step(.digest(StateDigest(index: 5, value: 8)))
        member.step(.stateUnreadable)
        for peer in [2, 3] as [MemberID] {
            var response = AppendResponse.accepted(through: 5)
            response.digest = StateDigest(index: 5, value: 7)
            member.hear(.appendResponse(response), from: peer, term: 1)
        }
        XCTAssertEqual(member.takeReports(), [.stateDiverged(1, own: 8, majority: StateDigest(index: 5, value: 7))])
        XCTAssertFalse(member.raft.isUnreadable)
    }

    func testFollower_thatInstallsACheckpoint_goesOn() throws {
        var member = try stopped()
        member.hearAppend(from: 2, term: 2, behind: .at(2, 3), [2], commit: 4)
        member.hear(.snapshot(SnapshotOffer(position: .at(2, 3))), from: 2, term: 2)
        member.finishInstall()
        XCTAssertFalse(member.raft.isDiverged)
        XCTAssertFalse(member.raft.isUnreadable)
        XCTAssertEqual(member.takeReports(), [.stateRebuilt(through: 3)])
        XCTAssertEqual(member.applied, 4)
    }

    func testLeader_thatCannotReadItsState_handsOverToAPeerThatHoldsItsLog() throws {
        var member = try TestMember.settledLeader(of: 3)
        member.propose(4)
        member.step(.stateUnreadable)
        XCTAssertEqual(member.raft.role, .leader, "nobody holds the log yet")
        member.takeResponses()
        member.propose()
        XCTAssertEqual(member.takeResponses().count, 1)
        XCTAssertEqual(member.raft.log.lastIndex, 5, "it proposes nothing")
        XCTAssertEqual(told(member.takeSent()), [])
        member.hearAcceptance(from: [3], through: 5)
        XCTAssertEqual(told(member.takeSent()), [3])
    }

    /// The peers may need a checkpoint, which it has none of.
    func testLeader_thatCannotReadItsState_doesNotLeadForEver() throws {
        var member = try TestMember.settledLeader(of: 3)
        member.propose(4)
        member.step(.stateUnreadable)
        for _ in 0..<1_000 where member.raft.role == .leader {
            member.pass(member.options.heartbeatInterval)
            if member.raft.role == .leader { member.hearHeartbeatAnswers(from: [2, 3]) }
        }
        XCTAssertEqual(member.raft.role, .follower)
        XCTAssertEqual(member.takeReports(), [], "it has not lost its quorum")
    }

    func testSoleVoter_thatCannotReadItsState_leadsAndSaysWhy() throws {
        var member = try TestMember.settledLeader(of: 1)
        member.step(.stateUnreadable)
        member.takeResponses()
        member.propose()
        guard case .proposalRefused(_, .unreadable)? = member.takeResponses().first else {
            return XCTFail("it has to say why")
        }
        member.pass(member.options.maxElectionTimeout * 20)
        XCTAssertEqual(member.raft.role, .leader)
    }

    func testLeader_thatIsToGiveWay_handsOverToAPeerThatHoldsItsLog_andElseLeadsOn() throws {
        var member = try TestMember.settledLeader(of: 3)
        member.propose(4)
        member.takeSent()
        member.step(.giveWay)
        XCTAssertEqual(told(member.takeSent()), [], "nobody holds the log yet")
        member.hearAcceptance(from: [2], through: 5)
        XCTAssertEqual(told(member.takeSent()), [2])
        XCTAssertFalse(member.raft.isDiverged)
        for _ in 0..<30 where member.raft.isTransferring {
            member.pass(member.options.heartbeatInterval)
            member.hearHeartbeatAnswers(from: [2, 3])
        }
        XCTAssertEqual(member.raft.role, .leader)
        member.takeResponses()
        member.propose()
        XCTAssertEqual(member.raft.log.lastIndex, 6)
    }
}
