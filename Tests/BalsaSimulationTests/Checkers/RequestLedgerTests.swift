import BalsaKeyValue
import BalsaPlatform
import XCTest

@testable import BalsaSimulation

/// What replies are held against: a reply is right only if it is the one that the model gives.
final class RequestLedgerTests: XCTestCase {
    private var ledger = RequestLedger(options: ReplicatedOptions())

    /// Session 1 is open, and nothing else has happened.
    override func setUp() {
        var limits = ReplicatedOptions()
        limits.maxKeyBytes = 8
        limits.maxValueBytes = 16
        limits.sessionWindow = 4
        limits.maxReplyBytes = 4 * 26
        limits.sessionIdleNanoseconds = 100
        ledger = RequestLedger(options: limits)
        note(Command(identity: RequestIdentity(session: .none, number: 5), operation: .openSession), .sessionOpened, 4)
    }

    private func command(
        _ number: UInt64,
        session: UInt64 = 1,
        lowest: UInt64? = nil,
        _ operation: Command.Operation = .add(key: "n", amount: 1)
    ) -> Command {
        Command(
            identity: RequestIdentity(session: SessionID(rawValue: session), number: number),
            lowestOutstanding: lowest,
            operation: operation
        )
    }

    /// The next entry is that command, and is answered so.
    private func verdict(
        _ command: Command,
        _ outcome: CommandReply.Outcome,
        at revision: UInt64? = nil,
        _ number: Int64? = nil,
        stamp: UInt64 = 0
    ) -> Invariant? {
        let reply = CommandReply(outcome, revision: revision ?? ledger.lastIndex + 1, number: number)
        return ledger.note(command, reply, stamp: stamp)?.0
    }

    private func note(_ command: Command, _ outcome: CommandReply.Outcome, _ number: Int64? = nil, line: UInt = #line) {
        XCTAssertNil(verdict(command, outcome, number), line: line)
    }

    func testCopy_withTheReplyOfTheFirst_isRightAndHasNoEffect() {
        note(command(1), .applied, 1)
        XCTAssertNil(verdict(command(1), .applied, at: 2, 1))
        XCTAssertEqual(ledger.repeated, 1)
        note(command(2), .applied, 2)
    }

    func testCopy_thatIsExecutedAgain_isFound() {
        note(command(1), .applied, 1)
        XCTAssertEqual(verdict(command(1), .applied, 2), .exactlyOnce)
    }

    /// The models close a session whatever the number of the request.
    func testRequest_thatIsExecutedAtTwoIndexes_isFoundWhateverTheModelSays() {
        note(command(1), .applied, 1)
        XCTAssertEqual(verdict(command(1, .closeSession), .applied), .exactlyOnce)
        setUp()
        note(command(1), .applied, 1)
        note(command(2, .closeSession), .applied)
    }

    func testRetentionMark_isTheHigherOfCountAndTime() {
        var limits = ReplicatedOptions()
        limits.retainedRevisions = 3
        limits.retainedNanoseconds = 100
        ledger = RequestLedger(options: limits)
        for stamp: UInt64 in [10, 20, 30, 125, 125] { ledger.skip(stamp: stamp) }
        XCTAssertEqual((0...6).map { ledger.highestRetentionMark(at: $0) }, [0, 0, 0, 0, 2, 2, 0])
        ledger.skip(stamp: 125)
        ledger.skip(stamp: 125)
        XCTAssertEqual([6, 7].map { ledger.highestRetentionMark(at: $0) }, [3, 4], "the count is higher")
    }

    func testRetentionMark_behindAChangeOfTheOptions_neverFalls() {
        var options = ReplicatedOptions()
        options.retainedRevisions = 3
        ledger = RequestLedger(options: options)
        for _ in 0..<6 { ledger.skip(stamp: 1) }
        XCTAssertEqual(ledger.highestRetentionMark(at: 6), 3)
        options.retainedRevisions = 100
        note(command(1, session: 0, .changeOptions(options, expecting: 0)), .applied)
        XCTAssertEqual(ledger.highestRetentionMark(at: 7), 4, "the options in force before decide the entry itself")
        ledger.skip(stamp: 1)
        XCTAssertEqual(ledger.highestRetentionMark(at: 8), 4)
        XCTAssertEqual(ledger.highestRetentionMark(at: 6), 3)
    }

    func testChange_ofTheOptions_decidesTheEntriesBehindIt() {
        var options = ledger.options.options
        options.maxValueBytes = 8
        let nine = command(2, .put(key: "k", value: "ninebytes"))
        XCTAssertEqual(verdict(command(1, .changeOptions(options, expecting: 9)), .applied), .certificate)
        setUp()
        note(command(1, .changeOptions(options, expecting: 9)), .conditionFailed, 0)
        setUp()
        note(command(1, .changeOptions(options, expecting: 0)), .applied)
        XCTAssertEqual(ledger.options, ReplicatedOptionsEntry(options: options, revision: 2))
        XCTAssertEqual(verdict(nine, .applied), .certificate, "a member that uses another limit")
        setUp()
        note(command(1, .changeOptions(options, expecting: 0)), .applied)
        note(nine, .valueTooLarge)
        options.maxValueBytes = 7
        note(command(3, .changeOptions(options, expecting: 2)), .invalidOptions)
        XCTAssertEqual([ledger.optionsChanged, ledger.optionConflicts], [1, 0])
    }

    func testReply_ofARequestThatWasNeverExecuted_isFound() {
        XCTAssertEqual(verdict(command(1), .applied, at: 1, 1), .exactlyOnce)
    }

    func testResult_thatDoesNotFollowFromTheState_isFound() {
        XCTAssertEqual(verdict(command(1), .applied, 7), .certificate)
    }

    func testRefusals_ofANewRequest_areFound() {
        for refusal: CommandReply.Outcome in [.sessionExpired, .requestTooOld, .windowExceeded] {
            setUp()
            XCTAssertEqual(verdict(command(1), refusal), .exactlyOnce, refusal.description)
        }
    }

    func testRequests_thatMustBeRefused_areRightOnlyIfRefusedForThatReason() {
        let all: [CommandReply.Outcome] = [.sessionExpired, .requestTooOld, .windowExceeded, .applied]
        let cases: [(command: Command, stamp: UInt64, expected: CommandReply.Outcome)] = [
            (command(1, session: 9), 0, .sessionExpired), (command(3, lowest: 3), 101, .sessionExpired),
            (command(1, lowest: 1), 0, .requestTooOld), (command(9, lowest: 5), 0, .windowExceeded),
        ]
        for (command, stamp, expected) in cases {
            for outcome in all {
                setUp()
                note(self.command(2, lowest: 2), .applied, 1)
                let found = verdict(command, outcome, outcome == .applied ? 2 : nil, stamp: stamp)
                XCTAssertEqual(found, outcome == expected ? nil : .exactlyOnce, "\(expected): \(outcome)")
            }
        }
        XCTAssertEqual(ledger.beyondWindow, 1)
    }

    func testRepetition_thatIsRefusedAsExpired_isFound() {
        note(command(1), .applied, 1)
        XCTAssertEqual(verdict(command(1), .sessionExpired), .exactlyOnce)
    }

    func testCommands_withoutASession_areExecutedEachTime() {
        note(command(5, session: 0), .applied, 1)
        note(command(5, session: 0), .applied, 2)
        XCTAssertEqual(verdict(command(5, session: 0), .applied, at: 3, 2), .exactlyOnce)
    }

    func testEntries_thatAreNoCommands_letTimePass() {
        ledger.skip(stamp: 101)
        XCTAssertEqual(verdict(command(1), .sessionExpired), nil)
        XCTAssertEqual(ledger.expired, 1)
    }

    func testSizesAndBounds_areRefusedForTheReasonOfTheModel() {
        let long = Bytes([UInt8](repeating: 1, count: 9))
        let large = Bytes([UInt8](repeating: 1, count: 17))
        let cases: [(Command.Operation, CommandReply.Outcome)] = [
            (.put(key: long, value: large), .keyTooLarge), (.put(key: "k", value: large), .valueTooLarge),
            (.append(key: "k", bytes: large), .valueTooLarge), (.delete(key: long), .keyTooLarge),
            (.add(key: long, amount: 1), .keyTooLarge), (.deleteRange(from: "b", to: long), .keyTooLarge),
            (.deleteRange(from: long, to: nil), .keyTooLarge), (.deleteRange(from: "b", to: "a"), .invalidRange),
            (.compareAndSet(key: "k", condition: .value(large), then: .delete), .valueTooLarge),
            (.compareAndSet(key: "k", condition: .absent, then: .put(large)), .valueTooLarge),
        ]
        for (operation, outcome) in cases {
            setUp()
            XCTAssertTrue(ledger.isRefused(command(1, operation), calledAt: .zero), "\(operation)")
            note(command(1, operation), outcome)
            XCTAssertEqual(verdict(command(2, operation), .applied), .certificate, "\(operation)")
        }
        for operation: Command.Operation in [
            .deleteRange(from: "b", to: Bytes()), .deleteRange(from: "b", to: nil), .deleteRange(from: "b", to: "b"),
            .put(key: Bytes([UInt8](repeating: 1, count: 8)), value: Bytes([UInt8](repeating: 1, count: 16))),
        ] {
            setUp()
            XCTAssertFalse(ledger.isRefused(command(1, operation), calledAt: .zero), "\(operation)")
            note(command(1, operation), .applied)
        }
    }

    /// A leader decides by the options in force; one that was replaced and does not know by those of a moment before.
    func testRefusal_byOptionsThatWereReplacedLongBeforeTheCall_isNoneThatTheModelGives() {
        var options = ledger.options.options
        options.maxValueBytes = 64
        let put = command(2, .put(key: "k", value: Bytes([UInt8](repeating: 1, count: 17))))
        XCTAssertTrue(ledger.isRefused(put, calledAt: .zero))
        ledger.now = .seconds(10)
        note(command(1, .changeOptions(options, expecting: 0)), .applied)
        ledger.now = .seconds(60)
        XCTAssertTrue(ledger.isRefused(put, calledAt: .seconds(1)), "the call began before the change")
        XCTAssertTrue(ledger.isRefused(put, calledAt: .seconds(17)), "a leader may not know yet")
        XCTAssertFalse(ledger.isRefused(put, calledAt: .seconds(18)))
        let longer = command(2, .put(key: "k", value: Bytes([UInt8](repeating: 1, count: 65))))
        XCTAssertTrue(ledger.isRefused(longer, calledAt: .seconds(60)), "by the options in force")
    }

    /// Of options a leader refuses more than apply does.
    func testRefusal_ofOptionsThatEndSessionsAtOnce_isTheLeadersAlone() {
        var options = ReplicatedOptions()
        options.sessionIdleNanoseconds = 0
        let change = command(1, .changeOptions(options, expecting: 0))
        XCTAssertTrue(ledger.isRefused(change, calledAt: .zero))
        note(change, .applied)
    }

    func testCounters_appendsAndComparisons_haveTheModelsResults() {
        note(command(1, .add(key: "n", amount: .max)), .applied, .max)
        note(command(2, .add(key: "n", amount: 1)), .overflow)
        note(command(3, .append(key: "v", bytes: "0123456789abcdef")), .applied)
        note(command(4, .append(key: "v", bytes: "g")), .valueTooLarge)
        note(command(5, .add(key: "v", amount: 1)), .notACounter)
        note(command(6, .compareAndSet(key: "v", condition: .revision(1), then: .delete)), .conditionFailed, 4)
        note(command(7, .compareAndSet(key: "v", condition: .revision(4), then: .delete)), .applied)
        note(command(8, .deleteRange(from: Bytes(), to: Bytes())), .applied)
        note(command(9, .compareAndSet(key: "n", condition: .revision(0), then: .put("x"))), .applied)
        XCTAssertEqual(ledger.state.pairs(from: Bytes(), to: nil, at: .max).map(\.value), ["x"])
    }

    func testFurtherMember_thatRepliesOtherwise_isFound() {
        note(command(1), .applied, 1)
        ledger.skip(stamp: 0)
        XCTAssertNil(ledger.check(CommandReply(.applied, revision: 2, number: 1), at: 2))
        XCTAssertNotNil(ledger.check(CommandReply(.sessionExpired, revision: 2), at: 2))
        XCTAssertNotNil(ledger.check(CommandReply(.applied, revision: 3), at: 3))
        XCTAssertNotNil(ledger.check(CommandReply(.applied, revision: 4), at: 4))
    }
}
