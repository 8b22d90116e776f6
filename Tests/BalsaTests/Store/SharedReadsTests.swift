import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// Reads that share their questions, in steps.
final class SharedReadsTests: XCTestCase {
    private var reads = SharedReads(limit: 4)
    private var effects: [ReadEffect] = []
    private let told = Locked<[String: Result<LogIndex, RequestError>]>([:])

    private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    private func add(_ name: String, _ consistency: ReadConsistency = .linearizable, until deadline: UInt64 = 10_000) {
        reads.add(consistency, deadline: at(deadline), into: &effects) { [told] result in
            told.withLock { told in
                XCTAssertNil(told[name], "\(name) is told once")
                told[name] = result
            }
        }
    }

    /// Carries out what can be, and returns the questions that are to be asked.
    private func settle() -> [(request: RequestID, consistency: ReadConsistency, deadline: Instant)] {
        defer { effects.removeAll { if case .askAgain = $0 { false } else { true } } }
        return effects.compactMap { effect in
            switch effect {
            case .ask(let request, let consistency, let deadline): return (request, consistency, deadline)
            case .complete(let completion, let result):
                completion(result)
                return nil
            case .askAgain: return nil
            }
        }
    }

    private func ask() -> [(request: RequestID, consistency: ReadConsistency, deadline: Instant)] {
        reads.askGathered(into: &effects)
        return settle()
    }

    private func reply(_ request: RequestID, _ reply: Reply, at now: UInt64) {
        reads.replied(request, reply, at: at(now), into: &effects)
    }

    private func result(_ name: String) -> Result<LogIndex, RequestError>? { told.withLock { $0[name] } }

    func testReadsThatComeTogetherShareAQuestionAndItsAnswer() throws {
        add("a")
        add("b", until: 500)
        let asked = ask()
        XCTAssertEqual(asked.count, 1)
        XCTAssertEqual(asked[0].deadline, at(500), "the earliest of their deadlines")
        XCTAssertTrue(reads.isOwn(asked[0].request))
        add("c")
        XCTAssertEqual(ask().count, 1, "who comes later was not covered by the first question")
        reply(asked[0].request, .readable(7), at: 1)
        _ = settle()
        XCTAssertEqual(result("a"), .success(7))
        XCTAssertEqual(result("b"), .success(7))
        XCTAssertNil(result("c"), "an answer to an earlier question may be too old for it")
        XCTAssertEqual(reads.count, 1)
    }

    func testReadsOfDifferentStatesAreAskedForApart() {
        add("a")
        add("b", .atLeast(3))
        add("c", .atLeast(4))
        add("d", .atLeast(3))
        XCTAssertEqual(ask().map(\.consistency), [.linearizable, .atLeast(3), .atLeast(4)])
    }

    func testWhereTheFirstHasNoTimeLeftTheOthersAreAskedForAgain() throws {
        add("a", until: 100)
        add("b")
        let first = ask()[0]
        reply(first.request, .failure(RequestError(.notApplied, .deadlineExceeded)), at: 100)
        let second = try XCTUnwrap(settle().first)
        XCTAssertEqual(result("a"), .failure(RequestError(.notApplied, .deadlineExceeded)))
        XCTAssertNil(result("b"))
        XCTAssertEqual(second.deadline, at(10_000))
        reply(second.request, .readable(9), at: 101)
        _ = settle()
        XCTAssertEqual(result("b"), .success(9))
        XCTAssertEqual(reads.count, 0)
    }

    func testWithoutALeaderTheQuestionIsAskedAgainForThoseWithTime() throws {
        add("a", until: 4)
        add("b")
        let first = ask()[0]
        let refusal = RequestError(.notApplied, .notLeader, leader: 2)
        reply(first.request, .failure(refusal), at: 1)
        XCTAssertTrue(settle().isEmpty, "only after a pause")
        XCTAssertEqual(result("a"), .failure(refusal), "the pause ends behind its deadline")
        guard case .askAgain(let number, let pause) = try XCTUnwrap(effects.first) else { return XCTFail("a pause") }
        XCTAssertEqual(pause, ClientSession.firstPause)
        reads.askAgain(number, into: &effects)
        let second = try XCTUnwrap(settle().first)
        XCTAssertNotEqual(second.request, first.request)
        reply(first.request, .readable(1), at: 7)
        _ = settle()
        XCTAssertNil(result("b"), "the first question has been answered already")
        reply(second.request, .readable(2), at: 8)
        _ = settle()
        XCTAssertEqual(result("b"), .success(2))
    }

    func testAFailureThatTimeDoesNotHealIsToldToAll() {
        add("a")
        add("b")
        reply(ask()[0].request, .failure(RequestError(.notApplied, .failed)), at: 1)
        _ = settle()
        for name in ["a", "b"] { XCTAssertEqual(result(name), .failure(RequestError(.notApplied, .failed))) }
    }

    func testNoMoreWaitThanMay() {
        for name in ["a", "b", "c", "d", "e"] { add(name) }
        let asked = ask()
        XCTAssertEqual(result("e"), .failure(RequestError(.notApplied, .busy)))
        reply(asked[0].request, .readable(1), at: 1)
        _ = settle()
        add("f")
        XCTAssertEqual(ask().count, 1, "there is room again")
    }

    func testClosingTellsThoseOfWhomTheReplicaKnowsNothing() {
        add("paused")
        reply(ask()[0].request, .failure(RequestError(.notApplied, .notLeader)), at: 1)
        _ = settle()
        add("asked")
        let asked = ask()[0]
        add("gathered")
        reads.close(into: &effects)
        add("late")
        _ = settle()
        let closed = Result<LogIndex, RequestError>.failure(RequestError(.notApplied, .closed))
        for name in ["paused", "gathered", "late"] { XCTAssertEqual(result(name), closed) }
        XCTAssertNil(result("asked"), "the replica answers it")
        reply(asked.request, .failure(RequestError(.notApplied, .notLeader)), at: 2)
        _ = settle()
        XCTAssertEqual(result("asked"), .failure(RequestError(.notApplied, .notLeader)), "nothing is asked again")
        XCTAssertEqual(reads.count, 0)
    }
}
