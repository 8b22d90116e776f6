import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa
@testable import BalsaSimulation

/// What the tests of the checkers are made of.
enum CheckerFixtures {
    static let now = TimeSpan.seconds(7)

    static func judges() -> Judges { Judges(members: 3) }

    // MARK: Entries

    /// Entry 1 of a cluster of one member.
    static func founding(options: Bytes) throws -> EntryBatch {
        let row = MemberTable.Row(member: 1, incarnation: UniqueID(high: 1, low: 2), address: "a:1")
        let founding = FoundingEntry(table: try MemberTable([row]), options: options)
        var builder = EntryBatch.Builder(group: 1, previous: .zero, capacityBytes: 512)
        builder.append(term: 1, stamp: 0, kind: .configuration, payload: founding.encoded)
        return builder.finish()
    }

    /// Entries behind `previous`, all of one term and stamp.
    static func entries(
        after previous: LogPosition = .zero,
        term: Term = 1,
        stamp: UInt64 = 0,
        _ kind: EntryKind = .noOp,
        _ payloads: [Bytes] = [Bytes()]
    ) -> EntryBatch {
        var builder = EntryBatch.Builder(group: 1, previous: previous, capacityBytes: 64)
        for payload in payloads { builder.append(term: term, stamp: stamp, kind: kind, payload: payload) }
        return builder.finish()
    }

    static func position(_ term: Term, _ index: LogIndex) -> LogPosition { LogPosition(term: term, index: index) }

    static func log(_ terms: [Term], base: LogPosition = .zero) -> LogOutline {
        LogOutline(base: base, entries: terms.map { EntryMetadata(term: $0, kind: 1, byteCount: 60) })
    }

    // MARK: Commands

    static let opening = Command(identity: RequestIdentity(session: .none, number: 9), operation: .openSession)

    /// A request of the session that entry 1 opened.
    static func adding(_ number: UInt64) -> Command {
        Command(
            identity: RequestIdentity(session: SessionID(rawValue: 1), number: number),
            operation: .add(key: "n", amount: 1)
        )
    }

    static func commands(_ commands: [Command], after previous: LogPosition = .zero) -> EntryBatch {
        entries(after: previous, .command, commands.map { $0.encoded() })
    }

    static func result(_ index: LogIndex, _ reply: CommandReply) -> AppliedCommand {
        AppliedCommand(index: index, result: reply.encoded())
    }

    static let opened = result(1, CommandReply(.sessionOpened, revision: 1, number: 1_024))

    static func sum(_ revision: UInt64, _ number: Int64) -> CommandReply {
        CommandReply(.applied, revision: revision, number: number)
    }

    // MARK: Frames

    static func frame(from: MemberID, to: MemberID, term: Term, _ body: Message.Body) throws -> Bytes {
        let content = PeerFrame.Content.message(body, entries: nil)
        let pieces = try PeerFrame(group: 1, from: from, to: to, term: term, content: content)
            .encoded(options: WireOptions(), version: 1)
        return Bytes(pieces.flatMap { [UInt8]($0) })
    }

    static func vote(_ from: MemberID, for candidate: MemberID, in term: Term, _ isGranted: Bool = true) throws -> Bytes
    {
        let response = VoteResponse(isGranted: isGranted, campaign: 1)
        return try frame(from: from, to: candidate, term: term, .voteResponse(response))
    }

    static func candidacy(_ from: MemberID, to: MemberID, in term: Term) throws -> Bytes {
        try frame(from: from, to: to, term: term, .voteRequest(VoteRequest(last: .zero, campaign: 1)))
    }

    // MARK: Members

    static func leader(_ term: Term, _ id: MemberID) -> Standing { Standing(role: .leader, term: term, leader: id) }

    static func follower(_ term: Term) -> Standing { Standing(role: .follower, term: term, leader: 0) }

    static func view(
        _ broken: String? = nil,
        commit: LogIndex = 0,
        applied: LogIndex = 0,
        digest: UInt64? = nil
    ) -> Judges.StepView {
        Judges.StepView(brokenInvariant: broken, commitIndex: commit, appliedIndex: applied, digest: digest)
    }

    static func cluster(_ seed: UInt64) throws -> ClusterIdentity {
        let row = MemberTable.Row(member: 1, incarnation: UniqueID(high: 1, low: 1), address: "a:1")
        return ClusterIdentity(id: UniqueID(high: 1, low: seed), table: try MemberTable([row]))
    }

    /// A state of which the pairs are given.
    struct State: ReadableState {
        var appliedIndex: LogIndex
        var retentionMark: UInt64 = 0
        var answers: [UInt64: [KeyValuePair]] = [:]
        var error: KeyValueError?

        func pairs(at revision: UInt64, limit: Int) throws(KeyValueError) -> [KeyValuePair] {
            if let error { throw error }
            return Array((answers[revision] ?? []).prefix(limit))
        }
    }
}
