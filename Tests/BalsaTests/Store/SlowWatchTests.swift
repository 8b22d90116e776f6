import BalsaRaft
import XCTest

@testable import Balsa

/// What is worth telling an operator, and how often.
final class SlowWatchTests: XCTestCase {
    private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    private var thresholds: SlowThresholds {
        var thresholds = SlowThresholds()
        thresholds.logWrite = .milliseconds(10)
        thresholds.turn = .milliseconds(20)
        thresholds.reportInterval = .milliseconds(1_000)
        return thresholds
    }

    func testOnlyWhatReachesItsThresholdIsSlow() {
        var watch = SlowWatch(thresholds)
        XCTAssertNil(watch.ended(.logWrite, after: .microseconds(9_999), at: at(0)))
        XCTAssertNil(watch.ended(.turn, after: .milliseconds(10), at: at(0)), "each kind has its own")
        let report = watch.ended(.logWrite, after: .milliseconds(10), at: at(0))
        XCTAssertEqual(report?.kind, .logWrite)
        XCTAssertEqual(report?.duration, .milliseconds(10))
        XCTAssertEqual(report?.threshold, .milliseconds(10))
        XCTAssertEqual(report?.unreportedCount, 0)
    }

    func testOfEachKindOneIsToldInAnIntervalAndTheOthersAreCounted() {
        var watch = SlowWatch(thresholds)
        XCTAssertEqual(watch.ended(.logWrite, after: .milliseconds(30), at: at(0))?.kind, .logWrite)
        for moment in 1...5 { XCTAssertNil(watch.ended(.logWrite, after: .milliseconds(30), at: at(UInt64(moment)))) }
        XCTAssertEqual(watch.ended(.turn, after: .milliseconds(30), at: at(6))?.kind, .turn, "another kind")
        XCTAssertNil(watch.ended(.logWrite, after: .milliseconds(1), at: at(7)), "not slow, and not counted")
        let next = watch.ended(.logWrite, after: .milliseconds(30), at: at(1_000))
        XCTAssertEqual(next?.unreportedCount, 5)
        let last = watch.ended(.logWrite, after: .milliseconds(30), at: at(2_000))
        XCTAssertEqual(last?.unreportedCount, 0)
    }

    func testWhereTheTimeWentIsAskedForOnlyWhereItIsTold() {
        var watch = SlowWatch(thresholds)
        var asked = 0
        func parts() -> [SlowOperation.Part] {
            asked += 1
            return [SlowOperation.Part("syncing", .milliseconds(29)), SlowOperation.Part("writing", .milliseconds(1))]
        }
        _ = watch.ended(.logWrite, after: .milliseconds(1), at: at(0), parts: parts())
        XCTAssertEqual(asked, 0)
        var report = watch.ended(.logWrite, after: .milliseconds(30), at: at(0), parts: parts(), detail: "3 writes")
        _ = watch.ended(.logWrite, after: .milliseconds(30), at: at(1), parts: parts())
        XCTAssertEqual(asked, 1)
        report?.unreportedCount = 2
        XCTAssertEqual(
            report?.description,
            "log write took 0.03 seconds, longer than 0.01 seconds: syncing 0.029 seconds, writing 0.001 seconds; "
                + "3 writes; 2 more since the last report"
        )
    }

    func testAStallHasABeginningAndAnEnd() {
        var watch = StallWatch()
        XCTAssertEqual(told(watch.look(nil, at: at(0))), [])
        XCTAssertEqual(told(watch.look(.flush, at: at(10))), ["stalled flush"])
        XCTAssertEqual(told(watch.look(.flush, at: at(20))), [])
        XCTAssertEqual(
            told(watch.look(.backlog, at: at(40))),
            ["resumed flush 0.03 seconds", "stalled backlog"],
            "one reason takes the place of another"
        )
        XCTAssertEqual(watch.reason, .backlog)
        XCTAssertEqual(told(watch.look(nil, at: at(45))), ["resumed backlog 0.005 seconds"])
    }

    private func told(_ events: [StoreEvent]) -> [String] {
        events.map {
            switch $0 {
            case .stalled(let reason): "stalled \(reason.rawValue)"
            case .resumed(let reason, let duration): "resumed \(reason.rawValue) \(duration)"
            default: "another event"
            }
        }
    }

    func testASentenceIsToldAgainOnlyAfterAWhile() {
        var watch = RepetitionWatch(interval: .milliseconds(1_000))
        XCTAssertTrue(watch.isNews("block 3", at: at(0), limit: 3))
        XCTAssertFalse(watch.isNews("block 3", at: at(999), limit: 3))
        XCTAssertTrue(watch.isNews("block 4", at: at(999), limit: 3))
        XCTAssertFalse(watch.isNews("block 4", at: at(1_000), limit: 3))
        XCTAssertTrue(watch.isNews("block 4", at: at(1_999), limit: 3))
    }

    func testRepetitions_ofManySentencesInTurn_areLimitedAndCounted() {
        var watch = RepetitionWatch(interval: .milliseconds(1_000))
        let told = (0..<300).filter { watch.isNews("block \($0 % 2)", at: at(0), limit: 3) }
        XCTAssertEqual(told, [0, 1], "two blocks in turn")
        let others = (300..<600).filter { watch.isNews("block \($0)", at: at(1), limit: 3) }
        XCTAssertEqual(others, [300], "each time another block")
        XCTAssertTrue(watch.isNews("a table", at: at(1), limit: 1_000), "with another limit")
        XCTAssertEqual(watch.takeUnreportedCount(), 597)
        XCTAssertTrue(watch.isNews("block 1", at: at(1_000), limit: 3))
        XCTAssertFalse(
            watch.isNews("block 3", at: at(1_000), limit: 3),
            "block 300 and a table were told within a second"
        )
        XCTAssertEqual(watch.takeUnreportedCount(), 1)
        XCTAssertEqual(watch.takeUnreportedCount(), 0)
    }
}
