import BalsaPlatform
import Glibc
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

    /// Each waking comes while the thread sleeps, or is about to, and is the last one: a step that does not follow is waited
    /// for without end.
    func testNoWakingIsLost() throws {
        let steps = Counter()
        let thread = try BackgroundThread {
            _ = steps.increment()
            return .wait
        }
        // As many rounds as a slow machine does in a few seconds, and a fast one in a moment.
        let end = ContinuousClock.now + .seconds(2)
        var rounds = 0
        while rounds < 2000 || (rounds < 50_000 && ContinuousClock.now < end) {
            rounds += 1
            // Awake itself, so that it wakes the thread at the very moment at which that falls asleep.
            while steps.value < rounds { sched_yield() }
            thread.wake()
        }
        steps.wait(for: rounds + 1)
        thread.stop()
        XCTAssertEqual(steps.value, rounds + 1)
    }

    /// Two threads ask for something at once, and each waits for a step that has seen what it asked for.
    func testNoWakingOfTwoThreadsIsLost() throws {
        let asked = Locked([0, 0])
        let answered = Locked([0, 0])
        let thread = try BackgroundThread {
            let seen = asked.withLock { $0 }
            answered.withLock { $0 = seen }
            return .wait
        }
        DispatchQueue.concurrentPerform(iterations: 2) { index in
            for round in 1...2000 {
                asked.withLock { $0[index] = round }
                thread.wake()
                while answered.withLock({ $0[index] }) < round { sched_yield() }
            }
        }
        thread.stop()
        XCTAssertEqual(answered.withLock { $0 }, [2000, 2000])
    }

    /// A waking may come at the moment of the end, and after it.
    func testAThreadThatIsWokenWhileItIsStoppedEnds() throws {
        for _ in 0..<200 {
            let steps = Counter()
            let thread = try BackgroundThread {
                _ = steps.increment()
                return .wait
            }
            DispatchQueue.concurrentPerform(iterations: 2) { index in
                if index == 0 { thread.stop() } else { for _ in 0..<20 { thread.wake() } }
            }
            let count = steps.value
            thread.wake()
            XCTAssertEqual(steps.value, count, "a step began after the end")
        }
    }

    func testASemaphoreKeepsEachSignalForOneWait() throws {
        let semaphore = Semaphore()
        for count in [0, 1, 3] {
            for _ in 0..<count { semaphore.signal() }
            XCTAssertEqual(semaphore.count, count)
            for _ in 0..<count { semaphore.wait() }
            XCTAssertEqual(semaphore.count, 0)
        }
        // A wait without a signal ends with the next one.
        let waits = Counter()
        let thread = try BackgroundThread {
            semaphore.wait()
            return waits.increment() < 3 ? .again : .wait
        }
        for number in 1...3 {
            semaphore.signal()
            waits.wait(for: number)
        }
        thread.stop()
        XCTAssertEqual(waits.value, 3)
        XCTAssertEqual(semaphore.count, 0)
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
