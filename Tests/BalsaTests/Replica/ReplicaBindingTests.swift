import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import Balsa

/// What the marks of files are held against: BOOT, with the openings that it reaches back to.
final class ReplicaBindingTests: XCTestCase {
    /// BOOT of a directory that was opened 5,000 times, of which it holds the last 4,096. Opening 10 is marked.
    private func binding() throws -> ReplicaBinding {
        var record = BootRecord(incarnation: UniqueID(high: 1, low: 2))
        for number in 1...5_000 as ClosedRange<UInt64> { record.bump(nonce: 10_000 + number) }
        record.marked = Opening(boot: 10, nonce: 10_010)
        let boot = try BootRecord(decoding: try record.encoded())
        XCTAssertEqual(boot.nonces.count, 4_096)
        return ReplicaBinding(files: .unbound, boot: boot, path: "m/BOOT", count: { boot.revision })
    }

    private func message(_ mark: Opening) throws -> String? {
        let binding = try binding()
        do throws(ReplicaError) { try binding.check(mark, of: "m/log") } catch {
            XCTAssertEqual(error.code, .damaged)
            return error.message
        }
        return nil
    }

    func testAMark_ofAnOpeningThatBootReachesBackTo_isComparedByItsNonce() throws {
        for boot in [905, 906, 5_000] as [UInt64] {
            XCTAssertNil(try message(Opening(boot: boot, nonce: 10_000 + boot)), "\(boot)")
            XCTAssertEqual(
                try message(Opening(boot: boot, nonce: 7)),
                "m/log is of another opening \(boot) than m/BOOT: the two are of two copies of the directory: put back "
                    + "what belongs together, or leave the member stopped"
            )
        }
    }

    /// Its nonce is not known any more. Only its counter is compared, and no member is refused that is intact.
    func testAMark_ofAnOpeningThatBootDoesNotReachBackTo_isAcceptedWithAnyNonce() throws {
        for boot in [11, 500, 904] as [UInt64] { XCTAssertNil(try message(Opening(boot: boot, nonce: 7)), "\(boot)") }
    }

    /// The nonce of the marked opening is kept, however long ago that was.
    func testAMark_ofTheMarkedOpening_isComparedByItsNonceHoweverOldItIs() throws {
        XCTAssertNil(try message(Opening(boot: 10, nonce: 10_010)))
        XCTAssertNotNil(try message(Opening(boot: 10, nonce: 7)))
    }

    func testAMark_belowTheMarkedOpening_orAboveTheCounter_isRefused() throws {
        XCTAssertEqual(
            try message(Opening(boot: 9, nonce: 10_009)),
            "m/log is of opening 9 of the directory, though m/BOOT says that opening 10 has marked it: put m/log back "
                + "as it was when the member stopped, never a copy made while it ran, or leave the member stopped"
        )
        XCTAssertEqual(
            try message(Opening(boot: 5_001, nonce: 15_001)),
            "m/BOOT is of opening 5000 of the directory, though opening 5001 has marked m/log: put m/BOOT back as it "
                + "was when the member stopped, never a copy made while it ran, or leave the member stopped"
        )
    }
}
