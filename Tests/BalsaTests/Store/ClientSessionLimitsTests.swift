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
}
