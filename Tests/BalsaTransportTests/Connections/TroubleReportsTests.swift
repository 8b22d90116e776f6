import XCTest

@testable import BalsaTransport

/// Of what strangers do, an operator hears little, and what it was.
final class TroubleReportsTests: XCTestCase {
    func testTheFirstOfAKindIsToldAtOnceAndThenOneASecond() {
        var reports = TroubleReports()
        let begin: UInt64 = 5_000_000_000
        XCTAssertEqual(reports.note(.noHello, of: 0, at: begin)?.count, 1)
        for step in 1...99 as ClosedRange<UInt64> {
            XCTAssertNil(reports.note(.noHello, of: 0, at: begin + step * 10_000_000))
        }
        XCTAssertEqual(reports.note(.noHello, of: 0, at: begin + 1_000_000_000)?.count, 101, "none is forgotten")
    }

    func testKindsDoNotHideEachOther() {
        var reports = TroubleReports()
        XCTAssertEqual(reports.note(.noHello, of: 0, at: 1)?.count, 1)
        XCTAssertEqual(reports.note(.lateHello, of: 0, at: 1)?.count, 1)
        XCTAssertEqual(reports.note(.crowdedOut, of: 0, at: 1)?.count, 1)
        let told = reports.note(.brokenFrame, of: 3, at: 1)
        XCTAssertEqual(
            told?.description,
            "a connection of member 3 was closed: what came behind the hello was not a frame (1 so far)"
        )
    }
}
