import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import XCTest

@testable import Balsa

/// Seals of the state: when they come, what becomes of the log behind them, and what is replayed.
final class SealTests: ReplicaTestCase {
    private let noSpace = StateMachineError("full", file: FileError(.write, "balsa/groups/1/state-1/draft", .noSpace))

    /// A group of one that seals after 4 KiB of log and keeps three entries behind a seal.
    private func started(_ change: (ReplicaGroup) -> Void = { _ in }) throws -> (ReplicaGroup, ReplicaHost) {
        let group = ReplicaGroup(members: 1)
        group.options.sealStateAfterBytes = 4_096
        group.options.entriesKeptBehindSeal = 3
        change(group)
        _ = try group.start()
        return (group, group.host(1))
    }

    // MARK: When

    func testTheStateIsSealedByTheBytesOfTheLog() throws {
        let (group, host) = try started()
        var bytesAtSeal: [UInt64] = []
        for _ in 0..<60 {
            let before = host.replica?.metrics.seals
            group.writeMany(1, 1)
            if host.replica?.metrics.seals != before { bytesAtSeal.append(host.replica?.logMetrics.bytes ?? 0) }
        }
        XCTAssertGreaterThan(bytesAtSeal.count, 2)
        for (earlier, later) in zip(bytesAtSeal, bytesAtSeal.dropFirst()) {
            // Give or take a frame, which may have been handed out before or behind the seal.
            XCTAssertGreaterThan(later - earlier, 4_096 - 512)
            XCTAssertLessThan(later - earlier, 4_096 + 512)
        }
    }

    func testTheStateIsSealedWhenTheStateMachineIsFull() throws {
        let (group, host) = try started {
            $0.options.sealStateAfterBytes = .max
            $0.host(1).provider.sealAfterBytes = 1_000
        }
        group.writeMany(1, 20)
        XCTAssertGreaterThan(host.replica?.metrics.seals ?? 0, 1)
        XCTAssertEqual(try XCTUnwrap(host.machine).durable.position, try XCTUnwrap(host.replica).sealed)
    }

    func testTheStateIsSealedByTimeButOnlyIfAnythingWasApplied() throws {
        let (group, host) = try started { $0.options.sealStateAfter = .seconds(5) }
        group.advance(by: .seconds(6))
        XCTAssertEqual(host.replica?.metrics.seals, 1, "the empty entry of the term")
        group.advance(by: .seconds(60))
        XCTAssertEqual(host.replica?.metrics.seals, 1)
        group.write(1, "k", "v")
        group.advance(by: .milliseconds(4_900))
        XCTAssertEqual(host.replica?.metrics.seals, 1)
        group.advance(by: .milliseconds(200))
        XCTAssertEqual(host.replica?.metrics.seals, 2)
        XCTAssertEqual(host.machine?.durable.position.index, 2)
    }

    /// A flush of a few entries makes a short table, which is merged with others again and again.
    func testTheState_whereLittleIsWritten_isSealedEveryTenMinutes_orAMinuteAfterTheMachineWantsItSoon() throws {
        let (group, host) = try started { $0.options.sealStateAfterBytes = .max }
        group.advance(by: .seconds(700))
        XCTAssertEqual(host.replica?.metrics.seals, 1, "the empty entry of the term")
        for _ in 0..<59 {
            group.write(1, "k", "v")
            group.advance(by: .seconds(10))
        }
        XCTAssertEqual(host.replica?.metrics.seals, 1)
        group.advance(by: .seconds(11))
        XCTAssertEqual(host.replica?.metrics.seals, 2)
        group.write(1, "k", "w")
        group.advance(by: .seconds(100))
        XCTAssertEqual(host.replica?.metrics.seals, 2)
        host.provider.wantsSealSoon = true
        group.write(1, "k", "x")
        group.advance(by: .seconds(59))
        XCTAssertEqual(host.replica?.metrics.seals, 2)
        group.advance(by: .seconds(2))
        XCTAssertEqual(host.replica?.metrics.seals, 3)
        XCTAssertEqual(host.machine?.durable.position, host.replica?.sealed)
    }

    /// Each opening is short, and writes less than is sealed after.
    func testTheStateIsSealed_afterManyShortOpenings_byTheBytesThatAllHaveWritten() throws {
        let (group, host) = try started { $0.options.sealStateAfterBytes = 16_384 }
        var seals = 0
        for round in 0..<150 {
            group.writeMany(1, 1)
            XCTAssertLessThan(try XCTUnwrap(host.replica).logMetrics.bytes, 16_384, "one opening alone seals nothing")
            seals += host.replica?.metrics.seals ?? 0
            let unsealed = try XCTUnwrap(host.replica).log.liveBytes
            XCTAssertLessThan(unsealed, 64 << 10, "in round \(round)")
            group.crash(1, powerLoss: nil)
            try group.open(1)
            _ = try group.elect()
        }
        XCTAssertGreaterThan(seals, 2)
    }

    // MARK: The log

    func testTheLogIsDroppedBehindADurableSealAndTheReplicaOpensFromIt() throws {
        let (group, host) = try started()
        group.writeMany(1, 60)
        let durable = try XCTUnwrap(host.machine?.durable)
        XCTAssertGreaterThan(durable.position.index, 30)
        XCTAssertEqual(host.replica?.raft.log.base.index, durable.position.index - 3, "three entries are kept")
        XCTAssertEqual(host.replica?.metrics.entriesDropped, durable.position.index - 3)
        XCTAssertEqual(try host.disk.mount().list("balsa/groups/1"), ["ROOT", "VOTE", "state-1"])
        let digest = try host.digest()

        group.crash(1, powerLoss: 3)
        try group.open(1)
        _ = try group.elect()
        let read = group.read(1, "k4")
        group.settle()
        XCTAssertEqual(host.machine?.appliedIndexes.first, durable.position.index + 1, "replay begins behind the seal")
        XCTAssertEqual(host.machine?.appliedIndexes, Array(durable.position.index + 1...62), "and leaves nothing out")
        XCTAssertEqual(try host.digest(), digest)
        XCTAssertEqual(host.values[read]?.hasPrefix("59-"), true)
    }

    func testTheLogIsNotDroppedBeforeTheSealIsDurable() throws {
        let (group, host) = try started()
        host.holdsWork = true
        group.writeMany(1, 60)
        XCTAssertGreaterThan(host.replica?.metrics.seals ?? 0, 1)
        XCTAssertEqual(host.machine?.durable, .zero)
        XCTAssertEqual(host.replica?.raft.log.base, .zero)
        // Power goes: all of the log is there to be applied again.
        group.crash(1, powerLoss: 8)
        host.holdsWork = false
        try group.open(1)
        _ = try group.elect()
        XCTAssertEqual(host.machine?.appliedIndexes, Array(1...62))
        XCTAssertEqual(host.machine?.value(of: "k4"), host.provider.opened[0].machine.value(of: "k4"))
    }

    func testWhileTheLogIsOverItsBoundNothingIsKeptBehindTheSeal() throws {
        let (group, host) = try started {
            $0.options.sealStateAfterBytes = .max
            $0.options.entriesKeptBehindSeal = 1_000
            $0.options.log.boundBytes = 8_192
        }
        group.writeMany(1, 150)
        XCTAssertGreaterThan(host.replica?.raft.log.base.index ?? 0, 100, "it is sealed for the bound alone")
    }

    /// However long the bound is passed, the log holds what no durable seal covers.
    func testTheBoundDoesNotWinOverWhatIsNotDurable() throws {
        let (group, host) = try started { $0.options.log.boundBytes = 8_192 }
        host.holdsWork = true
        group.writeMany(1, 150)
        XCTAssertEqual(host.replica?.raft.log.base, .zero)
        XCTAssertLessThan(try XCTUnwrap(host.machine).pending.count, 15, "and it is not sealed with every entry")
        group.releaseWork(1)
        group.writeMany(1, 1)
        XCTAssertGreaterThan(host.replica?.raft.log.base.index ?? 0, 100)
    }

    func testToKeepEverythingIsAWishThatCanBeHad() throws {
        let (group, host) = try started()
        group.writeMany(1, 60)
        let base = try XCTUnwrap(host.replica?.raft.log.base)
        XCTAssertGreaterThan(base.index, 10)
        group.crash(1, powerLoss: nil)
        group.options.entriesKeptBehindSeal = .max
        try group.open(1)
        _ = try group.elect()
        group.writeMany(1, 60)
        XCTAssertGreaterThan(host.machine?.durable.position.index ?? 0, 80)
        XCTAssertEqual(host.replica?.raft.log.base, base)
    }

    // MARK: Work

    func testWorkThatFindsNoSpaceIsTriedAgainAndNothingIsLost() throws {
        let (group, host) = try started()
        host.provider.workFailures = [noSpace, noSpace]
        group.writeMany(1, 30)
        XCTAssertNil(try XCTUnwrap(host.replica).failure)
        XCTAssertEqual(host.replica?.metrics.workFailed, 1, "the second attempt comes later")
        XCTAssertEqual(host.machine?.durable, .zero)
        let write = group.write(1, "k", "v")
        group.settle()
        XCTAssertEqual(host.reply(to: write), .written(32), "it goes on meanwhile")
        group.advance(by: .milliseconds(110))
        XCTAssertEqual(host.replica?.metrics.workFailed, 2)
        group.advance(by: .milliseconds(110))
        XCTAssertEqual(try XCTUnwrap(host.machine).durable.position, try XCTUnwrap(host.replica).sealed)
        XCTAssertEqual(host.machine?.pending.count, 0)
        XCTAssertGreaterThan(host.replica?.raft.log.base.index ?? 0, 5)
    }

    func testWorkThatFailsOtherwiseIsDamageAndStopsTheReplica() throws {
        let (group, host) = try started()
        host.provider.workFailures = [StateMachineError("a table is damaged")]
        group.expect(.failed(.stateMachine), of: 1)
        group.writeMany(1, 30)
        XCTAssertEqual(host.replica?.failure?.code, .stateMachine)
        XCTAssertEqual(host.replica?.failure?.message, "a table is damaged")
    }

    func testASealThatFailsStopsTheReplica() throws {
        let (group, host) = try started()
        host.provider.sealFailure = StateMachineError("no memory")
        group.expect(.failed(.stateMachine), of: 1)
        group.writeMany(1, 30)
        XCTAssertEqual(host.replica?.failure?.message, "no memory")
        XCTAssertEqual(host.open, [], "and everybody is answered")
    }

    func testAnOverloadedStateMachineIsGivenNothingAndThenGoesOn() throws {
        let (group, host) = try started {
            $0.host(1).provider.sealAfterBytes = 500
            $0.host(1).provider.maxPendingSeals = 2
        }
        host.holdsWork = true
        group.writeMany(1, 30)
        let applied = try XCTUnwrap(host.replica?.appliedIndex)
        XCTAssertLessThan(applied, 20)
        XCTAssertEqual(host.machine?.pending.count, 2)
        XCTAssertEqual(host.replica?.commitIndex, 31, "commands are taken all the same")
        let waiting = group.read(1, "k4")
        group.settle()
        XCTAssertNil(host.reply(to: waiting), "its state is not there yet")
        group.releaseWork(1)
        XCTAssertEqual(host.replica?.appliedIndex, 31)
        XCTAssertEqual(host.values[waiting]?.hasPrefix("29-"), true)
        XCTAssertEqual(host.open, [])
        XCTAssertEqual(host.machine?.appliedIndexes, Array(1...31))
    }

    /// It is full behind every single entry, and more than one of them is applied in a step.
    func testAStateMachineMayStopWithinAPage() throws {
        let (group, host) = try started {
            $0.options.sealStateAfterBytes = .max
            $0.host(1).provider.sealAfterBytes = 1
        }
        let requests = group.submit(1, (0..<10).map { ("k", Bytes("\($0)"), nil) })
        group.settle()
        XCTAssertEqual(requests.map { host.reply(to: $0) }, (2...11).map { .written($0) }, "each is told its own")
        XCTAssertEqual(host.machine?.appliedIndexes, Array(1...11))
        XCTAssertEqual(host.replica?.metrics.seals, 11)
        XCTAssertEqual(host.machine?.durable.position.index, 11)

        // Where it is overloaded on the way, it goes on with the next entry and not with the next page.
        host.provider.maxPendingSeals = 3
        host.holdsWork = true
        group.submit(1, (0..<10).map { ("k", Bytes("\($0)"), nil) })
        group.settle()
        XCTAssertEqual(host.replica?.appliedIndex, 14)
        group.releaseWork(1)
        XCTAssertEqual(host.machine?.appliedIndexes, Array(1...21))
        XCTAssertEqual(host.open, [])
    }

    /// The time for a seal comes while the state machine takes nothing. The replica must wait for the work, not for the clock.
    func testASealThatIsDueWhileTheStateMachineIsOverloadedWaitsForTheWork() throws {
        let (group, host) = try started {
            $0.options.sealStateAfter = .milliseconds(500)
            $0.options.sealStateAfterBytes = .max
            $0.host(1).provider.maxPendingSeals = 1
        }
        host.holdsWork = true
        group.write(1, "k", "v")
        group.advance(by: .seconds(1))
        XCTAssertEqual(host.machine?.pending.count, 1)
        let write = group.write(1, "k", "w")
        group.advance(by: .seconds(2))
        XCTAssertNil(host.reply(to: write))
        group.releaseWork(1)
        XCTAssertEqual(host.reply(to: write), .written(3))
        group.advance(by: .seconds(1))
        XCTAssertEqual(host.machine?.durable.position.index, 3)
    }

    /// A page of entries at a time, so that a seal can come in between: after a restart all of the log may be waiting.
    func testAReplayIsSealedOnItsWay() throws {
        let (group, host) = try started { $0.options.applyPageBytes = 600 }
        host.holdsWork = true
        group.writeMany(1, 40)
        group.crash(1, powerLoss: nil)
        host.holdsWork = false
        host.provider.sealAfterBytes = 1_200
        try group.open(1)
        _ = try group.elect()
        XCTAssertGreaterThan(host.replica?.metrics.seals ?? 0, 2)
        XCTAssertEqual(host.machine?.appliedIndexes, Array(1...42))
    }
}
