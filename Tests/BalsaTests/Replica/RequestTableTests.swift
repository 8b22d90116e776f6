import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// The callers that wait, on their own.
final class RequestTableTests: XCTestCase {
    private var table = RequestTable()
    private var effects: [ReplicaEffect] = []

    /// What was told since the last time.
    private func replies() -> [UInt64: Reply] {
        var replies: [UInt64: Reply] = [:]
        for case .reply(let id, let reply) in effects {
            XCTAssertNil(replies.updateValue(reply, forKey: id.number), "\(id) was told twice")
        }
        effects = []
        return replies
    }

    private func add(_ id: UInt64, _ index: LogIndex, term: Term = 1, deadline: Instant = .never, bytes: Int = 10) {
        table.add(RequestID(id), at: LogPosition(term: term, index: index), deadline: deadline, byteCount: bytes)
    }

    private func ask(_ id: UInt64, deadline: Instant = .never) -> ReadID {
        let read = ReadID(member: 1, nonce: 7, number: id)
        table.add(RequestID(id), query: "12345", read: read, deadline: deadline)
        return read
    }

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
        table.passed(6, &effects)
        XCTAssertEqual(replies(), [1: .failed(.notApplied, .superseded)])
    }

    func testWhatACheckpointCoversIsUnknown() {
        add(1, 5)
        add(2, 9)
        table.overtaken(through: 8, &effects)
        XCTAssertEqual(replies(), [1: .failed(.unknown, .overtakenByCheckpoint)])
    }

    func testAQueryWaitsForItsIndexAndThenForTheState() {
        let read = ask(1)
        XCTAssertNil(table.takeAnswerable(at: 100), "its index is not known")
        table.ready(read, index: 7)
        table.ready(read, index: 3)
        XCTAssertNil(table.takeAnswerable(at: 6), "the first index that was named counts")
        XCTAssertEqual(table.takeAnswerable(at: 7)?.id, RequestID(1))
        XCTAssertNil(table.takeAnswerable(at: 7))
    }

    func testAQueryThatWasRefusedIsToldWhyAndOnlyOnce() {
        let read = ask(1)
        table.refused(read, RequestError(.notApplied, .notLeader, leader: 2), &effects)
        table.refused(read, RequestError(.notApplied, .notLeader, leader: 2), &effects)
        table.ready(read, index: 1)
        XCTAssertEqual(replies(), [1: .failed(.notApplied, .notLeader, leader: 2)])
        XCTAssertNil(table.takeAnswerable(at: 9))
    }

    func testDeadlinesAreKeptForEachAndSweptNotTooOften() {
        add(1, 5, deadline: seconds(1))
        add(2, 6, deadline: seconds(2))
        _ = ask(3, deadline: seconds(1))
        XCTAssertEqual(table.nextExpiry, seconds(1))
        table.expire(at: .zero + .milliseconds(999), granularity: .milliseconds(100), &effects)
        XCTAssertEqual(replies(), [:])
        table.expire(at: seconds(1), granularity: .milliseconds(100), &effects)
        XCTAssertEqual(
            replies(),
            [1: .failed(.unknown, .deadlineExceeded), 3: .failed(.notApplied, .deadlineExceeded)]
        )
        XCTAssertEqual(table.nextExpiry, seconds(2))
        add(4, 7, deadline: .zero + .milliseconds(2_001))
        table.expire(at: seconds(2), granularity: .milliseconds(100), &effects)
        XCTAssertEqual(replies(), [2: .failed(.unknown, .deadlineExceeded)])
        XCTAssertEqual(table.nextExpiry, .zero + .milliseconds(2_100), "not for every single deadline")
        table.expire(at: seconds(3), granularity: .milliseconds(100), &effects)
        XCTAssertEqual(table.nextExpiry, .never)
    }

    func testBytesAreCountedWhileTheyWaitAndNoLonger() {
        add(1, 5, deadline: seconds(1), bytes: 100)
        add(2, 6, bytes: 10)
        let first = ask(3)
        let second = ask(4)
        _ = ask(5, deadline: seconds(1))
        XCTAssertEqual(table.waitingBytes, 125 + 5 * RequestTable.overheadBytes)
        table.expire(at: seconds(1), granularity: .milliseconds(1), &effects)
        XCTAssertEqual(table.waitingBytes, 20 + 3 * RequestTable.overheadBytes)
        table.refused(first, RequestError(.notApplied, .busy), &effects)
        table.ready(second, index: 1)
        _ = table.takeAnswerable(at: 1)
        XCTAssertEqual(table.waitingBytes, 10 + RequestTable.overheadBytes)
        table.applied(LogPosition(term: 1, index: 6), result: "", &effects)
        XCTAssertEqual(table.waitingBytes, 0)
    }

    func testAllAreToldWhenItEnds() {
        add(1, 5)
        add(2, 6)
        _ = ask(3)
        table.failAll(.closed, &effects)
        XCTAssertEqual(
            replies(),
            [1: .failed(.unknown, .closed), 2: .failed(.unknown, .closed), 3: .failed(.notApplied, .closed)]
        )
        table.failAll(.closed, &effects)
        XCTAssertEqual(replies(), [:])
        XCTAssertEqual(table.waitingBytes, 0)
        XCTAssertEqual(table.nextExpiry, .never)
    }

    func testWhatMayBeTriedAgainHadNoEffect() {
        XCTAssertTrue(RequestError(.notApplied, .busy).isRetriable)
        XCTAssertTrue(RequestError(.notApplied, .superseded).isRetriable)
        XCTAssertFalse(RequestError(.notApplied, .tooLarge).isRetriable)
        XCTAssertFalse(RequestError(.notApplied, .deadlineExceeded).isRetriable)
        XCTAssertFalse(RequestError(.unknown, .superseded).isRetriable, "an unknown effect may be one")
        XCTAssertEqual("\(RequestError(.unknown, .closed))", "closed (unknown)")
        XCTAssertEqual("\(RequestError(.notApplied, .busy))", "busy (not applied)")
    }
}
