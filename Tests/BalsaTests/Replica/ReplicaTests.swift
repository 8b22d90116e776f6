import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// Commands and reads, from the caller to the one answer.
final class ReplicaTests: ReplicaTestCase {
    func testASingleMemberCommitsAndAnswers() throws {
        let group = ReplicaGroup(members: 1)
        XCTAssertEqual(try group.start(), 1)
        let write = group.write(1, "k", "v")
        let early = group.read(1, "k")
        group.settle()
        let read = group.read(1, "k")
        group.settle()
        let host = group.host(1)
        XCTAssertEqual(host.reply(to: write), .written(2), "index 1 is the empty entry of the term")
        XCTAssertEqual(host.reply(to: early), .readable(1), "the write was not committed when it was asked")
        XCTAssertNil(host.values[early])
        XCTAssertEqual(host.reply(to: read), .readable(2))
        XCTAssertEqual(host.values[read], "v")
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
            XCTAssertEqual(try host.digest(), try group.host(leader).digest(), "member \(host.id)")
        }
    }

    func testCommandsThatComeTogetherAreProposedTogetherAndInTheirOrder() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.advance(by: .milliseconds(100))
        let before = group.host(leader).messages.count
        let requests = group.submit(leader, [("a", "1", nil), ("b", "2", nil), ("a", "3", nil)])
        let appends = group.host(leader).messages[before...].filter {
            if case .append(let append) = $0.body { append.entries?.last.index == 4 } else { false }
        }
        XCTAssertEqual(appends.count, 2, "one append carries all of them to each peer")
        group.settle()
        XCTAssertEqual(requests.map { group.host(leader).reply(to: $0) }, [.written(2), .written(3), .written(4)])
        XCTAssertEqual(group.host(leader).machine?.value(of: "a"), "3")
    }

    func testAFollowerAnswersReadsAndRefusesCommandsWithoutANameWithAHint() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        let follower = leader % 3 + 1
        group.write(leader, "k", "v")
        group.advance(by: .milliseconds(200))
        let read = group.read(follower, "k")
        let write = group.write(follower, "k", "w")
        group.settle()
        XCTAssertEqual(group.host(follower).reply(to: read), .readable(2))
        XCTAssertEqual(group.host(follower).values[read], "v")
        XCTAssertEqual(group.host(follower).reply(to: write), .failed(.notApplied, .notLeader, leader: leader))
        XCTAssertEqual(group.host(follower).forwards, [], "nobody could find it again")
    }

    func testAMemberThatKnowsNoLeaderSaysSo() throws {
        let group = ReplicaGroup(members: 3)
        try group.open(1)
        let write = group.write(1, "k", "v")
        let named = group.write(1, "k", "v", as: CommandIdentity(session: 1, number: 1))
        let read = group.read(1, "k")
        group.settle()
        for request in [write, named, read] {
            XCTAssertEqual(group.host(1).reply(to: request), .failed(.notApplied, .notLeader))
        }
    }

    func testACommandThatAnotherLeaderReplacedIsToldNotApplied() throws {
        let group = ReplicaGroup(members: 3)
        let old = try group.start()
        group.advance(by: .milliseconds(100))
        group.expect(.quorumLost, of: old)
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
        XCTAssertEqual(group.host(new).reply(to: kept)?.isSuccess, true, "the new leader answers")
    }

    func testADeadlineEndsAReadWithoutEffectAndACommandWithAnUnknownOne() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.expect(.quorumLost, of: leader)
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
        for host in group.hosts { host.provider.maxCommandBytes = 100 }
        group.options.maxWaitingBytes = 200
        let leader = try group.start()
        let last = group.host(1).replica?.raft.log.lastIndex
        let large = group.write(leader, "k", Bytes([UInt8](repeating: 1, count: 100)))
        XCTAssertEqual(group.host(1).reply(to: large), .failed(.notApplied, .tooLarge))
        XCTAssertEqual(group.host(1).replica?.raft.log.lastIndex, last)

        group.host(1).holdsWrites = true
        let first = group.write(leader, "k", Bytes([UInt8](repeating: 1, count: 70)))
        let second = group.write(leader, "k", Bytes([UInt8](repeating: 2, count: 70)))
        XCTAssertEqual(group.host(1).reply(to: second), .failed(.notApplied, .busy))
        XCTAssertEqual(group.host(1).replica?.raft.log.lastIndex, 2)
        group.releaseWrites(1)
        group.settle()
        XCTAssertEqual(group.host(1).reply(to: first), .written(2))
        let again = group.write(leader, "k", Bytes([UInt8](repeating: 2, count: 70)))
        group.settle()
        XCTAssertEqual(group.host(1).reply(to: again), .written(3), "there is room again")
    }

    /// Of commands that come together, those are taken for which there is room.
    func testRoomIsCountedWithinOneSubmissionToo() throws {
        let group = ReplicaGroup(members: 1)
        group.options.maxWaitingBytes = 2 * (RequestTable.overheadBytes + 27)
        group.host(1).provider.maxCommandBytes = 27
        let leader = try group.start()
        let requests = group.submit(leader, [("a", "12", nil), ("b", "12", nil), ("c", "12", nil), ("d", "12", nil)])
        group.settle()
        XCTAssertEqual(
            requests.map { group.host(1).reply(to: $0) },
            [.written(2), .written(3), .failed(.notApplied, .busy), .failed(.notApplied, .busy)]
        )
    }

    func testWhatTheStateMachineRefusesDoesNotEnterTheLogWhoeverAsks() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        let follower = leader % 3 + 1
        group.advance(by: .milliseconds(100))
        for host in group.hosts { host.provider.refusal = { _ in .invalid } }
        let atLeader = group.write(leader, "k", "v")
        let atFollower = group.write(follower, "k", "v", as: CommandIdentity(session: 1, number: 1))
        group.settle()
        XCTAssertEqual(group.host(leader).reply(to: atLeader), .failed(.notApplied, .invalid))
        XCTAssertEqual(group.host(follower).reply(to: atFollower), .failed(.notApplied, .invalid, leader: leader))
        XCTAssertEqual(group.host(leader).replica?.raft.log.lastIndex, 1)
    }

    func testClosingAnswersEverybody() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.isolate(leader)
        let write = group.write(leader, "k", "v")
        let read = group.read(leader, "k")
        let waiting = group.read(leader, "k", .atLeast(100))
        group.step(leader, .close)
        let late = group.write(leader, "k", "w")
        XCTAssertEqual(group.host(leader).reply(to: write), .failed(.unknown, .closed))
        XCTAssertEqual(group.host(leader).reply(to: read), .failed(.notApplied, .closed))
        XCTAssertEqual(group.host(leader).reply(to: waiting), .failed(.notApplied, .closed))
        XCTAssertEqual(group.host(leader).reply(to: late), .failed(.notApplied, .closed))
        group.advance(by: .seconds(2))
        XCTAssertEqual(group.host(leader).replies.count, 4)
    }

    /// A closed replica hears nothing any more: what it took now, it could never answer.
    func testAClosedReplicaRefusesAtOnceWhateverComesLater() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        let follower = leader % 3 + 1
        group.advance(by: .milliseconds(100))
        group.step(follower, .close)
        let sent = group.host(follower).sent.count
        let requests = [
            group.write(follower, "k", "v"),
            group.write(follower, "k", "v", as: CommandIdentity(session: 1, number: 1)),
            group.read(follower, "k"), group.read(follower, "k", .atLeast(100)), group.read(follower, "k", .local),
        ]
        for request in requests {
            XCTAssertEqual(group.host(follower).reply(to: request), .failed(.notApplied, .closed))
        }
        group.advance(by: .seconds(1))
        XCTAssertEqual(group.host(follower).sent.count, sent, "and says nothing")
        // But to another member, which would let its caller wait.
        let command = RegisterCommand(identity: CommandIdentity(session: 1, number: 1), key: "k", value: "v")
        let forwarded = ForwardedCommand(number: 5, command: try command.encoded())
        try group.receive(follower, from: leader, term: 1, .forward(forwarded))
        XCTAssertEqual(group.host(follower).refusals.map(\.refusal), [.closed])
    }

    func testAFrameThatIsNoneIsDroppedAndReported() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.expect(.undecodable, of: leader)
        group.step(leader, .received("hello"))
        group.step(leader, .received(Bytes()))
        XCTAssertEqual(group.host(leader).undecodable.count, 2)
        XCTAssertEqual(group.host(leader).replica?.metrics.framesRefused, 2)
        let write = group.write(leader, "k", "v")
        group.settle()
        XCTAssertEqual(group.host(leader).reply(to: write), .written(2))
    }

    /// The core looks at its own messages. What passes by the core is held against the same rule.
    func testAFrameOfAStrangerOrForAnotherMemberChangesNothing() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.advance(by: .milliseconds(100))
        let host = group.host(leader)
        let command = RegisterCommand(identity: CommandIdentity(session: 1, number: 1), key: "k", value: "v")
        let forward = PeerFrame.Content.forward(ForwardedCommand(number: 1, command: try command.encoded()))
        let checkpoint = try TestCheckpoint(position: LogPosition(term: 90, index: 90), stamp: 0, state: [("k", "v")])
        let chunk = PeerFrame.Content.checkpointChunk(try checkpoint.chunks(of: 50)[0])
        group.expect(.unknownPeer, of: leader)
        for content in [forward, chunk] {
            let sent = host.sent.count
            try group.receive(leader, from: 9, term: 90, content)
            try group.receive(leader, from: leader, term: 90, content)
            try group.receive(leader, from: leader % 3 + 1, to: leader % 3 + 1, term: 90, content)
            XCTAssertEqual(host.sent.count, sent)
            XCTAssertEqual(host.replica?.raft.log.lastIndex, 1)
            XCTAssertNil(try XCTUnwrap(host.replica).incoming)
        }
        XCTAssertEqual(host.anomalies, [.unknownPeer(9), .unknownPeer(9)])
    }

    func testAStateMachineThatCannotGoOnStopsTheReplicaAndAnswersNothingElse() throws {
        let group = ReplicaGroup(members: 1)
        group.host(1).provider.applyFailure = StateMachineError("a command of a newer release", needsUpgrade: true)
        group.expect(.failed(.upgradeRequired), of: 1)
        _ = try group.start()
        XCTAssertNil(try XCTUnwrap(group.host(1).replica).failure, "the empty entry is no command")
        let write = group.write(1, "k", "v")
        let waiting = group.read(1, "k", .atLeast(2))
        group.settle()
        XCTAssertEqual(group.host(1).replica?.failure?.code, .upgradeRequired)
        XCTAssertEqual(group.host(1).reply(to: write), .failed(.unknown, .failed))
        XCTAssertEqual(group.host(1).reply(to: waiting), .failed(.notApplied, .failed))
        let later = [group.write(1, "k", "v"), group.read(1, "k", .local)]
        for request in later { XCTAssertEqual(group.host(1).reply(to: request), .failed(.notApplied, .failed)) }

        // Nothing was skipped: opened again by a release that knows the command, it is applied.
        group.host(1).provider.applyFailure = nil
        group.crash(1, powerLoss: nil)
        try group.open(1)
        _ = try group.elect()
        XCTAssertEqual(group.host(1).machine?.value(of: "k"), "v")
    }

    func testLimitsAreHeldAgainstEachOther() {
        func assertInvalid(_ word: String, _ change: (inout ReplicaOptions) -> Void, line: UInt = #line) {
            var options = ReplicaOptions()
            change(&options)
            XCTAssertThrowsError(try options.validate(), line: line) { error in
                XCTAssertEqual((error as? ReplicaError)?.code, .invalid, line: line)
                XCTAssertTrue("\(error)".contains(word), "\(error)", line: line)
            }
        }
        XCTAssertNoThrow(try ReplicaOptions().validate())
        assertInvalid("maxAppendBytes must be at most") { $0.raft.maxAppendBytes = 5 << 20 }
        assertInvalid("chunkBytes must be at least 1, not 0") { $0.chunkBytes = 0 }
        assertInvalid("chunkBytes must be at most") { $0.chunkBytes = 5 << 20 }
        assertInvalid("applyPageBytes must be at least 1, not 0") { $0.applyPageBytes = 0 }
        assertInvalid("workBudgetBytes must be at least 1, not 0") { $0.workBudgetBytes = 0 }
        assertInvalid("maxReadQuestions must be at least 1, not 0") { $0.maxReadQuestions = 0 }
        assertInvalid("resendChunkAfter must be above 0") { $0.resendChunkAfter = .zero }
        assertInvalid("deadlineGranularity must be above 0") { $0.deadlineGranularity = .zero }
        assertInvalid("maxWaitingBytes must be at least 1, not 0") { $0.maxWaitingBytes = 0 }
    }
}
