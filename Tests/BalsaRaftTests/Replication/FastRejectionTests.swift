import XCTest

@testable import BalsaRaft

/// How quickly leader and follower find the place where their logs part: a term at a time from both sides.
final class FastRejectionTests: XCTestCase {
    private struct Case {
        let leading: [Term]
        let following: [Term]
        var compacted: LogIndex = 0
        /// What the follower answers, and where the leader asks next.
        let answer: AppendAnswer
        let next: LogPosition
    }

    /// The first question is behind the leader's last entry before its term; the answer to it, and the next question.
    private func check(_ one: Case, file: StaticString = #filePath, line: UInt = #line) throws {
        let term = (one.leading + one.following).reduce(0, max) + 1
        var leader = try TestMember.leader(of: 3, term: term, log: one.leading)
        var follower = try TestMember(
            2,
            of: [1, 2, 3],
            state: HardState(term: term, vote: 1),
            log: ShellLog(terms: one.following),
            commit: one.compacted
        )
        if one.compacted > 0 { follower.compact(through: one.compacted) }
        leader.pass(leader.options.heartbeatInterval)
        leader.hearHeartbeatAnswers(from: [2])
        let question = try XCTUnwrap(leader.sent.last { $0.message.to == 2 })
        let last = LogPosition(term: one.leading.last ?? 0, index: LogIndex(one.leading.count))
        XCTAssertEqual(previous(question.message), last, "the first question", file: file, line: line)
        follower.takeSent()
        follower.hear(question)
        let answer = try XCTUnwrap(follower.sent.last)
        guard case .appendResponse(let response) = answer.message.body else {
            return XCTFail("\(answer)", file: file, line: line)
        }
        XCTAssertEqual(response.answer, one.answer, file: file, line: line)
        leader.takeSent()
        leader.hear(answer)
        let next = try XCTUnwrap(leader.sent.first { $0.message.to == 2 })
        XCTAssertEqual(previous(next.message), one.next, "the next question", file: file, line: line)
    }

    private func previous(_ message: Message) -> LogPosition? {
        if case .append(let append) = message.body { append.previous } else { nil }
    }

    func testTheLeaderSkipsItsTermsThatTheFollowerCannotHold() throws {
        try check(
            Case(
                leading: [1, 2, 2, 4, 4, 4, 4],
                following: [1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3],
                answer: .rejected(previous: 7, hint: .at(3, 7)),
                next: .at(2, 3)
            )
        )
    }

    func testTheLeaderStopsAtTheLastEntryOfATermThatBothHold() throws {
        try check(
            Case(
                leading: [1, 2, 2, 3, 4, 4, 4, 5],
                following: [1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3],
                answer: .rejected(previous: 8, hint: .at(3, 8)),
                next: .at(3, 4)
            )
        )
    }

    func testTheFollowerSkipsItsTermsThatTheLeaderCannotHold() throws {
        try check(
            Case(
                leading: [1, 1, 1, 1],
                following: [1, 2, 2, 4],
                answer: .rejected(previous: 4, hint: .at(1, 1)),
                next: .at(1, 1)
            )
        )
    }

    func testTheFollowerSkipsItsTermsAlsoWhereTheLeadersLogIsLonger() throws {
        // The log ends before the position asked for; the hint is by term all the same.
        try check(
            Case(
                leading: [1, 1, 1, 1, 1, 1],
                following: [1, 2, 2, 4],
                answer: .rejected(previous: 6, hint: .at(1, 1)),
                next: .at(1, 1)
            )
        )
    }

    func testTheFollowerSkipsItsTermsAlsoWhereItsLogIsLonger() throws {
        try check(
            Case(
                leading: [1, 1, 1, 1],
                following: [1, 2, 2, 4, 4, 4],
                answer: .rejected(previous: 4, hint: .at(1, 1)),
                next: .at(1, 1)
            )
        )
    }

    func testALogThatIsOnlyShortIsContinuedWhereItEnds() throws {
        try check(
            Case(
                leading: [1, 1, 1, 4, 5],
                following: [1, 1, 1, 4],
                answer: .rejected(previous: 5, hint: .at(4, 4)),
                next: .at(4, 4)
            )
        )
    }

    func testTheLeaderSkipsALongTermOfItsOwn() throws {
        try check(
            Case(
                leading: [2, 5, 5, 5, 5, 5, 5, 5, 5],
                following: [2, 4, 4, 4, 4, 4],
                answer: .rejected(previous: 9, hint: .at(4, 6)),
                next: .at(2, 1)
            )
        )
    }

    func testTheFollowerSkipsALongTermOfItsOwn() throws {
        try check(
            Case(
                leading: [2, 2, 2, 2, 2],
                following: [2, 4, 4, 4, 4, 4, 4, 4],
                answer: .rejected(previous: 5, hint: .at(2, 1)),
                next: .at(2, 1)
            )
        )
    }

    /// Decided otherwise on purpose: what the follower has compacted is committed, so that any leader's log agrees with it
    /// there. It accepts instead of rejecting with an empty hint, and needs no further question.
    func testAPositionBelowTheFollowersLogAgrees() throws {
        try check(
            Case(
                leading: [1, 1, 3],
                following: [1, 1, 3, 3, 3],
                compacted: 5,
                answer: .accepted(through: 4),
                next: .at(4, 4)
            )
        )
    }
}
