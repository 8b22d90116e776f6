import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// What may not be said before something is durable, and what happens when it cannot become durable.
final class ReplicaDurabilityTests: ReplicaTestCase {
    func testNothingIsAcknowledgedBeforeItsLogWriteIsReported() throws {
        let group = ReplicaGroup(members: 1)
        _ = try group.start()
        group.host(1).holdsWrites = true
        let write = group.write(1, "k", "v")
        group.advance(by: .milliseconds(200))
        XCTAssertNil(group.host(1).reply(to: write))
        XCTAssertNil(group.host(1).machine?.value(of: "k"))
        XCTAssertEqual(group.host(1).held.filter { !$0.isVote }.count, 1)
        group.releaseWrites(1)
        XCTAssertEqual(group.host(1).reply(to: write), .written(2))
    }

    func testFollowersAcknowledgeOnlyWhatIsDurableOnThem() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        group.advance(by: .milliseconds(100))
        let followers = group.hosts.filter { $0.id != leader }
        for host in followers { host.holdsWrites = true }
        let write = group.write(leader, "k", "v")
        group.settle()
        XCTAssertEqual(group.host(leader).replica?.commitIndex, 1, "it is durable on the leader alone")
        XCTAssertNil(group.host(leader).reply(to: write))
        group.releaseWrites(followers[0].id)
        XCTAssertEqual(group.host(leader).reply(to: write), .written(2), "two of three are a majority")
        XCTAssertFalse(followers[1].held.isEmpty)
    }

    func testWhatWasAcknowledgedSurvivesAPowerLoss() throws {
        for salt in 0..<20 as Range<UInt64> {
            let group = ReplicaGroup(members: 1)
            _ = try group.start()
            let write = group.write(1, "k", "v")
            group.settle()
            XCTAssertEqual(group.host(1).reply(to: write), .written(2))
            group.host(1).holdsWrites = true
            group.write(1, "k", "unacknowledged")
            group.settle()
            group.crash(1, powerLoss: salt)
            group.host(1).holdsWrites = false
            try group.open(1)
            _ = try group.elect()
            let read = group.read(1, "k")
            group.settle()
            XCTAssertEqual(group.host(1).values[read], "v", "salt \(salt): what was held was never written")
        }
    }

    /// Two members that have synced a command are a majority: it outlives a power loss of all, and the loss of any one
    /// of them.
    func testAnAcknowledgedWrite_whenAllLosePowerAndOneMemberIsLost_isStillThere() throws {
        for lost in 1...3 as ClosedRange<MemberID> {
            for salt in 0..<4 as Range<UInt64> {
                let label = "member \(lost) is lost, salt \(salt)"
                let group = ReplicaGroup(members: 3)
                let leader = try group.start()
                group.advance(by: .milliseconds(100))
                let slow = group.host(leader % 3 + 1)
                slow.holdsWrites = true
                let write = group.write(leader, "k", "v")
                group.settle()
                XCTAssertEqual(group.host(leader).reply(to: write), .written(2), label)
                XCTAssertFalse(slow.held.isEmpty, "\(label): one member has not synced it")
                for host in group.hosts { group.crash(host.id, powerLoss: salt * 3 + host.id) }
                slow.holdsWrites = false
                for host in group.hosts where host.id != lost { try group.open(host.id) }
                _ = try group.elect()
                for host in group.hosts where host.id != lost {
                    let read = group.read(host.id, "k")
                    group.advance(by: .milliseconds(200))
                    XCTAssertEqual(host.values[read], "v", "\(label): read from member \(host.id)")
                }
            }
        }
    }

    /// A candidate's vote for itself is durable in both copies before it asks anybody.
    func testACandidateWritesItsVoteInTwoHalvesBeforeItAsks() throws {
        let group = ReplicaGroup(members: 3)
        for host in group.hosts { try group.open(host.id) }
        for host in group.hosts { host.holdsWrites = true }
        var candidate: ReplicaHost?
        while candidate == nil, group.now < Instant(nanoseconds: 5_000_000_000) {
            group.advance(by: .milliseconds(10))
            candidate = group.hosts.first { !$0.held.isEmpty }
        }
        let host = try XCTUnwrap(candidate)
        XCTAssertEqual(host.replica?.raft.role, .candidate)
        XCTAssertTrue(host.held.map(\.isVote) == [true], "the second half waits for the first")
        XCTAssertEqual(host.held.first?.write.offset, 0)
        XCTAssertFalse(host.saysSomethingOf(term: 1))
        group.releaseWrite(host.id)
        XCTAssertTrue(host.held.map(\.isVote) == [true])
        XCTAssertEqual(host.held.first?.write.offset, 4_096)
        XCTAssertFalse(host.saysSomethingOf(term: 1), "one copy is not enough")
        group.releaseWrite(host.id)
        XCTAssertTrue(host.saysSomethingOf(term: 1))

        // The voters write theirs before they answer.
        let voter = try XCTUnwrap(group.hosts.first { $0.id != host.id })
        XCTAssertTrue(voter.held.map(\.isVote) == [true])
        XCTAssertFalse(voter.saysSomethingOf(term: 1))
        group.releaseWrite(voter.id)
        XCTAssertFalse(voter.saysSomethingOf(term: 1))
        group.releaseWrite(voter.id)
        XCTAssertTrue(voter.saysSomethingOf(term: 1))
        XCTAssertEqual(host.replica?.raft.role, .leader)
    }

    /// An entry that were durable without its term could be followed by another of the same term after a crash.
    func testTheVoteIsDurableBeforeTheFirstEntryOfItsTermIsWritten() throws {
        let group = ReplicaGroup(members: 1)
        group.host(1).holdsWrites = true
        try group.open(1)
        group.settle()
        XCTAssertEqual(group.host(1).held.map(\.isVote), [true])
        group.releaseWrite(1)
        XCTAssertEqual(group.host(1).held.map(\.isVote), [true])
        group.releaseWrite(1)
        group.settle()
        XCTAssertEqual(group.host(1).held.map(\.isVote), [false])
    }

    func testAFailedLogWriteStopsTheReplicaAndAnswersEverybody() throws {
        let group = ReplicaGroup(members: 3)
        let leader = try group.start()
        let host = group.host(leader)
        group.expect(.persistFailed, .failed(.file), of: leader)
        group.advance(by: .milliseconds(100))
        group.isolate(leader)
        host.holdsWrites = true
        let write = group.write(leader, "k", "v")
        let read = group.read(leader, "k")
        let held = try XCTUnwrap(host.held.first { !$0.isVote })
        group.step(leader, .writeFailed(held, FileError(.sync, held.write.file.path, .inputOutput)))
        let failure = try XCTUnwrap(host.replica?.failure)
        XCTAssertEqual(failure.code, .file)
        XCTAssertTrue(failure.message.contains(held.write.file.path), failure.message)
        XCTAssertEqual(host.reply(to: write), .failed(.unknown, .failed), "it may be on the disk, and on others'")
        XCTAssertEqual(host.reply(to: read), .failed(.notApplied, .failed))

        let (sent, writes) = (host.sent.count, host.held.count)
        let late = group.write(leader, "k", "w")
        let lateRead = group.read(leader, "k")
        group.step(leader, .written(held))
        group.isolate()
        group.advance(by: .seconds(2))
        XCTAssertEqual(host.reply(to: late), .failed(.notApplied, .failed))
        XCTAssertEqual(host.reply(to: lateRead), .failed(.notApplied, .failed))
        XCTAssertEqual(host.sent.count, sent, "it says nothing any more")
        XCTAssertEqual(host.held.count, writes, "and writes nothing")
        XCTAssertEqual(host.replies.count, 4)

        // The others go on without it, and opened again it takes part.
        XCTAssertEqual(group.hosts.count { $0.replica?.raft.role == .leader && $0.id != leader }, 1)
        group.crash(leader, powerLoss: nil)
        host.holdsWrites = false
        try group.open(leader)
        group.advance(by: .seconds(2))
        XCTAssertEqual(try host.digest(), try group.host(leader % 3 + 1).digest())
    }

    func testAFailedVoteWriteStopsTheReplicaBeforeItPromisesAnything() throws {
        let group = ReplicaGroup(members: 1)
        group.expect(.persistFailed, .failed(.file), of: 1)
        group.host(1).holdsWrites = true
        try group.open(1)
        group.settle()
        let vote = try XCTUnwrap(group.host(1).held.first)
        group.step(1, .writeFailed(vote, FileError(.write, vote.write.file.path, .noSpace)))
        XCTAssertTrue(group.host(1).replica?.failure?.message.contains("VOTE") ?? false)
        let write = group.write(1, "k", "v")
        XCTAssertEqual(group.host(1).reply(to: write), .failed(.notApplied, .failed))
    }

    /// Whatever is held, cut off, waited for and crashed: what a living replica was asked, it answers once. The group checks
    /// with every answer that it is the first.
    func testEveryRequestIsAnsweredExactlyOnce() throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            var random = RandomSource(seed: seed)
            let group = ReplicaGroup(members: 3)
            group.options.sealStateAfterBytes = 4_096
            group.options.entriesKeptBehindSeal = 5
            group.options.chunkBytes = 200
            // Which member leads while it is cut off or its writes are held, the seed decides.
            group.allow(.persistStalled, .quorumLost)
            _ = try group.start()
            var number: UInt64 = 0
            for _ in 0..<250 {
                let id = UInt64(random.draw(1...3))
                number += 1
                // Names come again, so that the same one is asked for at several members.
                let name = CommandIdentity(session: random.below(2), number: number / 3)
                let span = TimeSpan.milliseconds(random.below(2_000))
                switch random.below(22) {
                case 0..<7: group.write(id, "k", Bytes("\(random.next())"), as: name, within: span)
                case 7..<9: group.read(id, "k", within: span)
                case 9: group.read(id, "k", .atLeast(random.below(200)), within: span)
                case 10: group.read(id, "k", .local, within: span)
                case 11..<16: group.advance(by: .milliseconds(random.below(200)))
                case 16: group.isolate(id)
                case 17: group.isolate()
                case 18: group.host(id).holdsWrites ? group.releaseWrites(id) : (group.host(id).holdsWrites = true)
                case 19: group.host(id).holdsWork ? group.releaseWork(id) : (group.host(id).holdsWork = true)
                case 20: group.fate = { _ in random.chance(1, in: 20) ? .isLost : .arrives }
                default:
                    group.crash(id, powerLoss: random.chance(1, in: 2) ? random.next() : nil)
                    group.host(id).holdsWrites = false
                    group.host(id).holdsWork = false
                    try group.open(id)
                }
            }
            for host in group.hosts { group.step(host.id, .close) }
            group.settle()
            for host in group.hosts { XCTAssertEqual(host.open, [], "seed \(seed), member \(host.id)") }
            XCTAssertTrue(group.hosts.contains { $0.replies.contains { $0.reply.isSuccess } })
        }
    }

    /// Damage to the last frame of a log looks like a write that a crash has torn, until a seal behind it shows that it was
    /// whole. Who closes in order does not leave that open.
    func testAMemberThatClosesSealsItsLog() throws {
        let group = ReplicaGroup(members: 1)
        _ = try group.start()
        group.write(1, "k", "v")
        group.step(1, .close)
        // No time passes.
        group.settle()
        let replica = try XCTUnwrap(group.host(1).replica)
        XCTAssertFalse(replica.log.hasStaged)
        XCTAssertFalse(replica.log.needsSeal, "the last frame is a seal")
    }

    /// The seal may have no place but the next segment, which somebody has to make.
    func testAMemberThatClosesMakesTheSegmentThatItsSealNeeds() throws {
        var made = 0
        // Frames of all lengths, so that some fill a segment to its end.
        for (count, length) in (0..<9).flatMap({ count in (0..<10).map { (count, 32 * $0) } }) {
            let group = ReplicaGroup(members: 1)
            group.options.log.sparesWanted = 0
            _ = try group.start()
            for _ in 0..<count {
                group.write(1, "k", Bytes(String(repeating: "x", count: length)))
                group.settle()
            }
            let replica = try XCTUnwrap(group.host(1).replica)
            let before = replica.logMetrics.segmentsCreated
            group.step(1, .close)
            group.settle()
            XCTAssertFalse(replica.log.hasStaged)
            XCTAssertFalse(replica.log.needsSeal, "after \(count) writes of \(length) bytes")
            if replica.logMetrics.segmentsCreated > before { made += 1 }
        }
        XCTAssertGreaterThan(made, 0)
    }

    /// What is under way ends; what could be done afterwards is for the next opening.
    func testAMemberThatClosesBeginsNothingInTheBackground() throws {
        let group = ReplicaGroup(members: 1)
        group.options.log.sparesWanted = 5
        group.host(1).provider.sealAfterBytes = 300
        try group.open(1)
        let replica = try XCTUnwrap(group.host(1).replica)
        let created = replica.logMetrics.segmentsCreated
        group.step(1, .close)
        group.settle()
        XCTAssertEqual(replica.logMetrics.segmentsCreated, created + 1, "the one that was being made")

        group.crash(1, powerLoss: nil)
        let host = group.host(1)
        host.holdsWork = true
        _ = try group.start()
        group.writeMany(1, 20)
        let machine = try XCTUnwrap(host.machine)
        let waiting = machine.pending.count
        XCTAssertGreaterThan(waiting, 2)
        XCTAssertEqual(host.heldWork.count, 1)
        group.step(1, .close)
        group.releaseWork(1)
        XCTAssertEqual(machine.pending.count, waiting - 1)
        XCTAssertTrue(machine.hasWork)
        XCTAssertFalse(try XCTUnwrap(host.replica).log.needsSeal)
    }
}

extension ReplicaHost {
    /// Whether a message of a term has left.
    fileprivate func saysSomethingOf(term: Term) -> Bool { messages.contains { $0.term == term } }
}
