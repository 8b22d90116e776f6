import BalsaKeyValue
import BalsaPlatform
import XCTest

/// What each command does, and what its caller is told.
final class OperationTests: XCTestCase {
    func testAPutGivesAKeyItsValueAtTheRevisionOfItsEntry() throws {
        let store = try MachineFixture()
        XCTAssertEqual(try store.apply(.put(key: "a", value: "1")), CommandReply(.applied, revision: 1))
        XCTAssertEqual(try store.apply(.put(key: "a", value: "2")), CommandReply(.applied, revision: 2))
        XCTAssertEqual(try store.machine.get("a"), KeyValueEntry(value: "2", revision: 2))
        XCTAssertNil(try store.machine.get("b"))
    }

    func testKeysAndValuesMayBeEmpty() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "", value: ""))
        XCTAssertEqual(try store.machine.get(""), KeyValueEntry(value: "", revision: 1))
        try store.apply(.delete(key: ""))
        XCTAssertNil(try store.machine.get(""))
    }

    func testADeletionTakesTheValueAwayAndIsAppliedWithoutOne() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "a", value: "1"))
        XCTAssertEqual(try store.apply(.delete(key: "a")), CommandReply(.applied, revision: 2))
        XCTAssertEqual(try store.apply(.delete(key: "a")), CommandReply(.applied, revision: 3))
        XCTAssertNil(try store.machine.get("a"))
    }

    func testARangeDeletionSparesItsUpperBoundAndWhatComesLater() throws {
        let store = try MachineFixture()
        for key in ["a", "b", "c", "d"] as [Bytes] { try store.apply(.put(key: key, value: key)) }
        XCTAssertEqual(try store.apply(.deleteRange(from: "b", to: "d")), CommandReply(.applied, revision: 5))
        try store.apply(.put(key: "c", value: "again"))
        let left = try ["a", "b", "c", "d"].map { try store.value($0) }
        XCTAssertEqual(left, ["a", nil, "again", "d"])
    }

    func testARangeWithoutUpperBoundReachesToTheLastKey() throws {
        let store = try MachineFixture()
        let last = Bytes([UInt8](repeating: 0xff, count: 100))
        for key in ["a", "b", last] as [Bytes] { try store.apply(.put(key: key, value: key)) }
        try store.apply(.deleteRange(from: "b", to: nil))
        XCTAssertEqual(try store.machine.scan().pairs.map(\.key), ["a"])
        try store.apply(.put(key: last, value: "again"))
        try store.apply(.deleteRange(from: "", to: ""))
        XCTAssertEqual(try store.machine.scan().pairs, [])
    }

    func testAReversedRangeIsRefusedAndAnEmptyOneDeletesNothing() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "b", value: "1"))
        XCTAssertEqual(try store.apply(.deleteRange(from: "c", to: "a")), CommandReply(.invalidRange, revision: 2))
        XCTAssertEqual(try store.apply(.deleteRange(from: "b", to: "b")), CommandReply(.applied, revision: 3))
        XCTAssertEqual(try store.value("b"), "1")
    }

    func testAComparisonWithAValue() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "a", value: "1"))
        let wrong = try store.apply(.compareAndSet(key: "a", condition: .value("2"), then: .put("3")))
        XCTAssertEqual(wrong, CommandReply(.conditionFailed, revision: 2, number: 1))
        let absent = try store.apply(.compareAndSet(key: "b", condition: .value(""), then: .put("3")))
        XCTAssertEqual(absent, CommandReply(.conditionFailed, revision: 3, number: 0))
        let right = try store.apply(.compareAndSet(key: "a", condition: .value("1"), then: .put("3")))
        XCTAssertEqual(right, CommandReply(.applied, revision: 4))
        XCTAssertEqual(try store.machine.get("a"), KeyValueEntry(value: "3", revision: 4))
        XCTAssertNil(try store.value("b"))
    }

    func testAComparisonWithAbsence() throws {
        let store = try MachineFixture()
        let create = Command.Operation.compareAndSet(key: "lock", condition: .absent, then: .put("me"))
        XCTAssertEqual(try store.apply(create), CommandReply(.applied, revision: 1))
        XCTAssertEqual(try store.apply(create), CommandReply(.conditionFailed, revision: 2, number: 1))
        try store.apply(.deleteRange(from: "", to: nil))
        XCTAssertEqual(try store.apply(create), CommandReply(.applied, revision: 4))
    }

    func testAComparisonWithARevision() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "a", value: "1"))
        let fresh = try store.apply(.compareAndSet(key: "b", condition: .revision(0), then: .put("new")))
        XCTAssertEqual(fresh.outcome, .applied)
        let stale = try store.apply(.compareAndSet(key: "a", condition: .revision(0), then: .delete))
        XCTAssertEqual(stale, CommandReply(.conditionFailed, revision: 3, number: 1))
        let right = try store.apply(.compareAndSet(key: "a", condition: .revision(1), then: .delete))
        XCTAssertEqual(right, CommandReply(.applied, revision: 4))
        XCTAssertNil(try store.value("a"))
    }

    func testAnAppendMakesTheValueLongerOrIsIt() throws {
        let store = try MachineFixture()
        XCTAssertEqual(try store.apply(.append(key: "a", bytes: "one")), CommandReply(.applied, revision: 1))
        XCTAssertEqual(try store.apply(.append(key: "a", bytes: ",two")), CommandReply(.applied, revision: 2))
        XCTAssertEqual(try store.value("a"), "one,two")
    }

    func testAnAppendBeyondTheLongestValueChangesNothing() throws {
        var options = MachineOptions()
        options.limits.maxValueBytes = 10
        let store = try MachineFixture(options)
        try store.apply(.append(key: "a", bytes: "12345678"))
        XCTAssertEqual(try store.apply(.append(key: "a", bytes: "abc")), CommandReply(.valueTooLarge, revision: 2))
        XCTAssertEqual(try store.apply(.append(key: "a", bytes: "ab")), CommandReply(.applied, revision: 3))
        XCTAssertEqual(try store.value("a"), "12345678ab")
        XCTAssertEqual(try store.apply(.append(key: "b", bytes: "12345678abc")).outcome, .valueTooLarge)
    }

    func testACounterCountsFromZero() throws {
        let store = try MachineFixture()
        XCTAssertEqual(try store.apply(.add(key: "n", amount: 5)), CommandReply(.applied, revision: 1, number: 5))
        XCTAssertEqual(try store.apply(.add(key: "n", amount: -7)), CommandReply(.applied, revision: 2, number: -2))
        XCTAssertEqual(try store.value("n"), counter(-2))
        try store.apply(.put(key: "n", value: counter(.max - 1)))
        XCTAssertEqual(try store.apply(.add(key: "n", amount: 1)).number, .max)
    }

    func testACounterThatWouldWrapStaysAsItIs() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "n", value: counter(.max)))
        XCTAssertEqual(try store.apply(.add(key: "n", amount: 1)), CommandReply(.overflow, revision: 2))
        try store.apply(.put(key: "m", value: counter(.min)))
        XCTAssertEqual(try store.apply(.add(key: "m", amount: -1)), CommandReply(.overflow, revision: 4))
        XCTAssertEqual(try store.machine.get("n"), KeyValueEntry(value: counter(.max), revision: 1))
    }

    func testAValueOfAnotherLengthIsNoCounter() throws {
        let store = try MachineFixture()
        for (value, index) in [("", 2), ("1234567", 4), ("123456789", 6)] as [(Bytes, UInt64)] {
            try store.apply(.put(key: "n", value: value))
            XCTAssertEqual(try store.apply(.add(key: "n", amount: 1)), CommandReply(.notACounter, revision: index))
            XCTAssertEqual(try store.value("n"), value)
        }
    }

    func testOverlongKeysAndValuesAreOutcomes() throws {
        var options = MachineOptions()
        options.limits.maxKeyBytes = 3
        options.limits.maxValueBytes = 8
        let store = try MachineFixture(options)
        let (key, value): (Bytes, Bytes) = ("four", "ninebytes")
        let refused: [(Command.Operation, CommandReply.Outcome)] = [
            (.put(key: key, value: ""), .keyTooLarge), (.put(key: "", value: value), .valueTooLarge),
            (.delete(key: key), .keyTooLarge), (.add(key: key, amount: 1), .keyTooLarge),
            (.append(key: key, bytes: ""), .keyTooLarge), (.append(key: "", bytes: value), .valueTooLarge),
            (.deleteRange(from: key, to: nil), .keyTooLarge), (.deleteRange(from: "", to: key), .keyTooLarge),
            (.compareAndSet(key: key, condition: .absent, then: .delete), .keyTooLarge),
            (.compareAndSet(key: "", condition: .absent, then: .put(value)), .valueTooLarge),
            (.compareAndSet(key: "", condition: .value(value), then: .delete), .valueTooLarge),
        ]
        for (operation, outcome) in refused {
            let command = Command(identity: RequestIdentity(session: .none, number: 1), operation: operation)
            XCTAssertEqual(options.limits.refusal(of: command), outcome, "\(operation)")
            XCTAssertEqual(try options.limits.refusal(ofEncoded: command.encoded()), outcome, "\(operation)")
            XCTAssertEqual(try store.apply(operation).outcome, outcome, "\(operation)")
        }
        XCTAssertEqual(try store.apply(.put(key: "abc", value: "12345678")).outcome, .applied)
        XCTAssertEqual(try store.machine.scan().pairs.map(\.key), ["abc"])
    }

    func testACommandOfANewerReleaseStopsTheMachine() throws {
        let store = try MachineFixture()
        var payload = [UInt8](Command(identity: .init(session: .none, number: 1), operation: .openSession).encoded())
        payload[1] = 99
        XCTAssertEqual(errorOf { try store.apply(Bytes(payload)) }?.code, .upgradeRequired)
        XCTAssertEqual(errorOf { try store.apply(.put(key: "a", value: "b")) }?.code, .failed)
        XCTAssertEqual(errorOf { try store.machine.seal() }?.code, .failed)
        XCTAssertEqual(store.machine.applied, .zero)
    }

    func testAPayloadThatIsNoCommandStopsTheMachine() throws {
        let store = try MachineFixture()
        XCTAssertEqual(errorOf { try store.apply("\u{1}\u{3}") }?.code, .damaged)
        XCTAssertEqual(errorOf { try store.skip() }?.code, .failed)
    }

    func testTheAppliedPositionIsThatOfTheLastEntry() throws {
        let store = try MachineFixture()
        store.stamp = 5
        try store.apply(.put(key: "a", value: "b"))
        store.stamp = 9
        try store.skip()
        XCTAssertEqual(store.machine.applied, KeyValuePosition(index: 2, term: 1, stamp: 9))
        XCTAssertEqual(store.machine.durable, .zero)
        try store.seal()
        XCTAssertEqual(store.machine.durable, KeyValuePosition(index: 2, term: 1, stamp: 9))
    }
}
