import XCTest

@testable import BalsaRaft

/// When a leader has all members report their states once more, and when it stops; and who counts as served.
final class ComparisonTests: DigestTestCase {
    private let diverged = Message.Body.checkpointRequest(CheckpointRequest(.diverged, atLeast: 4))

    /// Some peers take all entries that there are, and record a digest at each of them, as the leader does.
    private func report(_ member: inout TestMember, _ values: [MemberID: UInt64], received: [MemberID: LogIndex] = [:])
    {
        let last = member.raft.log.lastIndex
        member.hearAcceptance(from: values.keys.filter { $0 != 1 }.sorted(), through: last)
        for (peer, value) in values.sorted(by: { $0.key < $1.key }) {
            if peer == 1 {
                if member.raft.digests.newest?.index ?? 0 < last { member.step(.digest(digest(last, value + last))) }
            } else {
                let body = report(digest(last, value + last), through: last, received: received[peer] ?? 0)
                member.hear(body, from: peer, term: 1)
            }
        }
    }

    /// It holds all entries, and has no space to apply them.
    func testDispute_thatAMemberThatIsUpDoesNotDecide_isComparedThreeTimesAndAgainOnceItReports() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
        pass(&member, 100, heard: [2, 3]) {
            self.report(&$0, [1: 10, 2: 20])
            $0.hearAcceptance(from: [3], through: $0.raft.log.lastIndex)
        }
        XCTAssertTrue(member.raft.isInDispute)
        XCTAssertEqual(member.raft.log.lastIndex, 8)
        // It has applied some of it, and says the same with every answer.
        pass(&member, 100, heard: [2, 3]) {
            self.report(&$0, [1: 10, 2: 20])
            $0.hear(self.report(self.digest(6, 99), through: $0.raft.log.lastIndex), from: 3, term: 1)
        }
        XCTAssertEqual(member.raft.log.lastIndex, 11)
        XCTAssertTrue(member.raft.isInDispute)
        // One that was rebuilt meanwhile can report again.
        func isCompared() throws -> Bool {
            member.raft.isCompared(try XCTUnwrap(member.raft.leadership?.peers.first { $0.member == 3 }))
        }
        XCTAssertFalse(try isCompared())
        var rebuilt = member
        var response = AppendResponse.accepted(through: 11)
        response.receivedIndex = 10
        rebuilt.hear(.appendResponse(response), from: 3, term: 1)
        swap(&member, &rebuilt)
        XCTAssertTrue(try isCompared())
        swap(&member, &rebuilt)
        member.hear(report(digest(11, 21), through: 11), from: 3, term: 1)
        XCTAssertFalse(member.raft.isInDispute)
    }

    /// Its own report is what is missing, and no other entry brings it.
    func testLeader_thatAppliesNothing_comparesOnceAtMost() throws {
        var member = try leader()
        member.appliesNothing = true
        pass(&member, 100, heard: [2, 3]) {
            self.report(&$0, [3: 30])
            $0.hear(self.diverged, from: 2, term: 1)
        }
        XCTAssertEqual(member.raft.log.lastIndex, 6)
    }

    /// The request was sent before the checkpoint was installed, and arrives last. Nothing is written meanwhile.
    func testPeer_thatWasRebuiltAndDoesNotAsk_isComparedAgain() throws {
        for isAlone in [false, true] {
            var member = try leader()
            member.step(.digest(digest(5, 7)))
            member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
            member.hear(report(digest(5, 7), through: 5, received: 4), from: 2, term: 1)
            member.hear(diverged, from: 2, term: 1)
            XCTAssertEqual(member.raft.leadership?.peers[0].isSound, false)
            let values: [MemberID: UInt64] = isAlone ? [1: 10, 2: 10] : [1: 10, 2: 10, 3: 10]
            let heard: [MemberID] = isAlone ? [2] : [2, 3]
            pass(&member, 7, heard: heard)
            XCTAssertEqual(member.raft.log.lastIndex, 5, "not at once")
            pass(&member, 20, heard: heard) {
                if $0.raft.log.lastIndex > 5 { self.report(&$0, values, received: [2: 4]) }
            }
            XCTAssertEqual(member.raft.log.lastIndex, 6, "once")
            XCTAssertEqual(member.raft.leadership?.peers[0].isSound, true)
        }
    }

    /// After rebuilds in vain it waits for a while before it asks again, and reports nothing.
    func testPeer_thatDiffersAndPauses_isComparedThreeTimes() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        member.hear(diverged, from: 2, term: 1)
        pass(&member, 100, heard: [2, 3]) {
            self.report(&$0, [1: 10, 3: 10])
            $0.hearAcceptance(from: [2], through: $0.raft.log.lastIndex)
        }
        XCTAssertEqual(member.raft.log.lastIndex, 8)
        XCTAssertEqual(member.raft.leadership?.peers[0].isSound, false)
    }

    /// It asks now and then, and gets a checkpoint: it needs no comparison.
    func testPeer_thatDiffersAndAsks_isNotComparedAgain() throws {
        var member = try leader()
        member.step(.digest(digest(5, 7)))
        member.hear(report(digest(5, 7), through: 5), from: 3, term: 1)
        pass(&member, 40, heard: [2, 3]) { $0.hear(self.diverged, from: 2, term: 1) }
        XCTAssertEqual(member.raft.log.lastIndex, 5)
    }

    // MARK: Who counts as served

    /// It answers heartbeats, and its disk does not answer: nothing is committed with its help.
    func testPeerBehindTheLog_besideASoundOneThatAcknowledgesNothing_getsTheStateInADispute() throws {
        for isStalled in [true, false] {
            var member = try compactedLeader(of: 3, lagging: 3)
            member.step(.digest(digest(5, 7)))
            member.hear(report(digest(5, 8), through: 5), from: 2, term: 1)
            lag(&member, 3)
            pass(&member, 20, heard: [2, 3])
            XCTAssertEqual(member.wantedSnapshots, [], "the other one holds all that there is")
            for _ in 0..<7 {
                member.propose()
                let last = member.raft.log.lastIndex
                pass(&member, 1, heard: [2, 3]) { if !isStalled { $0.hearAcceptance(from: [2], through: last) } }
            }
            XCTAssertEqual(member.wantedSnapshots, [], "it may take a while")
            for _ in 0..<2 {
                member.propose()
                let last = member.raft.log.lastIndex
                pass(&member, 1, heard: [2, 3]) { if !isStalled { $0.hearAcceptance(from: [2], through: last) } }
            }
            XCTAssertEqual(Set(member.wantedSnapshots), isStalled ? [3] : [])
        }
    }

    /// What it asked for itself says nothing of whether it gets the checkpoint that it needs for its log.
    func testCheckpoint_thatFailsWhileTheLogServesThePeer_isNoFailureOfTheNextOne() {
        var peer = Progress(member: 2, next: 6, heardAt: .zero, options: RaftOptions())
        peer.snapshotSent(through: 5, succeeded: false, .zero)
        XCTAssertFalse(peer.hasFailedSnapshot)
        XCTAssertTrue(peer.awaitSnapshot(at: .zero, every: .seconds(1)))
        peer.snapshotSent(through: 5, succeeded: false, .zero)
        XCTAssertTrue(peer.hasFailedSnapshot)
        XCTAssertTrue(peer.accepted(through: .at(1, 5), round: 1, at: .zero))
        XCTAssertFalse(peer.hasFailedSnapshot, "it goes on without it")
        // One that has arrived has yet to be installed.
        let later = Instant.zero + .seconds(5)
        peer.snapshotSent(through: 9, succeeded: true, later)
        XCTAssertEqual(peer.progressedAt, later)
    }
}
