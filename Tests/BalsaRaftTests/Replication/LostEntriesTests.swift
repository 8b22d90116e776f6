import XCTest

@testable import BalsaRaft

/// A follower that rejects what it acknowledged in this term: what it has lost, and what is only late.
final class LostEntriesTests: XCTestCase {
    /// The rounds of the appends to a peer, in the order in which they were sent.
    private func rounds(_ messages: [Message], to peer: MemberID) -> [UInt64] {
        messages.compactMap { message in
            if case .append(let append) = message.body, message.to == peer { append.round } else { nil }
        }
    }

    private func notices(_ messages: [Message], to peer: MemberID) -> [LeaderNotice] {
        messages.compactMap { message in
            if case .notice(let notice) = message.body, message.to == peer { notice } else { nil }
        }
    }

    private func appends(_ messages: [Message], to peer: MemberID) -> [Append] {
        messages.compactMap { message in
            if case .append(let append) = message.body, message.to == peer { append } else { nil }
        }
    }

    private func acceptance(_ index: LogIndex, round: UInt64) -> Message.Body {
        var response = AppendResponse.accepted(through: index)
        response.round = round
        return .appendResponse(response)
    }

    private func rejection(_ previous: LogIndex, round: UInt64) -> Message.Body {
        var response = AppendResponse.rejected(previous: previous, hint: .zero)
        response.round = round
        return .appendResponse(response)
    }

    /// A leader whose peer 2 acknowledged the entries through 4 and then rejected an append after them.
    private func leaderOfALostLog(of size: UInt64 = 3) throws -> TestMember {
        var member = try TestMember.settledLeader(of: size)
        member.propose(3)
        member.hearAcceptance(from: [2], through: 4)
        member.takeSent()
        member.propose()
        let round = try XCTUnwrap(rounds(member.takeSent(), to: 2).last)
        member.hear(rejection(4, round: round), from: 2, term: 1)
        return member
    }

    func testAppends_toEachPeer_areNumberedFromOneAndCarryTheTime() throws {
        var member = try TestMember.leader(of: 3, term: 2, log: [1])
        member.hearAcceptance(from: [2, 3], through: 2)
        member.takeSent()
        member.sleep(.milliseconds(7))
        for _ in 0..<3 { member.propose() }
        let appends = member.takeSent().compactMap { message -> Append? in
            if case .append(let append) = message.body, message.to == 2 { append } else { nil }
        }
        XCTAssertGreaterThanOrEqual(appends.count, 3)
        for (one, next) in zip(appends, appends.dropFirst()) { XCTAssertEqual(next.round, one.round + 1) }
        XCTAssertTrue(appends.allSatisfy { $0.round > 0 && $0.sentAt == member.now })
    }

    func testAnswers_toAnAppend_repeatItsRoundAndTime() throws {
        let cases: [(LogPosition, Term, AppendAnswer)] = [
            (.at(1, 1), 2, .accepted(through: 2)), (.at(1, 9), 2, .rejected(previous: 9, hint: .at(1, 1))),
            (.at(1, 1), 1, .stale),
        ]
        for (previous, term, answer) in cases {
            var member = try TestMember.follower(term: 2, log: [1])
            var append = Append.behind(previous, [term])
            append.round = 77
            append.sentAt = Instant(nanoseconds: 88)
            member.hear(.append(append), from: 2, term: term, entries: [.command(term: term)])
            var expected = AppendResponse(answer)
            expected.round = 77
            expected.sentAt = Instant(nanoseconds: 88)
            XCTAssertEqual(member.takeSent().map(\.body), [.appendResponse(expected)])
        }
    }

    func testAnswers_afterAWriteThatTookLong_nameItsTime() throws {
        var member = try TestMember.follower(term: 2, log: [1])
        member.holdsPersists = true
        member.hearAppend(from: 2, term: 2, behind: .at(1, 1), [2])
        member.sleep(.milliseconds(30))
        member.completePersists()
        member.hearAppend(from: 2, term: 2, behind: .at(2, 2))
        let times = member.takeSent().compactMap { message -> TimeSpan? in
            if case .appendResponse(let response) = message.body { response.syncTime } else { nil }
        }
        XCTAssertEqual(times, [.zero, .milliseconds(30)], "the first answer was made before its own write was durable")
    }

    func testRejection_ofWhatWasAcknowledgedBeforeTheAppendLeft_isALoss() throws {
        var member = try leaderOfALostLog()
        XCTAssertEqual(member.takeReports(), [.acknowledgedEntriesLost(by: 2, through: .at(1, 4))])
        XCTAssertEqual(notices(member.takeSent(), to: 2), [.acknowledgedEntriesLost(through: .at(1, 4))])
    }

    func testPeer_thatLostEntries_isSentNoEntriesAndToldAgainWhenItAnswers() throws {
        var member = try leaderOfALostLog()
        XCTAssertEqual(appends(member.takeSent(), to: 2).map(\.previous), [.at(1, 4)], "whether it holds them again")
        member.takeReports()
        member.propose(2)
        member.pass(.milliseconds(50))
        member.hearAcceptance(from: [2], through: 6)
        XCTAssertEqual(rounds(member.takeSent(), to: 2), [])
        member.hearHeartbeatAnswers(from: [2, 3])
        member.step(.peerUnreachable(2))
        member.step(.snapshotSent(to: 2, position: .at(1, 1), succeeded: true))
        let sent = member.takeSent()
        XCTAssertEqual(appends(sent, to: 2).map(\.previous), [.at(1, 4)])
        XCTAssertTrue(appends(sent, to: 2).allSatisfy { $0.entries == nil && $0.commit == 0 })
        XCTAssertEqual(notices(sent, to: 2), [.acknowledgedEntriesLost(through: .at(1, 4))])
        XCTAssertEqual(member.takeReports(), [], "one event is enough")
    }

    func testPeer_thatAnswersOften_isToldOnceAHeartbeatInterval() throws {
        var member = try leaderOfALostLog()
        member.pass(.milliseconds(50))
        member.takeSent()
        for _ in 0..<5 { member.hearHeartbeatAnswers(from: [2]) }
        let sent = member.takeSent()
        XCTAssertEqual(notices(sent, to: 2).count, 1)
        XCTAssertEqual(rounds(sent, to: 2).count, 1)
    }

    /// Its directory was put back: it holds again what it acknowledged.
    func testPeer_thatHoldsTheEntriesAgain_isSentToAndCountsAgain() throws {
        var member = try leaderOfALostLog()
        let asked = try XCTUnwrap(rounds(member.takeSent(), to: 2).last)
        member.hear(acceptance(4, round: asked - 1), from: 2, term: 1)
        member.hear(acceptance(4, round: asked + 1), from: 2, term: 1)
        member.hear(acceptance(3, round: asked), from: 2, term: 1)
        XCTAssertEqual(rounds(member.takeSent(), to: 2), [], "too old, of no append, too little")
        member.hear(acceptance(4, round: asked), from: 2, term: 1)
        let entries = appends(member.takeSent(), to: 2).compactMap(\.entries)
        XCTAssertEqual(entries, [EntryRange(first: 5, last: .at(1, 5))])
        member.takeReports()
        member.hear(rejection(4, round: asked), from: 2, term: 1)
        XCTAssertEqual(member.takeReports(), [], "it was rejected before the directory was put back")
        member.hear(acceptance(5, round: asked + 1), from: 2, term: 1)
        XCTAssertEqual(member.raft.commitIndex, 5)
    }

    /// The log of the leader begins after what the peer has lost.
    func testPeer_thatLostWhatTheLeaderDropped_isToldAgain() throws {
        var member = try leaderOfALostLog()
        member.hearAcceptance(from: [3], through: 5)
        XCTAssertEqual(member.applied, 5)
        member.compact(through: 5)
        member.takeSent()
        member.pass(.milliseconds(50))
        member.hearHeartbeatAnswers(from: [2, 3])
        let sent = member.takeSent()
        XCTAssertEqual(notices(sent, to: 2), [.acknowledgedEntriesLost(through: .at(1, 4))])
        let asked = try XCTUnwrap(rounds(sent, to: 2).last)
        member.hear(acceptance(4, round: asked), from: 2, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [2], "what follows is not in the log")
    }

    func testLeader_whoseOnlyPeerLostEntries_resigns() throws {
        var member = try leaderOfALostLog()
        member.takeReports()
        for _ in 0..<6 {
            member.pass(.milliseconds(50))
            member.hearHeartbeatAnswers(from: [2])
        }
        member.pass(.milliseconds(1))
        XCTAssertNotEqual(member.raft.role, .leader)
        XCTAssertEqual(member.takeReports(), [.quorumLost])
    }

    func testRead_thatOnlyAPeerWithLostEntriesConfirms_isNotAnswered() throws {
        var member = try TestMember.settledLeader()
        member.propose(3)
        member.hearAcceptance(from: [2], through: 4)
        member.takeSent()
        member.propose()
        let round = try XCTUnwrap(rounds(member.takeSent(), to: 2).last)
        member.hear(rejection(4, round: round), from: 2, term: 1)
        member.takeResponses()
        let read = ReadID(member: 1, nonce: 1, number: 1)
        member.step(.read(read))
        member.hearHeartbeatAnswers(from: [2])
        XCTAssertEqual(member.takeResponses(), [])
        member.hearHeartbeatAnswers(from: [3])
        XCTAssertEqual(member.takeResponses(), [.readReady(read, index: 4)])
    }

    func testPeer_thatLostEntries_countsForNoQuorum() throws {
        var member = try leaderOfALostLog(of: 5)
        member.hearAcceptance(from: [3], through: 4)
        XCTAssertEqual(member.raft.commitIndex, 1, "the leader and one peer of five")
        member.hearAcceptance(from: [4], through: 4)
        XCTAssertEqual(member.raft.commitIndex, 4)
        member.pass(.milliseconds(50))
        let commits = member.takeSent().compactMap { message -> LogIndex? in
            if case .heartbeat(let heartbeat) = message.body, message.to == 2 { heartbeat.commit } else { nil }
        }
        XCTAssertEqual(commits.last, 0, "its log may hold others' entries")
    }

    /// The append that a peer rejected overtook the one that it took: it has lost nothing.
    func testRejection_ofAnAppendThatOvertookAnother_isNoLoss() throws {
        var member = try TestMember.settledLeader()
        member.propose()
        member.propose()
        let sent = rounds(member.takeSent(), to: 2)
        XCTAssertEqual(sent.count, 2)
        var acceptance = AppendResponse.accepted(through: 2)
        acceptance.round = sent[0]
        member.hear(.appendResponse(acceptance), from: 2, term: 1)
        member.takeSent()
        member.hear(rejection(2, round: sent[1]), from: 2, term: 1)
        XCTAssertEqual(member.takeReports(), [])
        XCTAssertEqual(notices(member.takeSent(), to: 2), [])
    }

    func testRejection_thatArrivesAgainLongAfter_isNoLoss() throws {
        var member = try TestMember.leader(of: 3, term: 3, log: [1, 2, 2])
        // The peer holds nothing: the first append is rejected, and that answer comes twice more.
        member.pass(.milliseconds(50))
        member.hearHeartbeatAnswers(from: [2])
        let round = try XCTUnwrap(rounds(member.takeSent(), to: 2).last)
        let old = rejection(3, round: round)
        member.hear(old, from: 2, term: 3)
        member.hearAcceptance(from: [2], through: 4)
        for _ in 0..<2 {
            member.propose()
            member.hearAcceptance(from: [2], through: member.log.lastIndex)
            member.hear(old, from: 2, term: 3)
        }
        // An answer to a round that was never sent says nothing either.
        member.hear(rejection(3, round: 1_000), from: 2, term: 3)
        member.hear(rejection(3, round: 0), from: 2, term: 3)
        XCTAssertEqual(member.takeReports(), [])
        member.takeSent()
        member.propose()
        XCTAssertEqual(rounds(member.takeSent(), to: 2).count, 1, "it is still sent to")
    }

    func testFollower_thatIsToldOfALoss_stops() throws {
        var member = try TestMember.follower(term: 2, log: [1])
        member.hear(.notice(.acknowledgedEntriesLost(through: .at(2, 4))), from: 2, term: 2)
        XCTAssertEqual(member.takeReports(), [.acknowledgedEntriesLost(by: 1, through: .at(2, 4))])
        member.takeSent()
        member.hearAppend(from: 2, term: 2, behind: .at(1, 1), [2])
        member.timeOut()
        XCTAssertEqual(member.takeSent(), [])
        XCTAssertEqual(member.log.lastIndex, 1)
    }

    func testFollower_thatHoldsWhatItIsSaidToHaveLost_goesOn() throws {
        for (position, commit) in [(LogPosition.at(2, 2), LogIndex(0)), (.at(1, 1), 0), (.at(1, 1), 1)] {
            var member = try TestMember.follower(term: 2, log: [1, 2], commit: commit)
            member.hear(.notice(.acknowledgedEntriesLost(through: position)), from: 2, term: 2)
            XCTAssertEqual(member.takeReports(), [])
            member.takeSent()
            member.hearAppend(from: 2, term: 2, behind: .at(2, 2), [2])
            XCTAssertEqual(member.takeSent().map(\.acceptedIndex), [3])
        }
        var installed = try TestMember.follower(term: 2, log: [2], base: .at(2, 5))
        installed.hear(.notice(.acknowledgedEntriesLost(through: .at(2, 4))), from: 2, term: 2)
        XCTAssertEqual(installed.takeReports(), [], "a checkpoint contains it")
        installed.takeSent()
        installed.hearAppend(from: 2, term: 2, behind: .at(2, 6), [2])
        XCTAssertEqual(installed.takeSent().map(\.acceptedIndex), [7])
    }

    /// What its disk says is committed are entries of another leader.
    func testFollower_thatCommittedAnotherEntry_reportsTheContradictionAndStops() throws {
        var member = try TestMember.follower(term: 2, log: [1, 1], commit: 2)
        member.step(.timer)
        XCTAssertEqual(member.applied, 2)
        member.hear(.notice(.acknowledgedEntriesLost(through: .at(2, 2))), from: 2, term: 2)
        XCTAssertEqual(member.takeReports(), [.committedEntryContradicted(2)])
        member.takeSent()
        member.hearAppend(from: 2, term: 2, behind: .at(1, 2), [2])
        member.timeOut()
        XCTAssertEqual(member.takeSent(), [])
        // Not committed: it is only lost.
        var other = try TestMember.follower(term: 2, log: [1, 1])
        other.hear(.notice(.acknowledgedEntriesLost(through: .at(2, 2))), from: 2, term: 2)
        XCTAssertEqual(other.takeReports(), [.acknowledgedEntriesLost(by: 1, through: .at(2, 2))])
    }

    /// Leader and follower alone, from the acknowledgement to the stop.
    func testFollower_whoseLogIsSetBackWithinATerm_isFoundAndStops() throws {
        var leader = try TestMember.leader(of: 2, term: 1)
        var follower = try TestMember(2, of: [1, 2], state: HardState(term: 1, vote: 1))
        func exchange() {
            for _ in 0..<20 {
                for packet in leader.sent { follower.hear(packet) }
                leader.sent.removeAll()
                for packet in follower.sent { leader.hear(packet) }
                follower.sent.removeAll()
            }
        }
        leader.pass(.milliseconds(50))
        exchange()
        leader.propose(2)
        exchange()
        XCTAssertEqual(follower.log.lastIndex, 3)
        follower = try TestMember(
            2,
            of: [1, 2],
            state: HardState(term: 1, vote: 1),
            log: ShellLog(terms: [1]),
            at: leader.now
        )
        leader.propose()
        exchange()
        XCTAssertEqual(leader.takeReports(), [.acknowledgedEntriesLost(by: 2, through: .at(1, 3))])
        XCTAssertEqual(follower.takeReports(), [.acknowledgedEntriesLost(by: 2, through: .at(1, 3))])
        XCTAssertEqual(leader.raft.commitIndex, 3, "one of two is no quorum")
    }

    func testRequestForACheckpoint_isPassedOnOnceAMinimumTimeout() throws {
        var member = try TestMember.settledLeader()
        let request = Message.Body.checkpointRequest(CheckpointRequest(.unreadable, atLeast: 1))
        for _ in 0..<3 { member.hear(request, from: 2, term: 1) }
        XCTAssertEqual(member.wantedSnapshots, [2])
        member.propose()
        XCTAssertEqual(rounds(member.takeSent(), to: 2).count, 1, "the log goes on")
        member.sleep(.milliseconds(200))
        member.hearHeartbeatAnswers(from: [])
        member.hear(request, from: 2, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [2])
        member.pass(.milliseconds(60))
        member.hearHeartbeatAnswers(from: [2, 3])
        member.pass(.milliseconds(60))
        member.hear(request, from: 2, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [2, 2])
        var follower = try TestMember.follower(term: 1)
        follower.hear(request, from: 2, term: 1)
        XCTAssertEqual(follower.wantedSnapshots, [])
    }

    func testRequestForACheckpoint_thatNoLogCanServe_isRefused() throws {
        var member = try TestMember.settledLeader()
        member.propose()
        func request(_ index: LogIndex) -> Message.Body {
            .checkpointRequest(CheckpointRequest(.unreadable, atLeast: index))
        }
        for index in [LogIndex(0), 3] {
            member.hear(request(index), from: 2, term: 1)
            XCTAssertEqual(member.takeReports(), [.malformedMessage(from: 2)], "\(index)")
        }
        // A new leader may not know that it is committed.
        member.hear(request(2), from: 2, term: 1)
        XCTAssertEqual(member.takeReports(), [])
        XCTAssertEqual(member.wantedSnapshots, [])
        member.hearAcceptance(from: [2], through: 2)
        member.hear(request(2), from: 2, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [2])
    }

    /// A peer that asked, and then falls behind the log, does not wait for the pause between its requests.
    func testRequestForACheckpoint_doesNotDelayTheOneThatTheLeaderWants() throws {
        var member = try TestMember.settledLeader()
        member.propose()
        member.hearAcceptance(from: [3], through: 2)
        member.hear(.checkpointRequest(CheckpointRequest(.unreadable, atLeast: 1)), from: 2, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [2])
        member.compact(through: 2)
        member.step(.peerUnreachable(2))
        member.pass(.milliseconds(50))
        member.hearHeartbeatAnswers(from: [2, 3])
        XCTAssertEqual(member.wantedSnapshots, [2, 2])
    }
}
