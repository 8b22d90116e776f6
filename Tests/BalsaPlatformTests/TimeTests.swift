import BalsaPlatform
import XCTest

final class TimeTests: XCTestCase {
    func testTheClockNeverGoesBack() {
        let clock = MonotonicClock()
        let first = clock.nanoseconds()
        var last = first
        while last == first { last = clock.nanoseconds() }
        for _ in 0..<1_000 {
            let now = clock.nanoseconds()
            XCTAssertGreaterThanOrEqual(now, last)
            last = now
        }
    }

    func testTheSystemsSeedsDiffer() {
        let seeds = (0..<100).map { _ in SystemRandom.seed() }
        XCTAssertEqual(Set(seeds).count, 100)
        let seen = seeds.reduce(0, |)
        XCTAssertEqual(seen, .max, "a bit was 0 in all of 100 seeds")
    }
}
