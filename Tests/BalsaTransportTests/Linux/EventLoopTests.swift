import BalsaPlatform
import CBalsaPlatform
import Glibc
import XCTest

@testable import BalsaTransport

final class EventLoopTests: XCTestCase {
    private final class Handler: ReadinessHandler {
        let body: (Readiness) -> Void
        init(_ body: @escaping (Readiness) -> Void) { self.body = body }
        func handle(_ readiness: Readiness) { body(readiness) }
    }

    func testJobsOfOneThreadRunInTheirOrderAndAllOfThemBeforeTheEnd() throws {
        for spin in [Duration.zero, .microseconds(50)] {
            var options = EventLoop.Options()
            options.spin = spin
            let loop = try EventLoop(options: options)
            let seen = Locked<[[Int]]>([[], [], []])
            let threads = try (0..<3).map { place in
                let next = Locked(0)
                return try BackgroundThread {
                    let number = next.withLock { number in
                        number += 1
                        return number
                    }
                    loop.post { seen.withLock { $0[place].append(number) } }
                    return number < 3_000 ? .again : .wait
                }
            }
            eventually("all jobs") { seen.withLock { $0.allSatisfy { $0.count == 3_000 } } }
            for thread in threads { thread.stop() }
            loop.stop()
            XCTAssertEqual(seen.withLock { $0 }, [[Int]](repeating: Array(1...3_000), count: 3))
        }
    }

    /// Each job comes while the loop sleeps, or is about to, since the next one waits for the last.
    func testEachJobWakesTheLoop() throws {
        let loop = try EventLoop()
        let done = Semaphore()
        for _ in 0..<5_000 {
            XCTAssertTrue(loop.post { done.signal() })
            done.wait()
        }
        loop.stop()
    }

    func testAWakeUpIsSeenOnce_andAlsoWhereItsCounterIsFull() throws {
        let selector = try Selector(maxEvents: 1)
        XCTAssertFalse(selector.isReady(timeoutMilliseconds: 0))
        for _ in 0..<2 {
            selector.wake()
            selector.wake()
            XCTAssertTrue(selector.isReady(timeoutMilliseconds: 0))
            selector.poll(timeoutMilliseconds: 0)
            XCTAssertFalse(selector.isReady(timeoutMilliseconds: 0))
        }
        // To the last value that it can hold.
        XCTAssertEqual(eventfd_write(selector.wakeUp, .max - 5), 0)
        selector.poll(timeoutMilliseconds: 0)
        XCTAssertFalse(selector.isReady(timeoutMilliseconds: 0))
        selector.wake()
        XCTAssertTrue(selector.isReady(timeoutMilliseconds: 0))
        selector.closeDescriptors()
    }

    func testOptions_asSmallOrAsLargeAsTheyCanBe_areRefusedOrWork() throws {
        for count in [Int.min, 0, 65_537, .max] {
            var options = EventLoop.Options()
            options.maxEventsPerTurn = count
            XCTAssertThrowsError(try EventLoop(options: options)) {
                XCTAssertEqual(($0 as? TransportError)?.code, .invalid)
                XCTAssertEqual(
                    ($0 as? TransportError)?.message,
                    "maxEventsPerTurn must be 1 to 65536, not \(count)"
                )
            }
        }
        let longest = Duration(secondsComponent: .max, attosecondsComponent: 0)
        for (count, spin) in [(1, Duration.seconds(-1)), (65_536, longest)] {
            var options = EventLoop.Options()
            (options.maxEventsPerTurn, options.spin) = (count, spin)
            let loop = try EventLoop(options: options)
            let isDone = Locked(false)
            loop.post { isDone.withLock { $0 = true } }
            eventually("the job ran") { isDone.withLock { $0 } }
            loop.stop()
        }
    }

    func testWhatWasPostedBeforeTheEndIsRunAndNothingLater() throws {
        for _ in 0..<200 {
            let loop = try EventLoop()
            let count = Locked(0)
            for _ in 0..<5 { loop.post { count.withLock { $0 += 1 } } }
            loop.stop()
            XCTAssertEqual(count.withLock { $0 }, 5)
            XCTAssertFalse(loop.post { count.withLock { $0 += 1 } })
            loop.stop()
            XCTAssertEqual(count.withLock { $0 }, 5)
        }
    }

    func testALoopCanBeStoppedByOneOfItsJobs() throws {
        weak var gone: EventLoop?
        let isDone = Locked(false)
        do {
            let loop = try EventLoop()
            gone = loop
            loop.post { [unowned loop] in
                loop.stop()
                isDone.withLock { $0 = true }
            }
            eventually("the job") { isDone.withLock { $0 } }
            eventually("the end") { !loop.post {} }
        }
        eventually("the loop is freed") { gone == nil }
    }

    func testTimersComeInOrderAndNotBeforeTheirMoment() throws {
        let loop = try EventLoop()
        defer { loop.stop() }
        let seen = Locked<[Int]>([])
        let early = Locked(false)
        loop.post {
            let start = loop.now
            for (number, delay) in [(3, 9_000_000), (1, 1_000_000), (2, 5_000_000)] as [(Int, UInt64)] {
                _ = loop.schedule(at: start + delay) {
                    if loop.now < start + delay { early.withLock { $0 = true } }
                    seen.withLock { $0.append(number) }
                }
            }
            loop.cancel(loop.schedule(at: start + 2_000_000) { seen.withLock { $0.append(-1) } })
            loop.runAtEndOfTurn { seen.withLock { $0.append(0) } }
        }
        eventually("the last timer") { seen.withLock { $0.count == 4 } }
        XCTAssertEqual(seen.withLock { $0 }, [0, 1, 2, 3])
        XCTAssertFalse(early.withLock { $0 })
    }

    func testAnEventForAClosedDescriptorDoesNotReachTheNextOneWithItsNumber() throws {
        let selector = try Selector(maxEvents: 16)
        var watched: [(registration: Selector.Registration, handler: Handler)] = []
        var handled: [Int32] = []
        var reused = 0
        var strays = 0
        // Both are ready. Whichever is handled first closes the other and opens a new one, which gets its number.
        func handle(_ descriptor: Int32) {
            handled.append(descriptor)
            guard handled.count == 1, let other = watched.first(where: { $0.registration.descriptor != descriptor })
            else { return }
            selector.remove(other.registration)
            close(other.registration.descriptor)
            let new = eventfd(0, 0)
            if new == other.registration.descriptor { reused += 1 }
            let handler = Handler { _ in strays += 1 }
            do {
                watched.append((try selector.add(new, for: .readable, handler), handler))
            } catch {
                XCTFail("\(error)")
            }
        }
        for _ in 0..<2 {
            let descriptor = eventfd(1, 0)
            let handler = Handler { _ in handle(descriptor) }
            watched.append((try selector.add(descriptor, for: .readable, handler), handler))
        }
        selector.poll(timeoutMilliseconds: 0)
        XCTAssertEqual(handled.count, 1)
        XCTAssertEqual(reused, 1, "the test is about a number that is used again")
        XCTAssertEqual(strays, 0)
        for entry in watched { selector.remove(entry.registration) }
        close(watched[2].registration.descriptor)
        close(handled[0])
    }

    func testNoDescriptorIsLeftBehind() throws {
        let before = try openDescriptorCount()
        for _ in 0..<20 { try EventLoop().stop() }
        try eventually("all are closed") { try openDescriptorCount() <= before }
    }
}
