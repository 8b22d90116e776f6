import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// What a session does where there is too much, too late, or where it ends itself.
final class ClientSessionLimitsTests: XCTestCase {
    private var session = ClientSession(seed: 1, window: 100, maxWaitingBytes: 4_000)
    private var effects: [ClientEffect] = []

    private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    private func submissions() -> [Submission] {
        defer { effects.removeAll { if case .submit = $0 { true } else { false } } }
        return effects.compactMap { if case .submit(let submission) = $0 { submission } else { nil } }
    }

    private func numbers(_ submissions: [Submission]) throws -> [UInt64] {
        try submissions.map { try Command(decoding: $0.command).identity.number }
    }

    private func completed() -> [UInt64: Result<CommandReply, RequestError>] {
        var found: [UInt64: Result<CommandReply, RequestError>] = [:]
        for case .complete(let call, let result) in effects {
            XCTAssertNil(found.updateValue(result, forKey: call.number), "each call is answered once")
        }
        effects.removeAll { if case .complete = $0 { true } else { false } }
        return found
    }

    /// The moment that was last asked to be woken at.
    private var wakeUp: Instant? {
        effects.reversed().lazy.compactMap { if case .wake(let moment) = $0 { moment } else { nil } }.first
    }

    private func call(_ number: UInt64, at now: UInt64, until deadline: UInt64 = 10_000, byteCount: Int = 1) {
        let operation = Command.Operation.put(key: "k", value: Bytes([UInt8](repeating: 7, count: byteCount)))
        session.call(CallID(number: number), operation, deadline: at(deadline), at: at(now), into: &effects)
    }

    private func answer(_ submission: Submission, _ outcome: CommandReply.Outcome, revision: UInt64 = 8, at now: UInt64)
    {
        let reply = Reply.success(CommandReply(outcome, revision: revision).encoded(), index: revision)
        session.replied(submission.id, reply, at: at(now), into: &effects)
    }

    private func refuse(_ submission: Submission, _ error: RequestError, at now: UInt64) {
        session.replied(submission.id, .failure(error), at: at(now), into: &effects)
    }

    /// Opens a session, in which command 1 has been answered.
    private func open() throws {
        call(1, at: 0)
        answer(try XCTUnwrap(submissions().first), .sessionOpened, revision: 7, at: 1)
        answer(try XCTUnwrap(submissions().first), .applied, at: 1)
        XCTAssertEqual(completed().count, 1)
    }

    // MARK: Opening

    func testASessionIsOpenedForThoseThatWaitByThen() throws {
        call(1, at: 0, until: 50)
        call(2, at: 0, until: 1_000)
        let first = try XCTUnwrap(submissions().first)
        XCTAssertEqual(first.deadline, at(50), "nobody else waited")
        refuse(first, RequestError(.unknown, .deadlineExceeded), at: 60)
        session.timer(at: at(65), into: &effects)
        XCTAssertEqual(Array(completed().keys), [1])
        XCTAssertEqual(submissions().map(\.deadline), [at(1_000)])
    }

    func testNoSessionIsOpenedForNobody() throws {
        call(1, at: 0, until: 50)
        refuse(try XCTUnwrap(submissions().first), RequestError(.notApplied, .noQuorum), at: 48)
        session.timer(at: at(53), into: &effects)
        XCTAssertEqual(completed()[1], .failure(RequestError(.notApplied, .noQuorum)))
        XCTAssertTrue(submissions().isEmpty)
        call(2, at: 60, until: 500)
        XCTAssertEqual(submissions().map(\.deadline), [at(500)], "the next one does not wait for the retry of the last")
    }

    // MARK: Deadlines

    func testWhatIsTooLateIsNotSent() throws {
        call(1, at: 50, until: 50)
        XCTAssertEqual(completed()[1], .failure(RequestError(.notApplied, .deadlineExceeded)))
        XCTAssertTrue(submissions().isEmpty)
        XCTAssertEqual(session.outstandingCount, 0)
    }

    func testWhoseTurnComesTooLateIsNotSent() throws {
        session = ClientSession(seed: 1, window: 1, maxWaitingBytes: 4_000)
        try open()
        call(2, at: 2)
        call(3, at: 2, until: 50)
        call(4, at: 2)
        answer(try XCTUnwrap(submissions().first), .applied, at: 50)
        XCTAssertEqual(completed()[3], .failure(RequestError(.notApplied, .deadlineExceeded)))
        XCTAssertEqual(try numbers(submissions()), [3], "the third number is the fourth call's")
    }

    // MARK: Room

    func testBytesAreCountedUntilTheyAreAnswered() throws {
        try open()
        // 500 each: 2 of them are a quarter of what may be outstanding.
        for number in 2...9 as ClosedRange<UInt64> { call(number, at: 2, byteCount: 435) }
        let sent = submissions()
        XCTAssertEqual(try numbers(sent), [2, 3])
        XCTAssertEqual(session.outstandingBytes, 4_000)
        XCTAssertEqual(session.waitingBytes, 3_000)
        call(10, at: 2, byteCount: 435)
        XCTAssertEqual(completed()[10], .failure(RequestError(.notApplied, .busy)), "sent or not, it is held")
        answer(sent[0], .applied, at: 3)
        XCTAssertEqual(try numbers(submissions()), [4])
        call(11, at: 4, byteCount: 435)
        XCTAssertNil(completed()[11])
        session.close(into: &effects)
        XCTAssertEqual(session.outstandingBytes, 0)
    }

    func testAnySingleCommandHasRoom() throws {
        try open()
        call(2, at: 2, byteCount: 3_000)
        call(3, at: 2)
        let sent = submissions()
        XCTAssertEqual(try numbers(sent), [2])
        answer(sent[0], .applied, at: 3)
        XCTAssertEqual(try numbers(submissions()), [3])
        XCTAssertEqual(session.outstandingBytes, 66)
    }

    func testCancelledBytesAreHeldNoLongerThanTheirAnswer() throws {
        try open()
        for number in 2...4 as ClosedRange<UInt64> { call(number, at: 2, byteCount: 435) }
        let sent = submissions()
        for number in 2...4 as ClosedRange<UInt64> { session.cancel(CallID(number: number), into: &effects) }
        XCTAssertEqual(session.outstandingBytes, 1_000, "what was sent is still on its way")
        for submission in sent { answer(submission, .applied, at: 3) }
        XCTAssertEqual(session.outstandingBytes, 0)
        XCTAssertEqual(completed().count, 3)
    }

    func testACommandIsEncodedOnce() throws {
        try open()
        call(2, at: 2)
        call(3, at: 2)
        let sent = submissions()
        refuse(sent[1], RequestError(.notApplied, .notLeader), at: 3)
        answer(sent[0], .applied, at: 3)
        session.timer(at: at(8), into: &effects)
        XCTAssertEqual(submissions().map(\.command), [sent[1].command], "though another number is the lowest by now")
    }

    func testWhereThereIsNoRoomAllPauseTogether() throws {
        try open()
        call(2, at: 2)
        call(3, at: 2)
        let busy = RequestError(.notApplied, .busy)
        let sent = submissions()
        refuse(sent[0], busy, at: 3)
        refuse(sent[1], busy, at: 5)
        call(4, at: 6)
        XCTAssertTrue(submissions().isEmpty)
        XCTAssertEqual(wakeUp, at(8))
        session.timer(at: at(8), into: &effects)
        let again = submissions()
        XCTAssertEqual(try numbers(again), [2, 3, 4])
        // Longer the next time, until something is answered.
        effects.removeAll()
        for submission in again { refuse(submission, busy, at: 9) }
        XCTAssertEqual(wakeUp, at(19))
        session.timer(at: at(19), into: &effects)
        effects.removeAll { if case .wake = $0 { true } else { false } }
        let third = submissions()
        answer(third[0], .applied, at: 20)
        refuse(third[1], busy, at: 20)
        XCTAssertEqual(wakeUp, at(25))
    }

    // MARK: The end of a session

    func testEachCallOfASessionThatEndedIsToldItsOwnAnswer() throws {
        try open()
        for number in 2...6 as ClosedRange<UInt64> { call(number, at: 2) }
        let sent = submissions()
        answer(sent[0], .sessionExpired, at: 3)
        XCTAssertTrue(completed().isEmpty, "of the others nothing is known yet")
        let opening = try XCTUnwrap(submissions().first)
        XCTAssertEqual(try Command(decoding: opening.command).operation, .openSession)
        // It was executed just before the session ended.
        answer(sent[1], .applied, revision: 9, at: 4)
        XCTAssertEqual(try completed()[3]?.get().revision, 9)
        answer(sent[2], .sessionExpired, at: 4)
        answer(opening, .sessionOpened, revision: 20, at: 5)
        // One is answered when the next session is open already.
        answer(sent[3], .sessionExpired, at: 6)
        refuse(sent[4], RequestError(.notApplied, .notLeader), at: 6)
        XCTAssertTrue(completed().isEmpty)
        let anew = submissions()
        XCTAssertEqual(try numbers(anew), [1, 2, 3, 4])
        for submission in anew {
            XCTAssertEqual(try Command(decoding: submission.command).identity.session, SessionID(rawValue: 20))
            answer(submission, .applied, revision: 21, at: 7)
        }
        XCTAssertEqual(completed().keys.sorted(), [2, 4, 5, 6])
        XCTAssertEqual(session.outstandingCount, 0)
        XCTAssertEqual(session.outstandingBytes, 0)
    }

    func testWhatMayHaveHappenedIsNeverSentInAnotherSession() throws {
        try open()
        for number in 2...6 as ClosedRange<UInt64> { call(number, at: 2, until: 100) }
        let sent = submissions()
        // One waits for its next attempt, in doubt. One is sent again, in doubt.
        refuse(sent[1], RequestError(.unknown, .notLeader), at: 3)
        session.timer(at: at(8), into: &effects)
        let second = try XCTUnwrap(submissions().first)
        refuse(sent[2], RequestError(.unknown, .notLeader), at: 9)
        answer(sent[0], .sessionExpired, at: 9)
        let lost = Result<CommandReply, RequestError>.failure(RequestError(.unknown, .sessionExpired))
        XCTAssertEqual(completed(), [4: lost])
        answer(second, .sessionExpired, at: 10)
        refuse(sent[3], RequestError(.unknown, .notLeader), at: 10)
        XCTAssertEqual(completed(), [3: lost, 5: lost])
        refuse(sent[4], RequestError(.unknown, .deadlineExceeded), at: 100)
        XCTAssertEqual(completed(), [6: .failure(RequestError(.unknown, .deadlineExceeded))])
        answer(try XCTUnwrap(submissions().first), .sessionOpened, revision: 20, at: 11)
        XCTAssertEqual(submissions().count, 1, "only the first began anew")
    }

    func testCallsOfASessionThatEndedCanBeCancelledAndClosed() throws {
        try open()
        for number in 2...4 as ClosedRange<UInt64> { call(number, at: 2) }
        let sent = submissions()
        answer(sent[0], .sessionExpired, at: 3)
        session.cancel(CallID(number: 3), into: &effects)
        XCTAssertEqual(completed(), [3: .failure(RequestError(.unknown, .cancelled))])
        answer(sent[1], .sessionExpired, at: 4)
        XCTAssertTrue(completed().isEmpty)
        session.close(into: &effects)
        XCTAssertEqual(
            completed(),
            [2: .failure(RequestError(.notApplied, .closed)), 4: .failure(RequestError(.unknown, .closed))]
        )
        answer(sent[2], .applied, at: 5)
        XCTAssertTrue(completed().isEmpty)
        XCTAssertEqual(session.outstandingBytes, 0)
    }
}
