import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// The exactly-once half of a store, in steps.
final class ClientSessionTests: XCTestCase {
    private var session = ClientSession(seed: 1, window: 2, maxWaitingBytes: 1_000)
    private var effects: [ClientEffect] = []
    private let deadline = Instant(nanoseconds: 10_000_000_000)

    private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    /// What was submitted since the last time.
    private func submitted() -> [(request: RequestID, command: Command)] {
        defer { effects.removeAll { if case .submit = $0 { true } else { false } } }
        return effects.compactMap {
            guard case .submit(let submission) = $0, let command = try? Command(decoding: submission.command) else {
                return nil
            }
            return (submission.id, command)
        }
    }

    /// What was completed since the last time.
    private func completed() -> [UInt64: Result<CommandReply, RequestError>] {
        var found: [UInt64: Result<CommandReply, RequestError>] = [:]
        for case .complete(let call, let result) in effects { found[call.number] = result }
        effects.removeAll { if case .complete = $0 { true } else { false } }
        return found
    }

    private func call(_ number: UInt64, at now: Instant) {
        session.call(CallID(number: number), .delete(key: "k"), deadline: deadline, at: now, into: &effects)
    }

    private func reply(_ request: RequestID, _ reply: CommandReply, at now: Instant) {
        session.replied(request, .success(reply.encoded(), index: reply.revision), at: now, into: &effects)
    }

    /// Opens the session with a call that waits for it, and returns the call's own request.
    private func open() throws -> (request: RequestID, command: Command) {
        call(1, at: at(0))
        let opening = try XCTUnwrap(submitted().first)
        XCTAssertEqual(opening.command.operation, .openSession)
        reply(opening.request, CommandReply(.sessionOpened, revision: 7), at: at(1))
        return try XCTUnwrap(submitted().first)
    }

    func testASessionIsOpenedFirstAndCommandsAreNumbered() throws {
        let first = try open()
        XCTAssertEqual(first.command.identity, RequestIdentity(session: SessionID(rawValue: 7), number: 1))
        reply(first.request, CommandReply(.applied, revision: 8), at: at(2))
        XCTAssertEqual(try completed()[1]?.get().revision, 8)
        call(2, at: at(3))
        XCTAssertEqual(submitted().first?.command.identity.number, 2)
    }

    func testWhatIsUnknownIsSentAgainUnderItsNumber() throws {
        let first = try open()
        let lost = RequestError(.unknown, .notLeader)
        session.replied(first.request, .failure(lost), at: at(2), into: &effects)
        XCTAssertTrue(completed().isEmpty, "nobody is told yet")
        session.timer(at: at(50), into: &effects)
        let second = try XCTUnwrap(submitted().first)
        XCTAssertEqual(second.command.identity, first.command.identity)
        XCTAssertNotEqual(second.request, first.request)
        reply(second.request, CommandReply(.applied, revision: 8), at: at(51))
        XCTAssertEqual(try completed()[1]?.get().revision, 8)
    }

    /// Every copy of the same bytes is refused alike: another attempt would end like this one.
    func testACall_beyondTheWindowOfTheMachine_failsForGood() throws {
        let first = try open()
        reply(first.request, CommandReply(.windowExceeded, revision: 8), at: at(2))
        XCTAssertEqual(completed()[1], .failure(RequestError(.notApplied, .invalid)))
        session.timer(at: at(5_000), into: &effects)
        XCTAssertTrue(submitted().isEmpty)
    }

    /// Where sessions end before anything is answered, each call would otherwise write two entries as fast as the log
    /// takes them.
    func testSessions_thatEndAtOnce_areOpenedAfterPausesThatGrow() throws {
        var now: UInt64 = 0
        var openings: [UInt64] = []
        call(1, at: at(0))
        while now < 9_000, openings.count < 1_000 {
            let sent = submitted()
            for (request, command) in sent {
                if command.operation == .openSession {
                    openings.append(now)
                    reply(request, CommandReply(.sessionOpened, revision: UInt64(openings.count)), at: at(now))
                } else {
                    reply(request, CommandReply(.sessionExpired, revision: 9), at: at(now))
                }
            }
            guard sent.isEmpty else { continue }
            XCTAssertTrue(completed().isEmpty, "the call may yet succeed")
            // What was looked at is forgotten: thousands of wake-ups would be looked through at each step.
            effects.removeAll()
            now += 1
            session.timer(at: at(now), into: &effects)
        }
        XCTAssertEqual(Array(openings.prefix(10)), [0, 0, 5, 15, 35, 75, 155, 315, 635, 1_275])
        XCTAssertEqual(Array(openings.dropFirst(10).prefix(3)), [2_275, 3_275, 4_275], "a second at most")
        // A session that serves ends the pauses.
        session.timer(at: at(9_500), into: &effects)
        let opening = try XCTUnwrap(submitted().first)
        reply(opening.request, CommandReply(.sessionOpened, revision: 900), at: at(9_500))
        let request = try XCTUnwrap(submitted().first).request
        reply(request, CommandReply(.applied, revision: 901), at: at(9_501))
        XCTAssertEqual(try completed()[1]?.get().revision, 901)
        call(2, at: at(9_502))
        reply(try XCTUnwrap(submitted().first).request, CommandReply(.sessionExpired, revision: 902), at: at(9_503))
        XCTAssertEqual(submitted().first?.command.operation, .openSession, "at once")
    }

    func testBehindTheDeadlineTheOutcomeIsWhatIsKnown() throws {
        let first = try open()
        session.replied(first.request, .failure(RequestError(.notApplied, .notLeader)), at: at(2), into: &effects)
        session.timer(at: deadline, into: &effects)
        XCTAssertEqual(completed()[1], .failure(RequestError(.notApplied, .notLeader)))
    }

    func testTheWindowIsKeptAndTheRestWaits() throws {
        _ = try open()
        call(2, at: at(2))
        call(3, at: at(2))
        XCTAssertEqual(submitted().count, 1, "two are outstanding")
        session.cancel(CallID(number: 3), into: &effects)
        XCTAssertEqual(completed()[3], .failure(RequestError(.notApplied, .cancelled)), "it was never sent")
        session.cancel(CallID(number: 2), into: &effects)
        XCTAssertEqual(completed()[2], .failure(RequestError(.unknown, .cancelled)))
    }

    /// The moment that was last asked to be woken at.
    private var wakeUp: Instant? {
        effects.reversed().lazy.compactMap { if case .wake(let moment) = $0 { moment } else { nil } }.first
    }

    func testWhatWaitsForItsTurnIsToldAtItsDeadlineThoughNothingElseHappens() throws {
        _ = try open()
        call(2, at: at(2))
        effects.removeAll()
        session.call(CallID(number: 3), .delete(key: "k"), deadline: at(50), at: at(3), into: &effects)
        XCTAssertTrue(submitted().isEmpty, "two are outstanding")
        XCTAssertEqual(wakeUp, at(50))
        session.timer(at: at(50), into: &effects)
        XCTAssertEqual(completed()[3], .failure(RequestError(.notApplied, .deadlineExceeded)))
    }

    func testWhatWaitsForTheSessionIsToldAtItsDeadline() throws {
        session.call(CallID(number: 1), .delete(key: "k"), deadline: at(50), at: at(0), into: &effects)
        XCTAssertEqual(submitted().count, 1, "the session is being opened, and nobody answers")
        XCTAssertEqual(wakeUp, at(50))
        session.timer(at: at(50), into: &effects)
        XCTAssertEqual(completed()[1]?.failure?.outcome, .notApplied)
    }

    func testASessionThatEndsWhileAnAttemptIsInDoubtLeavesItInDoubt() throws {
        let first = try open()
        session.replied(first.request, .failure(RequestError(.unknown, .notLeader)), at: at(2), into: &effects)
        session.timer(at: at(50), into: &effects)
        let second = try XCTUnwrap(submitted().first)
        reply(second.request, CommandReply(.sessionExpired, revision: 9), at: at(51))
        XCTAssertEqual(completed()[1], .failure(RequestError(.unknown, .sessionExpired)))
        call(2, at: at(52))
        XCTAssertEqual(submitted().first?.command.operation, .openSession, "the next call has another one")
    }

    func testWhatAReplicaSaysOfOneAttemptIsNotWhatItsCallerIsTold() throws {
        // Superseded, overtaken, another leader: the command is sent again, and only what is known at the deadline counts.
        let passing: [(RequestError, RequestError)] = [
            (RequestError(.notApplied, .superseded), RequestError(.notApplied, .deadlineExceeded)),
            (RequestError(.unknown, .overtakenByCheckpoint), RequestError(.unknown, .deadlineExceeded)),
            (RequestError(.notApplied, .notLeader, leader: 3), RequestError(.notApplied, .notLeader, leader: 3)),
            (RequestError(.unknown, .deadlineExceeded), RequestError(.unknown, .deadlineExceeded)),
            (RequestError(.notApplied, .busy), RequestError(.notApplied, .busy)),
            // The next leader may have heard all members.
            (RequestError(.notApplied, .upgradeRequired), RequestError(.notApplied, .upgradeRequired)),
        ]
        for (attempt, told) in passing {
            session = ClientSession(seed: 1, window: 2, maxWaitingBytes: 1_000)
            effects.removeAll()
            let first = try open()
            session.replied(first.request, .failure(attempt), at: at(2), into: &effects)
            XCTAssertTrue(completed().isEmpty, "\(attempt)")
            session.timer(at: deadline, into: &effects)
            XCTAssertEqual(completed()[1], .failure(told), "\(attempt)")
        }
    }

    func testAReplicaThatHasFailedOrClosedIsNotAskedAgain() throws {
        for reason in [.failed, .closed, .tooLarge, .invalid] as [RequestError.Reason] {
            for mayHaveHappened in [false, true] {
                session = ClientSession(seed: 1, window: 2, maxWaitingBytes: 1_000)
                effects.removeAll()
                var request = try open().request
                if mayHaveHappened {
                    session.replied(request, .failure(RequestError(.unknown, .notLeader)), at: at(2), into: &effects)
                    session.timer(at: at(50), into: &effects)
                    request = try XCTUnwrap(submitted().first).request
                }
                session.replied(request, .failure(RequestError(.notApplied, reason)), at: at(51), into: &effects)
                let told = RequestError(mayHaveHappened ? .unknown : .notApplied, reason)
                XCTAssertEqual(completed()[1], .failure(told), "an earlier attempt may have happened")
            }
        }
    }

    /// How commands went that took long.
    private var traces: [CommandTrace] {
        effects.compactMap { if case .slow(let trace) = $0 { trace } else { nil } }
    }

    func testWhatTookLongIsToldWithWhereTheTimeWent() throws {
        session = ClientSession(seed: 1, window: 2, maxWaitingBytes: 1_000, slowAfter: .milliseconds(100))
        let first = try open()
        session.replied(first.request, .failure(RequestError(.notApplied, .notLeader)), at: at(40), into: &effects)
        session.timer(at: at(60), into: &effects)
        let second = try XCTUnwrap(submitted().first)
        reply(second.request, CommandReply(.applied, revision: 8), at: at(130))
        let trace = CommandTrace(took: .milliseconds(130), waited: .milliseconds(1), attempts: 2, refusal: .notLeader)
        XCTAssertEqual(traces, [trace])
        effects.removeAll()
        call(2, at: at(200))
        reply(try XCTUnwrap(submitted().first).request, CommandReply(.applied, revision: 9), at: at(299))
        XCTAssertEqual(traces, [], "not slow")
    }

    func testWhatNeverGotItsTurnSaysThatItOnlyWaited() throws {
        session = ClientSession(seed: 1, window: 2, maxWaitingBytes: 1_000, slowAfter: .milliseconds(100))
        session.call(CallID(number: 1), .delete(key: "k"), deadline: at(150), at: at(0), into: &effects)
        session.timer(at: at(150), into: &effects)
        let waited = TimeSpan.milliseconds(150)
        XCTAssertEqual(traces, [CommandTrace(took: waited, waited: waited, attempts: 0, refusal: nil)])
    }

    func testClosingTellsEverybodyWhatIsKnown() throws {
        _ = try open()
        call(2, at: at(2))
        call(3, at: at(2))
        session.close(into: &effects)
        let told = completed()
        XCTAssertEqual(told[1], .failure(RequestError(.unknown, .closed)))
        XCTAssertEqual(told[2], .failure(RequestError(.unknown, .closed)))
        XCTAssertEqual(told[3], .failure(RequestError(.notApplied, .closed)), "its turn never came")
        call(4, at: at(3))
        XCTAssertEqual(completed()[4], .failure(RequestError(.notApplied, .closed)))
    }

    func testASessionThatEndedIsOpenedAnewForWhatWasCertainlyNotExecuted() throws {
        let first = try open()
        reply(first.request, CommandReply(.sessionExpired, revision: 9), at: at(2))
        XCTAssertTrue(completed().isEmpty)
        let opening = try XCTUnwrap(submitted().first)
        XCTAssertEqual(opening.command.operation, .openSession)
    }

    func testAStoreThatHasFailedIsNotWaitedFor() throws {
        call(1, at: at(0))
        call(2, at: at(0))
        let opening = try XCTUnwrap(submitted().first)
        session.replied(opening.request, .failure(RequestError(.unknown, .failed)), at: at(1), into: &effects)
        let failed = RequestError(.notApplied, .failed)
        XCTAssertEqual(completed(), [1: .failure(failed), 2: .failure(failed)], "neither was sent")
        XCTAssertEqual(session.outstandingCount, 0)
        // Whoever comes later is told as well.
        call(3, at: at(2))
        let again = try XCTUnwrap(submitted().first)
        session.replied(again.request, .failure(failed), at: at(3), into: &effects)
        XCTAssertEqual(completed(), [3: .failure(failed)])
    }

    func testTooManyBytesAreRefusedAtOnce() {
        session = ClientSession(seed: 1, window: 2, maxWaitingBytes: 10)
        call(1, at: at(0))
        XCTAssertEqual(completed()[1], .failure(RequestError(.notApplied, .tooLarge)), "there would never be room")
        session = ClientSession(seed: 1, window: 2, maxWaitingBytes: 100)
        call(1, at: at(0))
        call(2, at: at(0))
        XCTAssertEqual(completed(), [2: .failure(RequestError(.notApplied, .busy))])
    }

    /// The moment of the last wake-up that was asked for.
    private func woken() -> Instant? {
        defer { effects.removeAll { if case .wake = $0 { true } else { false } } }
        var last: Instant?
        for case .wake(let moment) in effects { last = moment }
        return last
    }

    func testRepliesInAnyOrderReachTheirCalls() throws {
        session = ClientSession(seed: 1, window: 100, maxWaitingBytes: 100_000)
        let first = try open()
        for number in 2...50 as ClosedRange<UInt64> { call(number, at: at(2)) }
        var sent = [first] + submitted()
        XCTAssertEqual(sent.map(\.command.identity.number), Array(1...50))
        // Every third one first.
        sent = sent.enumerated().sorted { ($0.offset % 3, $0.offset) < ($1.offset % 3, $1.offset) }.map(\.element)
        for (place, each) in sent.enumerated() {
            reply(each.request, CommandReply(.applied, revision: 100 + each.command.identity.number), at: at(3))
            let answered = try XCTUnwrap(completed().first)
            XCTAssertEqual(answered.key, each.command.identity.number)
            XCTAssertEqual(try answered.value.get().revision, 100 + answered.key)
            XCTAssertEqual(session.outstandingCount, 49 - place)
        }
    }

    func testNoNumberRunsAheadOfTheWindow() throws {
        let first = try open()
        call(2, at: at(2))
        call(3, at: at(2))
        let second = try XCTUnwrap(submitted().first)
        reply(second.request, CommandReply(.applied, revision: 8), at: at(3))
        XCTAssertTrue(submitted().isEmpty, "the machine would refuse number 3 while 1 is not answered")
        reply(first.request, CommandReply(.applied, revision: 9), at: at(4))
        let third = try XCTUnwrap(submitted().first)
        XCTAssertEqual(third.command.identity.number, 3)
        XCTAssertEqual(third.command.lowestOutstanding, 3)
    }

    func testTheTimerIsAskedForWhenSomethingIsDue() throws {
        let first = try open()
        XCTAssertEqual(woken(), deadline, "it waited for the session before it had a number")
        XCTAssertNil(woken())
        session.replied(first.request, .failure(RequestError(.notApplied, .notLeader)), at: at(10), into: &effects)
        XCTAssertEqual(woken(), at(10) + ClientSession.firstPause)
        session.timer(at: at(15), into: &effects)
        let second = try XCTUnwrap(submitted().first)
        XCTAssertNil(woken())
        reply(second.request, CommandReply(.applied, revision: 8), at: at(16))
        XCTAssertNil(woken())
    }

    func testWhoWaitsForANumberIsToldWhenItsDeadlinePasses() throws {
        _ = try open()
        call(2, at: at(2))
        let early = at(300)
        session.call(CallID(number: 3), .delete(key: "k"), deadline: early, at: at(2), into: &effects)
        XCTAssertEqual(woken(), early)
        session.timer(at: early, into: &effects)
        XCTAssertEqual(completed()[3], .failure(RequestError(.notApplied, .deadlineExceeded)))
        XCTAssertEqual(session.outstandingCount, 2)
    }
}

extension Result {
    /// The error, where there is one.
    fileprivate var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
