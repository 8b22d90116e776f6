import BalsaPlatform
import Glibc
import XCTest

@testable import BalsaTransport

/// How long the turns of a loop take, for those who want to know.
final class TurnTests: XCTestCase {
    func testATurnIsToldWithEverythingInItAndSleepIsNotPartOfIt() throws {
        let loop = try EventLoop()
        let turns = Locked<[UInt64]>([])
        let isDone = expectation(description: "the loop has gone on after a long job")
        let timerAt = Locked<UInt64>(0)
        loop.post { [unowned loop] in
            timerAt.withLock { $0 = loop.now + 300_000_000 }
            loop.onTurn = { nanoseconds in turns.withLock { $0.append(nanoseconds) } }
            // The turn in which it was set is not told. Then nothing happens for a while, and then something long.
            _ = loop.schedule(at: loop.now + 300_000_000) { [unowned loop] in
                usleep(20_000)
                loop.runAtEndOfTurn { usleep(20_000) }
                loop.post { isDone.fulfill() }
            }
        }
        wait(for: [isDone], timeout: 30)
        loop.stop()
        let endedAt = MonotonicClock().nanoseconds()
        let told = turns.withLock { $0 }
        let longest = try XCTUnwrap(told.max())
        XCTAssertGreaterThanOrEqual(longest, 40_000_000, "the timer and what it put off are of one turn")
        // However busy the machine is, a turn that does not contain the sleep begins behind it.
        XCTAssertLessThanOrEqual(longest, endedAt - timerAt.withLock { $0 }, "to sleep is not to work: \(told)")
    }
}
