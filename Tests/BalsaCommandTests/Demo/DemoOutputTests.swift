import BalsaPlatform
import BalsaRaft
import XCTest

@testable import BalsaCommand

/// What a demo draws and prints.
final class DemoOutputTests: XCTestCase {
    func testBar_ofEveryWidth_fitsIntoOneLine() {
        for title in ["loading", "reading back"] {
            for columns in 0...200 {
                for done in [0, 1, 499, 999, 1_000] {
                    let text = ProgressLine.text(title, done, of: 1_000, columns: columns)
                    XCTAssertLessThan(text.count, max(1, columns), "\(columns) columns: \(text)")
                    if columns >= 6 { XCTAssertTrue(text.hasSuffix("\(done / 10) %"), "\(columns) columns: \(text)") }
                }
            }
        }
    }

    func testBar_ofTwoTerminals_isAsLongAsItMayBe() {
        XCTAssertEqual(
            ProgressLine.text("loading", 500, of: 1_000, columns: 80),
            "loading [####################....................] 50 %"
        )
        XCTAssertEqual(
            ProgressLine.text("loading", 500, of: 1_000, columns: 40),
            "loading [###########............] 50 %"
        )
        XCTAssertEqual(ProgressLine.text("loading", 1_000, of: 1_000, columns: 16), "loading 100 %")
    }

    func testMembers_lineThatWasPrinted_isNotPrintedAgain() {
        let printed = Locked<[String]>([])
        let lines = MemberLines { line in printed.withLock { $0.append(line) } }
        lines.show(1, pid: 7, state: "recovering", starts: 1)
        lines.show(1, pid: 7, state: "leader", starts: 1)
        lines.show(2, pid: 8, state: "follower 1", starts: 1)
        // All members once more, as when the load begins.
        lines.show(1, pid: 7, state: "leader", starts: 1)
        lines.show(2, pid: 8, state: "follower 1", starts: 1)
        lines.show(1, pid: 9, state: "follower 2", starts: 2)
        lines.show(1, pid: 9, state: "follower 2", starts: 2)
        XCTAssertEqual(
            printed.withLock { $0 },
            [
                "member 1: pid 7, recovering", "member 1: pid 7, leader", "member 2: pid 8, follower 1",
                "member 1: pid 9, follower 2, started 2 times",
            ]
        )
    }
}
