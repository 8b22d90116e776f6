import XCTest

@testable import BalsaRaft

/// Who counts as a witness of a state: nobody who has it from another member.
final class WitnessTests: DigestTestCase {
    /// The leader applied something else, and gave its state to 2 before that was compared. 3 is right.
    func testLeader_whosePeerHasItsState_isNoMajorityWithIt() throws {
        for isLast in [true, false] {
            var member = try leader()
            member.step(.digest(digest(5, 8)))
            let reports = [
                (MemberID(2), report(digest(5, 8), through: 5, received: 4)), (3, report(digest(5, 7), through: 5)),
            ]
            for (peer, body) in isLast ? reports : reports.reversed() { member.hear(body, from: peer, term: 1) }
            XCTAssertEqual(member.takeReports(), [.digestsDisagree(at: 5)], "an operator decides")
            XCTAssertEqual(notices(member.takeSent()), [:])
            XCTAssertFalse(member.raft.isDiverged)
        }
    }

    /// What differs from now on differs because somebody has applied it differently.
    func testPeer_whoseReceivedStateIsThatOfAll_isToldAndCounts() throws {
        for isLast in [true, false] {
            var member = try leader()
            member.propose(3)
            member.hearAcceptance(from: [2, 3], through: 8)
            member.takeSent()
            member.step(.digest(digest(5, 7)))
            let reports = [
                (MemberID(2), report(digest(5, 7), through: 8, received: 4)), (3, report(digest(5, 7), through: 8)),
            ]
            for (peer, body) in isLast ? reports.reversed() : reports { member.hear(body, from: peer, term: 1) }
            XCTAssertEqual(notices(member.takeSent()), [2: .agreed(digest(5, 7))])
            // The notice is lost.
            member.step(.digest(digest(8, 17)))
            member.hear(report(digest(8, 17), through: 8, received: 4), from: 2, term: 1)
            member.hear(report(digest(8, 18), through: 8), from: 3, term: 1)
            XCTAssertEqual(member.takeReports(), [.stateDiverged(3, own: 18, majority: digest(8, 17))])
        }
    }

    /// The next checkpoint brings another state, about which the one before says nothing.
    func testPeer_thatReceivesAStateOnceMore_isNoWitnessUntilThatIsCompared() throws {
        var member = try leader()
        member.propose(3)
        member.hearAcceptance(from: [2, 3], through: 8)
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 8, received: 4), from: 2, term: 1)
        member.hear(report(digest(5, 7), through: 8), from: 3, term: 1)
        member.step(.digest(digest(8, 17)))
        member.hear(report(digest(8, 17), through: 8, received: 6), from: 2, term: 1)
        member.hear(report(digest(8, 18), through: 8), from: 3, term: 1)
        XCTAssertEqual(member.takeReports(), [.digestsDisagree(at: 8)])
    }

    /// With the member that differs now, it was of one mind.
    func testPeer_whoseReceivedStateWasThatOfTheOneThatDiffers_countsAgainstIt() throws {
        for agreed in [true, false] {
            var member = try leader(of: 5)
            member.propose(3)
            member.hearAcceptance(from: [2, 3, 5], through: 8)
            member.step(.digest(digest(5, 7)))
            member.hear(report(digest(5, agreed ? 7 : 6), through: 8), from: 5, term: 1)
            member.hear(report(digest(5, 7), through: 8, received: 4), from: 2, term: 1)
            member.step(.digest(digest(8, 17)))
            member.hear(report(digest(8, 17), through: 8, received: 4), from: 2, term: 1)
            member.hear(report(digest(8, 17), through: 8), from: 3, term: 1)
            member.hear(report(digest(8, 18), through: 8), from: 5, term: 1)
            let found = member.takeReports().filter { if case .stateDiverged = $0 { true } else { false } }
            XCTAssertEqual(found, agreed ? [.stateDiverged(5, own: 18, majority: digest(8, 17))] : [])
        }
    }

    /// A follower of 2 that has installed a checkpoint of the entry 3 and applied through 5.
    private func received() throws -> TestMember {
        var member = try TestMember.follower(term: 2)
        member.hear(.snapshot(SnapshotOffer(position: .at(2, 3))), from: 2, term: 2)
        member.finishInstall()
        member.hearAppend(from: 2, term: 2, behind: .at(2, 3), [2, 2], commit: 5)
        XCTAssertEqual(member.applied, 5)
        return member
    }

    private func receivedIndexes(_ messages: [Message]) -> [LogIndex] {
        messages.compactMap { if case .appendResponse(let response) = $0.body { response.receivedIndex } else { nil } }
    }

    func testFollower_saysFromWhichCheckpointItsStateIs_untilItIsThatOfTheOthers() throws {
        var member = try received()
        member.step(.digest(digest(4, 70)))
        member.step(.digest(digest(5, 77)))
        XCTAssertEqual(Set(receivedIndexes(member.takeSent())), [3])
        for other in [digest(2, 77), digest(3, 70), digest(5, 78), digest(6, 77)] {
            member.hear(.notice(.agreed(other)), from: 2, term: 2)
        }
        member.hearAppend(from: 2, term: 2, behind: .at(2, 5))
        XCTAssertEqual(receivedIndexes(member.takeSent()), [3])
        XCTAssertEqual(member.confirmations, 0)
        for _ in 0..<2 { member.hear(.notice(.agreed(digest(5, 77))), from: 2, term: 2) }
        member.hearAppend(from: 2, term: 2, behind: .at(2, 5))
        XCTAssertEqual(receivedIndexes(member.takeSent()), [0])
        XCTAssertEqual(member.confirmations, 1, "it is noted once")
    }

    func testLeader_whoseOwnStateWasReceived_isNoWitnessUntilItIsThatOfTheOthers() throws {
        for (second, third) in [(UInt64(8), UInt64(7)), (8, 8)] {
            var member = try received()
            member.timeOut()
            for _ in 0..<2 { member.hearVotes(from: [3]) }
            XCTAssertEqual(member.raft.role, .leader)
            member.step(.digest(digest(5, 8)))
            member.hear(report(digest(5, second), through: 5), from: 2, term: 3)
            member.hear(report(digest(5, third), through: 5), from: 3, term: 3)
            XCTAssertEqual(member.takeReports(), third == 7 ? [.digestsDisagree(at: 5)] : [])
            XCTAssertEqual(member.confirmations, third == 8 ? 1 : 0)
        }
    }

    // MARK: Whose state replaces one that differs

    /// It was started again, and has recorded nothing yet: its own state may be wrong.
    func testLeader_thatIsNotKnownToHaveTheStateOfTheMajority_sendsItToNobody() throws {
        var member = try leader(of: 5)
        for peer in [2, 3, 4] as [MemberID] { member.hear(report(digest(5, 7), through: 5), from: peer, term: 1) }
        member.hear(report(digest(5, 8), through: 5), from: 5, term: 1)
        XCTAssertEqual(member.takeReports(), [.stateDiverged(5, own: 8, majority: digest(5, 7))])
        let request = Message.Body.checkpointRequest(CheckpointRequest(.diverged, atLeast: 5))
        member.hear(request, from: 5, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [])
        member.step(.digest(digest(5, 7)))
        member.hear(request, from: 5, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [5])
    }

    func testLeader_whoseStateIsInDisputeSinceTheMajority_sendsItToNobody() throws {
        for isDisputed in [true, false] {
            var member = try leader(of: 5)
            member.propose(3)
            member.hearAcceptance(from: [2, 3], through: 8)
            member.step(.digest(digest(5, 7)))
            for peer in [2, 3] as [MemberID] { member.hear(report(digest(5, 7), through: 8), from: peer, term: 1) }
            member.step(.digest(digest(8, 7)))
            member.hear(report(digest(8, isDisputed ? 8 : 7), through: 8), from: 2, term: 1)
            member.hear(.checkpointRequest(CheckpointRequest(.diverged, atLeast: 5)), from: 5, term: 1)
            XCTAssertEqual(member.wantedSnapshots, isDisputed ? [] : [5])
        }
    }

    // MARK: Reads of a member that does not know yet

    func testPeer_whoseStateDiffersAndThatDoesNotKnow_getsNoReadIndex() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        var asked: [ReadID] = []
        func ask(_ member: inout TestMember) -> [ReadAnswer] {
            let read = ReadID(member: 2, nonce: 1, number: UInt64(asked.count + 1))
            asked.append(read)
            member.hear(.readRequest(read), from: 2, term: 1)
            member.hearHeartbeatAnswers(from: [2, 3])
            return member.takeSent().compactMap {
                if case .readResponse(read, let answer) = $0.body { answer } else { nil }
            }
        }
        XCTAssertEqual(ask(&member), [.index(5)])
        // It waits for its round when the difference is found.
        let early = ReadID(member: 2, nonce: 2, number: 1)
        member.hear(.readRequest(early), from: 2, term: 1)
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        member.hearHeartbeatAnswers(from: [2, 3])
        XCTAssertTrue(member.takeSent().contains { $0.body == .readResponse(early, .refused) })
        XCTAssertEqual(ask(&member), [.refused])
        // Its state was replaced, though what it asked for that was lost.
        var rebuilt = AppendResponse.accepted(through: 5)
        rebuilt.receivedIndex = 5
        member.hear(.appendResponse(rebuilt), from: 2, term: 1)
        XCTAssertEqual(ask(&member), [.index(5)])
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        XCTAssertEqual(ask(&member), [.index(5)], "an answer that was overtaken")
    }
}
