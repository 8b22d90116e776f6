import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// The callers that wait for a state that they may read, on their own.
final class ReadTableTests: XCTestCase {
    private var table = ReadTable()
    private var effects: [ReplicaEffect] = []

    private func replies() -> [UInt64: Reply] {
        defer { effects = [] }
        return effects.replies()
    }

    private func add(_ id: UInt64, deadline: Instant = .never) { table.add(RequestID(id), deadline: deadline) }

    private func ask(_ number: UInt64, askAgainAt: Instant = .never) -> ReadID {
        let read = ReadID(member: 1, nonce: 7, number: number)
        table.ask(read, askAgainAt: askAgainAt)
        return read
    }

    private func expire(at now: Instant) { table.expire(at: now, granularity: .milliseconds(100), &effects) }

    private func seconds(_ count: UInt64) -> Instant { .zero + .seconds(count) }

    func testAReadWaitsForItsIndexAndThenForTheState() {
        add(1)
        let read = ask(1)
        table.applied(100, &effects)
        XCTAssertEqual(replies(), [:], "its index is not known")
        table.ready(read, index: 7)
        table.ready(read, index: 3)
        table.applied(6, &effects)
        XCTAssertEqual(replies(), [:], "the first index that was named counts")
        table.applied(8, &effects)
        XCTAssertEqual(replies(), [1: .readable(8)])
        table.applied(9, &effects)
        XCTAssertEqual(replies(), [:])
        XCTAssertEqual(table.count, 0)
    }

    func testWhoComesWhileQuestionsAreOnTheirWaySharesTheNextOne() {
        XCTAssertFalse(table.shouldAsk(limit: 1), "nobody waits")
        add(1)
        XCTAssertTrue(table.shouldAsk(limit: 1))
        let first = ask(1)
        add(2)
        add(3)
        XCTAssertFalse(table.shouldAsk(limit: 1), "one is on its way")
        XCTAssertTrue(table.shouldAsk(limit: 2))
        table.ready(first, index: 5)
        XCTAssertTrue(table.shouldAsk(limit: 1))
        let second = ask(2)
        XCTAssertFalse(table.shouldAsk(limit: 1), "all are asked for")
        table.ready(second, index: 6)
        table.applied(5, &effects)
        XCTAssertEqual(replies(), [1: .readable(5)], "those of the second question may not have what was seen since")
        table.applied(6, &effects)
        XCTAssertEqual(replies(), [2: .readable(6), 3: .readable(6)])
    }

    func testReadsOfRevisionsAreAnsweredInTheOrderOfTheirIndexes() {
        table.add(RequestID(1), atLeast: 9, deadline: .never)
        table.add(RequestID(2), atLeast: 3, deadline: .never)
        table.add(RequestID(3), atLeast: 6, deadline: .never)
        XCTAssertEqual(table.count, 3)
        table.applied(2, &effects)
        XCTAssertEqual(replies(), [:])
        table.applied(6, &effects)
        XCTAssertEqual(replies(), [2: .readable(6), 3: .readable(6)])
        table.applied(20, &effects)
        XCTAssertEqual(replies(), [1: .readable(20)])
    }

    func testThoseOfAQuestionThatWasRefusedAreToldWhyAndOnlyOnce() {
        add(1)
        add(2)
        let read = ask(1)
        add(3)
        table.refused(read, RequestError(.notApplied, .notLeader, leader: 2), &effects)
        table.refused(read, RequestError(.notApplied, .notLeader, leader: 2), &effects)
        table.ready(read, index: 1)
        table.applied(9, &effects)
        let refused = Reply.failed(.notApplied, .notLeader, leader: 2)
        XCTAssertEqual(replies(), [1: refused, 2: refused], "the third one waits for a question of its own")
        XCTAssertEqual(table.count, 1)
    }

    func testAQuestionWithoutAnAnswerIsTakenForLostAndItsReadsAskAnew() {
        add(1)
        let lost = ask(1, askAgainAt: seconds(1))
        add(2)
        XCTAssertEqual(table.nextExpiry, seconds(1))
        expire(at: .zero + .milliseconds(999))
        XCTAssertFalse(table.shouldAsk(limit: 1))
        expire(at: seconds(1))
        XCTAssertTrue(table.shouldAsk(limit: 1))
        let again = ask(2, askAgainAt: seconds(2))
        table.ready(lost, index: 3)
        table.applied(100, &effects)
        XCTAssertEqual(replies(), [:], "a name that is not asked any more says nothing")
        table.ready(again, index: 4)
        table.applied(4, &effects)
        XCTAssertEqual(replies(), [1: .readable(4), 2: .readable(4)])
    }

    func testDeadlinesAreKeptWhereverAReadWaits() {
        add(1, deadline: seconds(2))
        _ = ask(1)
        add(2, deadline: seconds(2))
        table.add(RequestID(3), atLeast: 9, deadline: seconds(2))
        table.add(RequestID(4), atLeast: 9, deadline: seconds(3))
        XCTAssertEqual(table.nextExpiry, seconds(2))
        expire(at: .zero + .milliseconds(1_999))
        XCTAssertEqual(replies(), [:])
        expire(at: seconds(2))
        let exceeded = Reply.failed(.notApplied, .deadlineExceeded)
        XCTAssertEqual(replies(), [1: exceeded, 2: exceeded, 3: exceeded])
        XCTAssertEqual(table.nextExpiry, seconds(3))
        XCTAssertEqual(table.count, 1)
        table.applied(9, &effects)
        XCTAssertEqual(replies(), [4: .readable(9)])
        expire(at: seconds(3))
        XCTAssertEqual(table.nextExpiry, .never)
    }

    /// The deadline of a read that waits for the answer to its question is found by a sweep that comes for that deadline, and
    /// not only when the question is asked again.
    func testAReadThatWaitsForAnAnswerExpiresAtItsOwnDeadline() {
        add(1, deadline: seconds(5))
        table.add(RequestID(2), atLeast: 9, deadline: seconds(1))
        _ = ask(1, askAgainAt: seconds(100))
        expire(at: seconds(1))
        XCTAssertEqual(replies(), [2: .failed(.notApplied, .deadlineExceeded)])
        XCTAssertEqual(table.nextExpiry, seconds(5))
        expire(at: seconds(5))
        XCTAssertEqual(replies(), [1: .failed(.notApplied, .deadlineExceeded)])
    }

    func testAllAreToldWhenItEnds() {
        add(1)
        _ = ask(1)
        add(2)
        table.add(RequestID(3), atLeast: 9, deadline: .never)
        table.failAll(.closed, &effects)
        let closed = Reply.failed(.notApplied, .closed)
        XCTAssertEqual(replies(), [1: closed, 2: closed, 3: closed])
        table.failAll(.closed, &effects)
        XCTAssertEqual(replies(), [:])
        XCTAssertEqual(table.count, 0)
        XCTAssertEqual(table.nextExpiry, .never)
    }
}
