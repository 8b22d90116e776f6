import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// A replica whose state differs from that of the majority: found, stopped, rebuilt, equal.
final class DivergenceTests: DivergenceTestCase {
    func testFollower_whoseStateDiffers_isFoundAndRebuiltWithoutAnOperator() throws {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        group.host(follower).provider.digestMask = 1
        group.expect(.stateDiverged, of: leader, follower)
        group.expect(.stateRebuilt, of: follower)
        write(group, leader, 16)
        group.advance(by: .seconds(3))
        let replica = try XCTUnwrap(group.host(follower).replica)
        XCTAssertEqual(replica.metrics.divergencesFound, 1)
        XCTAssertEqual(replica.metrics.statesRebuilt, 1)
        XCTAssertFalse(replica.isDiverged)
        XCTAssertNil(replica.failure)
        write(group, leader, 16)
        group.advance(by: .seconds(1))
        XCTAssertEqual(try group.host(follower).digest(), try group.host(leader).digest())
        XCTAssertEqual(replica.metrics.divergencesFound, 1, "the state of the checkpoint is right")
        // It is that of the others, also for a later start.
        XCTAssertEqual(replica.generations.root?.isConfirmed, true)
        XCTAssertEqual(replica.raft.receivedIndex, 0)
        group.crash(follower, powerLoss: 7)
        try group.open(follower)
        XCTAssertGreaterThan(group.host(follower).replica?.generations.root?.position.index ?? 0, 0)
        XCTAssertEqual(group.host(follower).replica?.raft.receivedIndex, 0)
    }

    func testMember_whoseReceivedStateWasNotCompared_saysSoAfterARestart() throws {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        group.host(follower).provider.digestMask = 1
        group.expect(.stateDiverged, of: leader, follower)
        group.expect(.stateRebuilt, of: follower)
        write(group, leader, 8)
        group.advance(by: .seconds(3))
        let position = try XCTUnwrap(group.host(follower).replica?.generations.root?.position.index)
        XCTAssertGreaterThan(position, 0)
        XCTAssertEqual(group.host(follower).replica?.raft.receivedIndex, position)
        group.crash(follower, powerLoss: 7)
        try group.open(follower)
        XCTAssertEqual(group.host(follower).replica?.raft.receivedIndex, position)
    }

    /// Nothing is written, and no process remembers a digest or applies again what had one.
    func testMember_whoseStateDiffered_isRebuiltAfterARestartOfAll() throws {
        let (group, _, follower) = try startedWithADivergedFollower(sealAfterBytes: 1)
        for host in group.hosts {
            group.crash(host.id, powerLoss: 7)
            host.provider.digestMask = 0
        }
        group.fate = { _ in .arrives }
        group.expect(.stateRebuilt, of: follower)
        for host in group.hosts { try group.open(host.id) }
        group.advance(by: .seconds(6))
        let leader = try XCTUnwrap(group.hosts.first { $0.replica?.raft.role == .leader })
        XCTAssertNotEqual(leader.id, follower)
        XCTAssertEqual(group.host(follower).replica?.metrics.statesRebuilt, 1)
        XCTAssertEqual(try group.host(follower).digest(), try leader.digest())
    }

    /// Its machine or its release computes another state.
    func testMember_thatIsRebuiltAgainAndAgain_stopsAndSaysWhy() throws {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        group.host(follower).provider.digestMask = 1
        group.host(follower).provider.receivedDigestMask = 1
        group.expect(.stateDiverged, of: leader, follower)
        group.expect(.stateRebuilt, .rebuiltInVain, .failed(.diverged), of: follower)
        let replica = try XCTUnwrap(group.host(follower).replica)
        for times in 1...8 where replica.failure == nil {
            write(group, leader, 8)
            for _ in 0..<80 where replica.failure == nil && replica.metrics.statesRebuilt < times {
                group.advance(by: .seconds(1))
            }
        }
        XCTAssertEqual(replica.failure?.code, .diverged)
        XCTAssertEqual(replica.failure?.message.contains("computes another state"), true)
        XCTAssertEqual(replica.metrics.statesRebuilt, 7)
        XCTAssertEqual(replica.metrics.rebuildsInVain, 7)
        // What the message advises: another machine or release, on which the member is started again.
        group.crash(follower, powerLoss: nil)
        group.host(follower).provider.digestMask = 0
        group.host(follower).provider.receivedDigestMask = 0
        try group.open(follower)
        group.advance(by: .seconds(3))
        write(group, leader, 8)
        group.advance(by: .seconds(6))
        XCTAssertNil(group.host(follower).replica?.failure)
        XCTAssertEqual(group.host(follower).replica?.isDiverged, false)
        XCTAssertEqual(try group.host(follower).digest(), try group.host(leader).digest())
    }

    /// The transfer began before the difference was found. The checkpoint may contain it.
    func testLeader_whoseStateDiffersWhileItSendsACheckpoint_neverOffersIt() throws {
        let (group, leader) = try started()
        let (host, follower) = (group.host(leader), leader % 3 + 1)
        group.fate = {
            if case .timeoutNow? = $0.envelope?.message.body { return .isLost }
            return self.isChunk($0) ? .isLost : .arrives
        }
        host.provider.digestMask = 1
        group.expect(.stateDiverged, of: leader)
        write(group, leader, 4)
        let index = try XCTUnwrap(host.replica?.appliedIndex)
        let term = try XCTUnwrap(host.replica?.raft.term)
        for _ in 0..<2 {
            let request = Message.Body.checkpointRequest(CheckpointRequest(.unreadable, atLeast: index))
            try group.receive(leader, from: follower, term: term, .message(request, entries: nil))
            group.advance(by: .milliseconds(600))
        }
        XCTAssertEqual(host.replica?.metrics.transfersStarted, 1)
        for _ in 0..<6 {
            _ = group.write(leader, "k", "v")
            group.advance(by: .milliseconds(5))
        }
        XCTAssertEqual(host.replica?.isDiverged, true)
        XCTAssertEqual(host.replica?.raft.role, .leader)
        let chunk = try XCTUnwrap(host.chunks.first)
        let response = CheckpointChunkResponse(
            transfer: chunk.transfer,
            receivedByteCount: chunk.streamByteCount,
            status: .complete
        )
        try group.receive(leader, from: follower, term: term, .checkpointChunkResponse(response))
        group.settle()
        XCTAssertFalse(host.messages.contains { if case .snapshot = $0.body { true } else { false } })
        XCTAssertEqual(host.replica?.metrics.checkpointsSent, 0)
        XCTAssertEqual(host.replica?.senders.count, 1, "it waits until this member leads no more")
    }

    /// The member that gets it is only behind, and may be the one that is right.
    func testLeader_whoseStateComesIntoDisputeWhileItSendsACheckpoint_neverOffersIt() throws {
        for isDisputed in [true, false] {
            let scene = try Lagging { $0.options.digestInterval = 8 }
            let (group, host) = (scene.group, scene.leaderHost)
            group.fate = { self.isChunk($0) ? .isLost : .arrives }
            group.isolate()
            group.advance(by: .milliseconds(500))
            XCTAssertEqual(host.replica?.senders.count, 1)
            if isDisputed {
                host.provider.digestMask = 1
                group.expect(.digestsDisagree, of: scene.leader)
            }
            write(group, scene.leader, 20)
            XCTAssertEqual(host.replica?.raft.isInDispute, isDisputed)
            XCTAssertEqual(host.replica?.senders.count, 1, "it waits")
            let chunk = try XCTUnwrap(host.chunks.last)
            let response = CheckpointChunkResponse(
                transfer: chunk.transfer,
                receivedByteCount: chunk.streamByteCount,
                status: .complete
            )
            let term = try XCTUnwrap(host.replica?.raft.term)
            try group.receive(scene.leader, from: scene.late, term: term, .checkpointChunkResponse(response))
            group.settle()
            let offers = host.messages.filter { if case .snapshot = $0.body { true } else { false } }
            XCTAssertEqual(offers.isEmpty, isDisputed)
        }
    }

    /// It is held in that state: no checkpoint reaches it.
    func testFollower_whoseStateDiffers_acknowledgesButServesNothing() throws {
        let (group, leader) = try started()
        let (follower, third) = (leader % 3 + 1, (leader + 1) % 3 + 1)
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.host(follower).provider.digestMask = 1
        group.expect(.stateDiverged, of: leader, follower)
        write(group, leader, 10)
        group.advance(by: .milliseconds(300))
        let replica = try XCTUnwrap(group.host(follower).replica)
        XCTAssertTrue(replica.isDiverged)
        let applied = replica.applied.position.index
        group.isolate(third)
        write(group, leader, 5)
        XCTAssertEqual(replica.applied.position.index, applied, "it applies nothing")
        XCTAssertEqual(replica.raft.durableIndex, group.host(leader).replica?.raft.durableIndex, "it holds everything")
        for consistency in [ReadConsistency.local, .atLeast(1), .linearizable] {
            let read = group.read(follower, "k", consistency)
            group.advance(by: .milliseconds(50))
            XCTAssertEqual(group.host(follower).reply(to: read), .failed(.notApplied, .diverged), "\(consistency)")
        }
        let command = group.write(follower, "k", "v", as: CommandIdentity(session: 1, number: 1))
        group.settle()
        XCTAssertEqual(group.host(follower).reply(to: command), .failed(.notApplied, .diverged))
    }

    /// A group with a follower that was found to differ, and that no checkpoint reaches.
    private func startedWithADivergedFollower(
        sealAfterBytes: UInt64? = nil
    ) throws -> (ReplicaGroup, leader: MemberID, follower: MemberID) {
        let (group, leader) = try started(sealAfterBytes: sealAfterBytes)
        let follower = leader % 3 + 1
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.host(follower).provider.digestMask = 1
        group.expect(.stateDiverged, of: leader, follower)
        write(group, leader, 10)
        group.advance(by: .milliseconds(300))
        XCTAssertEqual(group.host(follower).replica?.isDiverged, true)
        return (group, leader, follower)
    }

    /// What it applies again would come out right: even so nothing is served before a checkpoint has replaced the
    /// state.
    func testMember_thatCrashesBeforeItIsRebuilt_startsAsItStopped() throws {
        for salt in [UInt64?.none, 7] {
            let (group, leader, follower) = try startedWithADivergedFollower()
            group.crash(follower, powerLoss: salt)
            group.host(follower).provider.digestMask = 0
            try group.open(follower)
            let early = group.read(follower, "k", .local)
            group.advance(by: .milliseconds(200))
            let late = group.read(follower, "k", .linearizable)
            group.advance(by: .milliseconds(200))
            for read in [early, late] {
                XCTAssertEqual(group.host(follower).reply(to: read), .failed(.notApplied, .diverged))
            }
            XCTAssertEqual(group.host(follower).replica?.appliedIndex, 0, "nothing was sealed, and nothing is applied")
            group.expect(.stateRebuilt, of: follower)
            group.fate = { _ in .arrives }
            group.advance(by: .seconds(3))
            XCTAssertEqual(group.host(follower).replica?.metrics.statesRebuilt, 1)
            write(group, leader, 10)
            group.advance(by: .milliseconds(100))
            XCTAssertEqual(try group.host(follower).digest(), try group.host(leader).digest())
            // What was noted is over with the state that it was about.
            group.crash(follower, powerLoss: salt)
            try group.open(follower)
            group.advance(by: .milliseconds(200))
            let read = group.read(follower, "k", .linearizable)
            group.advance(by: .milliseconds(200))
            XCTAssertEqual(group.host(follower).reply(to: read)?.isReadable, true)
        }
    }

    /// Both files say it, so that one of them may be put back as it was before.
    func testMember_whoseRootOrOwnerIsPutBackFromBeforeItsStateDiffered_startsAsItStopped() throws {
        for name in ["ROOT", "state-1/OWNER"] {
            let (group, leader) = try started()
            let follower = leader % 3 + 1
            group.fate = { self.isChunk($0) ? .isLost : .arrives }
            let (host, before) = (group.host(follower), group.host(follower).disk.snapshot())
            host.provider.digestMask = 1
            group.expect(.stateDiverged, of: leader, follower)
            write(group, leader, 10)
            group.advance(by: .milliseconds(300))
            XCTAssertEqual(host.replica?.isDiverged, true)
            group.crash(follower, powerLoss: 7)
            host.provider.digestMask = 0
            let path = "balsa/groups/1/" + name
            let latest = host.disk.contents(of: path)
            host.disk.replace(path, from: before)
            XCTAssertNotEqual(host.disk.contents(of: path), latest)
            try group.open(follower)
            XCTAssertEqual(host.disk.contents(of: path), latest, "the opening makes both say it")
            let read = group.read(follower, "k", .local)
            group.advance(by: .milliseconds(200))
            XCTAssertEqual(host.reply(to: read), .failed(.notApplied, .diverged), name)
            group.expect(.stateRebuilt, of: follower)
            group.fate = { _ in .arrives }
            group.advance(by: .seconds(3))
            XCTAssertEqual(host.replica?.isDiverged, false)
            XCTAssertEqual(try host.digest(), try group.host(leader).digest())
        }
    }

    func testMember_whoseRootIsPutBackFromBeforeACheckpointReplacedItsState_isRefusedByItsName() throws {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        let (host, before) = (group.host(follower), group.host(follower).disk.snapshot())
        host.provider.digestMask = 1
        group.expect(.stateDiverged, of: leader, follower)
        group.expect(.stateRebuilt, of: follower)
        write(group, leader, 8)
        group.advance(by: .seconds(3))
        group.crash(follower, powerLoss: nil)
        host.disk.replace("balsa/groups/1/ROOT", from: before)
        XCTAssertThrowsError(try group.open(follower)) {
            let error = $0 as? ReplicaError
            XCTAssertEqual(error?.code, .damaged)
            let sentence = "balsa/groups/1/state-1 is missing, though balsa/groups/1/ROOT names it"
            XCTAssertEqual(error?.message, sentence)
        }
    }

    /// Nothing of its log is dropped before, and the disk would be full at last.
    func testMember_thatWaitsForACheckpointForLong_takesNoEntriesAboveFourTimesTheBoundOfItsLog() throws {
        let group = ReplicaGroup(members: 3)
        group.options.digestInterval = 8
        group.options.log.boundBytes = 16 << 10
        let leader = try group.start()
        let follower = leader % 3 + 1
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.host(follower).provider.digestMask = 1
        group.expect(.stateDiverged, of: leader, follower)
        group.expect(.stateRebuilt, of: follower)
        write(group, leader, 10)
        group.advance(by: .milliseconds(300))
        let replica = try XCTUnwrap(group.host(follower).replica)
        XCTAssertNil(replica.stall)
        let value = Bytes(String(repeating: "x", count: 1_000))
        for number in 0..<200 {
            let write = group.write(leader, Bytes("k\(number % 8)"), value)
            group.advance(by: .milliseconds(5))
            XCTAssertEqual(group.host(leader).reply(to: write)?.isSuccess, true, "two of three are a majority")
        }
        XCTAssertGreaterThan(replica.metrics.appendsRefused, 0)
        XCTAssertLessThan(replica.log.liveBytes, 100 << 10)
        XCTAssertEqual(replica.stall, .checkpoint)
        group.fate = { _ in .arrives }
        group.advance(by: .seconds(6))
        XCTAssertNil(replica.stall)
        XCTAssertEqual(replica.metrics.statesRebuilt, 1)
        XCTAssertEqual(try group.host(follower).digest(), try group.host(leader).digest())
    }

    /// The report that would have shown that the leader's state is right is lost, and its sender remembers no digest.
    func testLeader_thatHasStatesComparedOnceMore_rebuildsTheMemberThatWaits_andItsClockGoesOn() throws {
        let (group, _, follower) = try startedWithADivergedFollower(sealAfterBytes: 1)
        for host in group.hosts {
            group.crash(host.id, powerLoss: 7)
            host.provider.digestMask = 0
        }
        group.fate = { self.isReport($0) ? .isLost : .arrives }
        group.expect(.stateRebuilt, of: follower)
        for host in group.hosts { try group.open(host.id) }
        group.advance(by: .seconds(2))
        let leader = try XCTUnwrap(group.hosts.first { $0.replica?.raft.role == .leader }?.replica)
        XCTAssertNotEqual(leader.member, follower)
        let other = 6 - leader.member - follower
        group.crash(other, powerLoss: 7)
        group.fate = { _ in .arrives }
        try group.open(other)
        let (term, begin) = (leader.raft.term, leader.applied)
        group.advance(by: .seconds(2))
        XCTAssertEqual(group.host(follower).replica?.metrics.statesRebuilt, 0)
        group.advance(by: .seconds(5))
        XCTAssertEqual(group.host(follower).replica?.metrics.statesRebuilt, 1)
        XCTAssertEqual(leader.raft.term, term, "nobody had to hand over")
        XCTAssertEqual(leader.applied.position.index, begin.position.index + 1)
        XCTAssertGreaterThan(leader.applied.stamp, begin.stamp + TimeSpan.seconds(2).nanoseconds)
        XCTAssertEqual(try group.host(follower).digest(), try group.host(leader.member).digest())
    }

    private func isReport(_ frame: PeerFrame) -> Bool {
        guard case .message(.appendResponse(let response), _) = frame.content else {
            return false
        }
        return response.digest != nil
    }

    func testLeader_whoseStateDiffers_handsOverAndIsRebuilt() throws {
        let (group, old) = try started()
        group.host(old).provider.digestMask = 1
        // The next leader may find it as well.
        group.allow(.stateDiverged)
        group.expect(.stateRebuilt, of: old)
        write(group, old, 7)
        let last = group.write(old, "k", "last")
        group.advance(by: .milliseconds(5))
        XCTAssertNotNil(group.host(old).reply(to: last))
        group.advance(by: .seconds(1))
        let leader = try group.elect()
        XCTAssertNotEqual(leader, old)
        group.advance(by: .seconds(3))
        XCTAssertEqual(group.host(old).replica?.metrics.statesRebuilt, 1)
        XCTAssertTrue(
            group.host(old).anomalies.contains { if case .stateDiverged(old, _, _) = $0 { true } else { false } }
        )
        write(group, leader, 20)
        group.advance(by: .seconds(1))
        XCTAssertEqual(try group.host(old).digest(), try group.host(leader).digest())
    }

    /// The others have reported first: it is found in the step that applies the entry.
    func testLeader_thatFindsItsOwnStateWrong_neitherSealsNorServesItInThatStep() throws {
        let (group, leader) = try started()
        let host = group.host(leader)
        group.fate = {
            if case .timeoutNow? = $0.envelope?.message.body { return .isLost }
            return .arrives
        }
        host.provider.digestMask = 1
        group.expect(.stateDiverged, of: leader)
        for _ in 0..<8 where (host.replica?.appliedIndex ?? 0) < 7 { write(group, leader, 1) }
        XCTAssertEqual(host.replica?.appliedIndex, 7)
        host.provider.sealAfterBytes = 1
        host.holdsWrites = true
        let read = group.read(leader, "k", .atLeast(8))
        _ = group.write(leader, "k", "wrong")
        group.advance(by: .milliseconds(20))
        XCTAssertEqual(host.replica?.commitIndex, 8)
        XCTAssertEqual(host.replica?.appliedIndex, 7, "its own log is not durable")
        host.holdsWrites = false
        group.releaseWrites(leader)
        group.settle()
        XCTAssertEqual(host.replica?.isDiverged, true)
        XCTAssertEqual(host.replica?.applied.position.index, 8)
        XCTAssertEqual(host.reply(to: read), .failed(.notApplied, .diverged))
        XCTAssertEqual(host.replica?.metrics.seals, 0)
    }

    /// Nobody can have applied what is not in the log: the state is not made durable for it, again and again.
    func testRequest_forMoreThanThereIs_isRefusedAndFlushesNothing() throws {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        write(group, leader, 5)
        group.expect(.malformedMessage, of: leader)
        let beyond = try XCTUnwrap(group.host(leader).replica?.raft.log.lastIndex) + 1
        for index in [beyond, largestNumber, 0] {
            let request = Message.Body.checkpointRequest(CheckpointRequest(.diverged, atLeast: index))
            try group.receive(leader, from: follower, term: 1, .message(request, entries: nil))
            group.advance(by: .milliseconds(400))
        }
        XCTAssertEqual(group.host(leader).replica?.metrics.seals, 0)
        XCTAssertEqual(group.host(leader).replica?.metrics.transfersStarted, 0)
        XCTAssertEqual(
            group.host(leader).anomalies,
            [.malformedMessage(from: follower), .malformedMessage(from: follower), .malformedMessage(from: follower)]
        )
    }

    /// The checkpoint has to contain what the member has applied, whatever the leader has sealed so far.
    func testRequest_thatNoSealCoversYet_makesTheLeaderSeal() throws {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        write(group, leader, 5)
        let sealed = group.host(leader).replica?.machine.durable.position.index ?? 0
        XCTAssertEqual(sealed, 0, "a minute has not passed")
        let index = try XCTUnwrap(group.host(leader).replica?.appliedIndex)
        let request = Message.Body.checkpointRequest(CheckpointRequest(.unreadable, atLeast: index))
        try group.receive(leader, from: follower, term: 1, .message(request, entries: nil))
        group.advance(by: .milliseconds(200))
        XCTAssertEqual(group.host(leader).replica?.machine.durable.position.index, index)
        XCTAssertEqual(group.host(leader).chunks.count, 0)
        group.advance(by: .milliseconds(400))
        try group.receive(leader, from: follower, term: 1, .message(request, entries: nil))
        group.settle()
        XCTAssertGreaterThan(group.host(leader).chunks.count, 0)
    }
}
