import BalsaRaft
import XCTest

final class TimeSpanTests: XCTestCase {
    private let longest = TimeSpan(nanoseconds: .max)

    func testLengths_tooLongToBeCounted_areTheLongest() {
        XCTAssertEqual(TimeSpan.seconds(.max), longest)
        XCTAssertEqual(TimeSpan.milliseconds(.max), longest)
        XCTAssertEqual(TimeSpan.microseconds(.max), longest)
        XCTAssertEqual(longest + .seconds(1), longest)
        XCTAssertEqual(longest * 2, longest)
        XCTAssertEqual(.zero + longest, longest)
        XCTAssertEqual(Instant(nanoseconds: 1) + longest, .never)
    }

    func testLengths_thatCanBeCounted_areExact() {
        XCTAssertEqual(TimeSpan.seconds(2).nanoseconds, 2_000_000_000)
        XCTAssertEqual(TimeSpan.milliseconds(3).nanoseconds, 3_000_000)
        XCTAssertEqual(TimeSpan.microseconds(4).nanoseconds, 4_000)
        XCTAssertEqual((TimeSpan.seconds(1) + .milliseconds(500)) * 3, .milliseconds(4_500))
    }
}
