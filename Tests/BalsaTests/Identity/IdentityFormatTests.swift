import BalsaPlatform
import BalsaRaft
import BalsaWire
import Foundation
import XCTest

@testable import Balsa

/// `Docs/IdentityFormat.md` against the code: its examples are decoded, written again, and damaged in every way.
final class IdentityFormatTests: XCTestCase {
    /// The bytes of the examples of the page, in their order: what stands between "```hex" and "```".
    private func examples() throws -> [[UInt8]] {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let page = package.appendingPathComponent("Docs/IdentityFormat.md")
        let parts = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "```hex\n")
        XCTAssertEqual(parts.count, 3, "the page has an example of each file")
        return try parts.dropFirst().map { part in
            let block = try XCTUnwrap(part.components(separatedBy: "```").first)
            return try block.split(whereSeparator: \.isWhitespace).map { try XCTUnwrap(UInt8($0, radix: 16), "\($0)") }
        }
    }

    private func decode(_ bytes: [UInt8], asIdentity: Bool) throws {
        if asIdentity {
            _ = try Identity(decoding: Bytes(bytes))
        } else {
            _ = try BootRecord(decoding: Bytes(bytes))
        }
    }

    func testTheIdentityOfThePage() throws {
        let bytes = try examples()[0]
        let rows = [
            MemberTable.Row(member: 1, incarnation: UniqueID(high: 0x1111, low: 0x2222), address: "a:1"),
            MemberTable.Row(member: 2, incarnation: UniqueID(high: 0x3333, low: 0x4444), address: "b:22"),
        ]
        let cluster = ClusterIdentity(id: UniqueID(high: 0x5555, low: 0x6666), table: try MemberTable(rows))
        let identity = Identity(member: 2, incarnation: rows[1].incarnation, state: .established(cluster))
        XCTAssertEqual(try Identity(decoding: Bytes(bytes)), identity)
        XCTAssertEqual([UInt8](try identity.encoded()), bytes)
        XCTAssertEqual(cluster.id.description, "00000000000055550000000000006666")
    }

    func testTheBootRecordOfThePage() throws {
        let bytes = try examples()[1]
        var record = BootRecord(incarnation: UniqueID(high: 0x3333, low: 0x4444))
        for nonce: UInt64 in [0xa1, 0xb2, 0xc3] { record.bump(nonce: nonce) }
        record.marked = Opening(boot: 2, nonce: 0xb2)
        record.revision = 6
        record.peers = [.init(member: 1, boot: 5, nonce: 0xd4, known: Opening(boot: 2, nonce: 0xb2))]
        XCTAssertEqual(try BootRecord(decoding: Bytes(bytes)), record)
        XCTAssertEqual([UInt8](try record.encoded()), bytes)
    }

    func testABootRecord_whoseMarkedOpeningIsNotTheOneOfItsList_isRefused() throws {
        var record = BootRecord(incarnation: UniqueID(high: 0x3333, low: 0x4444))
        for nonce: UInt64 in [0xa1, 0xb2, 0xc3] { record.bump(nonce: nonce) }
        for boot in 1...3 as ClosedRange<UInt64> {
            record.marked = record.opening(boot)
            XCTAssertEqual(try BootRecord(decoding: try record.encoded()), record)
            record.marked = Opening(boot: boot, nonce: 0xdd)
            XCTAssertThrowsError(try BootRecord(decoding: try record.encoded())) {
                XCTAssertEqual(($0 as? DecodingError)?.reason, .inconsistent)
                XCTAssertEqual(($0 as? DecodingError)?.offset, 48)
            }
        }
    }

    func testEveryStateComesBackAsItWas() throws {
        let established = try Identity(decoding: Bytes(try examples()[0]))
        let cluster = try XCTUnwrap(established.cluster)
        for state in [Identity.State.prepared, .noted(cluster), .established(cluster)] {
            let identity = Identity(member: 2, incarnation: established.incarnation, state: state)
            XCTAssertEqual(try Identity(decoding: try identity.encoded()), identity)
        }
    }

    func testAnEstablishedIdentityWithoutItselfInTheTableIsRefused() throws {
        let whole = try Identity(decoding: Bytes(try examples()[0]))
        for change: (inout Identity) -> Void in [{ $0.member = 3 }, { $0.incarnation = UniqueID(high: 1, low: 1) }] {
            var identity = whole
            change(&identity)
            XCTAssertThrowsError(try Identity(decoding: try identity.encoded())) {
                XCTAssertEqual(($0 as? BalsaPlatform.DecodingError)?.reason, .inconsistent)
            }
        }
    }

    func testEveryFlippedBitIsRefused() throws {
        for (place, bytes) in try examples().enumerated() {
            for bit in 0..<bytes.count * 8 {
                var damaged = bytes
                damaged[bit / 8] ^= 1 << (bit % 8)
                XCTAssertThrowsError(try decode(damaged, asIdentity: place == 0), "file \(place), bit \(bit)")
            }
        }
    }

    func testEveryCutAndEveryExcessIsRefused() throws {
        for (place, bytes) in try examples().enumerated() {
            for count in 0..<bytes.count {
                XCTAssertThrowsError(try decode(Array(bytes[..<count]), asIdentity: place == 0), "\(place), \(count)")
            }
            XCTAssertThrowsError(try decode(bytes + [0], asIdentity: place == 0), "file \(place) and one byte more")
        }
    }

    func testANewerVersionIsRefusedAsSuch() throws {
        for (place, bytes) in try examples().enumerated() {
            var newer = bytes
            newer[4] = 2
            XCTAssertThrowsError(try decode(newer, asIdentity: place == 0)) {
                XCTAssertEqual(($0 as? BalsaPlatform.DecodingError)?.reason, .version)
            }
        }
    }

    /// Under right checksums, too, what is read must be what is written.
    func testDamageUnderANewChecksumIsRefusedOrMeansWhatItWouldBeEncodedAs() throws {
        var random = RandomSource(seed: 4)
        let examples = try examples()
        var accepted = 0
        for _ in 0..<10_000 {
            let place = random.draw(0...1)
            var bytes = examples[place]
            for _ in 0..<random.draw(1...3) {
                bytes[random.draw(0...bytes.count - 5)] = random.chance(1, in: 2) ? 0 : UInt8(random.draw(0...255))
            }
            let checksum = CRC32C.checksum(Bytes(Array(bytes.dropLast(4))))
            for byte in 0..<4 { bytes[bytes.count - 4 + byte] = UInt8(truncatingIfNeeded: checksum >> (8 * byte)) }
            if place == 0 {
                guard let identity = try? Identity(decoding: Bytes(bytes)) else { continue }
                XCTAssertEqual([UInt8](try identity.encoded()), bytes)
            } else {
                guard let record = try? BootRecord(decoding: Bytes(bytes)) else { continue }
                XCTAssertEqual([UInt8](try record.encoded()), bytes)
            }
            accepted += 1
        }
        XCTAssertGreaterThan(accepted, 100, "the damage was too great to test anything")
    }
}
