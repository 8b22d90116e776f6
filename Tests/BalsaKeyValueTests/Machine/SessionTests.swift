import BalsaKeyValue
import BalsaPlatform
import XCTest

/// Requests of sessions: executed once, whatever is repeated, late or lost.
final class SessionTests: XCTestCase {
    func testARepeatedRequestHasTheSameReplyAndNoEffect() throws {
        let store = try MachineFixture()
        let session = try store.open()
        XCTAssertEqual(session, SessionID(rawValue: 1))
        let first = try store.apply(.add(key: "n", amount: 1), session: session, number: 1)
        XCTAssertEqual(first, CommandReply(.applied, revision: 2, number: 1))
        XCTAssertEqual(try store.apply(.add(key: "n", amount: 1), session: session, number: 1), first)
        XCTAssertEqual(try store.value("n"), counter(1))
        XCTAssertEqual(try store.apply(.add(key: "n", amount: 1), session: session, number: 2).number, 2)
    }

    func testARefusedRequestIsRepeatedAsRefused() throws {
        let store = try MachineFixture()
        let session = try store.open()
        let create = Command.Operation.compareAndSet(key: "a", condition: .absent, then: .put("1"))
        try store.apply(.put(key: "a", value: "0"))
        let first = try store.apply(create, session: session, number: 1)
        XCTAssertEqual(first, CommandReply(.conditionFailed, revision: 3, number: 2))
        try store.apply(.delete(key: "a"))
        XCTAssertEqual(try store.apply(create, session: session, number: 1), first)
        XCTAssertNil(try store.value("a"))
    }

    func testRequestsWithoutASessionAreExecutedAsOftenAsTheyCome() throws {
        let store = try MachineFixture()
        try store.apply(.add(key: "n", amount: 1), number: 7)
        try store.apply(.add(key: "n", amount: 1), number: 7)
        XCTAssertEqual(try store.value("n"), counter(2))
    }

    func testNumbersOfDifferentSessionsDoNotMeet() throws {
        let store = try MachineFixture()
        let (one, two) = (try store.open(), try store.open())
        try store.apply(.add(key: "n", amount: 1), session: one, number: 1)
        try store.apply(.add(key: "n", amount: 1), session: two, number: 1)
        XCTAssertEqual(try store.value("n"), counter(2))
    }

    func testRequestsMayArriveOutOfOrder() throws {
        let store = try MachineFixture()
        let session = try store.open()
        for number in [3, 1, 2] as [UInt64] {
            let reply = try store.apply(.append(key: "a", bytes: "x"), session: session, number: number, lowest: 1)
            XCTAssertEqual(reply.outcome, .applied)
        }
        let again = try store.apply(.append(key: "a", bytes: "x"), session: session, number: 1, lowest: 1)
        XCTAssertEqual(again, CommandReply(.applied, revision: 3))
        XCTAssertEqual(try store.value("a"), "xxx")
    }

    func testARequestBelowTheLowestOutstandingOneIsTooOld() throws {
        let store = try MachineFixture()
        let session = try store.open()
        try store.apply(.add(key: "n", amount: 1), session: session, number: 1, lowest: 1)
        try store.apply(.add(key: "n", amount: 1), session: session, number: 2, lowest: 2)
        let late = try store.apply(.add(key: "n", amount: 1), session: session, number: 1, lowest: 1)
        XCTAssertEqual(late, CommandReply(.requestTooOld, revision: 4))
        XCTAssertEqual(try store.value("n"), counter(2))
        // The late copy has not brought the lowest number back.
        let again = try store.apply(.add(key: "n", amount: 1), session: session, number: 1, lowest: 1)
        XCTAssertEqual(again.outcome, .requestTooOld)
    }

    func testTheWindowHasTwoEdges() throws {
        var options = MachineOptions()
        options.limits.sessionWindow = 4
        let store = try MachineFixture(options)
        let session = try store.open()
        func append(_ number: UInt64, lowest: UInt64) throws -> CommandReply.Outcome {
            try store.apply(.append(key: "a", bytes: "x"), session: session, number: number, lowest: lowest).outcome
        }
        XCTAssertEqual(try append(13, lowest: 10), .applied)
        XCTAssertEqual(try append(14, lowest: 10), .windowExceeded)
        XCTAssertEqual(try append(10, lowest: 10), .applied)
        XCTAssertEqual(try append(9, lowest: 10), .requestTooOld)
        XCTAssertEqual(try append(14, lowest: 11), .applied)
        XCTAssertEqual(try append(.max, lowest: 11), .windowExceeded)
        XCTAssertEqual(try append(.max, lowest: .max), .applied)
        XCTAssertEqual(try append(.max, lowest: .max), .applied)
        XCTAssertEqual(try append(3, lowest: .max), .requestTooOld)
        XCTAssertEqual(try store.value("a"), "xxxx")
    }

    func testAnUnknownSessionExecutesNothing() throws {
        let store = try MachineFixture()
        let reply = try store.apply(.put(key: "a", value: "1"), session: SessionID(rawValue: 99), number: 1)
        XCTAssertEqual(reply, CommandReply(.sessionExpired, revision: 1))
        XCTAssertNil(try store.value("a"))
    }

    func testAClosedSessionIsGone() throws {
        let store = try MachineFixture()
        let session = try store.open()
        XCTAssertEqual(store.machine.sessionCount, 1)
        XCTAssertEqual(try store.apply(.closeSession, session: session, number: 1).outcome, .applied)
        XCTAssertEqual(store.machine.sessionCount, 0)
        XCTAssertEqual(try store.apply(.closeSession, session: session, number: 1).outcome, .sessionExpired)
        let late = try store.apply(.put(key: "a", value: "1"), session: session, number: 2)
        XCTAssertEqual(late.outcome, .sessionExpired)
    }

    func testOneSessionTooManyEndsTheLeastRecentlyUsed() throws {
        var options = MachineOptions()
        options.limits.maxSessions = 3
        let store = try MachineFixture(options)
        let sessions = try (0..<3).map { _ in try store.open() }
        try store.apply(.put(key: "a", value: "1"), session: sessions[0], number: 1)
        let fourth = try store.open()
        func outcome(_ session: SessionID) throws -> CommandReply.Outcome {
            try store.apply(.put(key: "a", value: "2"), session: session, number: 2).outcome
        }
        XCTAssertEqual(try outcome(sessions[1]), .sessionExpired)
        XCTAssertEqual(try outcome(sessions[0]), .applied)
        XCTAssertEqual(try outcome(sessions[2]), .applied)
        XCTAssertEqual(try outcome(fourth), .applied)
        XCTAssertEqual(store.machine.sessionCount, 3)
    }

    func testASessionThatRestsTooLongEndsByTheTimeOfTheLog() throws {
        var options = MachineOptions()
        options.limits.sessionIdleNanoseconds = 10
        let store = try MachineFixture(options)
        let (used, resting) = (try store.open(), try store.open())
        store.stamp = 6
        try store.apply(.put(key: "a", value: "1"), session: used, number: 1)
        store.stamp = 10
        try store.skip()
        XCTAssertEqual(store.machine.sessionCount, 2, "it has rested as long as it may, and not longer")
        store.stamp = 11
        try store.skip()
        XCTAssertEqual(store.machine.sessionCount, 1)
        XCTAssertEqual(try store.apply(.delete(key: "a"), session: resting, number: 1).outcome, .sessionExpired)
        XCTAssertEqual(try store.apply(.delete(key: "a"), session: used, number: 2).outcome, .applied)
        store.stamp = 22
        let late = try store.apply(.delete(key: "a"), session: used, number: 3)
        XCTAssertEqual(late.outcome, .sessionExpired, "the request itself comes too late")
    }

    func testRepliesThatTakeTooMuchRoomEndTheLeastRecentlyUsedSession() throws {
        var options = MachineOptions()
        options.limits.sessionWindow = 4
        options.limits.maxReplyBytes = 4 * 26 + 25
        let store = try MachineFixture(options)
        let (one, two) = (try store.open(), try store.open())
        for number in 1...2 as ClosedRange<UInt64> {
            try store.apply(.put(key: "a", value: "1"), session: one, number: number, lowest: 1)
            try store.apply(.put(key: "a", value: "1"), session: two, number: number, lowest: 1)
        }
        XCTAssertEqual(store.machine.sessionCount, 2)
        try store.apply(.put(key: "a", value: "1"), session: two, number: 3, lowest: 1)
        XCTAssertEqual(store.machine.sessionCount, 1)
        XCTAssertEqual(try store.apply(.delete(key: "a"), session: one, number: 3).outcome, .sessionExpired)
        XCTAssertEqual(try store.apply(.delete(key: "a"), session: two, number: 4, lowest: 1).outcome, .applied)
        XCTAssertEqual(try store.apply(.delete(key: "a"), session: two, number: 5, lowest: 2).outcome, .applied)
        XCTAssertEqual(store.machine.sessionCount, 1)
    }

    func testWithoutDeduplicationARequestIsExecutedTwice() throws {
        var options = MachineOptions()
        options.plantedBugs = .deduplicationOff
        let store = try MachineFixture(options)
        let session = try store.open()
        try store.apply(.add(key: "n", amount: 1), session: session, number: 1)
        XCTAssertEqual(try store.apply(.add(key: "n", amount: 1), session: session, number: 1).number, 2)
    }

    func testSessionsThatAreLostInACheckpointAreGone() throws {
        var options = MachineOptions()
        options.plantedBugs = .sessionsLostInCheckpoint
        let store = try MachineFixture(options)
        _ = try store.open()
        try store.seal()
        try store.restart()
        XCTAssertEqual(store.machine.sessionCount, 1)
        try store.restart(isReceived: true)
        XCTAssertEqual(store.machine.sessionCount, 0)
    }
}
