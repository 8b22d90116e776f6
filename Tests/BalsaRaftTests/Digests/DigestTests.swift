import XCTest

@testable import BalsaRaft

/// Live digests: how a state that differs is found, and what the member that has it does then.
final class DigestTests: XCTestCase {
    private func digest(_ index: LogIndex, _ value: UInt64) -> StateDigest { StateDigest(index: index, value: value) }

    /// A peer says that it holds the log through `index`, and what its state is.
    private func report(_ digest: StateDigest, through index: LogIndex) -> Message.Body {
        var response = AppendResponse.accepted(through: index)
        response.digest = digest
        return .appendResponse(response)
    }

    private func notices(_ messages: [Message]) -> [MemberID: LeaderNotice] {
        var notices: [MemberID: LeaderNotice] = [:]
        for case (let to, .notice(let notice)) in messages.map({ ($0.to, $0.body) }) { notices[to] = notice }
        return notices
    }

    private func requests(_ messages: [Message]) -> [CheckpointRequest] {
        messages.compactMap { if case .checkpointRequest(let request) = $0.body { request } else { nil } }
    }

    /// A leader of three with five entries that all have.
    private func leader(of size: UInt64 = 3) throws -> TestMember {
        var member = try TestMember.settledLeader(of: size)
        member.propose(4)
        member.hearAcceptance(from: Array(2...size), through: 5)
        member.takeSent()
        return member
    }

    // MARK: Finding

    func testFollower_thatRecordsADigest_reportsItAtOnceAndWithEveryAnswer() throws {
        var member = try TestMember.follower(term: 2, log: [1, 1])
        member.hearAppend(from: 2, term: 2, behind: .at(1, 2), commit: 2)
        member.takeSent()
        member.step(.digest(digest(2, 77)))
        member.hearAppend(from: 2, term: 2, behind: .at(1, 2), [2], commit: 2)
        member.hearAppend(from: 2, term: 2, behind: .at(2, 9))
        let answers = member.takeSent().compactMap { message -> AppendResponse? in
            if case .appendResponse(let response) = message.body { response } else { nil }
        }
        XCTAssertEqual(
            answers.map(\.answer),
            [
                .accepted(through: 2), .accepted(through: 3), .rejected(previous: 9, hint: .at(2, 3)),
            ]
        )
        XCTAssertEqual(answers.map(\.digest), [digest(2, 77), digest(2, 77), digest(2, 77)])
        XCTAssertEqual(answers[0].round, 0, "it answers no append")
    }

    func testLeader_whoseMajorityHasAnotherDigestThanOnePeer_reportsAndTellsThePeer() throws {
        // In every order in which the three digests may become known.
        let orders: [[MemberID]] = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]]
        for order in orders {
            var member = try leader()
            for (place, id) in order.enumerated() {
                let value: UInt64 = id == 2 ? 8 : 7
                if id == 1 {
                    member.step(.digest(digest(5, value)))
                } else {
                    member.hear(report(digest(5, value), through: 5), from: id, term: 1)
                }
                if place == 0 { XCTAssertEqual(member.reports, [], "one digest proves nothing") }
            }
            XCTAssertEqual(member.takeReports(), [.stateDiverged(2, own: 8, majority: digest(5, 7))], "\(order)")
            XCTAssertEqual(notices(member.takeSent()), [2: .diverged(digest(5, 7))], "\(order)")
            XCTAssertFalse(member.raft.isDiverged)
        }
    }

    func testLeader_untilThePeerAsks_tellsItAgainWithEachAnswerToAHeartbeat() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        member.takeSent()
        member.takeReports()
        member.pass(.milliseconds(50))
        member.hearHeartbeatAnswers(from: [2, 3])
        XCTAssertEqual(notices(member.takeSent()), [2: .diverged(digest(5, 7))])
        member.hear(.checkpointRequest(CheckpointRequest(.diverged, atLeast: 5)), from: 2, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [2])
        member.pass(.milliseconds(50))
        member.hearHeartbeatAnswers(from: [2, 3])
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        XCTAssertEqual(notices(member.takeSent()), [:])
        XCTAssertEqual(member.takeReports(), [], "the same again is no news")
    }

    /// What it acknowledges counts, since its log is as good as any.
    func testLeader_whosePeerDiverged_replicatesToItAndCountsIt() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        member.takeSent()
        member.propose()
        XCTAssertTrue(member.takeSent().contains { if case .append = $0.body { $0.to == 2 } else { false } })
        member.hear(report(digest(5, 8), through: 6), from: 2, term: 1)
        XCTAssertEqual(member.raft.commitIndex, 6)
    }

    func testLeader_withoutAMajority_saysSoOnceAllHaveReported() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        XCTAssertEqual(member.takeReports(), [], "the third decides")
        member.hear(report(digest(5, 9), through: 5), from: 3, term: 1)
        member.hear(report(digest(5, 9), through: 5), from: 3, term: 1)
        XCTAssertEqual(member.takeReports(), [.digestsDisagree(at: 5)])
        XCTAssertFalse(member.raft.isDiverged)
        var two = try leader(of: 2)
        two.step(.digest(digest(5, 7)))
        two.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        XCTAssertEqual(two.takeReports(), [.digestsDisagree(at: 5)], "of two nobody knows which is right")
    }

    func testLeader_thatTakesOffice_comparesWithWhatItRecordedBefore() throws {
        var member = try TestMember.follower(term: 1, log: [1, 1])
        member.hearAppend(from: 2, term: 1, behind: .at(1, 2), commit: 2)
        member.step(.digest(digest(2, 7)))
        member.timeOut()
        for _ in 0..<2 { member.hearVotes(from: [3]) }
        XCTAssertEqual(member.raft.role, .leader)
        member.hear(report(digest(2, 7), through: 2), from: 3, term: 2)
        member.hear(report(digest(2, 8), through: 2), from: 2, term: 2)
        XCTAssertEqual(member.takeReports(), [.stateDiverged(2, own: 8, majority: digest(2, 7))])
    }

    func testReports_ofMoreThan64Indexes_keepTheNewest() {
        var reports = DigestReports()
        for index in LogIndex(2)...65 { XCTAssertNotNil(reports.note(digest(index * 10, 1), of: 1)) }
        XCTAssertNil(reports.note(digest(10, 1), of: 2), "older than all 64")
        XCTAssertNotNil(reports.note(digest(25, 1), of: 2), "in between; the oldest goes")
        XCTAssertNil(reports.note(digest(20, 1), of: 2))
        let slot = reports.note(digest(300, 5), of: 2)
        XCTAssertEqual(slot.map { reports[$0].index }, 300)
        XCTAssertEqual(slot.map { reports[$0].value(of: 1) }, 1)
        XCTAssertEqual(slot.map { reports[$0].value(of: 2) }, 5)
        var history = DigestHistory()
        for index in LogIndex(1)...70 { history.add(digest(index, index)) }
        history.add(digest(3, 9))
        XCTAssertEqual(history.all.map(\.index), Array(7...70))
        XCTAssertEqual(history.newest, digest(70, 70))
        XCTAssertNil(history.value(at: 6))
        XCTAssertEqual(history.value(at: 7), 7)
    }

    // MARK: The member that diverged

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
        XCTAssertEqual(member.takeSent().compactMap(\.acceptedIndex), [4])
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
        XCTAssertEqual(member.raft.role, .follower)
        XCTAssertTrue(member.raft.isDiverged)
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
        member.hearAcceptance(from: [3], through: 6)
        XCTAssertEqual(member.raft.role, .follower)
        XCTAssertEqual(member.raft.commitIndex, 6)
        XCTAssertEqual(member.applied, 5)
    }
}
