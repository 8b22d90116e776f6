import BalsaKeyValue
import BalsaPlatform
import XCTest

@testable import BalsaSimulation

/// The rules of sessions, as `Docs/CommandFormat.md` has them, by hand.
final class ReferenceSessionsTests: XCTestCase {
    private var limits = ReplicatedOptions()
    private var index: UInt64 = 0
    private lazy var sessions = ReferenceSessions(options: limits)

    override func setUp() {
        index = 0
        limits = ReplicatedOptions()
        limits.sessionWindow = 4
        limits.sessionIdleNanoseconds = 100
        limits.maxSessions = 3
        limits.maxReplyBytes = 4 * 26
        sessions = ReferenceSessions(options: limits)
    }

    private func request(_ number: UInt64, of session: UInt64, lowest: UInt64? = nil) -> Command {
        Command(
            identity: RequestIdentity(session: SessionID(rawValue: session), number: number),
            lowestOutstanding: lowest,
            operation: .delete(key: "k")
        )
    }

    private func closing(_ session: UInt64) -> Command {
        Command(identity: RequestIdentity(session: SessionID(rawValue: session), number: 1), operation: .closeSession)
    }

    /// Opens a session by the next entry, and returns its name.
    @discardableResult
    private func open(at stamp: UInt64 = 0) -> UInt64 {
        let opening = Command(identity: RequestIdentity(session: .none, number: 9), operation: .openSession)
        XCTAssertEqual(admit(opening, at: stamp), .execute)
        return index
    }

    /// What becomes of the next entry; stores its reply where it is executed.
    private func admit(_ command: Command, at stamp: UInt64 = 0) -> ReferenceSessions.Admission {
        index += 1
        sessions.advance(to: stamp)
        let admission = sessions.admit(command, at: index)
        if admission == .execute { sessions.store(CommandReply(.applied, revision: index), to: command) }
        return admission
    }

    func testCopy_ofAnExecutedRequest_getsItsReply() {
        open()
        XCTAssertEqual(admit(request(1, of: 1)), .execute)
        XCTAssertEqual(admit(request(1, of: 1)), .repeated(CommandReply(.applied, revision: 2)))
        XCTAssertEqual(admit(request(2, of: 1, lowest: 1)), .execute)
        XCTAssertEqual(admit(request(1, of: 1)), .repeated(CommandReply(.applied, revision: 2)))
    }

    func testChange_ofTheOptions_endsWhatHasNoRoomAndKeepsWindows() {
        let (one, two) = (open(), open())
        XCTAssertEqual(admit(request(1, of: one)), .execute)
        limits.sessionWindow = 2
        sessions.change(limits)
        XCTAssertEqual(admit(request(4, of: one, lowest: 1)), .execute, "the window of its opening")
        let three = open()
        XCTAssertEqual(admit(request(3, of: three, lowest: 1)), .refused(.windowExceeded))
        limits.maxSessions = 2
        sessions.change(limits)
        XCTAssertEqual(sessions.open, [one, three], "\(two) was used longest ago")
        limits.maxReplyBytes = 3 * 26
        sessions.change(limits)
        XCTAssertEqual(sessions.open, [three], "a window of 4 may hold more than 3 replies")
    }

    func testRequest_belowTheLowestOutstandingNumber_isTooOld() {
        open()
        XCTAssertEqual(admit(request(1, of: 1)), .execute)
        XCTAssertEqual(admit(request(2, of: 1, lowest: 2)), .execute)
        XCTAssertEqual(admit(request(1, of: 1, lowest: 1)), .refused(.requestTooOld))
        XCTAssertEqual(admit(request(2, of: 1, lowest: 1)), .repeated(CommandReply(.applied, revision: 3)))
    }

    func testRequest_aWindowAboveItsOwnLowestNumber_isRefusedAndRaisesNothing() {
        open()
        XCTAssertEqual(admit(request(4, of: 1, lowest: 1)), .execute)
        XCTAssertEqual(admit(request(6, of: 1, lowest: 2)), .refused(.windowExceeded))
        XCTAssertEqual(admit(request(1, of: 1, lowest: 1)), .execute, "the lowest number still is 1")
        XCTAssertEqual(admit(request(6, of: 1, lowest: 2)), .refused(.windowExceeded), "every copy alike")
    }

    func testSession_thatRestedLongerThanItMay_hasEnded() {
        open(at: 5)
        XCTAssertEqual(admit(request(1, of: 1), at: 105), .execute, "rested as long as it may")
        XCTAssertEqual(admit(request(2, of: 1), at: 206), .refused(.sessionExpired))
        XCTAssertEqual(sessions.open, [])
    }

    func testSession_thatWasRefusedARequest_wasUsed() {
        open()
        XCTAssertEqual(admit(request(9, of: 1, lowest: 1), at: 80), .refused(.windowExceeded))
        XCTAssertEqual(admit(request(1, of: 1), at: 150), .execute)
    }

    func testStamps_thatFall_doNotTurnTimeBack() {
        open(at: 100)
        sessions.advance(to: 0)
        XCTAssertEqual(admit(request(1, of: 1), at: 200), .execute)
    }

    func testOpening_ofOneTooMany_endsTheLeastRecentlyUsed() {
        for _ in 1...3 { open() }
        XCTAssertEqual(admit(request(1, of: 1)), .execute)
        open()
        XCTAssertEqual(sessions.open, [3, 1, 5])
        XCTAssertEqual(admit(request(1, of: 2)), .refused(.sessionExpired))
    }

    func testReplies_thatTakeTooMuch_endTheLeastRecentlyUsedSession() {
        for _ in 1...2 { open() }
        for number in UInt64(1)...2 { XCTAssertEqual(admit(request(number, of: 1, lowest: 1)), .execute) }
        for number in UInt64(1)...2 { XCTAssertEqual(admit(request(number, of: 2, lowest: 1)), .execute) }
        XCTAssertEqual(sessions.open, [1, 2], "four replies fit")
        XCTAssertEqual(admit(request(3, of: 2, lowest: 1)), .execute)
        XCTAssertEqual(sessions.open, [2])
    }

    func testReplies_thatWereForgotten_takeNothing() {
        for _ in 1...2 { open() }
        for number in UInt64(1)...2 { XCTAssertEqual(admit(request(number, of: 1, lowest: 1)), .execute) }
        for number in UInt64(1)...9 { XCTAssertEqual(admit(request(number, of: 2)), .execute) }
        XCTAssertEqual(sessions.open, [1, 2])
    }

    func testClosing_endsTheSessionOnce() {
        open()
        XCTAssertEqual(admit(closing(1)), .execute)
        XCTAssertEqual(admit(closing(1)), .refused(.sessionExpired))
        XCTAssertEqual(admit(request(1, of: 1)), .refused(.sessionExpired))
        XCTAssertEqual(admit(closing(0)), .refused(.sessionExpired))
    }

    func testCommands_withoutASession_areAlwaysExecuted() {
        for _ in 1...3 { XCTAssertEqual(admit(request(7, of: 0)), .execute) }
    }
}
