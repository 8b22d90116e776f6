import XCTest

@testable import Balsa

/// The numbered calls of a session, and those that wait, against plain lists.
final class CallWindowTests: XCTestCase {
    func testACallIsFoundByItsNumberUntilItIsAnswered() {
        var window = CallWindow<String>()
        XCTAssertEqual(window.next, 1)
        for call in ["a", "b", "c"] { window.append(call) }
        XCTAssertEqual(window[2], "b")
        XCTAssertEqual(window.remove(2), "b")
        XCTAssertNil(window[2])
        XCTAssertNil(window.remove(2), "a call is answered once")
        XCTAssertEqual(window.lowest, 1)
        XCTAssertEqual(window.span, 3, "the gap counts: numbers reach from 1 to 3")
        XCTAssertEqual(window.count, 2)
        XCTAssertEqual(window.remove(1), "a")
        XCTAssertEqual(window.lowest, 3)
        window[3]? += "!"
        XCTAssertEqual(window.calls.map(\.call), ["c!"])
        XCTAssertNil(window[4], "it was never given")
        XCTAssertNil(window[0])
    }

    func testAWindowAgreesWithAListHoweverItIsUsed() {
        for seed in 1...20 as ClosedRange<UInt64> {
            var window = CallWindow<UInt64>()
            var list: [UInt64] = []
            var last: UInt64 = 0
            var state = seed
            for _ in 0..<500 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let choice = Int(state >> 33)
                if list.isEmpty || choice % 2 == 0 {
                    last += 1
                    XCTAssertEqual(window.next, last)
                    window.append(last)
                    list.append(last)
                } else {
                    // Mostly near the front, as replies come.
                    let number = list.remove(at: choice % 3 == 0 ? choice % list.count : 0)
                    XCTAssertEqual(window.remove(number), number)
                }
                XCTAssertEqual(window.count, list.count)
                XCTAssertEqual(window.lowest, list.first ?? last + 1)
                XCTAssertEqual(window.span, Int(last + 1 - window.lowest))
            }
            XCTAssertEqual(window.calls.map(\.number), list)
            XCTAssertEqual(window.calls.map(\.call), list)
        }
    }

    func testAQueueGivesInOrderAndLosesNothing() {
        var queue = CallQueue<Int>()
        var (next, expected) = (0, 0)
        for round in 0..<200 {
            for _ in 0..<(round % 7) {
                queue.append(next)
                next += 1
            }
            for _ in 0..<(round % 5) where !queue.isEmpty {
                XCTAssertEqual(queue.popFirst(), expected)
                expected += 1
            }
            XCTAssertEqual(queue.count, next - expected)
        }
        XCTAssertEqual(Array(queue.elements), Array(expected..<next))
        let even = queue.removeAll { $0 % 2 == 0 }
        XCTAssertEqual(even, (expected..<next).filter { $0 % 2 == 0 })
        XCTAssertEqual(queue.removeAll(), (expected..<next).filter { $0 % 2 == 1 })
        XCTAssertNil(queue.popFirst())
    }
}
