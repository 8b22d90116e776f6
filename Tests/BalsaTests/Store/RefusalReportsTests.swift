import BalsaPlatform
import BalsaRaft
import BalsaTransport
import BalsaWire
import XCTest

@testable import Balsa

/// Which refusals are reported.
final class RefusalReportsTests: XCTestCase {
    private func refusal(_ side: HandshakeRefusal.Side, _ reason: IdentityRefusal.Reason) -> HandshakeRefusal {
        let introduction = Introduction(
            cluster: .none,
            from: 2,
            to: 1,
            incarnation: UniqueID(high: 1, low: 1),
            boot: 1,
            nonces: [7]
        )
        return HandshakeRefusal(
            side,
            .identity(IdentityRefusal(reason, of: introduction, by: 1, in: .none, remembering: 1))
        )
    }

    func testIsNews_sameRefusal_isReportedOnceUntilThePeerIsConnected() {
        var reports = RefusalReports()
        XCTAssertTrue(reports.isNews(refusal(.here, .cloned), of: 1))
        XCTAssertFalse(reports.isNews(refusal(.here, .cloned), of: 1))
        XCTAssertTrue(reports.isNews(refusal(.here, .cloned), of: 3))
        reports.forget(1)
        XCTAssertTrue(reports.isNews(refusal(.here, .cloned), of: 1))
        XCTAssertFalse(reports.isNews(refusal(.here, .cloned), of: 3))
    }

    func testIsNews_peerThatFailedOfARefusal_isNotReportedAsFailed() {
        var reports = RefusalReports()
        XCTAssertTrue(reports.isNews(refusal(.peer, .unavailable), of: 3), "it failed of something else")
        XCTAssertTrue(reports.isNews(refusal(.here, .cloned), of: 1))
        XCTAssertFalse(reports.isNews(refusal(.peer, .unavailable), of: 1))
        XCTAssertTrue(reports.isNews(refusal(.peer, .cloned), of: 1), "this concerns the member itself")
        reports.forget(1)
        XCTAssertTrue(reports.isNews(refusal(.peer, .unavailable), of: 1))
    }
}
