import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaSimulation
import XCTest

/// A machine that is opened again goes on from its last durable seal as if nothing had happened.
final class RestartTests: XCTestCase {
    func testWithoutASealTheWholeLogIsReplayed() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "a", value: "1"))
        try store.apply(.append(key: "a", bytes: "2"))
        let digest = store.machine.digest
        XCTAssertEqual(try store.restart().map(\.0), [1, 2])
        XCTAssertEqual(try store.value("a"), "12")
        XCTAssertEqual(store.machine.digest, digest)
    }

    func testAnEntry_thatIsNotTheNextOne_isInvalidAndTheMachineGoesOn() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "a", value: "1"))
        let command = Command(
            identity: RequestIdentity(session: .none, number: 9),
            lowestOutstanding: nil,
            operation: .put(key: "b", value: "2")
        ).encoded()
        let digest = store.machine.digest
        for index in [0, 1, 3, .max] as [UInt64] {
            let applied = errorOf { _ = try store.machine.apply(command, index: index, term: 1, stamp: 0) }
            XCTAssertEqual(applied?.code, .invalid, "\(index)")
            XCTAssertEqual(
                errorOf { try store.machine.skip(index: index, term: 1, stamp: 0) }?.code,
                .invalid,
                "\(index)"
            )
        }
        XCTAssertEqual(store.machine.digest, digest)
        try store.apply(.put(key: "b", value: "2"))
        XCTAssertEqual(store.machine.applied.index, 2)
        XCTAssertEqual(try store.value("b"), "2")
    }

    func testReplayBeginsBehindTheDurableSealAndGivesTheSameReplies() throws {
        let store = try MachineFixture()
        let session = try store.open()
        var replies: [CommandReply] = []
        for number in 1...6 as ClosedRange<UInt64> {
            replies.append(try store.apply(.add(key: "n", amount: 1), session: session, number: number, lowest: 1))
            if number == 3 { try store.seal() }
        }
        let digest = store.machine.digest
        let replayed = try store.restart()
        XCTAssertEqual(replayed.map(\.0), [5, 6, 7])
        XCTAssertEqual(replayed.map(\.1), Array(replies[3...]))
        XCTAssertEqual(store.machine.digest, digest)
        XCTAssertEqual(try store.value("n"), counter(6))
        for number in 1...6 as ClosedRange<UInt64> {
            let again = try store.apply(.add(key: "n", amount: 1), session: session, number: number, lowest: 1)
            XCTAssertEqual(again, replies[Int(number) - 1])
        }
        XCTAssertEqual(try store.value("n"), counter(6))
    }

    func testASealWhoseFlushIsNotDoneIsForgotten() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "a", value: "1"))
        try store.seal()
        try store.apply(.put(key: "a", value: "2"))
        try store.machine.seal()
        XCTAssertTrue(store.machine.hasWork)
        XCTAssertEqual(store.machine.durable.index, 1)
        XCTAssertEqual(try store.restart().map(\.0), [2])
        XCTAssertEqual(try store.value("a"), "2")
    }

    func testASealWithoutNewWritesMovesThePositionOn() throws {
        let store = try MachineFixture()
        try store.apply(.put(key: "a", value: "1"))
        try store.seal()
        store.stamp = 40
        try store.skip()
        try store.apply(.compareAndSet(key: "a", condition: .absent, then: .delete))
        try store.seal()
        try store.restart()
        XCTAssertEqual(store.machine.durable, KeyValuePosition(index: 3, term: 1, stamp: 40))
        XCTAssertEqual(store.machine.applied, store.machine.durable)
        XCTAssertEqual(try store.machine.get("a", at: 3), KeyValueEntry(value: "1", revision: 1))
        try store.seal()
        try store.machine.seal()
        XCTAssertFalse(store.machine.hasWork, "nothing was applied since the last seal")
    }

    func testSessionsEndAtTheSameEntryAfterARestart() throws {
        var options = MachineOptions()
        options.limits.sessionIdleNanoseconds = 10
        options.limits.maxSessions = 2
        let store = try MachineFixture(options)
        let (one, two) = (try store.open(), try store.open())
        store.stamp = 5
        try store.apply(.put(key: "a", value: "1"), session: one, number: 1)
        try store.seal()
        try store.restart()
        XCTAssertEqual(store.machine.sessionCount, 2)
        store.stamp = 11
        try store.skip()
        XCTAssertEqual(try store.apply(.delete(key: "a"), session: two, number: 1).outcome, .sessionExpired)
        XCTAssertEqual(try store.apply(.delete(key: "a"), session: one, number: 2).outcome, .applied)
    }

    func testLocalOptions_outsideOfTheirBounds_areRefused() throws {
        let changes: [(inout MachineOptions) -> Void] = [
            { $0.engine.hasWriteAheadLog = true }, { $0.engine.levels = 0 }, { $0.engine.memtableBytes = 0 },
        ]
        for (place, change) in changes.enumerated() {
            var options = MachineOptions()
            change(&options)
            XCTAssertEqual(errorOf { _ = try MachineFixture(options) }?.code, .invalid, "change \(place)")
        }
    }
}
