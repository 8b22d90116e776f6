import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// Copies of VOTE, BOOT and the log that were made during the latest opening are put back once the member has stopped.
///
/// The member refuses a copy that has forgotten something, but for what `Docs/IdentityFormat.md` excepts.
final class CopiesWithinAnOpeningTests: XCTestCase {
    private let vote = "m/groups/1/VOTE"
    private let boot = "m/BOOT"
    private let log = "m/log"
    private let incarnations = (1...3 as ClosedRange<UInt64>).map { UniqueID(high: $0, low: $0 * 11) }
    private let cluster = UniqueID(high: 5, low: 5)

    /// The directory of member 1 of three that has never been opened since it belongs to their cluster.
    private func formed() throws -> SimulatedDisk {
        let rows = incarnations.enumerated().map {
            MemberTable.Row(member: MemberID($0 + 1), incarnation: $1, address: "a:\($0 + 1)")
        }
        let identity = Identity(
            member: 1,
            incarnation: incarnations[0],
            state: .established(ClusterIdentity(id: cluster, table: try MemberTable(rows)))
        )
        var record = BootRecord(incarnation: incarnations[0])
        record.bump(nonce: 71)
        let disk = SimulatedDisk()
        let files = disk.mount()
        try files.createDirectory("m")
        for (name, bytes) in [("m/IDENTITY", try identity.encoded()), (boot, try record.encoded())] {
            let file = try files.open(name, .create)
            try file.write(TwinFile.encoded(bytes), at: 0)
            try file.sync()
        }
        try files.syncDirectory("m")
        try files.syncDirectory(".")
        return disk
    }

    private func open(_ disk: SimulatedDisk, seed: UInt64 = 9) throws(ReplicaError) -> LoneMember {
        try LoneMember(disk.mount(), seed: seed, members: [1, 2, 3])
    }

    /// What a member has promised and must not forget.
    private struct Promises: Equatable {
        var state: HardState
        var last: LogPosition
        var peers: [BootRecord.Peer]
    }

    private func promises(_ member: LoneMember, _ disk: SimulatedDisk) throws -> Promises {
        let replica = try XCTUnwrap(member.member.replica)
        return Promises(
            state: replica.vote.state,
            last: replica.log.last(1),
            peers: try TwinFile.boot(Bytes(try XCTUnwrap(disk.contents(of: boot)))).peers
        )
    }

    private func introduction(_ peer: MemberID, opening: UInt64) -> Introduction {
        Introduction(
            cluster: cluster,
            from: peer,
            to: 1,
            incarnation: incarnations[Int(peer) - 1],
            boot: opening,
            nonces: (1...opening).reversed().map { 100 * peer + $0 }
        )
    }

    private func append(_ member: LoneMember, from peer: MemberID, term: Term, _ indexes: ClosedRange<UInt64>) throws {
        let last = try XCTUnwrap(member.member.replica).log.last(1)
        var builder = EntryBatch.Builder(group: 1, previous: last, capacityBytes: 1_000)
        for _ in indexes { builder.append(term: term, stamp: 1, kind: .noOp, payload: Bytes()) }
        let entries = builder.finish()
        let range = EntryRange(first: entries.firstIndex, last: entries.last)
        let append = Append(previous: last, entries: range, commit: 0)
        try member.receive(from: peer, term: term, .message(.append(append), entries: entries))
    }

    /// A question for a vote that is not withheld, though the member has just been opened.
    private func request() -> VoteRequest {
        var request = VoteRequest(last: .zero, campaign: 1)
        request.flags = VoteRequest.transferFlag
        return request
    }

    /// A moment of the latest opening.
    private struct Moment {
        var name: String
        var image: DiskImage
        var promises: Promises
    }

    /// Opens the member, lets it vote, acknowledge entries and listen to peers, and notes what there was to copy.
    ///
    /// - Parameters:
    ///   - rests: whether it rests behind each change, so that the log is sealed.
    ///   - votesLast: whether it gives a vote at the end, behind which no entry tells its term.
    private func live(
        _ disk: SimulatedDisk,
        rests: Bool,
        votesLast: Bool
    ) throws -> (member: LoneMember, moments: [Moment]) {
        let member = try open(disk, seed: 2)
        var moments: [Moment] = []
        func note(_ name: String) throws {
            if rests { member.rest() }
            moments.append(Moment(name: name, image: disk.snapshot(), promises: try promises(member, disk)))
        }
        try note("opened")
        XCTAssertTrue(member.connect(introduction(2, opening: 3)))
        try note("listened to 2")
        try member.receive(from: 2, term: 5, .message(.voteRequest(request()), entries: nil))
        XCTAssertEqual(member.member.replica?.vote.state, HardState(term: 5, vote: 2))
        try note("voted for 2")
        try append(member, from: 2, term: 5, 1...2)
        XCTAssertEqual(member.member.replica?.log.last(1).index, 2)
        try note("acknowledged 1 and 2")
        XCTAssertTrue(member.connect(introduction(3, opening: 2)))
        try note("listened to 3")
        let heartbeat = Heartbeat(round: 1, sentAt: .zero, commit: 0)
        try member.receive(from: 3, term: 6, .message(.heartbeat(heartbeat), entries: nil))
        XCTAssertEqual(member.member.replica?.vote.state.term, 6)
        try note("followed 3")
        try append(member, from: 3, term: 6, 3...4)
        XCTAssertEqual(member.member.replica?.log.last(1).index, 4)
        try note("acknowledged 3 and 4")
        guard votesLast else { return (member, moments) }
        var last = request()
        last.last = try XCTUnwrap(member.member.replica).log.last(1)
        try member.receive(from: 3, term: 7, .message(.voteRequest(last), entries: nil))
        XCTAssertEqual(member.member.replica?.vote.state, HardState(term: 7, vote: 3))
        try note("voted for 3")
        return (member, moments)
    }

    private enum Outcome: Equatable {
        case refused(String)
        case hasForgotten
        case intact
    }

    /// What becomes of a stopped member with copies of a moment. One that is refused opens once the files that the
    /// sentence names are back.
    private func outcome(
        _ stopped: DiskImage,
        _ files: [String],
        of moment: Moment,
        _ last: Promises
    ) throws -> Outcome {
        let disk = SimulatedDisk(stopped)
        for file in files { disk.replace(file, from: moment.image) }
        disk.processCrash()
        let digest = disk.contentDigest
        let member: LoneMember
        do throws(ReplicaError) { member = try open(disk) } catch {
            disk.processCrash()
            XCTAssertEqual(disk.contentDigest, digest, "\(moment.name): refused, and a byte has changed")
            XCTAssertEqual(error.code, .damaged)
            let named = files.filter { error.message.contains("put \($0) back") }
            XCTAssertEqual(named.count, 1, "\(moment.name), \(files): \(error)")
            for file in files { disk.replace(file, from: stopped) }
            disk.processCrash()
            XCTAssertEqual(try promises(try open(disk), disk), last, moment.name)
            return .refused(error.message)
        }
        return try promises(member, disk) == last ? .intact : .hasForgotten
    }

    /// All outcomes of one way to stop, by the files that were put back and the moment of the copy.
    private func outcomes(
        isClosed: Bool,
        rests: Bool,
        votesLast: Bool = false
    ) throws -> [[String]: [(moment: Moment, Outcome)]] {
        let disk = try formed()
        try open(disk, seed: 1).close()
        disk.processCrash()
        let (member, moments) = try live(disk, rests: rests, votesLast: votesLast)
        if isClosed { member.close() }
        let last = try promises(member, disk)
        disk.processCrash()
        let stopped = disk.snapshot()
        var all: [[String]: [(moment: Moment, Outcome)]] = [:]
        for files in [[vote], [boot], [log], [vote, log], [vote, log, boot]] {
            all[files] = try moments.map { ($0, try outcome(stopped, files, of: $0, last)) }
        }
        // All but the last moment have forgotten something that one of the files holds.
        XCTAssertEqual(all[[vote, log, boot]]?.last?.1, .intact)
        return all
    }

    func testOneFile_copiedDuringTheLatestOpening_isRefusedAfterAnOrderlyStop() throws {
        for (rests, votesLast) in [(true, false), (false, false), (true, true), (false, true)] {
            let all = try outcomes(isClosed: true, rests: rests, votesLast: votesLast)
            var refused = 0
            for file in [vote, boot, log] {
                for (moment, outcome) in try XCTUnwrap(all[[file]]) {
                    XCTAssertNotEqual(outcome, .hasForgotten, "\(file), copied when it had \(moment.name)")
                    if case .refused = outcome { refused += 1 }
                }
            }
            // VOTE before it followed or voted for the last time, BOOT before it had listened to 3, the log but for
            // its end.
            let ofLog = votesLast && rests ? 7 : 6
            XCTAssertEqual(refused, (votesLast ? 7 : 5) + 4 + ofLog, "rests \(rests), votes last \(votesLast)")
        }
    }

    /// A member that was killed has not written down where its log ends.
    func testOneFile_copiedDuringTheLatestOpening_isRefusedAfterACrash_butForALogFromBehindTheLastVote() throws {
        for rests in [true, false] {
            let all = try outcomes(isClosed: false, rests: rests)
            for file in [vote, boot, log] {
                for (moment, outcome) in try XCTUnwrap(all[[file]]) where outcome == .hasForgotten {
                    XCTAssertEqual(file, log, moment.name)
                    XCTAssertTrue(["listened to 3", "followed 3", "acknowledged 1 and 2"].contains(moment.name))
                }
            }
            let logs = try XCTUnwrap(all[[log]])
            XCTAssertTrue(logs.contains { $0.1 == .hasForgotten }, "then the page and README can say more")
        }
    }

    /// The log says 10 ms later which vote was given last. Until then nobody does, after a crash.
    func testVote_copiedBeforeAVoteThatNoEntryFollows_isRefusedAfterACrash_unlessThatCameWithin10ms() throws {
        for rests in [true, false] {
            let all = try outcomes(isClosed: false, rests: rests, votesLast: true)
            let forgotten = try XCTUnwrap(all[[vote]]).filter { $0.1 == .hasForgotten }.map(\.moment.name)
            XCTAssertEqual(forgotten, rests ? [] : ["followed 3", "acknowledged 3 and 4"])
        }
    }

    /// The page says so: `VOTE` and the log of one moment do not contradict each other.
    func testVoteAndLog_copiedAtOneMomentOfTheLatestOpening_areNotNoticedByTheMember() throws {
        for isClosed in [true, false] {
            let all = try outcomes(isClosed: isClosed, rests: true)
            let both = try XCTUnwrap(all[[vote, log]])
            XCTAssertTrue(both.contains { $0.1 == .hasForgotten }, "then the page and README can say more")
        }
    }

    func testTheSentences_nameTheFileAndBothNumbers() throws {
        let all = try outcomes(isClosed: true, rests: true)
        func sentence(_ file: String) throws -> String {
            guard case .refused(let sentence)? = try XCTUnwrap(all[[file]]).first?.1 else { return "" }
            return sentence
        }
        let advice =
            " back as it was when the member stopped, never a copy made while it ran, or leave the member stopped"
        let (voteSentence, bootSentence) = (try sentence(vote), try sentence(boot))
        XCTAssertEqual(
            voteSentence,
            "m/groups/1/VOTE is of its change 3, though m/log was written after its change 5: put m/groups/1/VOTE"
                + advice
        )
        XCTAssertEqual(
            bootSentence,
            "m/BOOT is of its change 5, though m/log was written after its change 7: put m/BOOT" + advice
        )
        let logSentence = try sentence(log)
        XCTAssertTrue(logSentence.hasPrefix("m/log ends at 1:"), logSentence)
        XCTAssertTrue(logSentence.hasSuffix(": put m/log" + advice), logSentence)
    }

    /// Every point at which the process may end, on every disk that a power loss may leave there: none is refused, and
    /// no promise whose write has ended is forgotten.
    func testACrash_atAnyCallOfALatestOpening_isNeverTakenForAnOlderCopy() throws {
        let formed = try formed()
        try open(formed, seed: 1).close()
        formed.processCrash()
        var images = 0
        var seen: Set<[UInt64]> = []
        for isClosed in [true, false] {
            // What was promised before the call in which the process ended.
            var promised = HardState.initial
            var acknowledged: LogIndex = 0
            let calls = try SimulatedDisk(formed.snapshot()).forEachCrashPoint { files in
                (promised, acknowledged) = (.initial, 0)
                let member = try LoneMember(files, seed: 2, members: [1, 2, 3])
                func note() {
                    guard let replica = member.member.replica, replica.failure == nil else { return }
                    (promised, acknowledged) = (replica.vote.state, replica.raft.durableIndex)
                }
                let request = self.request()
                try member.receive(from: 2, term: 5, .message(.voteRequest(request), entries: nil))
                note()
                try self.append(member, from: 2, term: 5, 1...2)
                note()
                _ = member.connect(self.introduction(3, opening: 2))
                member.rest()
                if isClosed { member.close() }
            } check: { crashed, point in
                for image in crashed.crashStates(limit: 8) {
                    images += 1
                    // Most calls leave the same disks as the one before.
                    guard seen.insert([image.contentDigest, promised.term, acknowledged]).inserted else { continue }
                    do throws(ReplicaError) {
                        let replica = try open(SimulatedDisk(image)).member.replica
                        XCTAssertGreaterThanOrEqual(replica?.vote.state.term ?? 0, promised.term, "\(point)")
                        XCTAssertGreaterThanOrEqual(replica?.log.last(1).index ?? 0, acknowledged, "\(point)")
                    } catch {
                        XCTFail("\(point): \(error)")
                    }
                }
            }
            XCTAssertGreaterThan(calls, 30)
            XCTAssertEqual(promised, HardState(term: 5, vote: 2))
            XCTAssertEqual(acknowledged, 2)
        }
        XCTAssertGreaterThan(images, 200)
    }

    /// It is said at a time of its own, also where nothing else of the member happens.
    func testAChangeOfBOOT_isSaidByTheLog10msLater() throws {
        let disk = try formed()
        let member = try open(disk)
        let revision = try TwinFile.boot(Bytes(try XCTUnwrap(disk.contents(of: boot)))).revision
        XCTAssertTrue(member.connect(introduction(3, opening: 2)))
        XCTAssertEqual(try TwinFile.boot(Bytes(try XCTUnwrap(disk.contents(of: boot)))).revision, revision + 1)
        XCTAssertEqual(member.wakeAt, member.now + LoneMember.options.sealLogAfter)
        XCTAssertEqual(member.member.replica?.log.needsSeal, true)
        let seals = try XCTUnwrap(member.member.replica?.log.metrics.seals)
        member.rest()
        XCTAssertEqual(member.member.replica?.log.metrics.seals, seals + 1)
    }

    /// Fails one kind of call on some files.
    private final class Breaks: DiskHook {
        var fails: (DiskCall) -> FileError.Number? = { _ in nil }

        func answer(_ call: DiskCall) -> DiskAnswer { fails(call).map { .fail($0) } ?? .proceed }
    }

    /// What the last write of `VOTE` would have said is not said then, and nothing is forgotten.
    func testAnOrderlyClose_ofADiskThatFails_endsAndTheMemberOpensAgain() throws {
        let breaks: [(name: String, fails: (DiskCall) -> FileError.Number?, failure: FileError.Number?)] = [
            ("none", { _ in nil }, nil),
            ("write", { $0.path.hasSuffix("VOTE") && $0.operation == .write ? .inputOutput : nil }, .inputOutput),
            ("sync", { $0.path.hasSuffix("VOTE") && $0.operation == .sync ? .inputOutput : nil }, .inputOutput),
            // No file gets longer, and none is made.
            ("full", { [.open, .rename, .size].contains($0.operation) ? .noSpace : nil }, nil),
        ]
        for one in breaks {
            let disk = try formed()
            let hook = Breaks()
            let member = try LoneMember(disk.mount(hook), seed: 2, members: [1, 2, 3])
            try member.receive(from: 2, term: 5, .message(.voteRequest(request()), entries: nil))
            try append(member, from: 2, term: 5, 1...2)
            let before = try promises(member, disk)
            hook.fails = one.fails
            member.close()
            XCTAssertEqual(member.member.failure?.file?.number, one.failure, one.name)
            for image in disk.crashStates(limit: 8) + [disk.snapshot()] {
                let again = SimulatedDisk(image)
                again.processCrash()
                XCTAssertEqual(try promises(try open(again), again), before, one.name)
            }
        }
    }
}
