import BalsaRaft
import XCTest

@testable import Balsa

/// Which copies of commands that were passed on a leader handles: of each number one.
final class ForwardedNumbersTests: XCTestCase {
    private var numbers = ForwardedNumbers()
    private let origin: UInt64 = 1 << 40
    private let window = ForwardedNumbers.windowCount

    private func isFirst(_ number: UInt64, from peer: MemberID = 2, in term: Term = 5) -> Bool {
        numbers.isFirst(origin + number, from: peer, in: term)
    }

    func testIsFirst_numbersInAnyOrder_trueOnceForEach() {
        for number in [3, 1, 2, 700, 5, 4, 701] as [UInt64] { XCTAssertTrue(isFirst(number), "\(number)") }
        for number in [3, 1, 2, 700, 5, 4, 701] as [UInt64] { XCTAssertFalse(isFirst(number), "\(number)") }
    }

    func testIsFirst_numberThatHasTheBitOfAnEarlierOne_isTrue() {
        XCTAssertTrue(isFirst(1))
        XCTAssertTrue(isFirst(1 + window), "the window has moved past 1, whose bit this one has")
        XCTAssertFalse(isFirst(1 + window))
        XCTAssertTrue(isFirst(2), "the oldest that the window still holds")
        XCTAssertTrue(isFirst(5 * window + 3))
        XCTAssertFalse(isFirst(4 * window + 3), "one below the window may have been handled")
    }

    func testIsFirst_windowThatMovesLessThanItsLength_keepsWhatItStillCovers() {
        for number in 1...window { XCTAssertTrue(isFirst(number)) }
        XCTAssertTrue(isFirst(window + 10))
        for number in (window - 20)...window { XCTAssertFalse(isFirst(number), "\(number)") }
        for number in (window + 1)...(window + 9) { XCTAssertTrue(isFirst(number), "\(number)") }
    }

    func testIsFirst_otherPeerOrLaterTerm_countsByItself() {
        XCTAssertTrue(isFirst(1, from: 2))
        XCTAssertTrue(isFirst(1, from: 3))
        XCTAssertTrue(isFirst(1, from: 2, in: 6), "nothing of term 5 is taken in term 6, so that it may be forgotten")
        XCTAssertFalse(isFirst(1, from: 2, in: 6))
    }

    /// A member that is opened again counts from another random number, which may be lower.
    func testIsFirst_otherIncarnationOfThePeer_countsByItself() {
        XCTAssertTrue(numbers.isFirst(1 << 60, from: 2, in: 5))
        XCTAssertTrue(isFirst(1))
        XCTAssertTrue(isFirst(2))
        XCTAssertFalse(numbers.isFirst(1 << 60, from: 2, in: 5), "a late copy of the earlier incarnation's")
        XCTAssertFalse(isFirst(1))
    }
}
