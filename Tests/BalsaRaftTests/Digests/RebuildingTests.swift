import XCTest

@testable import BalsaRaft

/// Whose state takes the place of another's, and what a leader does for a member that waits.
final class RebuildingTests: DigestTestCase {
    private let request = Message.Body.checkpointRequest(CheckpointRequest(.diverged, atLeast: 5))
    private let unreadable = Message.Body.checkpointRequest(CheckpointRequest(.unreadable, atLeast: 5))

    private func ask(_ member: inout TestMember, as peer: MemberID) { member.hear(request, from: peer, term: 1) }

    // MARK: A comparison that decides

    func testLeader_thatCannotTellWhetherItsStateIsThatOfTheMajority_hasThemComparedOnceMore() throws {
        for (isHeard, isDisputed) in [(true, false), (false, false), (true, true)] {
            var member = try leader()
            if isDisputed {
                member.step(.digest(digest(5, 7)))
                member.hear(report(digest(5, 8), through: 5, received: 4), from: 3, term: 1)
            }
            let heard: [MemberID] = isHeard ? [2, 3] : [2]
            pass(&member, 7, heard: heard) { ask(&$0, as: 2) }
            XCTAssertEqual(member.raft.log.lastIndex, 5, "not at once")
            pass(&member, 3, heard: heard) { ask(&$0, as: 2) }
            XCTAssertEqual(told(member.takeSent()), [])
            XCTAssertEqual(member.wantedSnapshots, [])
            guard isHeard, !isDisputed else {
                XCTAssertEqual(member.raft.log.lastIndex, 5)
                continue
            }
            XCTAssertEqual(member.raft.log.lastIndex, 6)
            XCTAssertEqual(member.log.terms.last, 1)
            member.hearAcceptance(from: [3], through: 6)
            XCTAssertEqual(member.applied, 6)
            member.step(.digest(digest(6, 17)))
            member.hear(report(digest(6, 17), through: 6), from: 3, term: 1)
            ask(&member, as: 2)
            XCTAssertEqual(member.wantedSnapshots, [2])
        }
    }

    /// Of five, two are down and one waits. Each handover would end the checkpoints that are on their way.
    func testLeader_whoseMajorityCannotReport_leadsOnAndProposesNothing() throws {
        var member = try leader(of: 5)
        pass(&member, 100, heard: [2, 3]) { ask(&$0, as: 2) }
        XCTAssertEqual(told(member.takeSent()), [])
        XCTAssertFalse(member.raft.isTransferring)
        XCTAssertEqual(member.raft.log.lastIndex, 5)
    }

    /// Started again between its report and the notice, it has no digest of that index.
    func testPeer_thatDoesNotKnowTheDigestThatItIsToldOf_reportsAnotherOne() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        pass(&member, 7, heard: [2, 3])
        XCTAssertEqual(member.raft.log.lastIndex, 5, "not at once")
        pass(&member, 3, heard: [2, 3])
        XCTAssertEqual(member.raft.log.lastIndex, 6)
        member.hearAcceptance(from: [2, 3], through: 6)
        member.step(.digest(digest(6, 17)))
        member.hear(report(digest(6, 17), through: 6), from: 3, term: 1)
        member.hear(report(digest(6, 18), through: 6), from: 2, term: 1)
        member.takeSent()
        pass(&member, 1, heard: [2, 3])
        XCTAssertEqual(notices(member.takeSent()), [2: .diverged(digest(6, 17))])
    }

    /// It was started again after the entry at which the others differ, and remembers no digest of it.
    func testDispute_thatALivingMemberCanDecide_isDecidedThoughNothingIsWrittenAndNobodyAsks() throws {
        for isUnreadable in [false, true] {
            var member = try leader()
            member.step(.digest(digest(5, 7)))
            member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
            if isUnreadable { member.hear(unreadable, from: 2, term: 1) }
            pass(&member, 7, heard: [2, 3])
            XCTAssertEqual(member.raft.log.lastIndex, 5, "not at once")
            pass(&member, 3, heard: [2, 3])
            XCTAssertEqual(member.raft.log.lastIndex, 6)
            member.hearAcceptance(from: [2, 3], through: 6)
            member.step(.digest(digest(6, 17)))
            if !isUnreadable { member.hear(report(digest(6, 18), through: 6), from: 2, term: 1) }
            XCTAssertEqual(member.takeReports(), isUnreadable ? [] : [.digestsDisagree(at: 5)])
            member.hear(report(digest(6, 17), through: 6), from: 3, term: 1)
            XCTAssertFalse(member.raft.isInDispute)
            if isUnreadable {
                member.hear(unreadable, from: 2, term: 1)
                XCTAssertEqual(member.wantedSnapshots, [2])
            } else {
                XCTAssertEqual(member.takeReports(), [.stateDiverged(2, own: 18, majority: digest(6, 17))])
            }
        }
    }

    /// Entries without end would come of it.
    func testDispute_thatNobodyCanDecide_isComparedOnceMoreAtMost() throws {
        // The third has the state of the leader, or another one yet, or cannot report.
        for (value, received) in [(UInt64(17), LogIndex(4)), (19, 0), (nil, 0)] as [(UInt64?, LogIndex)] {
            var member = try leader()
            member.step(.digest(digest(5, 7)))
            member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
            member.hear(unreadable, from: 2, term: 1)
            if value == nil { member.hear(unreadable, from: 3, term: 1) }
            pass(&member, 10, heard: [2, 3])
            guard let value else {
                XCTAssertEqual(member.raft.log.lastIndex, 5)
                continue
            }
            XCTAssertEqual(member.raft.log.lastIndex, 6)
            member.hearAcceptance(from: [2, 3], through: 6)
            member.step(.digest(digest(6, 17)))
            member.hear(report(digest(6, value), through: 6, received: received), from: 3, term: 1)
            XCTAssertTrue(member.raft.isInDispute)
            pass(&member, 40, heard: [2, 3])
            XCTAssertEqual(member.raft.log.lastIndex, 6, "\(value)")
        }
    }

    // MARK: A transfer that is under way

    /// The state may spread that is wrong.
    func testTransfer_whileTheStatesComeIntoDispute_isNotOfferedAnyMore() throws {
        var member = try leader()
        member.hear(unreadable, from: 3, term: 1)
        XCTAssertEqual(member.wantedSnapshots, [3])
        XCTAssertTrue(member.raft.mayOffer(to: 3))
        member.step(.digest(digest(5, 7)))
        XCTAssertTrue(member.raft.mayOffer(to: 3), "one digest says nothing")
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        XCTAssertFalse(member.raft.mayOffer(to: 3))
        XCTAssertFalse(member.raft.mayOffer(to: 9))
    }

    func testTransfer_ofALeaderThatIsNotConfirmedAnyMore_isNotOffered() throws {
        var member = try leader(of: 5)
        member.propose(3)
        member.hearAcceptance(from: [2, 3], through: 8)
        member.step(.digest(digest(5, 7)))
        for peer in [2, 3] as [MemberID] { member.hear(report(digest(5, 7), through: 8), from: peer, term: 1) }
        ask(&member, as: 5)
        XCTAssertEqual(member.wantedSnapshots, [5])
        XCTAssertTrue(member.raft.mayOffer(to: 5))
        member.step(.digest(digest(8, 7)))
        member.hear(report(digest(8, 8), through: 8), from: 2, term: 1)
        XCTAssertFalse(member.raft.mayOffer(to: 5))
    }

    /// It was on its way when the state came into dispute, and nothing is committed without the peer.
    func testTransfer_toAPeerThatAQuorumNeeds_goesOnInADispute() throws {
        var member = try compactedLeader(of: 3, lagging: 3)
        lag(&member, 3)
        pass(&member, 1, heard: [2, 3])
        XCTAssertEqual(Set(member.wantedSnapshots), [3])
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        XCTAssertFalse(member.raft.mayOffer(to: 3))
        pass(&member, 9, heard: [3])
        XCTAssertTrue(member.raft.mayOffer(to: 3))
    }

    /// Each would count the other one as served, and both would pause until they are given up.
    func testTransfers_toTwoThatAQuorumNeeds_goOnOneByOneInADispute() throws {
        var member = try TestMember.leader(of: 5)
        member.propose(4)
        member.hearAcceptance(from: [2, 3], through: 5)
        member.compact(through: 5)
        for peer in [4, 5] as [MemberID] { lag(&member, peer) }
        pass(&member, 1, heard: [2, 3, 4, 5])
        XCTAssertEqual(Set(member.wantedSnapshots), [4, 5])
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        func offered() -> [MemberID] { [4, 5].filter { member.raft.mayOffer(to: $0) } }
        XCTAssertEqual(offered(), [], "2 and 3 may be started again")
        pass(&member, 9, heard: [3, 4, 5]) { $0.hearAcceptance(from: [3], through: 5) }
        XCTAssertEqual(offered(), [4], "the leader, 3 and one of them are a quorum")
        member.step(.snapshotSent(to: 4, position: .at(1, 5), succeeded: false))
        XCTAssertEqual(offered(), [5])
    }

    // MARK: A peer that takes no entries

    private func entriesSent(_ messages: [Message], to peer: MemberID) -> Int {
        messages.filter { message in
            if case .append(let append) = message.body { message.to == peer && append.entries != nil } else { false }
        }.count
    }

    /// Its log is full until a checkpoint has come: it drops what it is sent, and answers heartbeats. Where it was
    /// started again, it also says with each of them that nothing has compared the logs.
    func testPeerThatWaitsForACheckpoint_andTakesNoEntries_isAskedAgainLessAndLessOften() throws {
        for isRestarted in [false, true] {
            var member = try leader()
            ask(&member, as: 2)
            for _ in 0..<4 { member.propose(4) }
            member.hearAcceptance(from: [3], through: 21)
            member.hear(.appendResponse(.rejected(previous: 21, hint: .at(1, 5))), from: 2, term: 1)
            member.takeSent()
            var sent: [Int] = []
            for _ in 0..<4 {
                pass(&member, 10, heard: [2, 3]) {
                    ask(&$0, as: 2)
                    if isRestarted { $0.hearAcceptance(from: [2], through: 4) }
                }
                sent.append(entriesSent(member.takeSent(), to: 2))
            }
            XCTAssertGreaterThan(sent[3], 7, "once in a longest timeout")
            XCTAssertLessThan(sent.max() ?? 0, 16, "\(sent)")
            // A lost append is repeated at once where the peer goes on.
            member.hearAcceptance(from: [2], through: 8)
            member.takeSent()
            pass(&member, 1, heard: [2, 3])
            XCTAssertGreaterThan(appends(member.takeSent(), to: 2), 2)
        }
    }

    private func appends(_ messages: [Message], to peer: MemberID) -> Int {
        messages.filter { if case .append = $0.body { $0.to == peer } else { false } }.count
    }

    func testRequest_thatTheInstalledCheckpointHasOvertaken_changesNothing() throws {
        for reason in [CheckpointRequest.Reason.diverged, .unreadable] {
            for index in [LogIndex(3), 4, 5] {
                var member = try leader()
                member.hear(report(digest(5, 7), through: 5, received: 4), from: 2, term: 1)
                member.step(.digest(digest(5, 7)))
                member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
                member.hear(.checkpointRequest(CheckpointRequest(reason, atLeast: index)), from: 2, term: 1)
                // A state that differs may be the checkpoint's own, where the peer was started again.
                let isOld = reason == .diverged ? index < 4 : index <= 4
                XCTAssertEqual(member.wantedSnapshots, isOld ? [] : [2], "\(reason) at \(index)")
                XCTAssertEqual(member.raft.leadership?.peers[0].isSound, isOld, "\(reason) at \(index)")
            }
        }
    }

    // MARK: A peer whose log ends before the leader's begins

    /// Its state may be the one that is right.
    func testPeerBehindTheLog_getsNoStateThatIsInDispute() throws {
        for isDisputed in [true, false] {
            var member = try compactedLeader(of: 3, lagging: 3)
            member.step(.digest(digest(5, 7)))
            member.hear(report(digest(5, isDisputed ? 8 : 7), through: 5), from: 2, term: 1)
            lag(&member, 3)
            pass(&member, 4, heard: [2, 3])
            XCTAssertEqual(member.wantedSnapshots.contains(3), !isDisputed)
            // Then the member with the other digest falls silent: nothing is committed without the one that is behind.
            pass(&member, 7, heard: [3])
            XCTAssertEqual(member.wantedSnapshots.contains(3), !isDisputed, "it may have been started again")
            pass(&member, 2, heard: [3])
            XCTAssertTrue(member.wantedSnapshots.contains(3))
        }
    }

    func testPeerBehindTheLog_ofALeaderWithoutADispute_getsItsState() throws {
        var member = try compactedLeader(of: 3, lagging: 3)
        lag(&member, 3)
        pass(&member, 1, heard: [3])
        XCTAssertEqual(Set(member.wantedSnapshots), [3])
    }

    /// It would report that it was rebuilt, and serve what may be wrong as well.
    func testDivergedPeerBehindTheLog_getsNoStateThatIsNotKnownToBeTheMajoritys() throws {
        var member = try compactedLeader(of: 5, lagging: 5)
        ask(&member, as: 5)
        lag(&member, 5)
        // What it says of a checkpoint of long ago changes nothing.
        var old = AppendResponse.rejected(previous: 0, hint: .zero)
        old.receivedIndex = 4
        pass(&member, 4, heard: [2, 3, 4, 5]) { $0.hear(.appendResponse(old), from: 5, term: 1) }
        XCTAssertEqual(member.wantedSnapshots, [])
        member.step(.digest(digest(5, 7)))
        for peer in [2, 3] as [MemberID] { member.hear(report(digest(5, 7), through: 5), from: peer, term: 1) }
        pass(&member, 1, heard: [2, 3, 4, 5])
        XCTAssertEqual(Set(member.wantedSnapshots), [5])
    }

    /// Else nothing would be committed until somebody starts the third member.
    func testDivergedPeerBehindTheLog_thatAQuorumNeeds_getsTheLeadersState() throws {
        var member = try compactedLeader(of: 3, lagging: 3)
        ask(&member, as: 3)
        lag(&member, 3)
        pass(&member, 7, heard: [3]) { ask(&$0, as: 3) }
        XCTAssertEqual(member.wantedSnapshots, [])
        pass(&member, 2, heard: [3]) { ask(&$0, as: 3) }
        XCTAssertEqual(Set(member.wantedSnapshots), [3])
    }

    /// One more makes a quorum. Where that one does not get it, another one does.
    func testPeersBehindTheLog_ofADispute_getTheStateOneByOne() throws {
        for isReceived in [true, false] {
            var member = try TestMember.leader(of: 5)
            member.propose(4)
            member.hearAcceptance(from: [2, 3], through: 5)
            member.compact(through: 5)
            member.step(.digest(digest(5, 7)))
            member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
            member.takeSent()
            // Since the others are gone, the leader and 2 are no quorum.
            for peer in [4, 5] as [MemberID] { lag(&member, peer) }
            pass(&member, 9, heard: [2, 4, 5])
            XCTAssertEqual(Set(member.wantedSnapshots), [4])
            if isReceived {
                member.step(.snapshotSent(to: 4, position: .at(1, 5), succeeded: true))
                member.hearAcceptance(from: [4], through: 5)
            } else {
                member.step(.snapshotSent(to: 4, position: .at(1, 5), succeeded: false))
            }
            pass(&member, 2, heard: [2, 4, 5])
            XCTAssertEqual(member.wantedSnapshots.contains(5), !isReceived)
        }
    }

    /// It answers heartbeats, and its log is full: nothing is committed with its help.
    func testPeerBehindTheLog_besideADivergedOneThatTakesNoEntries_getsTheState() throws {
        for isFull in [true, false] {
            var member = try TestMember.leader(of: 3)
            member.propose(4)
            member.hearAcceptance(from: [2], through: 5)
            member.compact(through: 5)
            ask(&member, as: 3)
            ask(&member, as: 2)
            lag(&member, 3)
            pass(&member, 12, heard: [2, 3]) { for peer in [2, 3] as [MemberID] { self.ask(&$0, as: peer) } }
            XCTAssertEqual(member.wantedSnapshots, [], "the other one acknowledges all that there is")
            for _ in 0..<9 {
                member.propose()
                let last = member.raft.log.lastIndex
                pass(&member, 1, heard: [2, 3]) {
                    for peer in [2, 3] as [MemberID] { self.ask(&$0, as: peer) }
                    if !isFull { $0.hearAcceptance(from: [2], through: last) }
                }
            }
            XCTAssertEqual(Set(member.wantedSnapshots), isFull ? [3] : [])
        }
    }

    // MARK: A peer that cannot read its state

    /// What it has applied is right, and may show that the leader is wrong.
    func testPeerThatCannotReadItsState_isAWitness() throws {
        for isRight in [true, false] {
            var member = try leader()
            member.step(.digest(digest(5, 7)))
            member.hear(report(digest(5, isRight ? 7 : 8), through: 5), from: 2, term: 1)
            member.hear(unreadable, from: 2, term: 1)
            XCTAssertEqual(member.wantedSnapshots, isRight ? [2] : [])
            member.hear(report(digest(5, 8), through: 5), from: 3, term: 1)
            let differs: Anomaly =
                isRight
                ? .stateDiverged(3, own: 8, majority: digest(5, 7)) : .stateDiverged(1, own: 7, majority: digest(5, 8))
            XCTAssertEqual(member.takeReports(), [differs])
        }
    }

    /// It does not know that yet, and would serve on.
    func testPeerThatCannotReadItsState_andWhoseStateDiffers_isToldSo() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        member.hear(unreadable, from: 2, term: 1)
        member.takeSent()
        pass(&member, 1, heard: [2, 3])
        XCTAssertEqual(notices(member.takeSent()), [2: .diverged(digest(5, 7))])
    }

    func testLeader_thatHandsOver_prefersAPeerThatCanReadItsState() throws {
        var member = try leader(of: 3)
        member.hear(unreadable, from: 2, term: 1)
        member.step(.transferLeadership(to: nil, request: 1))
        XCTAssertEqual(told(member.takeSent()), [3])
    }
}
