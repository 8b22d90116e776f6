import BalsaPlatform
import BalsaRaft
import XCTest

@testable import BalsaSimulation

final class EventQueueTests: XCTestCase {
    func testEventsComeInTheOrderOfTheirMomentsAndThenOfTheirScheduling() {
        var queue = EventQueue<Int>()
        var random = RandomSource(seed: 1)
        var expected: [(at: UInt64, number: Int)] = []
        for number in 0..<2_000 {
            let at = random.below(50)
            queue.schedule(number, at: TimeSpan(nanoseconds: at))
            expected.append((at, number))
        }
        expected.sort { ($0.at, $0.number) < ($1.at, $1.number) }
        for event in expected {
            let next = queue.next()
            XCTAssertEqual(next?.moment.nanoseconds, event.at)
            XCTAssertEqual(next?.event, event.number)
        }
        XCTAssertNil(queue.next())
    }

    func testSlotsAreUsedAgain() {
        var queue = EventQueue<Int>()
        for round in UInt64(0)..<100 {
            queue.schedule(1, at: TimeSpan(nanoseconds: round))
            queue.schedule(2, at: TimeSpan(nanoseconds: round))
            XCTAssertEqual(queue.next()?.event, 1)
            XCTAssertEqual(queue.next()?.event, 2)
        }
        XCTAssertEqual(queue.count, 0)
    }
}
