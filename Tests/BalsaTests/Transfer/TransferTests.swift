import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// Checkpoints from a leader to a member that the log cannot serve.
final class TransferTests: ReplicaTestCase {
    private func isChunk(_ frame: PeerFrame) -> Bool {
        if case .checkpointChunk = frame.content { true } else { false }
    }

    private func isOffer(_ frame: PeerFrame) -> Bool {
        if case .snapshot? = frame.envelope?.message.body { true } else { false }
    }

    func testAMemberThatIsFarBehindGetsACheckpointAndThenTheLog() throws {
        let scene = try Lagging()
        let group = scene.group
        let stale = group.read(scene.late, "k0", within: .seconds(60))
        group.isolate()
        group.advance(by: .seconds(2))
        let now = try XCTUnwrap(group.hosts.first { $0.replica?.raft.role == .leader })
        let write = group.write(now.id, "last", "one")
        group.advance(by: .milliseconds(200))
        XCTAssertEqual(now.reply(to: write)?.isSuccess, true, "the group goes on")
        XCTAssertEqual(scene.host.replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(try scene.host.digest(), try scene.leaderHost.digest())
        XCTAssertEqual(scene.host.machine?.value(of: "last"), "one")
        XCTAssertEqual(scene.host.reply(to: stale), .readable(61))
        XCTAssertGreaterThan(scene.leaderHost.replica?.metrics.chunksSent ?? 0, 4)
        XCTAssertEqual(scene.leaderHost.replica?.metrics.chunksRepeated, 0)

        // What it installed is on its disk.
        group.crash(scene.late, powerLoss: 5)
        try group.open(scene.late)
        XCTAssertGreaterThan(scene.host.replica?.appliedIndex ?? 0, 30)
        group.advance(by: .seconds(1))
        XCTAssertEqual(try scene.host.digest(), try scene.leaderHost.digest())
    }

    func testALeaderWhoseCommandACheckpointCoversIsToldThatItIsUnknown() throws {
        let group = ReplicaGroup(members: 3)
        group.options.sealStateAfterBytes = 4_096
        group.options.entriesKeptBehindSeal = 3
        let old = try group.start()
        group.advance(by: .milliseconds(100))
        group.expect(.quorumLost, of: old)
        group.isolate(old)
        let command = group.write(old, "k", "whose?")
        group.settle()
        let new = try group.elect()
        group.writeMany(new, 60)
        group.isolate()
        group.advance(by: .seconds(2))
        XCTAssertEqual(group.host(old).replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(group.host(old).reply(to: command), .failed(.unknown, .overtakenByCheckpoint))
    }

    /// The checkpoint may contain it: its effect is there, and its reply is not.
    func testACommandThatWasPassedOnAndThatACheckpointCoversIsUnknown() throws {
        let scene = try Lagging()
        let (group, host) = (scene.group, scene.host)
        // It still believes in its leader, or has none. Only the first can pass a command on.
        group.isolate()
        group.fate = { self.isChunk($0) ? .isHeld : .arrives }
        group.advance(by: .seconds(1))
        let command = CommandIdentity(session: 1, number: 1)
        let write = group.write(scene.late, "mine", "v", as: command, within: .seconds(200))
        group.settle()
        XCTAssertEqual(host.forwards.count, 1)
        group.writeMany(scene.leader, 60)
        // The transfer that began before is given up; the next one contains the command.
        group.advance(by: .seconds(31))
        group.fate = { _ in .arrives }
        group.advance(by: .seconds(3))
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(host.machine?.value(of: "mine"), "v")
        XCTAssertEqual(host.reply(to: write), .failed(.unknown, .overtakenByCheckpoint))
    }

    // MARK: The window

    func testTwoChunksAreOnTheirWayAndNoMore() throws {
        let scene = try Lagging()
        let group = scene.group
        group.fate = { self.isChunk($0) ? .isHeld : .arrives }
        group.isolate()
        group.advance(by: .milliseconds(900))
        XCTAssertEqual(group.heldFrames.count, 2)
        XCTAssertEqual(scene.leaderHost.chunks.map(\.offset), [0, 100])
        // One by one: whenever one is acknowledged, the next one leaves.
        var most = 0
        while scene.host.replica?.metrics.checkpointsInstalled == 0, !group.heldFrames.isEmpty {
            let bytes = group.heldFrames.compactMap { frame -> Int? in
                guard let decoded = try? PeerFrame(decoding: frame.bytes, options: group.options.wire),
                    case .checkpointChunk(let chunk) = decoded.content
                else { return nil }
                return chunk.bytes.count
            }
            most = max(most, bytes.reduce(0, +))
            XCTAssertLessThanOrEqual(bytes.count, 2)
            group.deliverHeld()
        }
        XCTAssertEqual(most, 200, "the memory that a transfer takes is that of two chunks")
        XCTAssertEqual(scene.host.replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(scene.leaderHost.replica?.metrics.chunksRepeated, 0)
    }

    func testOthersAreServedWhileATransferRuns() throws {
        let scene = try Lagging()
        let group = scene.group
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.isolate()
        for number in 0..<20 {
            group.advance(by: .milliseconds(200))
            let write = group.write(scene.leader, "k", Bytes("\(number)"))
            group.advance(by: .milliseconds(20))
            XCTAssertEqual(scene.leaderHost.reply(to: write)?.isSuccess, true)
            XCTAssertEqual(group.host(scene.other).machine?.value(of: "k"), Bytes("\(number)"))
        }
        XCTAssertGreaterThan(scene.leaderHost.replica?.metrics.chunksRepeated ?? 0, 2)
        XCTAssertEqual(scene.host.replica?.metrics.checkpointsInstalled, 0)
        XCTAssertEqual(scene.leaderHost.replica?.raft.role, .leader, "and the late one follows it")
    }

    func testChunksAndAnswersMayBeLostDoubledAndOvertaken() throws {
        for seed in 1...8 as ClosedRange<UInt64> {
            var random = RandomSource(seed: seed)
            let scene = try Lagging()
            let group = scene.group
            group.fate = { frame in
                switch frame.content {
                case .checkpointChunk, .checkpointChunkResponse:
                    switch random.below(10) {
                    case 0..<2: .isLost
                    case 2..<4: .arrivesTwice
                    case 4..<7: .isHeld
                    default: .arrives
                    }
                default: .arrives
                }
            }
            group.isolate()
            for _ in 0..<1_000 where scene.host.replica?.metrics.checkpointsInstalled == 0 {
                group.advance(by: .milliseconds(50))
                group.deliverHeld { $0.reversed() }
            }
            XCTAssertEqual(scene.host.replica?.metrics.checkpointsInstalled, 1, "seed \(seed)")
            group.fate = { _ in .arrives }
            group.deliverHeld()
            group.advance(by: .seconds(1))
            XCTAssertEqual(try scene.host.digest(), try scene.leaderHost.digest(), "seed \(seed)")
            XCTAssertEqual(scene.host.replica?.metrics.transfersRefused, 0, "seed \(seed)")
        }
    }

    // MARK: The ends of a transfer

    func testALeaderThatIsDeposedInTheMiddleIsFollowedByTheNext() throws {
        let scene = try Lagging()
        let (group, host) = (scene.group, scene.host)
        var passed = 0
        group.fate = { frame in
            guard self.isChunk(frame) else { return .arrives }
            passed += 1
            return passed <= 3 ? .arrives : .isHeld
        }
        group.isolate()
        group.advance(by: .milliseconds(900))
        XCTAssertEqual(host.replica?.incoming?.received, 300)
        let first = try XCTUnwrap(host.replica?.incomingGeneration)
        group.expect(.quorumLost, of: scene.leader)
        group.isolate(scene.leader)
        group.fate = { _ in .arrives }
        let next = try group.elect()
        XCTAssertEqual(next, scene.other, "the late one has not the log for it")
        group.advance(by: .seconds(1))
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(host.replica?.generations.root?.generation, first + 1, "that of the second leader")
        XCTAssertEqual(try host.disk.mount().list("balsa/groups/1"), ["ROOT", "VOTE", "state-\(first + 1)"])
        group.isolate()
        group.advance(by: .milliseconds(200))
        XCTAssertEqual(scene.leaderHost.replica?.raft.role, .follower)
        XCTAssertEqual(scene.leaderHost.replica?.senders.count, 0, "who does not lead sends nothing")
        // What it had sent before comes at last.
        group.deliverHeld()
        group.advance(by: .seconds(2))
        XCTAssertEqual(try host.digest(), try group.host(next).digest())
        XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 1)
    }

    func testChunksOfALeaderOfThePastAreRefused() throws {
        let scene = try Lagging()
        let (group, host) = (scene.group, scene.host)
        group.isolate()
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.advance(by: .seconds(1))
        let term = try XCTUnwrap(host.replica?.raft.term)
        let checkpoint = try TestCheckpoint(position: LogPosition(term: 1, index: 90), stamp: 0, state: [("k", "old")])
        try group.receive(scene.late, from: scene.other, term: term - 1, .checkpointChunk(checkpoint.chunks(of: 50)[0]))
        XCTAssertNil(try XCTUnwrap(host.replica).incoming)
        guard case .checkpointChunkResponse(let response)? = host.sent.last?.content else {
            return XCTFail("the sender should be told")
        }
        XCTAssertEqual(response.status, .refused)
    }

    func testALateChunkOfATransferThatIsOverDisturbsNothing() throws {
        let group = ReplicaGroup(members: 3)
        try group.open(1)
        group.settle()
        let checkpoint = try TestCheckpoint(position: LogPosition(term: 1, index: 9), stamp: 0, state: [("k", "v")])
        let (old, new) = (try checkpoint.chunks(of: 30, transfer: 1), try checkpoint.chunks(of: 30, transfer: 2))
        for chunk in [old[0], old[1], new[0], old[2], old[1]] {
            try group.receive(1, from: 2, term: 1, .checkpointChunk(chunk))
        }
        XCTAssertEqual(group.host(1).replica?.incoming?.transfer, new[0].transfer)
        XCTAssertEqual(group.host(1).replica?.incoming?.received, 30)
        guard case .checkpointChunkResponse(let response)? = group.host(1).sent.last?.content else {
            return XCTFail("the sender should be told")
        }
        XCTAssertEqual(response.receivedByteCount, 0, "nothing is here of the transfer that is asked for")
        for chunk in new.dropFirst() { try group.receive(1, from: 2, term: 1, .checkpointChunk(chunk)) }
        XCTAssertEqual(group.host(1).replica?.incoming?.isComplete, true)
    }

    func testAReceiverThatWasRestartedGetsItAnew() throws {
        for powerLoss in [nil, 4] as [UInt64?] {
            let scene = try Lagging()
            let (group, host) = (scene.group, scene.host)
            var passed = 0
            group.fate = { frame in
                guard self.isChunk(frame) else { return .arrives }
                passed += 1
                return passed <= 3 ? .arrives : .isLost
            }
            group.isolate()
            group.advance(by: .milliseconds(900))
            XCTAssertEqual(host.replica?.incoming?.received, 300)
            group.crash(scene.late, powerLoss: powerLoss)
            try group.open(scene.late)
            XCTAssertEqual(
                try host.disk.mount().list("balsa/groups/1"),
                ["ROOT", "VOTE", "state-1"],
                "no part is left"
            )
            group.fate = { _ in .arrives }
            group.advance(by: .seconds(5))
            XCTAssertEqual(host.replica?.metrics.checkpointsInstalled, 1)
            XCTAssertEqual(try host.digest(), try scene.leaderHost.digest())
            // The leader is told that nothing of it is there, and does not wait until it gives the transfer up.
            XCTAssertEqual(scene.leaderHost.replica?.metrics.transfersFailed, 0)
        }
    }

    func testATransferWithoutProgressIsGivenUpAndBegunAnew() throws {
        let scene = try Lagging()
        let (group, leader) = (scene.group, scene.leaderHost)
        group.fate = { self.isChunk($0) ? .isLost : .arrives }
        group.isolate()
        group.advance(by: .seconds(29))
        XCTAssertEqual(leader.replica?.metrics.transfersStarted, 1)
        XCTAssertEqual(leader.replica?.metrics.transfersFailed, 0)
        group.advance(by: .seconds(35))
        XCTAssertEqual(leader.replica?.metrics.transfersFailed, 2)
        XCTAssertEqual(leader.replica?.metrics.transfersStarted, 3, "one at a time, each for 30 s")
        group.fate = { _ in .arrives }
        group.advance(by: .seconds(2))
        XCTAssertEqual(scene.host.replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(try scene.host.digest(), try leader.digest())
    }

    func testACompleteCheckpointIsNotSentTwice() throws {
        let scene = try Lagging()
        let (group, leader) = (scene.group, scene.leaderHost)
        group.fate = { self.isOffer($0) ? .isLost : .arrives }
        group.isolate()
        group.advance(by: .seconds(3))
        XCTAssertEqual(scene.host.replica?.incoming?.isComplete, true)
        let metrics = try XCTUnwrap(leader.replica?.metrics)
        XCTAssertGreaterThan(metrics.checkpointsSent, 2, "it is offered again and again")
        let chunks = leader.chunks.filter { $0.transfer.number == 1 }.count
        XCTAssertGreaterThan(chunks, 4)
        XCTAssertEqual(
            metrics.chunksSent,
            chunks + 2 * (metrics.checkpointsSent - 1),
            "the first window of each says it"
        )
        group.fate = { _ in .arrives }
        group.advance(by: .seconds(1))
        XCTAssertEqual(scene.host.replica?.metrics.checkpointsInstalled, 1)
        XCTAssertEqual(try scene.host.digest(), try leader.digest())
    }

    func testALostLastAnswerIsGivenAgain() throws {
        let scene = try Lagging()
        let group = scene.group
        var losses = 3
        group.fate = { frame in
            guard losses > 0, case .checkpointChunkResponse(let response) = frame.content, response.status == .complete
            else { return .arrives }
            losses -= 1
            return .isLost
        }
        group.isolate()
        group.advance(by: .seconds(8))
        XCTAssertEqual(losses, 0)
        XCTAssertEqual(scene.leaderHost.replica?.metrics.transfersStarted, 1)
        XCTAssertEqual(scene.host.replica?.metrics.checkpointsInstalled, 1)
    }
}
