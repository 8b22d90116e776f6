import BalsaRaft
import XCTest

@testable import Balsa

/// The time that replicated state may know.
final class LogicalClockTests: XCTestCase {
    private func at(_ nanoseconds: UInt64) -> Instant { Instant(nanoseconds: nanoseconds) }

    func testItCountsOnFromTheLastStampWhateverTheLocalClockShows() {
        var clock = LogicalClock()
        clock.begin(at: at(1_000_000), after: 50)
        XCTAssertEqual(clock.stamp(at: at(1_000_000)), 50)
        XCTAssertEqual(clock.stamp(at: at(1_000_007)), 57)
        clock.begin(at: at(3), after: 57)
        XCTAssertEqual(clock.stamp(at: at(5)), 59, "another member, whose clock is far behind")
    }

    func testItNeverFalls() {
        var clock = LogicalClock()
        clock.begin(at: at(100), after: 10)
        XCTAssertEqual(clock.stamp(at: at(200)), 110)
        XCTAssertEqual(clock.stamp(at: at(150)), 110)
        XCTAssertEqual(clock.stamp(at: at(0)), 110)
        XCTAssertEqual(clock.stamp(at: at(201)), 111)
    }

    func testItStandsStillWhileNobodyLeads() {
        var clock = LogicalClock()
        clock.begin(at: at(0), after: 0)
        let last = clock.stamp(at: at(1_000))
        clock.begin(at: at(900_000), after: last)
        XCTAssertEqual(clock.stamp(at: at(900_001)), last + 1)
    }

    func testAStampThatCameFromOutsideCannotMakeItOverflow() {
        var clock = LogicalClock()
        clock.begin(at: at(0), after: largestNumber - 1)
        XCTAssertEqual(clock.stamp(at: at(1)), largestNumber)
        XCTAssertEqual(clock.stamp(at: at(1_000)), largestNumber, "the format has no larger one")
    }
}
