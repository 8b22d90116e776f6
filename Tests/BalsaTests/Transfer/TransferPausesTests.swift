import BalsaRaft
import XCTest

@testable import Balsa

final class TransferPausesTests: XCTestCase {
    private let options = RaftOptions()

    /// How long the pause is after each of so many refusals.
    private func pauses(_ count: Int) -> [TimeSpan] {
        var pauses = TransferPauses()
        var now = Instant.zero
        return (0..<count).map { _ in
            pauses.refused(by: 2, in: 1, at: now, options)
            let begin = now
            while pauses.isPaused(2, in: 1, at: now) { now = now + .milliseconds(100) }
            return now - begin
        }
    }

    func testPause_eachRefusalInARow_doublesUpToSixtyFourLongestElectionTimeouts() {
        XCTAssertEqual(
            pauses(9),
            [600, 1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 38_400, 38_400].map { .milliseconds($0) }
        )
    }

    func testPause_checkpointArrived_beginsAgainAtTheShortest() {
        var pauses = TransferPauses()
        for _ in 0..<5 { pauses.refused(by: 2, in: 1, at: .zero, options) }
        pauses.arrived(at: 2)
        XCTAssertFalse(pauses.isPaused(2, in: 1, at: .zero))
        pauses.refused(by: 2, in: 1, at: .zero, options)
        XCTAssertFalse(pauses.isPaused(2, in: 1, at: .zero + .milliseconds(600)))
    }

    func testPause_otherPeerOrOtherTerm_doesNotHold() {
        var pauses = TransferPauses()
        pauses.refused(by: 2, in: 1, at: .zero, options)
        XCTAssertTrue(pauses.isPaused(2, in: 1, at: .zero))
        XCTAssertFalse(pauses.isPaused(3, in: 1, at: .zero))
        XCTAssertFalse(pauses.isPaused(2, in: 2, at: .zero))
        for _ in 0..<5 { pauses.refused(by: 2, in: 1, at: .zero, options) }
        pauses.refused(by: 2, in: 2, at: .zero, options)
        XCTAssertFalse(pauses.isPaused(2, in: 2, at: .zero + .milliseconds(600)), "it counts from the beginning")
    }
}
