import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// A replica whose state differs from that of the majority: found, stopped, rebuilt, equal.
final class DivergenceTests: ReplicaTestCase {
    private func started() throws -> (ReplicaGroup, MemberID) {
        let group = ReplicaGroup(members: 3)
        group.options.digestInterval = 8
        return (group, try group.start())
    }

    private func write(_ group: ReplicaGroup, _ id: MemberID, _ count: Int) {
        for number in 0..<count {
            let write = group.write(id, "k", Bytes("\(number)"))
            group.advance(by: .milliseconds(5))
            XCTAssertEqual(group.host(id).reply(to: write)?.isSuccess, true)
        }
    }

    private func isChunk(_ frame: PeerFrame) -> Bool {
        if case .checkpointChunk = frame.content { true } else { false }
    }

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
    private func startedWithADivergedFollower() throws -> (ReplicaGroup, leader: MemberID, follower: MemberID) {
        let (group, leader) = try started()
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

    /// Fails every replacement of ROOT while it is on.
    private final class RootHook: DiskHook {
        var isOn = false
        private(set) var failures = 0

        func answer(_ call: DiskCall) -> DiskAnswer {
            guard isOn, call.path.hasSuffix("/ROOT.new") else { return .proceed }
            failures += 1
            return .fail(.noSpace)
        }
    }

    func testMember_thatCannotNoteThatItsStateDiffers_triesAgainAndGoesOn() throws {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        let hook = RootHook()
        group.crash(follower, powerLoss: nil)
        group.host(follower).hook = hook
        try group.open(follower)
        group.advance(by: .milliseconds(200))
        hook.isOn = true
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.host(follower).provider.digestMask = 1
        group.expect(.stateDiverged, of: leader, follower)
        write(group, leader, 10)
        group.advance(by: .milliseconds(300))
        XCTAssertNil(group.host(follower).replica?.failure)
        XCTAssertEqual(group.host(follower).replica?.isDiverged, true)
        XCTAssertEqual(group.host(follower).replica?.generations.root?.isDiverged, false)
        XCTAssertGreaterThan(hook.failures, 1)
        hook.isOn = false
        group.advance(by: .milliseconds(200))
        XCTAssertEqual(group.host(follower).replica?.generations.root?.isDiverged, true)
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
        let request = Message.Body.checkpointRequest(CheckpointRequest(.diverged, atLeast: index))
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
