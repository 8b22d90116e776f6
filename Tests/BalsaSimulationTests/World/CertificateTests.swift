import Balsa
import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import XCTest

@testable import BalsaSimulation

/// The certificate believes nothing that does not follow from the log.
final class CertificateTests: XCTestCase {
    private var calls = CallLog()
    private var ledger = RequestLedger(options: ReplicatedOptions())
    private let session = SessionID(rawValue: 1)

    override func setUp() {
        calls = CallLog()
        ledger = RequestLedger(options: ReplicatedOptions())
        let opening = Command(identity: RequestIdentity(session: .none, number: 77), operation: .openSession)
        XCTAssertNil(ledger.note(opening, CommandReply(.sessionOpened, revision: 1, number: 1_024), stamp: 0)?.1)
    }

    private func at(_ time: UInt64) -> TimeSpan { TimeSpan(nanoseconds: time) }

    private func command(_ number: UInt64, _ operation: Command.Operation) -> Command {
        let identity = RequestIdentity(session: session, number: number)
        return Command(identity: identity, lowestOutstanding: 1, operation: operation)
    }

    private func put(_ number: UInt64, _ value: Bytes) -> Command { command(number, .put(key: "k", value: value)) }

    private func call(_ question: CallLog.Question, at time: UInt64) -> Int {
        calls.call(question, client: 1, at: at(time))
    }

    /// Executes a command as the next entry, and returns its reply.
    @discardableResult
    private func apply(_ command: Command) -> CommandReply {
        let reply = CommandReply(.applied, revision: ledger.lastIndex + 1)
        XCTAssertNil(ledger.note(command, reply, stamp: 0)?.1)
        return reply
    }

    private func verdict() -> String? {
        do throws(Violation) {
            try Certificate(calls: calls, ledger: ledger).check(at: .zero)
            return nil
        } catch {
            return error.detail
        }
    }

    private func entry(_ value: Bytes, _ revision: UInt64) -> KeyValueEntry {
        KeyValueEntry(value: value, revision: revision)
    }

    private func page(_ pairs: [KeyValuePair], _ revision: UInt64) -> ScanPage {
        ScanPage(pairs: pairs, revision: revision, continuation: nil)
    }

    private func scan(limit: Int = 10, back: UInt64 = 0, _ order: ScanOrder = .ascending) -> CallLog.Question {
        .scan(CallLog.Scan(from: Bytes(), to: nil, limit: limit, order: order, back: back), .linearizable)
    }

    func testAnswersThatFollowFromTheLogAreCertified() {
        let write = call(.command(put(1, "a")), at: 1)
        calls.end(write, .replied(apply(put(1, "a"))), at: at(2))
        let read = call(.get("k", .linearizable), at: 3)
        calls.end(read, .value(entry("a", 2), index: 2), at: at(4))
        let pairs = call(scan(), at: 5)
        calls.end(
            pairs,
            .page(page([KeyValuePair(key: "k", value: "a", revision: 2)], 2), index: 2, asked: 2),
            at: at(6)
        )
        XCTAssertNil(verdict())
    }

    func testAReadOfWhatWasNotThereIsRefused() {
        apply(put(1, "a"))
        let read = call(.get("k", .linearizable), at: 3)
        calls.end(read, .value(entry("b", 2), index: 2), at: at(4))
        XCTAssertEqual(verdict()?.contains("call 1 read"), true)
    }

    func testALocalReadMayBeOldAndMustBeRight() {
        let write = call(.command(put(1, "a")), at: 1)
        calls.end(write, .replied(apply(put(1, "a"))), at: at(2))
        let old = call(.get("k", .local), at: 3)
        calls.end(old, .value(nil, index: 1), at: at(4))
        XCTAssertNil(verdict())
        let wrong = call(.get("k", .local), at: 5)
        calls.end(wrong, .value(nil, index: 2), at: at(6))
        XCTAssertNotNil(verdict())
    }

    func testAStaleReadIsRefusedThoughItIsRightForItsIndex() {
        let write = call(.command(put(1, "a")), at: 1)
        calls.end(write, .replied(apply(put(1, "a"))), at: at(2))
        let read = call(.get("k", .linearizable), at: 3)
        calls.end(read, .value(nil, index: 1), at: at(4))
        XCTAssertEqual(verdict()?.contains("made after call 1 had returned"), true)
    }

    func testACommandDecidedBeforeOneThatHadReturnedIsRefused() {
        let (a, b) = (put(1, "a"), put(2, "b"))
        let first = call(.command(a), at: 1)
        let second = call(.command(b), at: 5)
        let (replyB, replyA) = (apply(b), apply(a))
        calls.end(first, .replied(replyA), at: at(5))
        calls.end(second, .replied(replyB), at: at(9))
        XCTAssertNil(verdict(), "they touch, so either order is right")
        setUp()
        let early = call(.command(a), at: 1)
        let (lateReply, earlyReply) = (apply(b), apply(a))
        calls.end(early, .replied(earlyReply), at: at(4))
        let late = call(.command(b), at: 5)
        calls.end(late, .replied(lateReply), at: at(9))
        XCTAssertNotNil(verdict())
    }

    func testAScanGivesAllPairsOfOneRevision() {
        apply(put(1, "a"))
        apply(command(2, .put(key: "l", value: "b")))
        let (k, l) = (KeyValuePair(key: "k", value: "a", revision: 2), KeyValuePair(key: "l", value: "b", revision: 3))
        for (pairs, revision, limit, isRight) in [
            ([k, l], 3, 10, true), ([k], 3, 1, true), ([k], 2, 10, true), ([k], 3, 10, false), ([l, k], 3, 10, false),
            ([k, l], 2, 10, false), ([], 3, 10, false),
        ] as [([KeyValuePair], UInt64, Int, Bool)] {
            calls = CallLog()
            let place = call(scan(limit: limit, back: 3 - revision), at: 1)
            var answer = page(pairs, revision)
            if pairs.count == limit { answer.continuation = "l" }
            calls.end(place, .page(answer, index: 3, asked: revision), at: at(2))
            XCTAssertEqual(verdict() == nil, isRight, "\(pairs) at \(revision), limit \(limit)")
        }
    }

    func testAPage_thatDoesNotSayWhereTheNextBeginsOrIsTooLong_isRefused() {
        apply(put(1, "a"))
        apply(command(2, .put(key: "l", value: "b")))
        let (k, l) = (KeyValuePair(key: "k", value: "a", revision: 2), KeyValuePair(key: "l", value: "b", revision: 3))
        let cases: [(ScanOrder, [KeyValuePair], limit: Int, Bytes?, isRight: Bool)] = [
            (.ascending, [k], 1, "l", true), (.ascending, [k], 10, "l", true), (.ascending, [k, l], 2, nil, true),
            (.ascending, [], 10, "k", false), (.ascending, [k, l], 1, nil, false), (.ascending, [k, l], 1, "m", false),
            (.ascending, [k], 1, "k", false), (.ascending, [k], 1, "m", false), (.ascending, [k], 1, nil, false),
            (.ascending, [k, l], 2, "m", true), (.ascending, [k], 1, "k1", true), (.ascending, [k, l], 2, "l", false),
            (.descending, [l], 1, "l", true), (.descending, [l], 1, "k", false), (.descending, [l], 1, "m", false),
            (.descending, [l], 1, nil, false), (.descending, [l, k], 2, nil, true),
            (.descending, [l, k], 2, "k", true), (.descending, [l, k], 2, "l", false),
        ]
        for (order, pairs, limit, continuation, isRight) in cases {
            calls = CallLog()
            let place = call(scan(limit: limit, order), at: 1)
            let answer = ScanPage(pairs: pairs, revision: 3, continuation: continuation)
            calls.end(place, .page(answer, index: 3, asked: 3), at: at(2))
            let name = "\(order) \(pairs.map(\.key)) limit \(limit), then \(String(describing: continuation))"
            XCTAssertEqual(verdict() == nil, isRight, name)
            if !isRight { XCTAssertEqual(verdict()?.contains("call 1 scanned"), true, name) }
        }
    }

    func testAPage_thatIsCutShort_maySayAnythingBetweenItsEndAndTheNextPair() {
        apply(put(1, "a"))
        apply(command(2, .put(key: "l", value: "b")))
        let (k, l) = (KeyValuePair(key: "k", value: "a", revision: 2), KeyValuePair(key: "l", value: "b", revision: 3))
        let cases: [(ScanOrder, [KeyValuePair], Bytes?, isRight: Bool)] = [
            (.ascending, [k], "k1", true), (.ascending, [k], "l", true), (.ascending, [k, l], "m", true),
            (.ascending, [k], "k", false), (.ascending, [k], "m", false), (.ascending, [k], nil, false),
            (.ascending, [], "k", false), (.ascending, [l], "m", false),
            (.descending, [l], "l", true), (.descending, [l], "k1", true), (.descending, [l, k], "j", true),
            (.descending, [l], "k", false), (.descending, [l], "m", false), (.descending, [l], nil, false),
        ]
        for (order, pairs, continuation, isRight) in cases {
            calls = CallLog()
            let place = call(scan(limit: 10, order), at: 1)
            var answer = ScanPage(pairs: pairs, revision: 3, continuation: continuation)
            answer.isCutShort = true
            calls.end(place, .page(answer, index: 3, asked: 3), at: at(2))
            let name = "\(order) \(pairs.map(\.key)), then \(String(describing: continuation))"
            XCTAssertEqual(verdict() == nil, isRight, name)
        }
    }

    func testAScan_atAnotherRevisionThanWasAskedFor_isRefused() {
        apply(put(1, "a"))
        apply(put(2, "b"))
        for (back, asked, revision, isRight) in [
            (1, 2, 2, true), (9, 0, 0, true), (1, 2, 3, false), (1, 3, 2, false), (1, 3, 3, false), (1, 1, 1, false),
            (0, 2, 2, false), (0, 3, 3, true),
        ] as [(UInt64, UInt64, UInt64, Bool)] {
            calls = CallLog()
            let place = call(scan(back: back), at: 1)
            let pairs = ledger.state.pairs(from: Bytes(), to: nil, at: revision)
            calls.end(place, .page(page(pairs, revision), index: 3, asked: asked), at: at(2))
            let name = "\(back) back, asked for \(asked), read at \(revision)"
            XCTAssertEqual(verdict() == nil, isRight, name)
            if !isRight { XCTAssertEqual(verdict()?.contains("was asked for"), true, name) }
        }
    }

    func testAReadOfAtLeastARevision_isCertifiedFromThatRevisionOn() {
        apply(put(1, "a"))
        apply(put(2, "b"))
        for (index, isRight) in [(1, false), (2, true), (3, true)] as [(UInt64, Bool)] {
            calls = CallLog()
            let value = index == 1 ? nil : entry(index == 2 ? "a" : "b", index)
            let read = call(.get("k", .atLeast(2)), at: 1)
            calls.end(read, .value(value, index: index), at: at(2))
            XCTAssertEqual(verdict() == nil, isRight, "at \(index)")
            if !isRight { XCTAssertEqual(verdict()?.contains("asked for 2 at least"), true) }
        }
    }

    func testARefusalThatTheLogDoesNotSay_isRefused() {
        let write = call(.command(put(1, "a")), at: 1)
        calls.refuse(write, CommandReply(.sessionExpired, revision: 2))
        calls.end(write, .failed, at: at(2))
        XCTAssertEqual(verdict()?.contains("which the log does not say"), true)
        let late = command(9, .closeSession)
        apply(late)
        XCTAssertNil(ledger.note(put(1, "a"), CommandReply(.sessionExpired, revision: 3), stamp: 0)?.1)
        calls = CallLog()
        let refused = call(.command(put(1, "a")), at: 1)
        calls.refuse(refused, CommandReply(.sessionExpired, revision: 3))
        calls.end(refused, .failed, at: at(2))
        XCTAssertNil(verdict())
    }

    func testACommandThatWasSaidNotToHaveHappenedIsNotInTheLog() {
        let write = call(.command(put(1, "a")), at: 1)
        apply(put(1, "a"))
        calls.end(write, .failed, at: at(2))
        XCTAssertEqual(verdict()?.contains("was said not to have happened"), true)
    }

    func testAReplyThatTheLogDoesNotSayIsRefused() {
        let write = call(.command(put(1, "a")), at: 1)
        calls.end(write, .replied(CommandReply(.applied, revision: 1)), at: at(2))
        XCTAssertEqual(verdict()?.contains("which the log does not say"), true)
        setUp()
        let late = call(.command(put(1, "a")), at: 1)
        calls.end(late, .replied(CommandReply(.applied, revision: 9)), at: at(2))
        XCTAssertEqual(verdict()?.contains("which nobody applied"), true)
    }
}
