import BalsaPlatform
import BalsaWire
import XCTest

@testable import BalsaTransport

/// Holds `Docs/HandshakeFormat.md` against the code, so that the page cannot grow old unnoticed.
final class HandshakeFormatPageTests: XCTestCase {
    private func page() throws -> [String] {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("Docs/HandshakeFormat.md"), encoding: .utf8)
        return text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// The cells of the rows of the table whose first column has this title.
    private func table(titled title: String) throws -> [[String]] {
        try page().drop { !$0.hasPrefix("| \(title) |") }.dropFirst(2).prefix { $0.hasPrefix("|") }.map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }

    func testTheExampleIsWhatIsSaid() throws {
        let lines = try page().drop { $0 != "```hex" }.dropFirst().prefix { $0 != "```" }
        let bytes = try lines.flatMap { $0.split(separator: " ") }.map { try XCTUnwrap(UInt8($0, radix: 16)) }
        var introduction = Introduction.sample(2, boot: 20)
        introduction.remembered = 7
        introduction.proof = Opening(boot: 4, nonce: 204)
        let hello = introduction.hello()
        XCTAssertEqual([UInt8](hello.encoded()), bytes)
        XCTAssertEqual(try Handshake(decoding: Bytes(bytes)), hello)
    }

    func testFieldsFollowEachOtherWithoutGaps() throws {
        var end = 0
        for row in try table(titled: "offset") {
            XCTAssertEqual(Int(row[0]), end, row[2])
            end += try XCTUnwrap(Int(row[1]), row[2])
        }
        XCTAssertEqual(end, Handshake.encodedByteCount)
    }

    func testEveryReasonHasItsNumber() throws {
        let identity: [(IdentityRefusal.Reason, String)] = [
            (.otherCluster, "otherCluster"), (.unknownMember, "unknownMember"), (.notAddressed, "notAddressed"),
            (.duplicateID, "duplicateID"), (.wiped, "wiped"), (.rolledBack, "rolledBack"), (.cloned, "cloned"),
            (.malformed, "malformed"), (.unavailable, "unavailable"), (.unproven, "unproven"),
            (.forgotten, "forgotten"),
        ]
        var reasons = [
            (HandshakeRefusal.Reason.protocolRange.code, "protocolRange"),
            (HandshakeRefusal.Reason.ownAddress.code, "ownAddress"),
        ]
        for (reason, name) in identity {
            reasons.append((reason.rawValue, name))
            XCTAssertFalse(reason.description.hasPrefix("reason"), "\(name) has words")
        }
        let rows = try table(titled: "reason")
        XCTAssertEqual(Set(rows.map { $0[0] }).count, reasons.count)
        for (code, name) in reasons { XCTAssertEqual(rows.first { $0[1] == name }?[0], "\(code)", name) }
    }
}
