import BalsaRaft
import BalsaTransport
import XCTest

@testable import Balsa

/// When it is told what a first boot misses.
final class FirstBootWatchTests: XCTestCase {
    private let two = MissingPeer(member: 2, address: "b:2", reason: "Connection refused (errno 111)")
    private let three = MissingPeer(member: 3, address: "c:3", reason: "no answer yet")

    private func at(_ seconds: UInt64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

    func testLook_firstTime_tellsWhatIsMissing() {
        var watch = FirstBootWatch()
        XCTAssertNil(watch.look([], at: at(1)), "nobody is missing")
        XCTAssertEqual(watch.look([two, three], at: at(2)), [two, three])
    }

    func testLook_change_isToldTenSecondsAfterTheLastReportAtTheEarliest() {
        var watch = FirstBootWatch()
        XCTAssertEqual(watch.look([two, three], at: at(1)), [two, three])
        for second in 2...10 as ClosedRange<UInt64> {
            XCTAssertNil(watch.look(second % 2 == 0 ? [two] : [three], at: at(second)), "\(second)")
        }
        XCTAssertEqual(watch.look([two], at: at(11)), [two])
        XCTAssertNil(watch.look([], at: at(20)))
        XCTAssertEqual(watch.look([], at: at(21)), [], "all are there, and the wait goes on")
        XCTAssertNil(watch.look([], at: at(80)))
    }

    func testLook_noChange_isToldAgainOnceAMinute() {
        var watch = FirstBootWatch()
        var reports: [UInt64] = []
        for second in 1...200 as ClosedRange<UInt64> {
            if watch.look([two], at: at(second)) == [two] { reports.append(second) }
        }
        XCTAssertEqual(reports, [1, 61, 121, 181])
    }

    func testReasons_thatAlternate_areEachToldOnceAMinute() {
        var reasons = FirstBootReasons()
        var told: [String] = []
        for second in 0..<130 as Range<UInt64> {
            for reason in ["a", "b", "a"] where reasons.isNews(reason, at: at(second)) {
                told.append("\(reason)\(second)")
            }
        }
        XCTAssertEqual(told, ["a0", "b0", "a60", "b60", "a120", "b120"])
    }

    func testReasons_moreThanAreTold_areLeftOutUntilAMinuteHasPassed() {
        var reasons = FirstBootReasons()
        let most = UInt64(FirstBootReasons.maxReasons)
        for number in 0..<most { XCTAssertTrue(reasons.isNews("\(number)", at: at(1 + number))) }
        XCTAssertFalse(reasons.isNews("another", at: at(60)))
        XCTAssertFalse(reasons.isNews("0", at: at(60)))
        XCTAssertTrue(reasons.isNews("another", at: at(61)), "the first one is a minute ago")
        XCTAssertFalse(reasons.isNews("0", at: at(61)))
    }

    func testMissing_eachPeerWithoutAnOpenConnection_hasItsTrouble() {
        var connections = (2...4 as ClosedRange<UInt64>).map {
            PeerConnection(peer: $0, address: NetworkAddress(host: "m", port: UInt16($0)))
        }
        connections[0].control = .connected
        connections[1].control = .waiting
        connections[1].trouble = "No route to host (errno 113)"
        connections[2].control = .connecting
        XCTAssertEqual(
            FirstBootWatch.missing(connections).map(\.description),
            ["member 3 at m:3: No route to host (errno 113)", "member 4 at m:4: no answer yet"]
        )
    }
}
