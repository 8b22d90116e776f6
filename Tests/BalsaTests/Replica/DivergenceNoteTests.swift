import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// What a member notes of its state in OWNER and ROOT, and what becomes of a note that cannot be written.
final class DivergenceNoteTests: DivergenceTestCase {
    /// Fails every replacement of some files while it has their names.
    private final class Hook: DiskHook {
        var names: [String] = []
        private(set) var failures = 0

        func answer(_ call: DiskCall) -> DiskAnswer {
            guard names.contains(where: { call.path.hasSuffix("/\($0).new") }) else { return .proceed }
            failures += 1
            return .fail(.noSpace)
        }
    }

    /// A group whose follower has a hook, and whose state is going to differ.
    private func startedWithHook() throws -> (group: ReplicaGroup, leader: MemberID, follower: MemberID, hook: Hook) {
        let (group, leader) = try started()
        let follower = leader % 3 + 1
        let hook = Hook()
        group.crash(follower, powerLoss: nil)
        group.host(follower).hook = hook
        try group.open(follower)
        group.advance(by: .milliseconds(200))
        group.host(follower).provider.digestMask = 1
        group.expect(.stateDiverged, of: leader, follower)
        return (group, leader, follower, hook)
    }

    /// As that, and the follower was rebuilt.
    private func rebuilt() throws -> (group: ReplicaGroup, leader: MemberID, replica: Replica, hook: Hook) {
        let (group, leader, follower, hook) = try startedWithHook()
        group.expect(.stateRebuilt, of: follower)
        write(group, leader, 8)
        group.advance(by: .seconds(3))
        return (group, leader, try XCTUnwrap(group.host(follower).replica), hook)
    }

    func testMember_thatCannotNoteThatItsStateDiffers_triesAgainAndGoesOn() throws {
        let (group, leader, follower, hook) = try startedWithHook()
        hook.names = ["ROOT"]
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        write(group, leader, 10)
        group.advance(by: .milliseconds(300))
        XCTAssertNil(group.host(follower).replica?.failure)
        XCTAssertEqual(group.host(follower).replica?.isDiverged, true)
        XCTAssertEqual(group.host(follower).replica?.generations.root?.isDiverged, false)
        XCTAssertGreaterThan(hook.failures, 1)
        hook.names = []
        group.advance(by: .milliseconds(200))
        XCTAssertEqual(group.host(follower).replica?.generations.root?.isDiverged, true)
    }

    /// Nothing waits for the note, and the thread that decides about leadership does not wait for the disk.
    func testMember_thatCannotNoteThatItsStateIsThatOfTheOthers_triesAgainInTheBackground() throws {
        let (group, leader, replica, hook) = try rebuilt()
        XCTAssertGreaterThan(replica.raft.receivedIndex, 0)
        hook.names = ["ROOT"]
        write(group, leader, 8)
        group.advance(by: .milliseconds(500))
        XCTAssertEqual(replica.raft.receivedIndex, 0)
        XCTAssertEqual(replica.generations.root?.isConfirmed, false)
        XCTAssertGreaterThan(hook.failures, 1)
        XCTAssertEqual(replica.metrics.workFailed, hook.failures, "each attempt was work")
        hook.names = []
        group.advance(by: .milliseconds(500))
        XCTAssertEqual(replica.generations.root?.isConfirmed, true)
        group.crash(replica.member, powerLoss: 7)
        try group.open(replica.member)
        XCTAssertEqual(group.host(replica.member).replica?.raft.receivedIndex, 0)
    }

    /// The disk may have no space for ROOT for long. What the state machine has to do may be what frees some.
    func testMember_thatCannotNoteThatItsStateIsThatOfTheOthers_goesOnWithTheWorkOfItsState() throws {
        let (group, leader, replica, hook) = try rebuilt()
        hook.names = ["ROOT"]
        write(group, leader, 8)
        group.advance(by: .milliseconds(500))
        XCTAssertGreaterThan(hook.failures, 1)
        group.host(replica.member).provider.sealAfterBytes = 1
        for _ in 0..<3 {
            write(group, leader, 1)
            group.advance(by: .milliseconds(200))
            XCTAssertEqual(replica.machine.durable.position.index, replica.appliedIndex, "every seal is written")
        }
        XCTAssertEqual(replica.generations.root?.isConfirmed, false)
        hook.names = []
        group.advance(by: .milliseconds(500))
        XCTAssertEqual(replica.generations.root?.isConfirmed, true)
    }

    /// The note that a received state is that of the others was to be written, and then the state differs again. It
    /// would take the mark from ROOT, and OWNER has none.
    func testMember_whoseConfirmedStateDiffersAgain_keepsTheMarkInRoot() throws {
        let (group, leader, replica, hook) = try rebuilt()
        hook.names = ["ROOT"]
        write(group, leader, 8)
        group.advance(by: .milliseconds(500))
        XCTAssertEqual(replica.raft.receivedIndex, 0, "its state was compared")
        XCTAssertEqual(replica.generations.root?.isConfirmed, false)
        hook.names = ["OWNER"]
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.host(replica.member).provider.receivedDigestMask = 1
        group.expect(.rebuiltInVain, of: replica.member)
        write(group, leader, 16)
        var marked: Set<Bool> = []
        XCTAssertTrue(replica.isDiverged)
        for _ in 0..<400 {
            group.advance(by: .milliseconds(5))
            let files = group.host(replica.member).disk.mount()
            let root = try GenerationStore(opening: "balsa/groups/1", in: files).root
            marked.insert(try XCTUnwrap(root).isDiverged)
        }
        XCTAssertEqual(marked, [true])
    }
}
