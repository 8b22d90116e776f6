import BalsaPlatform
import XCTest

final class BackgroundThreadTests: XCTestCase {
    /// A count that a test waits for, however long the machine takes.
    private final class Counter: @unchecked Sendable {
        private let condition = Condition()
        private var count = 0

        var value: Int { condition.withLock { count } }

        func increment() -> Int {
            condition.withLock {
                count += 1
                condition.notifyAll()
                return count
            }
        }

        func wait(for wanted: Int) {
            condition.withLock { while count < wanted { condition.wait() } }
        }
    }

    func testItStepsAsLongAsThereIsWorkAndThenSleepsUntilItIsWoken() throws {
        let steps = Counter()
        let thread = try BackgroundThread { steps.increment() % 5 == 0 ? .wait : .again }
        steps.wait(for: 5)
        thread.wake()
        steps.wait(for: 10)
        thread.stop()
        XCTAssertEqual(steps.value, 10)
    }

    func testAWakeningDuringAStepIsNotForgotten() throws {
        let steps = Counter()
        let mayEnd = Counter()
        let thread = try BackgroundThread {
            let step = steps.increment()
            if step == 1 { mayEnd.wait(for: 1) }
            return .wait
        }
        steps.wait(for: 1)
        thread.wake()
        _ = mayEnd.increment()
        steps.wait(for: 2)
        thread.stop()
        XCTAssertEqual(steps.value, 2)
    }

    /// A thread that falls asleep while it is woken would leave the last numbers, and the test would not end.
    func testNoWakingIsLost() throws {
        let queue = Locked<[Int]>([])
        let taken = Counter()
        let thread = try BackgroundThread {
            let numbers = queue.withLock { queue in
                defer { queue = [] }
                return queue
            }
            for _ in numbers { _ = taken.increment() }
            return .wait
        }
        let left = Locked([2_000, 2_000])
        let wakers = try (0..<2).map { waker in
            try BackgroundThread {
                let number = left.withLock { left in
                    left[waker] -= 1
                    return left[waker]
                }
                queue.withLock { $0.append(number) }
                thread.wake()
                return number > 0 ? .again : .wait
            }
        }
        taken.wait(for: 4_000)
        for waker in wakers { waker.stop() }
        thread.stop()
        XCTAssertEqual(taken.value, 4_000)
        XCTAssertEqual(left.withLock { $0 }, [0, 0])
    }

    func testASemaphoreKeepsEachSignalForOneWait() throws {
        let semaphore = Semaphore()
        semaphore.signal()
        semaphore.signal()
        semaphore.wait()
        semaphore.wait()
        // None is left: the next wait ends with the next signal.
        let waits = Counter()
        let thread = try BackgroundThread {
            semaphore.wait()
            return waits.increment() < 3 ? .again : .wait
        }
        for number in 1...3 {
            XCTAssertEqual(waits.value, number - 1)
            semaphore.signal()
            waits.wait(for: number)
        }
        thread.stop()
    }

    func testNoStepBeginsOnceItHasBeenStopped() throws {
        let steps = Counter()
        let thread = try BackgroundThread {
            _ = steps.increment()
            return .again
        }
        steps.wait(for: 3)
        thread.stop()
        let done = steps.value
        thread.wake()
        thread.stop()
        XCTAssertEqual(steps.value, done)
    }

    func testItEndsWithItsOwner() throws {
        final class Work: @unchecked Sendable {}
        let steps = Counter()
        weak var held: Work?
        do {
            let work = Work()
            held = work
            let thread = try BackgroundThread {
                withExtendedLifetime(work) { _ = steps.increment() }
                return .wait
            }
            steps.wait(for: 1)
            withExtendedLifetime(thread) {}
        }
        XCTAssertNil(held, "the thread has ended, and what it worked on is free")
    }

    func testThreadsHandOverUnderACondition() throws {
        let condition = Condition()
        // Touched with the condition held.
        final class Table: @unchecked Sendable {
            var turn = 0
            var order: [Int] = []
        }
        let table = Table()
        @Sendable func takeTurn(_ me: Int) -> Int {
            condition.withLock {
                while table.turn != me { condition.wait() }
                table.order.append(me)
                table.turn = 1 - me
                condition.notifyAll()
                return table.order.count
            }
        }
        let other = try BackgroundThread { takeTurn(1) < 200 ? .again : .wait }
        for _ in 0..<100 { _ = takeTurn(0) }
        // The hundredth turn of the other is the last one.
        condition.withLock { while table.order.count < 200 { condition.wait() } }
        other.stop()
        XCTAssertEqual(table.order, (0..<200).map { $0 % 2 })
    }
}
