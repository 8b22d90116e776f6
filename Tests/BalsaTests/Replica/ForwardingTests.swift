import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// Commands that a member which does not lead passes on.
final class ForwardingTests: ReplicaTestCase {
    private let command = CommandIdentity(session: 7, number: 1)

    private func started(_ change: (ReplicaGroup) -> Void = { _ in }) throws -> (ReplicaGroup, MemberID, MemberID) {
        let group = ReplicaGroup(members: 3)
        change(group)
        let leader = try group.start()
        group.advance(by: .milliseconds(200))
        return (group, leader, leader % 3 + 1)
    }

    private func isForward(_ frame: PeerFrame) -> Bool {
        if case .forward = frame.content { true } else { false }
    }

    func testTheCallerIsAnsweredWhenItsOwnMemberAppliesTheCommand() throws {
        let (group, leader, follower) = try started()
        let write = group.write(follower, "k", "v", as: command)
        XCTAssertNil(group.host(follower).reply(to: write))
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).reply(to: write), .written(2))
        XCTAssertEqual(group.host(follower).machine?.value(of: "k"), "v", "who is answered can read it here")
        XCTAssertEqual(group.host(follower).replica?.metrics.commandsForwarded, 1)
        XCTAssertEqual(group.host(leader).replies.count, 0)
        XCTAssertEqual(group.host(leader).refusals, [])
    }

    func testCommandsThatComeTogetherKeepTheirOrder() throws {
        let (group, _, follower) = try started()
        let writes = (1...5).map { ("k" as Bytes, Bytes("\($0)"), CommandIdentity(session: 7, number: $0)) }
        let requests = group.submit(follower, writes)
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(requests.map { group.host(follower).reply(to: $0) }, (2...6).map { .written($0) })
        XCTAssertEqual(group.host(follower).machine?.value(of: "k"), "5")
    }

    func testAFrameThatArrivesTwiceHasOneEffect() throws {
        let (group, leader, follower) = try started()
        group.fate = { self.isForward($0) ? .arrivesTwice : .arrives }
        let write = group.write(follower, "k", "v", as: command)
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).reply(to: write), .written(2))
        XCTAssertEqual(group.host(leader).replica?.raft.log.lastIndex, 2, "the second copy was dropped")
        XCTAssertEqual(group.host(leader).replica?.metrics.forwardedCopiesDropped, 1)
        XCTAssertEqual(group.host(leader).refusals, [])
        for host in group.hosts {
            XCTAssertEqual(host.machine?.state.applied, [.init(identity: command, index: 2)], "member \(host.id)")
        }
        // Sent again by its caller, it is told what became of it the first time.
        let again = group.write(leader, "k", "v", as: command)
        group.settle()
        XCTAssertEqual(group.host(leader).reply(to: again), .success(RegisterMachine.reply(at: 2), index: 3))
    }

    func testALostFrameIsUnknownAtTheDeadline() throws {
        let (group, leader, follower) = try started()
        group.fate = { self.isForward($0) ? .isLost : .arrives }
        let write = group.write(follower, "k", "v", as: command, within: .milliseconds(300))
        group.advance(by: .milliseconds(299))
        XCTAssertNil(group.host(follower).reply(to: write))
        group.advance(by: .milliseconds(150))
        XCTAssertEqual(group.host(follower).reply(to: write), .failed(.unknown, .deadlineExceeded))
        XCTAssertEqual(group.host(leader).replica?.raft.log.lastIndex, 1)
        // The name is free for the next attempt.
        group.fate = { _ in .arrives }
        let again = group.write(follower, "k", "v", as: command)
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).reply(to: again), .written(2))
    }

    /// The connection to the leader is lost, and with it perhaps the frame. Who waits is told so at once and sends the
    /// command again; a copy that had arrived all the same does no harm.
    func testWhatWasPassedOnOverALostConnectionIsNotWaitedFor() throws {
        let (group, leader, follower) = try started()
        let other = 6 - leader - follower
        group.fate = { self.isForward($0) ? .isLost : .arrives }
        let write = group.write(follower, "k", "v", as: command)
        group.step(follower, .peerUnreachable(other))
        XCTAssertNil(group.host(follower).reply(to: write), "it was not passed on to that one")
        group.step(follower, .peerUnreachable(leader))
        XCTAssertEqual(
            group.host(follower).reply(to: write),
            .failure(RequestError(.unknown, .notLeader, leader: leader))
        )
        group.fate = { _ in .arrives }
        let again = group.write(follower, "k", "v", as: command)
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).reply(to: again), .written(2))
    }

    /// The leader lets it wait so long that it does not lead any more. An earlier copy may have been taken all the same.
    func testARefusalLeavesTheEffectUnknown() throws {
        let (group, leader, follower) = try started()
        group.fate = { self.isForward($0) ? .isHeld : .arrives }
        let write = group.write(follower, "k", "v", as: command)
        group.settle()
        group.expect(.quorumLost, of: leader)
        group.isolate(leader)
        group.advance(by: .milliseconds(100))
        _ = try group.elect()
        group.isolate()
        group.advance(by: .seconds(1))
        XCTAssertEqual(group.host(leader).replica?.raft.role, .follower)
        group.fate = { _ in .arrives }
        group.deliverHeld()
        XCTAssertEqual(group.host(leader).refusals.map(\.refusal), [.notLeader])
        // It was told as soon as another one led; the refusal that comes later tells nobody anything.
        guard case .failure(let error)? = group.host(follower).reply(to: write) else { return XCTFail("no answer") }
        XCTAssertEqual(error.outcome, .unknown)
        XCTAssertEqual(error.reason, .notLeader)
    }

    func testEveryRefusalHasItsReason() throws {
        let (group, leader, follower) = try started()
        group.fate = { self.isForward($0) ? .isLost : .arrives }
        // A leader that closes or has failed leads no more. To say *closed* or *failed* is for the member that is.
        typealias Case = (ForwardResponse.Refusal, RequestError.Outcome, RequestError.Reason, leader: MemberID)
        let cases: [Case] = [
            (.notLeader, .unknown, .notLeader, 9), (.busy, .notApplied, .busy, 9),
            (.tooLarge, .notApplied, .tooLarge, 9), (.invalid, .notApplied, .invalid, 9),
            (.upgradeRequired, .notApplied, .upgradeRequired, 9), (.damaged, .notApplied, .damaged, 9),
            (.closed, .unknown, .notLeader, 0), (.failed, .unknown, .notLeader, 0),
        ]
        for (number, (refusal, outcome, reason, named)) in cases.enumerated() {
            let write = group.write(follower, "k", "v", as: CommandIdentity(session: 1, number: UInt64(number)))
            let forwarded = try XCTUnwrap(group.host(follower).forwards.last)
            let response = ForwardResponse(number: forwarded.number, refusal: refusal, leader: 9)
            // Twice: the second says nothing about anything.
            for _ in 0..<2 { try group.receive(follower, from: leader, term: 1, .forwardResponse(response)) }
            XCTAssertEqual(group.host(follower).reply(to: write), .failed(outcome, reason, leader: named))
        }
    }

    /// The members of a group whose leader has no room; what is passed on to it is refused as *busy*.
    private func startedBusy() throws -> (ReplicaGroup, MemberID, MemberID) {
        let (group, leader, follower) = try started { $0.options.raft.maxUncommittedBytes = 100 }
        for host in group.hosts { host.holdsWrites = true }
        group.write(leader, "k", Bytes([UInt8](repeating: 1, count: 100)))
        group.settle()
        return (group, leader, follower)
    }

    /// Commits what made the leader busy.
    private func makeRoom(_ group: ReplicaGroup) {
        for host in group.hosts {
            host.holdsWrites = false
            group.releaseWrites(host.id)
        }
        group.advance(by: .milliseconds(100))
    }

    /// The caller was told *not applied*: a copy of the frame that comes when there is room again must not make that
    /// untrue.
    func testForward_copyBehindARefusalForWantOfRoom_isNotTaken() throws {
        let (group, leader, follower) = try startedBusy()
        let write = group.write(follower, "k", "late", as: command)
        group.settle()
        XCTAssertEqual(group.host(follower).reply(to: write), .failed(.notApplied, .busy, leader: leader))
        let frame = try XCTUnwrap(group.host(follower).sent.last { self.isForward($0) })
        makeRoom(group)
        try group.receive(leader, from: follower, term: frame.term, frame.content)
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(leader).replica?.metrics.forwardedCopiesDropped, 1)
        XCTAssertEqual(group.host(leader).machine?.state.applied.contains { $0.identity == command }, false)
        let again = group.write(follower, "k", "v", as: command)
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).reply(to: again)?.isSuccess, true, "another attempt has another number")
    }

    /// The first copy was taken. A second one that finds no room must not be answered with a refusal that proves
    /// something.
    func testForward_copyOfACommandThatWasTaken_isNotRefused() throws {
        let (group, leader, follower) = try started { $0.options.raft.maxUncommittedBytes = 100 }
        for host in group.hosts { host.holdsWrites = true }
        group.fate = { self.isForward($0) ? .arrivesTwice : .arrives }
        let value = Bytes([UInt8](repeating: 1, count: 100))
        let write = group.write(follower, "k", value, as: command)
        group.settle()
        XCTAssertEqual(group.host(leader).refusals, [])
        XCTAssertNil(group.host(follower).reply(to: write))
        makeRoom(group)
        XCTAssertEqual(group.host(follower).reply(to: write), .written(2))
    }

    /// A leader that restarts or is elected again does not know which copies it has handled: it takes nothing of the
    /// time before.
    func testForward_frameOfAnEarlierTerm_isRefusedWithoutProof() throws {
        let (group, leader, follower) = try started()
        group.fate = { self.isForward($0) ? .isLost : .arrives }
        group.write(follower, "k", "v", as: command)
        let frame = try XCTUnwrap(group.host(follower).sent.last { self.isForward($0) })
        try group.receive(leader, from: follower, term: frame.term - 1, frame.content)
        group.settle()
        XCTAssertEqual(group.host(leader).refusals.map(\.refusal), [.notLeader])
        XCTAssertEqual(ForwardResponse.Refusal.notLeader.isDefinite, false)
        XCTAssertEqual(group.host(leader).replica?.raft.log.lastIndex, 1)
    }

    /// Its callers send the command again, and the one that leads next takes it.
    func testALeaderThatClosesIsNoReasonForAFollowerToSaySo() throws {
        let (group, leader, follower) = try started()
        group.step(leader, .close)
        let write = group.write(follower, "k", "v", as: command)
        group.settle()
        guard case .failure(let error)? = group.host(follower).reply(to: write) else { return XCTFail("no answer") }
        XCTAssertEqual(error, RequestError(.unknown, .notLeader))
        XCTAssertEqual(group.host(leader).refusals.map(\.refusal), [.closed])
        group.isolate(leader)
        _ = try group.elect()
        let again = group.write(follower, "k", "v", as: command)
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).reply(to: again)?.isSuccess, true)
    }

    func testTheLeaderRefusesWhatItWouldNotTakeFromItsOwnCallers() throws {
        let (group, leader, follower) = try started { $0.options.raft.maxUncommittedBytes = 100 }
        group.host(leader).provider.refusal = { _ in .invalid }
        let refused = group.write(follower, "k", "v", as: CommandIdentity(session: 7, number: 1))
        group.settle()
        XCTAssertEqual(group.host(leader).refusals.map(\.refusal), [.invalid])
        XCTAssertEqual(group.host(follower).reply(to: refused), .failed(.notApplied, .invalid, leader: leader))

        // Nothing is committed any more, and what may be uncommitted is in the log already.
        group.host(leader).provider.refusal = { _ in nil }
        for host in group.hosts { host.holdsWrites = true }
        group.write(leader, "k", Bytes([UInt8](repeating: 1, count: 100)))
        let busy = group.write(follower, "k", "v", as: CommandIdentity(session: 7, number: 2))
        group.settle()
        XCTAssertEqual(group.host(leader).refusals.map(\.refusal), [.invalid, .busy])
        XCTAssertEqual(group.host(follower).reply(to: busy), .failed(.notApplied, .busy, leader: leader))
        XCTAssertEqual(group.host(leader).replica?.raft.log.lastIndex, 2, "neither is in the log")
    }

    func testASecondRequestOfTheSameNameMustWaitForTheFirst() throws {
        let (group, leader, follower) = try started()
        group.fate = { self.isForward($0) ? .isHeld : .arrives }
        let first = group.write(follower, "k", "v", as: command)
        let second = group.write(follower, "k", "v", as: command)
        XCTAssertEqual(group.host(follower).reply(to: second), .failed(.unknown, .busy, leader: leader))
        group.settle()
        group.fate = { _ in .arrives }
        group.deliverHeld()
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).reply(to: first), .written(2))
    }

    /// Its frame was lost. When the member leads itself, the caller is told to send the command again, which is proposed here.
    func testAMemberThatComesToLeadAsksForWhatItHadPassedOn() throws {
        let (group, leader, follower) = try started()
        group.fate = { self.isForward($0) ? .isLost : .arrives }
        let first = group.write(follower, "k", "v", as: command)
        group.settle()
        var new = leader
        while new != follower {
            group.expect(.quorumLost, of: new)
            group.isolate(new)
            new = try group.elect()
            group.isolate()
            group.advance(by: .seconds(1))
        }
        let second = group.write(follower, "k", "v", as: command)
        group.advance(by: .milliseconds(100))
        let reply = try XCTUnwrap(group.host(follower).reply(to: second))
        XCTAssertTrue(reply.isSuccess)
        guard case .failure(let error)? = group.host(follower).reply(to: first) else { return XCTFail("no answer") }
        XCTAssertEqual(error.outcome, .unknown)
        XCTAssertEqual(error.reason, .notLeader)
    }

    func testWhatIsPassedOnCountsAsWaiting() throws {
        let (group, _, follower) = try started { group in
            group.options.maxWaitingBytes = 150
            for host in group.hosts { host.provider.maxCommandBytes = 80 }
        }
        group.fate = { self.isForward($0) ? .isHeld : .arrives }
        let first = group.write(follower, "k", "v", as: CommandIdentity(session: 7, number: 1))
        let second = group.write(follower, "k", "v", as: CommandIdentity(session: 7, number: 2))
        XCTAssertEqual(group.host(follower).reply(to: second), .failed(.notApplied, .busy))
        group.settle()
        group.fate = { _ in .arrives }
        group.deliverHeld()
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).reply(to: first), .written(2))
        let third = group.write(follower, "k", "v", as: CommandIdentity(session: 7, number: 3))
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).reply(to: third), .written(3), "there is room again")
    }

    /// Numbers begin at random, so that an answer to an earlier life of the member is none to this one.
    func testAnAnswerToAnEarlierLifeIsNone() throws {
        let (group, leader, follower) = try started()
        group.fate = { self.isForward($0) ? .isLost : .arrives }
        group.write(follower, "k", "v", as: command)
        let earlier = try XCTUnwrap(group.host(follower).forwards.last)
        group.crash(follower, powerLoss: nil)
        try group.open(follower)
        group.advance(by: .seconds(1))
        let write = group.write(follower, "k", "v", as: command)
        let later = try XCTUnwrap(group.host(follower).forwards.last)
        XCTAssertNotEqual(later.number, earlier.number)
        let response = ForwardResponse(number: earlier.number, refusal: .busy, leader: leader)
        try group.receive(follower, from: leader, term: 1, .forwardResponse(response))
        XCTAssertNil(group.host(follower).reply(to: write))
    }
}
