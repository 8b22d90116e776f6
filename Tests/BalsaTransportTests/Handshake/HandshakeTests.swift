import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

@testable import BalsaTransport

final class HandshakeTests: XCTestCase {
    private let hello = Introduction.sample(2, boot: 5).hello(.bulk)

    private var samples: [Handshake] {
        let (terms, own) = (HandshakeTerms(), Introduction.sample(1, to: 2, boot: 60))
        let refusal = IdentityRefusal(.cloned, of: hello.introduction, by: 1, in: .sampleCluster)
        var unborn = hello
        unborn.introduction.cluster = .none
        var showing = hello
        showing.introduction.remembered = .max
        showing.introduction.proof = Opening(boot: 1, nonce: .max)
        var blank = showing
        blank.introduction.proof?.nonce = 0
        return [
            hello, unborn, showing, blank, terms.answer(to: hello, own, nil),
            terms.answer(to: hello, own, .identity(refusal)),
            terms.answer(to: hello, own, .protocolRange),
        ]
    }

    private func read(_ bytes: [UInt8], inPartsOf size: Int) throws -> Handshake? {
        var reader = HandshakeReader()
        var rest = bytes[...]
        while !rest.isEmpty, reader.wanted > 0 {
            let part = Array(rest.prefix(min(size, reader.wanted)))
            rest = rest.dropFirst(part.count)
            if let found = try part.withUnsafeBytes({ try reader.receive($0) }) { return found }
        }
        return nil
    }

    func testWhatIsEncodedIsDecoded() throws {
        for sample in samples {
            XCTAssertEqual(sample.encoded().count, 176)
            XCTAssertEqual(try Handshake(decoding: sample.encoded()), sample)
        }
    }

    func testAHandshakeMayArriveInPartsOfAnyLength() throws {
        let bytes = [UInt8](hello.encoded())
        for size in 1...176 { XCTAssertEqual(try read(bytes, inPartsOf: size), hello) }
    }

    func testAReaderWantsNoByteBehindTheHandshake() throws {
        var reader = HandshakeReader()
        XCTAssertEqual(reader.wanted, 176)
        XCTAssertEqual(try hello.encoded().withUnsafeBytes { try reader.receive($0) }, hello)
        XCTAssertEqual(reader.wanted, 0)
    }

    func testAHandshakeThatIsCutAnywhereIsNone() throws {
        let nonces = (0..<8).map { 72 + 8 * $0 }
        let fields =
            [0, 4, 6, 7, 8, 10, 12, 16, 24, 32, 40, 48, 56, 64] + nonces + [136, 144, 152, 160, 168, 170, 172]
        let bytes = [UInt8](hello.encoded())
        for count in 0..<176 {
            let place = fields.last { $0 <= count } ?? 0
            assertRefused(.truncated, at: place, "\(count)") { try Handshake(decoding: Bytes(Array(bytes[..<count]))) }
            XCTAssertNil(try read(Array(bytes[..<count]), inPartsOf: 7))
        }
    }

    func testAByteTooManyIsRefused() {
        assertRefused(.inconsistent, "handshake end", at: 176) {
            try Handshake(decoding: Bytes([UInt8](hello.encoded()) + [0]))
        }
    }

    func testEveryFlippedBitIsNoticed() {
        for sample in samples {
            let bytes = [UInt8](sample.encoded())
            for bit in 0..<bytes.count * 8 {
                let fault: (reason: DecodingError.Reason, place: Int) =
                    switch bit {
                    case ..<32: (.magic, 0)
                    case 32: (.outOfBounds, 4)
                    case ..<48: (.version, 4)
                    default: (.checksum, 172)
                    }
                assertRefused(fault.reason, at: fault.place, "bit \(bit)") {
                    try Handshake(decoding: Bytes(bytes.flipping(bit: bit)))
                }
            }
        }
    }

    /// The bytes with a checksum that fits them again.
    private func sealed(_ bytes: [UInt8]) -> Bytes {
        var bytes = bytes
        let checksum = bytes[..<172].withUnsafeBytes { CRC32C.checksum($0) }
        bytes.replaceSubrange(172..<176, with: withUnsafeBytes(of: checksum.littleEndian) { [UInt8]($0) })
        return Bytes(bytes)
    }

    func testFieldsThatHaveNoMeaningAreRefusedThoughTheChecksumFits() {
        let bytes = [UInt8](hello.encoded())
        XCTAssertNoThrow(try Handshake(decoding: sealed(bytes)))
        func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
        // Where no offset is given, the field begins at the change.
        let changes: [(at: Int, to: [UInt8], DecodingError.Reason, field: String, offset: Int?)] = [
            (6, [0], .outOfBounds, "handshake kind", nil), (6, [4], .outOfBounds, "handshake kind", nil),
            (7, [0], .outOfBounds, "handshake path", nil), (7, [3], .outOfBounds, "handshake path", nil),
            (8, [2, 0, 1, 0], .inconsistent, "handshake lowest protocol", nil),
            (32, zeros(8), .outOfBounds, "handshake sender", nil),
            (40, zeros(8), .outOfBounds, "handshake receiver", nil),
            (48, zeros(16), .outOfBounds, "handshake incarnation", nil),
            // No nonce at all; none at the beginning; one behind none.
            (72, zeros(64), .outOfBounds, "handshake nonces", nil),
            (72, zeros(8), .outOfBounds, "handshake nonces", nil),
            (88, zeros(8), .inconsistent, "handshake nonces", 72), (120, [1], .inconsistent, "handshake nonces", 72),
            (152, [1], .inconsistent, "handshake shown nonce", nil),
            (160, [1], .inconsistent, "handshake answered nonce", nil),
            (168, [1], .inconsistent, "handshake reason", nil),
            (170, [1], .outOfBounds, "handshake reserved bytes", nil),
            (171, [1], .outOfBounds, "handshake reserved bytes", 170),
            (6, [3], .inconsistent, "handshake reason", 168),
        ]
        for change in changes {
            var changed = bytes
            changed.replaceSubrange(change.at..<change.at + change.to.count, with: change.to)
            assertRefused(change.2, change.field, at: change.offset ?? change.at, "\(change)") {
                try Handshake(decoding: sealed(changed))
            }
        }
    }

    func testRandomBytesAreRefused() {
        var random = RandomSource(seed: 7)
        for _ in 0..<2_000 {
            var bytes = (0..<176).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let hasPrefix = random.chance(1, in: 2)
            if hasPrefix { bytes.replaceSubrange(0..<6, with: [0x42, 0x41, 0x4c, 0x48, 1, 0]) }
            let size = random.draw(1...176)
            assertRefused(hasPrefix ? .checksum : .magic, at: hasPrefix ? 172 : 0) { try read(bytes, inPartsOf: size) }
        }
    }

    func testAnotherProtocolIsToldApartByTheFirstByteThatDiffers() throws {
        let bytes = [UInt8](hello.encoded())
        for place in 0..<4 {
            var part = Array(bytes[...place])
            part[place] ^= 1
            XCTAssertThrowsError(try read(part, inPartsOf: 1), "\(place)") { error in
                XCTAssertEqual((error as? DecodingError)?.reason, .magic)
            }
        }
    }

    func testANewerFormatIsToldApartBeforeItsChecksum() {
        var bytes = [UInt8](hello.encoded())
        bytes[4] = 2
        XCTAssertThrowsError(try read(Array(bytes[..<6]), inPartsOf: 6)) { error in
            XCTAssertEqual((error as? DecodingError)?.reason, .version)
        }
    }
}
