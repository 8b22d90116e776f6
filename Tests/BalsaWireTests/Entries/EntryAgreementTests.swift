import BalsaRaft
import BalsaWire
import XCTest

/// The core knows two things of the entry format, which it may not import: they must not drift apart.
final class EntryAgreementTests: XCTestCase {
    func testTheCoreCountsTheHeaderAsItIsEncoded() {
        XCTAssertEqual(Int(EntryMetadata.headerByteCount), EntryHeader.encodedByteCount)
    }

    func testTheCoreNumbersKindsAsTheFormatDoes() {
        XCTAssertEqual(EntryMetadata.noOpKind, EntryKind.noOp.rawValue)
        XCTAssertEqual(EntryMetadata.commandKind, EntryKind.command.rawValue)
    }
}
