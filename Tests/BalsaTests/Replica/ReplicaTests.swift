import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// Commands and queries, from the caller to the one answer.
final class ReplicaTests: XCTestCase {
    func testASingleMemberCommitsAndAnswers() throws {
        let group = ReplicaGroup(members: 1)
        XCTAssertEqual(try group.start(), 1)
        let write = group.write(1, "k", "v")
        let absent = group.read(1, "other")
        group.settle()
        let read = group.read(1, "k")
        group.settle()
        let host = group.host(1)
        XCTAssertEqual(host.reply(to: write), .written(2), "index 1 is the empty entry of the term")
        XCTAssertEqual(host.reply(to: absent), .value(nil, 1), "the write was not committed when it was asked")
        XCTAssertEqual(host.reply(to: read), .value("v", 2))
        XCTAssertEqual(host.replica?.metrics.commandsApplied, 1)
        XCTAssertEqual(host.open, [])
    }

    func testThreeMembersAgree() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        let write = group.write(leader, "k", "v")
        group.advance(by: .milliseconds(200))
        XCTAssertEqual(group.host(leader).reply(to: write), .written(2))
        for host in group.hosts {
            XCTAssertEqual(host.machine?.value(of: "k"), "v", "member \(host.id)")
            XCTAssertEqual(host.machine?.digest, group.host(leader).machine?.digest, "member \(host.id)")
        }
    }

    func testAFollowerAnswersQueriesAndRefusesCommandsWithAHint() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        let follower = leader % 3 + 1
        group.write(leader, "k", "v")
        group.advance(by: .milliseconds(200))
        let read = group.read(follower, "k")
        let write = group.write(follower, "k", "w")
        group.settle()
        XCTAssertEqual(group.host(follower).reply(to: read), .value("v", 2))
        XCTAssertEqual(group.host(follower).reply(to: write), .failed(.notApplied, .notLeader, leader: leader))
        XCTAssertTrue(RequestError(.notApplied, .notLeader, leader: leader).isRetriable)
    }

    func testAMemberThatKnowsNoLeaderSaysSo() throws {
        let group = ReplicaGroup(members: 3)
        try group.open(1)
        let write = group.write(1, "k", "v")
        let read = group.read(1, "k")
        group.settle()
        XCTAssertEqual(group.host(1).reply(to: write), .failed(.notApplied, .notLeader))
        XCTAssertEqual(group.host(1).reply(to: read), .failed(.notApplied, .notLeader))
    }

    func testACommandThatAnotherLeaderReplacedIsToldNotApplied() throws {
        let group = ReplicaGroup(members: 3)
        let old = try group.start()
        group.advance(by: .milliseconds(100))
        group.isolate(old)
        let lost = group.write(old, "k", "lost")
        group.settle()
        let new = try group.elect()
        XCTAssertNotEqual(new, old)
        let kept = group.write(new, "k", "kept")
        group.advance(by: .milliseconds(100))
        XCTAssertNil(group.host(old).reply(to: lost), "nobody here can know yet")
        group.isolate()
        group.advance(by: .seconds(2))
        XCTAssertEqual(group.host(old).reply(to: lost), .failed(.notApplied, .superseded))
        XCTAssertEqual(group.host(old).machine?.value(of: "k"), "kept")
        guard case .success? = group.host(new).reply(to: kept) else { return XCTFail("the new leader answers") }
    }

    func testAReadWaitsUntilAMajorityHasConfirmedTheLeader() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.write(leader, "k", "v")
        group.advance(by: .milliseconds(100))
        group.isolate(leader)
        let read = group.read(leader, "k")
        group.settle()
        XCTAssertNil(group.host(leader).reply(to: read), "it may have been deposed")
        group.isolate()
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(leader).reply(to: read), .value("v", 2))
    }

    /// The write is committed by the two others. The leader may not apply what is not durable on its own disk, and so may not
    /// answer the read either.
    func testAReadWaitsUntilItsIndexIsApplied() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.advance(by: .milliseconds(100))
        group.host(leader).holdsWrites = true
        let write = group.write(leader, "k", "v")
        group.settle()
        XCTAssertEqual(group.host(leader).replica?.commitIndex, 2)
        let read = group.read(leader, "k")
        group.settle()
        XCTAssertNil(group.host(leader).reply(to: write))
        XCTAssertNil(group.host(leader).reply(to: read))
        group.releaseWrites(leader)
        XCTAssertEqual(group.host(leader).reply(to: write), .written(2))
        XCTAssertEqual(group.host(leader).reply(to: read), .value("v", 2))
    }

    func testADeadlineEndsAQueryWithoutEffectAndACommandWithAnUnknownOne() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.isolate(leader)
        let write = group.write(leader, "k", "v", within: .milliseconds(150))
        let read = group.read(leader, "k", within: .milliseconds(150))
        group.advance(by: .milliseconds(149))
        XCTAssertEqual(group.host(leader).open, [write, read])
        group.advance(by: .milliseconds(120))
        XCTAssertEqual(group.host(leader).reply(to: write), .failed(.unknown, .deadlineExceeded))
        XCTAssertEqual(group.host(leader).reply(to: read), .failed(.notApplied, .deadlineExceeded))
        // It may still be applied, and nobody is told a second time.
        group.isolate()
        group.advance(by: .seconds(2))
        XCTAssertEqual(group.host(leader).replies.count, 2)
    }

    func testWhatIsTooLargeOrTooMuchIsRefusedBeforeItEntersTheLog() throws {
        let group = ReplicaGroup(members: 1)
        group.options.maxCommandBytes = 100
        group.options.maxWaitingBytes = 150
        let leader = try group.start()
        let last = group.host(1).replica?.raft.log.lastIndex
        let large = group.write(leader, "k", Bytes([UInt8](repeating: 1, count: 100)))
        XCTAssertEqual(group.host(1).reply(to: large), .failed(.notApplied, .tooLarge))
        XCTAssertEqual(group.host(1).replica?.raft.log.lastIndex, last)

        group.host(1).holdsWrites = true
        let first = group.write(leader, "k", Bytes([UInt8](repeating: 1, count: 70)))
        let second = group.write(leader, "k", Bytes([UInt8](repeating: 2, count: 70)))
        let query = group.read(leader, Bytes([UInt8](repeating: 3, count: 70)))
        XCTAssertEqual(group.host(1).reply(to: second), .failed(.notApplied, .busy))
        XCTAssertEqual(group.host(1).reply(to: query), .failed(.notApplied, .busy))
        group.releaseWrites(1)
        group.settle()
        XCTAssertEqual(group.host(1).reply(to: first), .written(2))
        let again = group.write(leader, "k", Bytes([UInt8](repeating: 2, count: 70)))
        group.settle()
        XCTAssertEqual(group.host(1).reply(to: again), .written(3), "there is room again")
    }

    func testClosingAnswersEverybody() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.isolate(leader)
        let write = group.write(leader, "k", "v")
        let read = group.read(leader, "k")
        group.step(leader, .close)
        let late = group.write(leader, "k", "w")
        XCTAssertEqual(group.host(leader).reply(to: write), .failed(.unknown, .closed))
        XCTAssertEqual(group.host(leader).reply(to: read), .failed(.notApplied, .closed))
        XCTAssertEqual(group.host(leader).reply(to: late), .failed(.notApplied, .closed))
        group.advance(by: .seconds(2))
        XCTAssertEqual(group.host(leader).replies.count, 3)
    }

    func testAFrameThatIsNoneIsDroppedAndReported() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.step(leader, .received("hello"))
        group.step(leader, .received(Bytes()))
        XCTAssertEqual(group.host(leader).undecodable.count, 2)
        XCTAssertEqual(group.host(leader).replica?.metrics.framesRefused, 2)
        let write = group.write(leader, "k", "v")
        group.settle()
        XCTAssertEqual(group.host(leader).reply(to: write), .written(2))
    }

    func testAStateMachineThatCannotGoOnStopsTheReplicaAndAnswersNothingElse() throws {
        let group = ReplicaGroup(members: 1)
        try group.open(1, machine: StubbornMachine())
        group.advance(by: .milliseconds(1))
        let strange = group.read(1, "what?")
        group.settle()
        XCTAssertEqual(group.host(1).reply(to: strange), .failed(.notApplied, .invalidQuery))
        XCTAssertNil(group.host(1).replica?.failure, "a question that cannot be understood is its caller's mistake")

        let write = group.write(1, "k", "v")
        group.settle()
        XCTAssertEqual(group.host(1).replica?.failure?.code, .stateMachine)
        XCTAssertEqual(group.host(1).reply(to: write), .failed(.unknown, .failed))
        let later = group.write(1, "k", "v")
        XCTAssertEqual(group.host(1).reply(to: later), .failed(.notApplied, .failed))
    }
}

/// A state machine that understands nothing.
private final class StubbornMachine: StateMachine {
    func apply(_ entries: EntryBatch, reply: (LogIndex, Bytes) -> Void) throws(StateMachineError) {
        for index in entries.firstIndex...entries.lastIndex where entries.header(at: index).kind == .command {
            throw StateMachineError("a command of a newer release")
        }
    }

    func answer(_ query: Bytes) throws(StateMachineError) -> Bytes { throw StateMachineError("what?") }

    func checkpoint() -> Bytes { Bytes() }

    func restore(_ checkpoint: Bytes) throws(StateMachineError) {}

    var digest: UInt64 { 0 }
}
