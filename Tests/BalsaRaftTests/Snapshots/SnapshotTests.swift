import XCTest

@testable import BalsaRaft

/// Checkpoints for members that the log cannot help any more.
final class SnapshotTests: XCTestCase {
    private func offer(_ position: LogPosition) -> Message.Body { .snapshot(SnapshotOffer(position: position)) }

    private func acceptances(_ messages: [Message]) -> [LogIndex] {
        messages.compactMap { $0.acceptedIndex }
    }

    // MARK: On the follower

    func testAnInstalledCheckpointIsAcknowledgedAndTheLogBeginsBehindIt() throws {
        var member = try TestMember.follower(term: 2, log: [1])
        member.hear(offer(.at(2, 10)), from: 2, term: 2)
        XCTAssertEqual(member.installing, .at(2, 10))
        XCTAssertTrue(member.takeSent().isEmpty)
        member.finishInstall()
        XCTAssertEqual(acceptances(member.takeSent()), [10])
        XCTAssertEqual(member.raft.log.base, .at(2, 10))
        XCTAssertEqual(member.raft.commitIndex, 10)
        member.hearAppend(from: 2, term: 2, behind: .at(2, 10), [2], commit: 11)
        XCTAssertEqual(member.applied, 11)
    }

    /// A log that holds another entry at the checkpoint's index agrees with it in nothing that is worth keeping.
    func testAConflictingEntryAtTheSameIndexDoesNotSurvive() throws {
        var member = try TestMember.follower(term: 3, log: [1, 1, 1, 1, 1])
        member.hear(offer(.at(2, 3)), from: 2, term: 3)
        member.finishInstall()
        XCTAssertEqual(member.log.base, .at(2, 3))
        XCTAssertEqual(member.log.terms, [])
        member.takeSent()
        member.hearAppend(from: 2, term: 3, behind: .at(2, 3), [3])
        XCTAssertEqual(acceptances(member.takeSent()), [4], "the leader's next append fits")
    }

    func testEntriesBehindACheckpointThatTheLogAgreesWithAreKept() throws {
        var member = try TestMember.follower(term: 2, log: [1, 1, 2, 2])
        member.hear(offer(.at(1, 2)), from: 2, term: 2)
        member.finishInstall()
        XCTAssertEqual(member.log.base, .at(1, 2))
        XCTAssertEqual(member.log.terms, [2, 2])
        XCTAssertEqual(member.raft.durableIndex, 4)
    }

    func testAnOlderCheckpointIsAcknowledgedAndChangesNothing() throws {
        var member = try TestMember.follower(term: 2)
        member.hearAppend(from: 2, term: 2, behind: .zero, [2, 2, 2, 2], commit: 3)
        member.takeSent()
        for index in LogIndex(1)...3 {
            member.hear(offer(.at(2, index)), from: 2, term: 2)
            XCTAssertNil(member.installing)
            XCTAssertEqual(acceptances(member.takeSent()), [index])
        }
        XCTAssertEqual(member.log.terms, [2, 2, 2, 2])
    }

    func testACheckpointOfAnEarlierTermsLeaderIsNotInstalled() throws {
        var member = try TestMember.follower(term: 3)
        member.hear(offer(.at(2, 9)), from: 2, term: 2)
        XCTAssertNil(member.installing)
        XCTAssertEqual(member.takeSent().map(\.body), [.appendResponse(.stale)])
    }

    func testAppendsAndHeartbeatsWhileInstallingMoveNothing() throws {
        var member = try TestMember.follower(term: 2, log: [1, 1])
        member.hear(offer(.at(2, 10)), from: 2, term: 2)
        member.hearAppend(from: 2, term: 2, behind: .at(1, 2), [2], commit: 3)
        member.hearAppend(from: 2, term: 2, behind: .at(2, 10), [2], commit: 11)
        member.hearHeartbeat(from: 2, term: 2, commit: 2)
        member.hear(offer(.at(2, 20)), from: 2, term: 2)
        XCTAssertEqual(member.log.terms, [1, 1])
        XCTAssertEqual(member.raft.commitIndex, 0)
        XCTAssertEqual(member.installing, .at(2, 10))
        member.finishInstall()
        XCTAssertEqual(member.raft.log.last, .at(2, 10))
    }

    func testATermChangeWhileInstallingLeavesTheCheckpointUseful() throws {
        var member = try TestMember.follower(term: 2)
        member.hear(offer(.at(2, 10)), from: 2, term: 2)
        member.hearHeartbeat(from: 3, term: 4)
        member.takeSent()
        member.finishInstall()
        // It is told to the leader of now; what was committed then is in its log as well.
        var response = AppendResponse.accepted(through: 10)
        response.receivedIndex = 10
        XCTAssertEqual(member.takeSent(), [Message(from: 1, to: 3, term: 4, body: .appendResponse(response))])
    }

    func testAMemberThatInstallsDoesNotCampaign() throws {
        var member = try TestMember.follower(term: 2)
        member.hear(offer(.at(2, 10)), from: 2, term: 2)
        member.pass(.seconds(5))
        XCTAssertEqual(member.raft.role, .follower)
        XCTAssertTrue(member.takeSent().isEmpty)
        member.finishInstall()
        member.takeSent()
        member.pass(.seconds(1))
        XCTAssertEqual(member.raft.role, .preCandidate)
    }

    /// A checkpoint holds entries of the leader's term: in place before the term is durable, it would be found after a
    /// crash by a member that knows of no such term.
    func testACheckpointIsNotInstalledBeforeTheTermIsDurable() throws {
        var member = try TestMember.follower(term: 1)
        member.holdsPersists = true
        member.hear(offer(.at(2, 5)), from: 2, term: 2)
        XCTAssertNil(member.installing)
        member.completePersists()
        member.hear(offer(.at(2, 5)), from: 2, term: 2)
        XCTAssertEqual(member.installing, .at(2, 5))
    }

    /// A checkpoint is installed only in a term that is durable, and persists complete in order: what is still under way then
    /// was sent by the leader that sends the checkpoint, and follows it.
    func testAPersistUnderWayDuringAnInstallVouchesForWhatFollowsTheCheckpoint() throws {
        var member = try TestMember.follower(term: 1)
        member.hearAppend(from: 3, term: 1, behind: .zero, [1, 1, 1])
        member.holdsPersists = true
        member.hearAppend(from: 3, term: 1, behind: .at(1, 3), [1, 1, 1, 1])
        XCTAssertEqual(member.raft.durableIndex, 3)
        member.hear(offer(.at(1, 5)), from: 3, term: 1)
        member.finishInstall()
        XCTAssertEqual(member.raft.durableIndex, 5)
        XCTAssertEqual(member.raft.log.lastIndex, 7)
        member.completePersists()
        XCTAssertEqual(member.raft.durableIndex, 7)
    }

    func testAFailedInstallLeavesEverythingAsItWasAndCanBeTriedAgain() throws {
        var member = try TestMember.follower(term: 2, log: [1])
        member.hear(offer(.at(2, 10)), from: 2, term: 2)
        member.finishInstall(succeeded: false)
        XCTAssertEqual(member.log.terms, [1])
        XCTAssertTrue(acceptances(member.takeSent()).isEmpty)
        member.hear(offer(.at(2, 10)), from: 2, term: 2)
        XCTAssertEqual(member.installing, .at(2, 10))
    }

    func testACompletionOfAnotherInstallChangesNothing() throws {
        var member = try TestMember.follower(term: 2)
        member.step(.snapshotInstalled(.at(2, 9)))
        member.step(.snapshotFailed(.at(2, 9)))
        XCTAssertEqual(member.raft.log.last, .zero)
        XCTAssertTrue(member.takeSent().isEmpty)
    }

    // MARK: On the leader

    /// A group whose member 3 is empty and whose leader 1 has dropped everything that it holds.
    private func clusterWithAnEmptyMember() throws -> TestCluster {
        var cluster = try TestCluster(3)
        cluster.isCut = { from, to in from == 3 || to == 3 }
        cluster.elect(1)
        cluster.propose(to: 1, 20)
        cluster.deliverAll()
        let applied = cluster[1].applied
        cluster.with(1) { $0.compact(through: applied) }
        XCTAssertEqual(cluster[1].raft.log.count, 0)
        return cluster
    }

    func testAMemberBehindTheWholeLogGetsACheckpointThoughThereIsNothingToAppend() throws {
        var cluster = try clusterWithAnEmptyMember()
        cluster.isCut = { _, _ in false }
        cluster.pass(.milliseconds(200))
        XCTAssertEqual(cluster[3].raft.commitIndex, 21)
        XCTAssertEqual(cluster[3].applied, 21)
        XCTAssertEqual(cluster[1].raft.leadership?.peers[1].mode, .streaming)
        cluster.propose(to: 1)
        cluster.deliverAll()
        XCTAssertEqual(cluster[3].raft.commitIndex, 22)
    }

    func testACheckpointIsAskedForOnceUntilItIsReported() throws {
        var cluster = try clusterWithAnEmptyMember()
        cluster.movesSnapshots = false
        cluster.isCut = { _, _ in false }
        cluster.pass(.seconds(2))
        XCTAssertEqual(cluster[1].wantedSnapshots, [3])
        XCTAssertEqual(cluster[1].raft.role, .leader, "it is still in touch")
    }

    /// A probe that is rejected may only mean that the checkpoint takes its time. To send it again at once would send it at
    /// the speed of the network.
    func testACheckpointIsNotSentAgainAtOnce() throws {
        var cluster = try clusterWithAnEmptyMember()
        cluster.isCut = { _, _ in false }
        cluster.movesSnapshots = false
        cluster.pass(.milliseconds(100))
        XCTAssertEqual(cluster[1].wantedSnapshots, [3])
        cluster.handOverSnapshot(from: 1, to: 3)
        cluster.drop { if case .snapshot = $0.body { true } else { false } }
        cluster.pass(.milliseconds(150))
        XCTAssertEqual(cluster[1].wantedSnapshots, [])
        cluster.pass(.milliseconds(400))
        XCTAssertEqual(cluster[1].wantedSnapshots, [3])
    }

    func testACheckpointThatGotLostIsSentAgain() throws {
        var cluster = try clusterWithAnEmptyMember()
        cluster.isCut = { _, _ in false }
        for _ in 0..<3 {
            cluster.movesSnapshots = false
            // Not at once: it may only take its time.
            cluster.pass(.milliseconds(500))
            XCTAssertEqual(cluster[1].wantedSnapshots, [3])
            cluster.handOverSnapshot(from: 1, to: 3)
            cluster.drop { if case .snapshot = $0.body { true } else { false } }
            cluster.deliverAll()
        }
        cluster.movesSnapshots = true
        cluster.pass(.milliseconds(600))
        XCTAssertEqual(cluster[3].raft.commitIndex, 21)
    }

    func testACheckpointThatCouldNotBeHandedOverIsTriedAgainAfterASignOfLife() throws {
        var cluster = try clusterWithAnEmptyMember()
        cluster.movesSnapshots = false
        cluster.isCut = { _, _ in false }
        cluster.pass(.milliseconds(200))
        let position = cluster[1].log.base
        cluster.with(1) {
            $0.wantedSnapshots.removeAll()
            $0.step(.snapshotSent(to: 3, position: position, succeeded: false))
        }
        XCTAssertTrue(cluster[1].wantedSnapshots.isEmpty, "not at once, or a broken path is tried in a loop")
        cluster.pass(.milliseconds(200))
        XCTAssertEqual(cluster[1].wantedSnapshots, [3])
    }

    func testAFollowerThatCannotInstallIsOfferedTheCheckpointAgain() throws {
        var cluster = try clusterWithAnEmptyMember()
        cluster.movesSnapshots = false
        cluster.isCut = { _, _ in false }
        cluster.pass(.milliseconds(200))
        cluster.handOverSnapshot(from: 1, to: 3)
        cluster.deliverAll()
        cluster.with(3) { $0.finishInstall(succeeded: false) }
        cluster.movesSnapshots = true
        cluster.pass(.milliseconds(600))
        XCTAssertEqual(cluster[3].raft.commitIndex, 21)
    }

    func testALeaderThatCompactsWhileACheckpointIsOnItsWaySendsANewerOne() throws {
        var cluster = try clusterWithAnEmptyMember()
        cluster.movesSnapshots = false
        cluster.isCut = { _, _ in false }
        cluster.pass(.milliseconds(200))
        cluster.handOverSnapshot(from: 1, to: 3)
        cluster.propose(to: 1, 5)
        cluster.deliverAll()
        cluster.with(1) { $0.compact(through: 26) }
        cluster.with(3) { $0.finishInstall() }
        cluster.movesSnapshots = true
        cluster.pass(.milliseconds(300))
        XCTAssertEqual(cluster[3].raft.commitIndex, 26)
    }

    func testAMemberThatCrashesWhileInstallingIsHelpedAgain() throws {
        var cluster = try clusterWithAnEmptyMember()
        cluster.movesSnapshots = false
        cluster.isCut = { _, _ in false }
        cluster.pass(.milliseconds(200))
        cluster.handOverSnapshot(from: 1, to: 3)
        cluster.deliverAll()
        XCTAssertEqual(cluster[3].installing?.index, 21)
        try cluster.crash(3)
        cluster.movesSnapshots = true
        cluster.pass(.milliseconds(500))
        XCTAssertEqual(cluster[3].raft.commitIndex, 21)
    }
}
