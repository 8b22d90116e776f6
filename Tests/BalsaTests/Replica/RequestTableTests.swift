import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// The callers that wait for a command, on their own.
final class RequestTableTests: XCTestCase {
    private var table = RequestTable(origin: 1_000)
    private var effects: [ReplicaEffect] = []

    /// What was told since the last time.
    private func replies() -> [UInt64: Reply] {
        defer { effects = [] }
        return effects.replies()
    }

    private func add(_ id: UInt64, _ index: LogIndex, term: Term = 1, deadline: Instant = .never, bytes: Int = 10) {
        table.add(RequestID(id), at: LogPosition(term: term, index: index), deadline: deadline, byteCount: bytes)
    }

    /// Passes a command on, whose name has the number of the request.
    private func forward(_ id: UInt64, deadline: Instant = .never, bytes: Int = 10) throws -> UInt64 {
        try XCTUnwrap(table.forward(RequestID(id), named(id), deadline: deadline, byteCount: bytes))
    }

    private func named(_ id: UInt64) -> CommandIdentity { CommandIdentity(session: 1, number: id) }

    private func seconds(_ count: UInt64) -> Instant { .zero + .seconds(count) }

    func testACommandIsToldItsResultWhenItsPositionIsApplied() {
        add(1, 5)
        add(2, 6)
        table.applied(LogPosition(term: 1, index: 5), result: "five", &effects)
        XCTAssertEqual(replies(), [1: .success("five", index: 5)])
        table.applied(LogPosition(term: 1, index: 6), result: "six", &effects)
        XCTAssertEqual(replies(), [2: .success("six", index: 6)])
        table.applied(LogPosition(term: 1, index: 6), result: "again", &effects)
        XCTAssertEqual(replies(), [:])
    }

    func testAnotherTermAtItsIndexMeansThatItWasReplaced() {
        add(1, 5, term: 1)
        table.applied(LogPosition(term: 2, index: 5), result: "theirs", &effects)
        XCTAssertEqual(replies(), [1: .failed(.notApplied, .superseded)])
    }

    /// A leader lost its entries 5 and 6, leads again in term 3, and has another command at 5.
    func testTwoCommandsOfOneIndexAreToldApart() {
        add(1, 5, term: 1)
        add(2, 6, term: 1)
        add(3, 5, term: 3)
        table.applied(LogPosition(term: 3, index: 5), result: "new", &effects)
        XCTAssertEqual(replies(), [1: .failed(.notApplied, .superseded), 3: .success("new", index: 5)])
        table.applied(LogPosition(term: 3, index: 6), result: "other", &effects)
        XCTAssertEqual(replies(), [2: .failed(.notApplied, .superseded)])
    }

    func testWhatLiesBehindEntriesThatAreNoCommandsWasReplaced() {
        add(1, 5)
        add(2, 7)
        table.passed(LogPosition(term: 1, index: 6), &effects)
        XCTAssertEqual(replies(), [1: .failed(.notApplied, .superseded)])
    }

    /// Entries 5 to 7 of a leader of term 1 were cut off. The next leader has committed one entry and has nothing more
    /// to write.
    func testPassed_entryOfALaterTerm_answersCommandsOfEarlierTermsBehindIt() {
        for index in 5...7 as ClosedRange<LogIndex> { add(index, index, term: 1) }
        add(8, 8, term: 3)
        table.passed(LogPosition(term: 3, index: 5), &effects)
        let superseded = Reply.failed(.notApplied, .superseded)
        XCTAssertEqual(replies(), [5: superseded, 6: superseded, 7: superseded])
        XCTAssertEqual(table.waitingBytes, 10 + RequestTable.overheadBytes)
        table.applied(LogPosition(term: 3, index: 8), result: "eight", &effects)
        XCTAssertEqual(replies(), [8: .success("eight", index: 8)])
    }

    /// They may all be committed yet.
    func testPassed_entryOfTheSameTerm_leavesCommandsBehindItWaiting() {
        add(6, 6, term: 3)
        table.passed(LogPosition(term: 3, index: 5), &effects)
        XCTAssertEqual(replies(), [:])
    }

    func testWhatACheckpointCoversIsUnknownAndSoIsAllThatWasPassedOn() throws {
        add(1, 5)
        add(2, 9)
        _ = try forward(3)
        table.overtaken(through: 8, &effects)
        let overtaken = Reply.failed(.unknown, .overtakenByCheckpoint)
        XCTAssertEqual(replies(), [1: overtaken, 3: overtaken])
        XCTAssertFalse(table.hasForwarded)
        table.applied(named(3), at: 9, result: "late", &effects)
        XCTAssertEqual(replies(), [:], "nobody is told twice")
        _ = try forward(4)
        table.applied(named(4), at: 10, result: "ten", &effects)
        XCTAssertEqual(replies(), [4: .success("ten", index: 10)])
    }

    func testWhatWasPassedOnIsFoundByItsName() throws {
        let first = try forward(1)
        let second = try forward(2)
        XCTAssertEqual(second, first + 1)
        XCTAssertTrue(table.hasForwarded)
        table.applied(CommandIdentity(session: 2, number: 1), at: 3, result: "another's", &effects)
        XCTAssertEqual(replies(), [:])
        table.applied(named(2), at: 4, result: "two", &effects)
        XCTAssertEqual(replies(), [2: .success("two", index: 4)])
        table.refused(second, RequestError(.notApplied, .busy, leader: 1), &effects)
        XCTAssertEqual(replies(), [:], "it was answered")
        table.refused(first, RequestError(.unknown, .notLeader, leader: 3), &effects)
        XCTAssertEqual(replies(), [1: .failed(.unknown, .notLeader, leader: 3)])
        XCTAssertFalse(table.hasForwarded)
    }

    func testANameThatIsWaitedForIsNotPassedOnTwice() throws {
        let number = try forward(1)
        XCTAssertNil(table.forward(RequestID(2), named(1), deadline: .never, byteCount: 10))
        XCTAssertEqual(table.waitingBytes, 10 + RequestTable.overheadBytes)
        table.refused(number, RequestError(.notApplied, .busy), &effects)
        XCTAssertEqual(table.forward(RequestID(3), named(1), deadline: .never, byteCount: 10), number + 1)
    }

    func testDeadlinesAreKeptForEachAndSweptNotTooOften() throws {
        add(1, 5, deadline: seconds(1))
        add(2, 6, deadline: seconds(2))
        _ = try forward(3, deadline: seconds(1))
        XCTAssertEqual(table.nextExpiry, seconds(1))
        table.expire(at: .zero + .milliseconds(999), granularity: .milliseconds(100), &effects)
        XCTAssertEqual(replies(), [:])
        table.expire(at: seconds(1), granularity: .milliseconds(100), &effects)
        XCTAssertEqual(replies(), [1: .failed(.unknown, .deadlineExceeded), 3: .failed(.unknown, .deadlineExceeded)])
        XCTAssertEqual(table.nextExpiry, seconds(2))
        _ = try forward(4, deadline: .zero + .milliseconds(2_001))
        table.expire(at: seconds(2), granularity: .milliseconds(100), &effects)
        XCTAssertEqual(replies(), [2: .failed(.unknown, .deadlineExceeded)])
        XCTAssertEqual(table.nextExpiry, .zero + .milliseconds(2_100), "not for every single deadline")
        table.expire(at: seconds(3), granularity: .milliseconds(100), &effects)
        XCTAssertEqual(replies(), [4: .failed(.unknown, .deadlineExceeded)])
        XCTAssertEqual(table.nextExpiry, .never)
    }

    func testBytesAreCountedWhileTheyWaitAndNoLonger() throws {
        add(1, 5, deadline: seconds(1), bytes: 100)
        add(2, 6, bytes: 10)
        let third = try forward(3, bytes: 5)
        _ = try forward(4, bytes: 5)
        _ = try forward(5, deadline: seconds(1), bytes: 5)
        XCTAssertEqual(table.waitingBytes, 125 + 5 * RequestTable.overheadBytes)
        table.expire(at: seconds(1), granularity: .milliseconds(1), &effects)
        XCTAssertEqual(table.waitingBytes, 20 + 3 * RequestTable.overheadBytes)
        table.refused(third, RequestError(.notApplied, .busy), &effects)
        table.applied(named(4), at: 6, result: "", &effects)
        XCTAssertEqual(table.waitingBytes, 10 + RequestTable.overheadBytes)
        table.applied(LogPosition(term: 1, index: 6), result: "", &effects)
        XCTAssertEqual(table.waitingBytes, 0)
    }

    func testAllAreToldWhenItEnds() throws {
        add(1, 5)
        add(2, 6)
        let number = try forward(3)
        table.failAll(.closed, &effects)
        let closed = Reply.failed(.unknown, .closed)
        XCTAssertEqual(replies(), [1: closed, 2: closed, 3: closed])
        table.failAll(.closed, &effects)
        XCTAssertEqual(replies(), [:])
        XCTAssertEqual(table.waitingBytes, 0)
        XCTAssertEqual(table.nextExpiry, .never)
        XCTAssertGreaterThan(try forward(4), number, "no number is used twice")
    }

    func testAnErrorSaysReasonAndOutcome() {
        XCTAssertEqual("\(RequestError(.unknown, .closed))", "closed (unknown)")
        XCTAssertEqual("\(RequestError(.notApplied, .busy))", "busy (not applied)")
    }
}

extension [ReplicaEffect] {
    /// What callers are told, by the number of the request; each of them once.
    func replies(file: StaticString = #filePath, line: UInt = #line) -> [UInt64: Reply] {
        var replies: [UInt64: Reply] = [:]
        for case .reply(let id, let reply) in self {
            XCTAssertNil(replies.updateValue(reply, forKey: id.number), "\(id) was told twice", file: file, line: line)
        }
        return replies
    }
}
