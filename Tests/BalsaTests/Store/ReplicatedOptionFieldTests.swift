import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import BalsaWire
import XCTest

@testable import Balsa

/// For each replicated option: what apply does follows from the value in entry 1, whatever a member was opened with.
final class ReplicatedOptionFieldTests: XCTestCase {
    /// What a member shows of a log that it has applied.
    private struct Outcome: Equatable {
        var replies: [CommandReply] = []
        var marks: [UInt64] = []
        var sessions: [Int] = []
        var digest: UInt64 = 0

        /// Without the digest, in which the options themselves are.
        var withoutDigest: Outcome {
            var outcome = self
            outcome.digest = 0
            return outcome
        }
    }

    private let fields: [(name: String, change: (inout ReplicatedOptions) -> Void)] = [
        ("maxKeyBytes", { $0.maxKeyBytes = 5 }), ("maxValueBytes", { $0.maxValueBytes = 8 }),
        ("maxSessions", { $0.maxSessions = 2 }), ("sessionWindow", { $0.sessionWindow = 4 }),
        ("sessionIdleNanoseconds", { $0.sessionIdleNanoseconds = 10 }),
        ("maxReplyBytes", { $0.maxReplyBytes = 26 * 8 }), ("retainedRevisions", { $0.retainedRevisions = 3 }),
        ("retainedNanoseconds", { $0.retainedNanoseconds = 20 }),
        ("retentionSampleNanoseconds", { $0.retentionSampleNanoseconds = 5_000 }),
    ]

    private var usual: ReplicatedOptions {
        var options = ReplicatedOptions()
        options.maxKeyBytes = 64
        options.maxValueBytes = 64
        options.maxSessions = 3
        options.sessionWindow = 8
        options.sessionIdleNanoseconds = 1_000
        options.maxReplyBytes = 26 * 20
        options.retainedRevisions = 100
        options.retainedNanoseconds = 10_000
        options.retentionSampleNanoseconds = 10
        return options
    }

    /// Commands that meet each of the options, with their stamps.
    private var commands: [(stamp: UInt64, command: Command)] {
        func command(_ session: UInt64, _ number: UInt64, _ operation: Command.Operation) -> Command {
            Command(
                identity: RequestIdentity(session: SessionID(rawValue: session), number: number),
                lowestOutstanding: 1,
                operation: operation
            )
        }
        let put = Command.Operation.put(key: "ten bytes.", value: "twenty bytes of value")
        var commands: [(UInt64, Command)] = (1...3).map { (0, command(0, $0, .openSession)) }
        for number in [1, 2, 3, 5] as [UInt64] {
            for session in [2, 3, 4] as [UInt64] { commands.append((0, command(session, number, put))) }
        }
        for session in [2, 3, 4] as [UInt64] { commands.append((50, command(session, 4, put))) }
        for stamp in [9_000, 12_000, 20_000, 25_000] as [UInt64] { commands.append((stamp, command(0, 1, put))) }
        return commands
    }

    /// Applies the log of a cluster that was founded with options, on a member that was opened with others.
    private func outcome(founded: ReplicatedOptions, openedWith proposal: ReplicatedOptions) throws -> Outcome {
        let files = SimulatedDisk().mount()
        try files.createDirectory("kv")
        let provider = KeyValueProvider(proposal: proposal, seed: 1)
        let opened = try provider.open("kv", of: .none, in: files, isReceived: false) { _ in true }
        let machine = try XCTUnwrap(opened as? KeyValueStateMachine)
        let row = MemberTable.Row(member: 1, incarnation: UniqueID(high: 1, low: 2), address: "a:1")
        let founding = FoundingEntry(
            table: try MemberTable([row]),
            options: KeyValueProvider(proposal: founded, seed: 1).foundingOptions
        )
        var builder = EntryBatch.Builder(group: 1, previous: .zero, capacityBytes: 1 << 12)
        builder.append(term: 1, stamp: 0, kind: .configuration, payload: founding.encoded)
        for (stamp, command) in commands {
            builder.append(term: 1, stamp: stamp, kind: .command, payload: command.encoded())
        }
        let batch = builder.finish()
        var outcome = Outcome()
        for index in batch.firstIndex...batch.lastIndex {
            _ = try machine.apply(batch.slice(from: index, through: index)) { _, bytes in
                if let reply = try? CommandReply(decoding: bytes) { outcome.replies.append(reply) }
            }
            outcome.marks.append(machine.machine.retentionMark)
            outcome.sessions.append(machine.machine.sessionCount)
        }
        outcome.digest = machine.digest
        XCTAssertEqual(outcome.replies.count, commands.count)
        XCTAssertEqual(machine.optionDifferences.isEmpty, founded == proposal)
        return outcome
    }

    /// A leader would otherwise decide by options that are not those of the cluster.
    func testLeader_thatHasNotAppliedEntry1_takesNoCommand() throws {
        let files = SimulatedDisk().mount()
        try files.createDirectory("kv")
        let opened = try KeyValueProvider(proposal: usual, seed: 1).open("kv", of: .none, in: files, isReceived: false)
        {
            _ in true
        }
        let machine = try XCTUnwrap(opened as? KeyValueStateMachine)
        let put = Command(
            identity: RequestIdentity(session: .none, number: 1),
            operation: .put(key: "k", value: Bytes([UInt8](repeating: 1, count: 65)))
        ).encoded()
        XCTAssertEqual(machine.refusal(of: put), .busy)
        try machine.machine.found(usual.encoded, index: 1, term: 1, stamp: 0)
        XCTAssertEqual(machine.refusal(of: put), .tooLarge)
    }

    func testApply_eachField_followsEntry1AndNotWhatTheMemberWasOpenedWith() throws {
        XCTAssertEqual(fields.map(\.name), ReplicatedOptions.fields.map(\.name), "none is left out")
        let expected = try outcome(founded: usual, openedWith: usual)
        for (name, change) in fields {
            var other = usual
            change(&other)
            XCTAssertEqual(try outcome(founded: usual, openedWith: other), expected, name)
            let changed = try outcome(founded: other, openedWith: other)
            XCTAssertEqual(try outcome(founded: other, openedWith: usual), changed, name)
            XCTAssertNotEqual(changed.withoutDigest, expected.withoutDigest, "\(name): the log meets the option")
            XCTAssertNotEqual(changed.digest, expected.digest, name)
        }
    }
}
