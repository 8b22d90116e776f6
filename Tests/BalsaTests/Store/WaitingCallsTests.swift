import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// The calls that wait for a number, against a plain list.
final class WaitingCallsTests: XCTestCase {
    private func call(_ number: UInt64, until deadline: UInt64) -> ClientCall {
        let deadline = Instant(nanoseconds: deadline)
        return ClientCall(CallID(number: number), .delete(key: "k"), deadline: deadline, calledAt: .zero)
    }

    func testCallsComeInTheirOrderHoweverTheyAreTakenOut() {
        for seed in 1...20 as ClosedRange<UInt64> {
            var waiting = WaitingCalls()
            var list: [(number: UInt64, deadline: UInt64)] = []
            var random = RandomSource(seed: seed)
            for step in 1...500 as ClosedRange<UInt64> {
                switch random.next() % 8 {
                case 0...3:
                    list.append((step, step + random.next() % 200))
                    waiting.append(call(step, until: list[list.count - 1].deadline))
                case 4:
                    let expected = list.isEmpty ? nil : list.removeFirst().number
                    XCTAssertEqual(waiting.popFirst()?.id.number, expected)
                case 5...6:
                    guard !list.isEmpty else { continue }
                    let number = list.remove(at: Int(random.next() % UInt64(list.count))).number
                    XCTAssertEqual(waiting.remove(CallID(number: number))?.id.number, number)
                    XCTAssertNil(waiting.remove(CallID(number: number)), "it is gone")
                default:
                    let overdue = waiting.removeOverdue(at: Instant(nanoseconds: step))
                    XCTAssertEqual(overdue.map(\.id.number), list.filter { $0.deadline <= step }.map(\.number))
                    list.removeAll { $0.deadline <= step }
                }
                XCTAssertEqual(waiting.count, list.count)
                XCTAssertEqual(waiting.isEmpty, list.isEmpty)
                XCTAssertEqual(waiting.byteCount, list.count * 65)
                XCTAssertEqual(waiting.first?.id.number, list.first?.number)
                XCTAssertLessThanOrEqual(waiting.placeCount, 2 * list.count)
                for (_, deadline) in list {
                    XCTAssertLessThanOrEqual(waiting.earliestDeadline, Instant(nanoseconds: deadline))
                    XCTAssertGreaterThanOrEqual(waiting.latestDeadline, Instant(nanoseconds: deadline))
                }
            }
            XCTAssertEqual(waiting.removeAll().map(\.id.number), list.map(\.number))
            XCTAssertEqual(waiting.placeCount, 0)
            XCTAssertEqual(waiting.earliestDeadline, .never)
        }
    }

    func testTakingOneOutLeavesThePlacesOfTheOthersAlone() {
        var waiting = WaitingCalls()
        for number in 1...1_000 as ClosedRange<UInt64> { waiting.append(call(number, until: 1)) }
        for number in 301...700 as ClosedRange<UInt64> { _ = waiting.remove(CallID(number: number)) }
        XCTAssertEqual(waiting.placeCount, 1_000, "nothing was moved")
        XCTAssertEqual(waiting.count, 600)
        for number in 701...900 as ClosedRange<UInt64> { _ = waiting.remove(CallID(number: number)) }
        XCTAssertLessThanOrEqual(waiting.placeCount, 800, "most places were given up, and dropped together")
        for number in 1...300 as ClosedRange<UInt64> { XCTAssertEqual(waiting.popFirst()?.id.number, number) }
        XCTAssertEqual(waiting.first?.id.number, 901)
    }
}
