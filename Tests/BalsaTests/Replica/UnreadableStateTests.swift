import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// A replica whose state cannot be read where an entry needs it: it stops before the entry, and is rebuilt.
final class UnreadableStateTests: ReplicaTestCase {
    private let damage = StateMachineError("damaged: table-7 of level 1", isDamaged: true, isUnreadable: true)
    private var device: StateMachineError {
        let file = FileError(.read, "table-7", .inputOutput)
        return StateMachineError("table-7 of level 1: \(file)", file: file, isUnreadable: true)
    }

    private func started(_ members: UInt64 = 3) throws -> (ReplicaGroup, MemberID) {
        let group = ReplicaGroup(members: members)
        let leader = try group.start()
        group.writeMany(leader, 5)
        group.advance(by: .milliseconds(100))
        return (group, leader)
    }

    private func isChunk(_ frame: PeerFrame) -> Bool {
        if case .checkpointChunk = frame.content { true } else { false }
    }

    func testFollower_thatCannotReadWhatAnEntryNeeds_stopsBeforeItAndServesTheRest() throws {
        let (group, leader) = try started()
        let (follower, third) = (leader % 3 + 1, (leader + 1) % 3 + 1)
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.expect(.damagedCopy, of: follower)
        let replica = try XCTUnwrap(group.host(follower).replica)
        let applied = replica.applied.position.index
        group.host(follower).provider.applyFailure = damage
        group.writeMany(leader, 1)
        group.advance(by: .milliseconds(100))
        XCTAssertTrue(replica.isUnreadable)
        XCTAssertNil(replica.failure)
        XCTAssertEqual(replica.metrics.unreadableEntries, 1)
        // Its acknowledgement is needed.
        group.isolate(third)
        let write = group.write(leader, "k", "v")
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(leader).reply(to: write)?.isSuccess, true)
        XCTAssertEqual(replica.applied.position.index, applied)
        let local = group.read(follower, "k", .local)
        let old = group.read(follower, "k", .atLeast(applied))
        let new = group.read(follower, "k", .atLeast(applied + 1))
        let linearizable = group.read(follower, "k", .linearizable)
        group.settle()
        XCTAssertEqual(group.host(follower).reply(to: local), .readable(applied))
        XCTAssertEqual(group.host(follower).reply(to: old), .readable(applied))
        XCTAssertEqual(group.host(follower).reply(to: new), .failed(.notApplied, .damaged))
        XCTAssertEqual(group.host(follower).reply(to: linearizable), .failed(.notApplied, .damaged))
    }

    func testFollower_thatCannotReadWhatAnEntryNeeds_isRebuiltWithoutAnOperator() throws {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        group.expect(.stateRebuilt, .damagedCopy, of: follower)
        let provider = group.host(follower).provider
        provider.applyFailure = damage
        group.writeMany(leader, 1)
        group.advance(by: .milliseconds(100))
        // The state of the checkpoint is sound.
        provider.applyFailure = nil
        group.advance(by: .seconds(3))
        let replica = try XCTUnwrap(group.host(follower).replica)
        XCTAssertEqual(replica.metrics.statesRebuilt, 1)
        XCTAssertEqual(replica.metrics.checkpointsInstalled, 1)
        XCTAssertFalse(replica.isUnreadable)
        group.writeMany(leader, 5)
        group.advance(by: .seconds(1))
        XCTAssertEqual(try group.host(follower).digest(), try group.host(leader).digest())
    }

    func testLeader_thatCannotReadWhatAnEntryNeeds_handsOver() throws {
        let (group, old) = try started()
        group.expect(.stateRebuilt, .damagedCopy, of: old)
        group.host(old).provider.applyFailure = damage
        group.writeMany(old, 1)
        group.advance(by: .milliseconds(100))
        group.host(old).provider.applyFailure = nil
        group.advance(by: .seconds(1))
        let leader = try group.elect()
        XCTAssertNotEqual(leader, old)
        group.advance(by: .seconds(3))
        XCTAssertEqual(group.host(old).replica?.metrics.statesRebuilt, 1)
        XCTAssertEqual(try group.host(old).digest(), try group.host(leader).digest())
    }

    func testLeader_thatKnowsThatACommandNeedsWhatCannotBeRead_refusesItAndGivesWay() throws {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        group.host(leader).provider.refusal = { _ in .damaged }
        let applied = group.host(leader).replica?.metrics.commandsApplied
        let own = group.write(leader, "k", "v")
        let forwarded = group.write(follower, "k", "v", as: CommandIdentity(session: 1, number: 1))
        group.settle()
        XCTAssertEqual(group.host(leader).reply(to: own), .failed(.notApplied, .damaged))
        XCTAssertEqual(group.host(leader).replica?.metrics.commandsApplied, applied)
        XCTAssertNotNil(group.host(follower).reply(to: forwarded))
        group.advance(by: .milliseconds(200))
        let next = try group.elect()
        XCTAssertNotEqual(next, leader)
        XCTAssertEqual(group.host(leader).replica?.isUnreadable, false, "it applies what others propose")
    }

    func testDevice_thatDoesNotRead_isAskedAgainLessAndLessOften_andThenGivenUp() throws {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.expect(.damagedCopy, .retrying, of: follower)
        let provider = group.host(follower).provider
        provider.applyFailure = device
        provider.applyAttempts = 0
        group.writeMany(leader, 1)
        let replica = try XCTUnwrap(group.host(follower).replica)
        var moments: [Int] = []
        for millisecond in 0..<4_000 {
            let before = provider.applyAttempts
            group.advance(by: .milliseconds(1))
            if provider.applyAttempts > before { moments.append(millisecond) }
        }
        XCTAssertEqual(provider.applyAttempts, 5, "at \(moments) ms")
        XCTAssertTrue(replica.isUnreadable)
        XCTAssertNil(replica.failure)
    }

    func testDevice_thatReadsAgain_isNoReasonForACheckpoint() throws {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        group.expect(.retrying, of: follower)
        let provider = group.host(follower).provider
        provider.applyFailure = device
        group.writeMany(leader, 1)
        group.advance(by: .milliseconds(50))
        provider.applyFailure = nil
        group.advance(by: .seconds(1))
        let replica = try XCTUnwrap(group.host(follower).replica)
        XCTAssertEqual(replica.appliedIndex, group.host(leader).replica?.appliedIndex)
        XCTAssertEqual(replica.metrics.checkpointsInstalled, 0)
        XCTAssertFalse(replica.isUnreadable)
    }

    func testSingleMember_thatCannotReadWhatAnEntryNeeds_goesOnWithoutIt() throws {
        let (group, leader) = try started(1)
        let replica = try XCTUnwrap(group.host(leader).replica)
        group.expect(.damagedCopy, of: leader)
        group.host(leader).provider.applyFailure = damage
        group.writeMany(leader, 1)
        group.advance(by: .seconds(5))
        XCTAssertNil(replica.failure)
        XCTAssertTrue(replica.isUnreadable)
        let write = group.write(leader, "k", "v")
        let read = group.read(leader, "k", .local)
        group.settle()
        XCTAssertEqual(group.host(leader).reply(to: write), .failed(.notApplied, .damaged))
        XCTAssertEqual(group.host(leader).reply(to: read), .readable(replica.applied.position.index))
    }

    func testBackgroundWork_thatADeviceFails_isTriedLessAndLessOften() throws {
        let (group, leader) = try started()
        let provider = group.host(leader).provider
        provider.sealAfterBytes = 1
        let file = FileError(.write, "table-9", .inputOutput)
        provider.workFailures = Array(repeating: StateMachineError("\(file)", file: file), count: 100)
        group.writeMany(leader, 1)
        group.advance(by: .seconds(6))
        let attempts = 100 - provider.workFailures.count
        XCTAssertGreaterThan(attempts, 4)
        XCTAssertLessThan(attempts, 9, "0.1, 0.2, 0.4, 0.8 and 1.6 s lie between them")
        provider.workFailures = []
        group.advance(by: .seconds(3))
        XCTAssertGreaterThan(group.host(leader).replica?.machine.durable.position.index ?? 0, 0)
    }
}
