import XCTest

@testable import BalsaRaft

/// Live digests: how a leader finds a state that differs.
final class DigestTests: DigestTestCase {
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

    /// One of three is down. It may decide when it is back, and until then somebody should know.
    func testLeader_withTwoDigestsAndASilentMember_saysSoAnIntervalLater() throws {
        var member = try leader()
        member.propose(5)
        member.hearAcceptance(from: [2], through: 10)
        for index in [LogIndex(4), 6, 8] {
            member.step(.digest(digest(index, 7)))
            member.hear(report(digest(index, 8), through: 10), from: 2, term: 1)
        }
        XCTAssertEqual(member.takeReports(), [.digestsDisagree(at: 4), .digestsDisagree(at: 6)])
        XCTAssertFalse(member.raft.isDiverged)
        member.hear(report(digest(4, 7), through: 5), from: 3, term: 1)
        XCTAssertEqual(member.takeReports(), [.stateDiverged(2, own: 8, majority: digest(4, 7))])
    }

    func testLeader_ofFive_withTwoAgainstTwo_waitsForTheFifth() throws {
        for (fifth, wrong) in [(UInt64(7), [MemberID(4), 5]), (8, [1, 2])] {
            var member = try leader(of: 5)
            member.step(.digest(digest(5, 7)))
            for (peer, value) in [(MemberID(2), UInt64(7)), (4, 8), (5, 8)] {
                member.hear(report(digest(5, value), through: 5), from: peer, term: 1)
            }
            XCTAssertEqual(member.takeReports(), [])
            member.hear(report(digest(5, fifth), through: 5), from: 3, term: 1)
            let majority = digest(5, fifth)
            XCTAssertEqual(
                member.takeReports(),
                wrong.map { .stateDiverged($0, own: fifth == 7 ? 8 : 7, majority: majority) }
            )
            XCTAssertEqual(member.raft.isDiverged, fifth == 8)
        }
    }

    /// A majority that does not include the last to report.
    func testLeader_thatHearsOneLate_findsIt() throws {
        var member = try leader()
        member.propose(60 * 3)
        member.hearAcceptance(from: [2, 3], through: 185)
        for index in stride(from: LogIndex(5), through: 185, by: 3) {
            member.step(.digest(digest(index, 7)))
            member.hear(report(digest(index, 7), through: 185), from: 3, term: 1)
        }
        XCTAssertEqual(member.takeReports(), [])
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        XCTAssertEqual(member.takeReports(), [.stateDiverged(2, own: 8, majority: digest(5, 7))])
    }

    /// Started again, it has applied the entries once more, and rightly.
    func testLeader_whosePeerReportsTheRightDigestOfTheSameIndex_tellsItNothingMore() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        member.takeReports()
        member.hear(report(digest(5, 7), through: 5), from: 2, term: 1)
        member.takeSent()
        member.pass(.milliseconds(50))
        member.hearHeartbeatAnswers(from: [2, 3])
        XCTAssertEqual(notices(member.takeSent()), [:])
        XCTAssertEqual(member.takeReports(), [])
    }

    /// What a member reported of a state that is being replaced makes no majority with what another one reports later.
    func testLeader_whosePeerIsBeingRebuilt_countsNothingThatItReportedBefore() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        member.hear(.checkpointRequest(CheckpointRequest(.diverged, atLeast: 5)), from: 2, term: 1)
        member.takeReports()
        member.hear(report(digest(5, 8), through: 5), from: 3, term: 1)
        XCTAssertEqual(member.takeReports(), [])
        XCTAssertFalse(member.raft.isDiverged)
    }

    /// Sixty-four of them would push out all that is compared.
    func testDigest_ofAnEntryThatTheLeaderDoesNotHave_isReportedAndNotKept() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        for index in LogIndex(6)...70 {
            member.hear(report(digest(index * 100, 1), through: 5), from: 2, term: 1)
            XCTAssertEqual(member.takeReports(), [.malformedMessage(from: 2)])
        }
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        member.hear(report(digest(5, 8), through: 5, received: 6), from: 2, term: 1)
        XCTAssertEqual(member.takeReports(), [.malformedMessage(from: 2)], "nor is a checkpoint of one")
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        XCTAssertEqual(member.takeReports(), [.stateDiverged(2, own: 8, majority: digest(5, 7))])
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

    func testReports_ofMoreThan64Indexes_keepTheNewest() throws {
        var reports = DigestReports()
        let all = try Configuration(voters: [1, 2, 3])
        for index in LogIndex(2)...65 { XCTAssertNotNil(reports.note(digest(index * 10, 1), of: 1, all)) }
        XCTAssertNil(reports.note(digest(10, 1), of: 2, all), "older than all 64")
        XCTAssertNotNil(reports.note(digest(25, 1), of: 2, all), "among them; the oldest goes")
        XCTAssertNil(reports.note(digest(20, 1), of: 2, all))
        let slot = reports.note(digest(300, 5), of: 2, all)
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
}
