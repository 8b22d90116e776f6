import XCTest

@testable import BalsaRaft

/// What a member does whose state differs from that of the majority.
final class DivergedMemberTests: DigestTestCase {
    /// A follower of member 2 with three entries, of which it has applied two, that is told that its state at 2 is
    /// another one.
    private func diverged() throws -> TestMember {
        var member = try TestMember.follower(term: 2, log: [1, 1, 2])
        member.hearAppend(from: 2, term: 2, behind: .at(2, 3), commit: 2)
        member.step(.digest(digest(2, 77)))
        member.takeSent()
        member.hear(.notice(.diverged(digest(2, 78))), from: 2, term: 2)
        XCTAssertEqual(member.takeReports(), [.stateDiverged(1, own: 77, majority: digest(2, 78))])
        XCTAssertTrue(member.raft.isDiverged)
        return member
    }

    func testFollower_thatIsToldWhatItCannotCompareOrWhatAgrees_goesOn() throws {
        for told in [digest(2, 77), digest(1, 5), digest(3, 5)] {
            var member = try TestMember.follower(term: 2, log: [1, 1, 2])
            member.hearAppend(from: 2, term: 2, behind: .at(2, 3), commit: 2)
            member.step(.digest(digest(2, 77)))
            member.hear(.notice(.diverged(told)), from: 2, term: 2)
            XCTAssertFalse(member.raft.isDiverged, "\(told)")
            member.hearAppend(from: 2, term: 2, behind: .at(2, 3), commit: 3)
            XCTAssertEqual(member.applied, 3)
        }
    }

    func testDivergedFollower_acknowledgesAndVotesAndAppliesNothing() throws {
        var member = try diverged()
        member.hearAppend(from: 2, term: 2, behind: .at(2, 3), [2], commit: 4)
        let sent = member.takeSent()
        XCTAssertEqual(sent.compactMap(\.acceptedIndex), [4])
        for message in sent {
            if case .appendResponse(let response) = message.body { XCTAssertNil(response.digest, "it counts no more") }
        }
        XCTAssertEqual(member.raft.commitIndex, 4)
        XCTAssertEqual(member.applied, 2)
        member.sleep(member.options.maxElectionTimeout)
        member.hear(.voteRequest(VoteRequest(last: .at(2, 4), campaign: 1)), from: 3, term: 3)
        XCTAssertTrue(
            member.takeSent().contains {
                if case .voteResponse(let response) = $0.body { response.isGranted } else { false }
            }
        )
    }

    func testMember_thatWasDivergedWhenItStopped_startsAsThatAndAsksForACheckpoint() throws {
        for applied in [LogIndex(0), 2] {
            let log = ShellLog(terms: [1, 1, 2])
            let recovered = RecoveredState(
                hardState: HardState(term: 2, vote: 0),
                log: log.outline,
                commitIndex: 3,
                appliedIndex: applied,
                isDiverged: true
            )
            var raft = try Raft(
                member: 1,
                configuration: try Configuration(voters: [1, 2, 3]),
                recovered: recovered,
                seed: 1
            )
            var effects = Effects()
            raft.start(at: .zero, into: &effects)
            let heartbeat = Heartbeat(round: 1, sentAt: .zero, commit: 3)
            raft.step(
                .message(Message(from: 2, to: 1, term: 2, body: .heartbeat(heartbeat)), entries: []),
                at: .zero,
                into: &effects
            )
            let read = ReadID(member: 1, nonce: 1, number: 1)
            raft.step(.read(read), at: .zero, into: &effects)
            XCTAssertTrue(raft.isDiverged)
            var sent: [Message] = []
            for effect in effects.list {
                if case .apply = effect { XCTFail("it applies") }
                if case .send(let message) = effect { sent.append(message) }
            }
            XCTAssertEqual(requests(sent), [CheckpointRequest(.diverged, atLeast: max(applied, 1))])
            XCTAssertTrue(effects.list.contains(.respond(.readRefused(read, .diverged))))
        }
    }

    func testDivergedFollower_refusesReads() throws {
        var member = try diverged()
        let read = ReadID(member: 1, nonce: 1, number: 1)
        member.step(.read(read))
        XCTAssertEqual(member.takeResponses(), [.readRefused(read, .diverged)])
    }

    func testDivergedFollower_asksForACheckpointNowAndThen() throws {
        var member = try diverged()
        for _ in 0..<3 { member.hearHeartbeat(from: 2, term: 2, commit: 2) }
        XCTAssertEqual(requests(member.takeSent()), [CheckpointRequest(.diverged, atLeast: 2)])
        member.sleep(member.options.maxElectionTimeout)
        for _ in 0..<3 { member.hearHeartbeat(from: 2, term: 2, commit: 3) }
        XCTAssertEqual(requests(member.takeSent()), [CheckpointRequest(.diverged, atLeast: 2)])
    }

    /// A leader that does not know takes the member for one that is only behind, and sends its state at once.
    func testDivergedFollower_ofANewLeader_asksBeforeItAnswers() throws {
        var member = try diverged()
        member.hearHeartbeat(from: 2, term: 2, commit: 2)
        member.takeSent()
        member.hearAppend(from: 3, term: 3, behind: .at(3, 9), commit: 2)
        let sent = member.takeSent()
        guard sent.count == 2, case .appendResponse(let answer) = sent[1].body else { return XCTFail("\(sent)") }
        XCTAssertEqual(sent[0].body, .checkpointRequest(CheckpointRequest(.diverged, atLeast: 2)))
        XCTAssertEqual(answer.answer, .rejected(previous: 9, hint: .at(2, 3)))
        member.hearHeartbeat(from: 3, term: 3, commit: 2)
        XCTAssertEqual(requests(member.takeSent()), [], "once")
    }

    func testDivergedFollower_installsACheckpointOfWhatIsCommittedAndGoesOn() throws {
        for position in [LogPosition.at(1, 2), .at(2, 3), .at(2, 4)] {
            var member = try diverged()
            member.hearAppend(from: 2, term: 2, behind: .at(2, 3), [2, 2], commit: 5)
            member.hear(.snapshot(SnapshotOffer(position: .at(1, 1))), from: 2, term: 2)
            XCTAssertNil(member.installing, "it would take back what was applied")
            member.hear(.snapshot(SnapshotOffer(position: position)), from: 2, term: 2)
            XCTAssertEqual(member.installing, position)
            member.finishInstall()
            XCTAssertFalse(member.raft.isDiverged)
            XCTAssertEqual(member.takeReports(), [.stateRebuilt(through: position.index)])
            XCTAssertEqual(member.applied, 5, "it goes on after \(position)")
            member.hear(.notice(.diverged(digest(2, 78))), from: 2, term: 2)
            XCTAssertFalse(member.raft.isDiverged, "that was the state before")
        }
    }

    func testDivergedFollower_letsOthersCampaignFirstButNotForEver() throws {
        var member = try diverged()
        for _ in 0..<3 {
            member.timeOut()
            XCTAssertEqual(member.raft.role, .follower)
        }
        member.timeOut()
        XCTAssertEqual(member.raft.role, .preCandidate)
    }

    // MARK: A leader that diverged

    func testLeader_whoseOwnStateDiffers_handsOverToAPeerThatHoldsItsLog() throws {
        var member = try leader()
        member.step(.digest(digest(5, 8)))
        member.hear(report(digest(5, 7), through: 5), from: 2, term: 1)
        XCTAssertEqual(member.raft.role, .leader)
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        XCTAssertEqual(member.takeReports(), [.stateDiverged(1, own: 8, majority: digest(5, 7))])
        XCTAssertTrue(member.raft.isDiverged)
        XCTAssertEqual(told(member.takeSent()), [2])
        let vote = VoteRequest(last: .at(1, 5), campaign: 1, flags: VoteRequest.transferFlag)
        member.hear(.voteRequest(vote), from: 2, term: 2)
        XCTAssertEqual(member.raft.role, .follower)
        XCTAssertEqual(member.raft.vote, 2)
    }

    /// The one that was told may be unable to lead.
    func testLeader_whoseOwnStateDiffers_triesOneAfterTheOtherUntilItIsDeposed() throws {
        var member = try leader()
        member.step(.digest(digest(5, 8)))
        for peer in 2...3 as ClosedRange<MemberID> {
            member.hear(report(digest(5, 7), through: 5), from: peer, term: 1)
        }
        var order = told(member.takeSent())
        member.takeResponses()
        for _ in 0..<26 {
            member.pass(.milliseconds(50))
            member.hearHeartbeatAnswers(from: [2, 3])
            order += told(member.takeSent())
        }
        XCTAssertEqual(order, [2, 3, 2])
        member.propose(id: 9)
        XCTAssertEqual(member.takeResponses(), [.proposalRefused(9, .notLeader(leader: 0))])
    }

    /// One that is being rebuilt as well could not serve either.
    func testLeader_thatHandsOver_prefersAPeerWhoseStateIsNotKnownToDiffer() throws {
        var member = try leader(of: 5)
        member.step(.digest(digest(5, 7)))
        for peer in 3...5 as ClosedRange<MemberID> {
            member.hear(report(digest(5, 7), through: 5), from: peer, term: 1)
        }
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        member.hear(.checkpointRequest(CheckpointRequest(.diverged, atLeast: 5)), from: 2, term: 1)
        member.takeSent()
        member.propose()
        member.step(.transferLeadership(to: nil, request: 1))
        member.hear(report(digest(5, 8), through: 6), from: 2, term: 1)
        XCTAssertEqual(told(member.takeSent()), [])
        member.hear(report(digest(5, 7), through: 6), from: 4, term: 1)
        XCTAssertEqual(told(member.takeSent()), [4])
    }

    /// Its log was the only one that could win.
    func testDivergedMember_thatIsElected_handsOverOnceAnotherHoldsItsLog() throws {
        var member = try diverged()
        for _ in 0..<4 { member.timeOut() }
        member.hearVotes(from: [3])
        member.hearVotes(from: [3])
        XCTAssertEqual(member.raft.role, .leader)
        XCTAssertTrue(member.raft.isTransferring)
        member.takeSent()
        member.hearAcceptance(from: [3], through: 4)
        XCTAssertEqual(told(member.takeSent()), [3])
    }

    func testLeader_whoseOwnStateDiffers_refusesReadsAndProposalsUntilAPeerHasCaughtUp() throws {
        var member = try leader()
        let read = ReadID(member: 1, nonce: 1, number: 1)
        member.step(.digest(digest(5, 8)))
        member.propose()
        member.step(.read(read))
        member.takeResponses()
        member.hear(report(digest(5, 7), through: 5), from: 2, term: 1)
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        XCTAssertEqual(member.takeResponses(), [.readRefused(read, .diverged)], "it waited for a round")
        XCTAssertEqual(member.raft.role, .leader, "nobody holds entry 6")
        let next = ReadID(member: 1, nonce: 1, number: 2)
        member.step(.read(next))
        member.propose(id: 9)
        XCTAssertEqual(
            member.takeResponses(),
            [.readRefused(next, .diverged), .proposalRefused(9, .notLeader(leader: 0))]
        )
        member.takeSent()
        member.hear(.readRequest(ReadID(member: 3, nonce: 3, number: 3)), from: 3, term: 1)
        XCTAssertEqual(member.takeSent().map(\.body), [.readResponse(ReadID(member: 3, nonce: 3, number: 3), .refused)])
        member.hear(.checkpointRequest(CheckpointRequest(.diverged, atLeast: 5)), from: 3, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [], "it has nothing to give")
        member.hearAcceptance(from: [2], through: 6)
        XCTAssertEqual(told(member.takeSent()), [2])
        XCTAssertEqual(member.raft.commitIndex, 6)
        XCTAssertEqual(member.applied, 5)
    }
}
