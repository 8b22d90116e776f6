import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// Reads: when the state may be read, and how many questions are asked for it.
final class ReadTests: ReplicaTestCase {
    /// A leader, and a follower with the register `k` in its state.
    private func started(_ change: (ReplicaGroup) -> Void = { _ in }) throws -> (ReplicaGroup, MemberID, MemberID) {
        let group = ReplicaGroup(members: 3)
        change(group)
        let leader = try group.start()
        group.write(leader, "k", "v")
        group.advance(by: .milliseconds(200))
        return (group, leader, leader % 3 + 1)
    }

    func testAReadWaitsUntilAMajorityHasConfirmedTheLeader() throws {
        let (group, leader, _) = try started()
        for host in group.hosts { host.holdsWrites = true }
        group.isolate(leader)
        let read = group.read(leader, "k")
        group.settle()
        XCTAssertNil(group.host(leader).reply(to: read), "it may have been deposed")
        group.isolate()
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(leader).reply(to: read), .readable(2))
        XCTAssertEqual(group.host(leader).values[read], "v")
        for host in group.hosts {
            XCTAssertTrue(host.held.isEmpty, "member \(host.id): nothing is written for a read")
            XCTAssertEqual(host.replica?.raft.log.lastIndex, 2)
        }
    }

    /// What was acknowledged has not reached the follower yet. It may not answer from what it has.
    func testAReadOfAFollower_asksTheLeaderAndWaitsForWhatWasAcknowledged() throws {
        let (group, leader, follower) = try started()
        group.fate = { frame in
            guard frame.to == follower, case .append? = frame.envelope?.message.body else { return .arrives }
            return .isLost
        }
        let write = group.write(leader, "k", "w")
        group.settle()
        XCTAssertEqual(group.host(leader).reply(to: write), .written(3))
        let read = group.read(follower, "k")
        let old = group.read(follower, "k", .local)
        XCTAssertEqual(group.host(follower).values[old], "v", "only who asks for it is told what may be old")
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).questions.count, 1)
        let answers = group.host(leader).messages.filter { $0.to == follower }.compactMap { message in
            if case .readResponse(_, let answer) = message.body { answer } else { nil }
        }
        XCTAssertEqual(answers, [.index(3)])
        XCTAssertNil(group.host(follower).reply(to: read), "the leader has said how far it has to wait")
        group.fate = { _ in .arrives }
        group.advance(by: .milliseconds(200))
        XCTAssertEqual(group.host(follower).values[read], "w")
    }

    /// The write is committed by the two others. The leader may not apply what is not durable on its own disk, and so may not
    /// let it be read either.
    func testAReadWaitsUntilItsIndexIsApplied() throws {
        let (group, leader, _) = try started()
        group.host(leader).holdsWrites = true
        let write = group.write(leader, "k", "w")
        group.settle()
        XCTAssertEqual(group.host(leader).replica?.commitIndex, 3)
        let read = group.read(leader, "k")
        group.settle()
        XCTAssertNil(group.host(leader).reply(to: write))
        XCTAssertNil(group.host(leader).reply(to: read))
        group.releaseWrites(leader)
        XCTAssertEqual(group.host(leader).reply(to: write), .written(3))
        XCTAssertEqual(group.host(leader).values[read], "w")
    }

    func testALocalReadIsAnsweredAtOnceByWhomeverIsAsked() throws {
        let (group, leader, follower) = try started()
        group.isolate(follower)
        group.write(leader, "k", "w")
        group.settle()
        let read = group.read(follower, "k", .local)
        XCTAssertEqual(group.host(follower).reply(to: read), .readable(2))
        XCTAssertEqual(group.host(follower).values[read], "v", "perhaps old")
        XCTAssertEqual(group.host(follower).questions, [], "nobody is asked")
    }

    func testAReadOfARevisionWaitsForItAndAsksNobody() throws {
        let (group, leader, follower) = try started()
        let now = group.read(follower, "k", .atLeast(2))
        XCTAssertEqual(group.host(follower).values[now], "v")
        let later = group.read(follower, "k", .atLeast(4))
        let never = group.read(follower, "k", .atLeast(1_000), within: .milliseconds(300))
        group.write(leader, "k", "three")
        group.advance(by: .milliseconds(100))
        XCTAssertNil(group.host(follower).reply(to: later))
        group.write(leader, "k", "four")
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).values[later], "four")
        group.advance(by: .milliseconds(400))
        XCTAssertEqual(group.host(follower).reply(to: never), .failed(.notApplied, .deadlineExceeded))
        XCTAssertEqual(group.host(follower).questions, [])
    }

    func testReadsThatComeTogetherShareAFewQuestions() throws {
        let (group, leader, follower) = try started()
        group.fate = { $0.from == leader ? .isHeld : .arrives }
        var reads: [RequestID] = []
        for _ in 0..<100 {
            reads.append(group.read(follower, "k"))
            group.settle()
        }
        XCTAssertEqual(group.host(follower).questions.count, 4, "as many as may be on their way")
        group.fate = { _ in .arrives }
        group.deliverHeld()
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).questions.count, 5, "one more for all that had waited")
        for read in reads { XCTAssertEqual(group.host(follower).values[read], "v") }
    }

    /// On the leader, too, the core is not given one read a caller.
    func testReadsOnTheLeaderShareQuestionsAsWell() throws {
        let (group, leader, _) = try started { $0.options.maxReadQuestions = 1 }
        group.isolate(leader)
        for _ in 0..<50 { group.read(leader, "k") }
        XCTAssertEqual(group.host(leader).replica?.lastRead.number, 1)
        group.isolate()
        group.advance(by: .milliseconds(150))
        XCTAssertEqual(group.host(leader).open, [])
        XCTAssertEqual(group.host(leader).replica?.lastRead.number, 2)
    }

    func testALostQuestionIsAskedAgainUnderAnotherName() throws {
        let (group, _, follower) = try started()
        var losses = 2
        group.fate = { frame in
            guard losses > 0, case .readRequest? = frame.envelope?.message.body else { return .arrives }
            losses -= 1
            return .isLost
        }
        let read = group.read(follower, "k")
        group.advance(by: .milliseconds(150))
        XCTAssertEqual(group.host(follower).questions.count, 1)
        group.advance(by: .milliseconds(100))
        XCTAssertEqual(group.host(follower).questions.count, 2, "after 200 ms without an answer")
        XCTAssertNil(group.host(follower).reply(to: read))
        group.advance(by: .milliseconds(250))
        XCTAssertEqual(group.host(follower).values[read], "v")
        let names = group.host(follower).questions
        XCTAssertEqual(names.count, 3)
        XCTAssertTrue(names[0] != names[1] && names[1] != names[2])
    }

    /// The index that a late answer names may be older than what was acknowledged when the read was asked anew; it was not
    /// when the question was.
    func testALateAnswerToAQuestionThatWasAskedAgainIsNone() throws {
        let (group, leader, follower) = try started()
        group.fate = { frame in
            if case .readResponse? = frame.envelope?.message.body { .isHeld } else { .arrives }
        }
        let early = group.read(follower, "k")
        group.settle()
        XCTAssertEqual(group.heldFrames.count, 1)
        group.advance(by: .milliseconds(210))
        // The question of the second name is shared by a read that comes behind a new write.
        XCTAssertGreaterThan(group.host(follower).questions.count, 1)
        group.write(leader, "k", "w")
        group.settle()
        group.fate = { _ in .arrives }
        group.deliverHeld { [$0[0]] }
        XCTAssertNil(group.host(follower).reply(to: early), "the answer to a name that is not asked any more")
        group.advance(by: .milliseconds(500))
        XCTAssertEqual(group.host(follower).values[early], "w")
    }

    /// The follower asks in vain, is elected, and answers when an entry of its own term is committed.
    func testARead_whoseLeaderIsGone_isAnsweredInTheNextTerm() throws {
        let (group, leader, follower) = try started()
        group.expect(.quorumLost, of: leader)
        group.isolate(leader)
        let read = group.read(follower, "k", within: .seconds(20))
        group.advance(by: .seconds(3))
        XCTAssertEqual(group.host(follower).reply(to: read), .readable(3))
        XCTAssertEqual(group.host(follower).values[read], "v")
        let replica = try XCTUnwrap(group.host(follower).replica)
        XCTAssertGreaterThan(replica.raft.term, 1)
        XCTAssertEqual(replica.raft.log.term(at: 3), replica.raft.term, "the read waited for this entry")
    }

    func testARead_whoseLeaderIsGoneAndNobodyIsElected_isRefusedWithoutEffect() throws {
        let (group, leader, follower) = try started()
        group.expect(.quorumLost, of: leader)
        group.isolate(1, 2, 3)
        let early = group.read(follower, "k", within: .seconds(20))
        group.settle()
        XCTAssertNil(group.host(follower).reply(to: early), "it knows a leader, and has asked it")
        group.advance(by: .seconds(3))
        XCTAssertEqual(group.host(follower).reply(to: early), .failed(.notApplied, .notLeader))
        let late = group.read(follower, "k", within: .seconds(20))
        XCTAssertEqual(group.host(follower).reply(to: late), .failed(.notApplied, .notLeader), "at once")
    }

    func testMoreReadsThanMayWaitAreRefused() throws {
        let (group, _, follower) = try started { $0.options.maxWaitingReads = 3 }
        let waiting = (0..<3).map { group.read(follower, "k", $0 == 0 ? .linearizable : .atLeast(100)) }
        let refused = [group.read(follower, "k"), group.read(follower, "k", .atLeast(100))]
        for read in refused { XCTAssertEqual(group.host(follower).reply(to: read), .failed(.notApplied, .busy)) }
        group.settle()
        XCTAssertEqual(group.host(follower).values[waiting[0]], "v")
        let next = group.read(follower, "k")
        group.settle()
        XCTAssertEqual(group.host(follower).values[next], "v", "there is room again")
    }
}
