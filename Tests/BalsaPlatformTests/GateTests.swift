import XCTest

@testable import BalsaPlatform

/// The gate through which calls go, and the promise by which they are answered.
final class GateTests: XCTestCase {
    func testAnEmptyGateTellsAtOnce() {
        let gate = Gate()
        let told = Locked(0)
        gate.close { told.withLock { $0 += 1 } }
        XCTAssertEqual(told.withLock { $0 }, 1)
        XCTAssertFalse(gate.enter())
        XCTAssertEqual(told.withLock { $0 }, 1, "who was turned away does not count")
    }

    func testTheLastToLeaveTells() {
        let gate = Gate()
        XCTAssertTrue(gate.enter())
        XCTAssertTrue(gate.enter())
        XCTAssertEqual(gate.count, 2)
        let told = Locked(0)
        gate.close { told.withLock { $0 += 1 } }
        XCTAssertFalse(gate.enter())
        gate.leave()
        XCTAssertEqual(told.withLock { $0 }, 0)
        gate.leave()
        XCTAssertEqual(told.withLock { $0 }, 1)
        XCTAssertEqual(gate.count, 0)
    }

    func testItTellsOnceAndAfterAllHaveLeftHoweverManyThreadsThereAre() throws {
        for _ in 0..<50 {
            let gate = Gate()
            let inside = Locked(0)
            let told = Locked<[Int]>([])
            let threads = try (0..<4).map { _ in
                try BackgroundThread {
                    guard gate.enter() else { return .wait }
                    inside.withLock { $0 += 1 }
                    inside.withLock { $0 -= 1 }
                    gate.leave()
                    return .again
                }
            }
            gate.close { told.withLock { told in told.append(inside.withLock { $0 }) } }
            for thread in threads { thread.stop() }
            XCTAssertEqual(told.withLock { $0 }, [0])
        }
    }

    func testOfSeveralAnswersTheFirstCounts() async {
        let early = Promise<Int>()
        XCTAssertTrue(early.give(1))
        XCTAssertFalse(early.give(2))
        let first = await early.value()
        XCTAssertEqual(first, 1)

        let late = Promise<Int>()
        let waiting = Task { await late.value() }
        let givers = (0..<8).map { number in Task { late.give(number) } }
        let value = await waiting.value
        var counted: [Int] = []
        for (number, giver) in givers.enumerated() where await giver.value { counted.append(number) }
        XCTAssertEqual(counted, [value])
    }
}
