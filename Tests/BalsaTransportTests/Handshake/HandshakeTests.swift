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
        XCTAssertNotNil(try hello.encoded().withUnsafeBytes { try reader.receive($0) })
        XCTAssertEqual(reader.wanted, 0)
    }

    func testAHandshakeThatIsCutAnywhereIsNone() throws {
        let bytes = [UInt8](hello.encoded())
        for count in 0..<176 {
            XCTAssertThrowsError(try Handshake(decoding: Bytes(Array(bytes[..<count]))), "\(count)")
            XCTAssertNil(try read(Array(bytes[..<count]), inPartsOf: 7))
        }
    }

    func testAByteTooManyIsRefused() {
        XCTAssertThrowsError(try Handshake(decoding: Bytes([UInt8](hello.encoded()) + [0])))
    }

    func testEveryFlippedBitIsNoticed() {
        for sample in samples {
            let bytes = [UInt8](sample.encoded())
            for bit in 0..<bytes.count * 8 {
                XCTAssertThrowsError(try Handshake(decoding: Bytes(bytes.flipping(bit: bit))), "bit \(bit)")
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
        let changes: [(at: Int, to: [UInt8], String)] = [
            (6, [0], "no kind"), (6, [4], "an unknown kind"), (7, [0], "no path"), (7, [3], "an unknown path"),
            (8, [2, 0, 1, 0], "a range of protocols from high to low"),
            (32, [UInt8](repeating: 0, count: 8), "no sender"),
            (40, [UInt8](repeating: 0, count: 8), "no receiver"),
            (48, [UInt8](repeating: 0, count: 16), "no incarnation"),
            (72, [UInt8](repeating: 0, count: 64), "no nonce"),
            (72, [UInt8](repeating: 0, count: 8), "a nonce behind none"),
            (88, [UInt8](repeating: 0, count: 8), "a nonce behind none"),
            (120, [1], "a nonce behind none"), (160, [1], "an answer in a hello"), (168, [1], "a reason in a hello"),
            (170, [1], "a reserved byte"), (171, [1], "a reserved byte"), (152, [1], "a nonce of no opening"),
            (6, [3], "a refusal without a reason"),
        ]
        for change in changes {
            var changed = bytes
            changed.replaceSubrange(change.at..<change.at + change.to.count, with: change.to)
            XCTAssertThrowsError(try Handshake(decoding: sealed(changed)), change.2)
        }
    }

    func testRandomBytesAreRefused() {
        var random = RandomSource(seed: 7)
        for _ in 0..<2_000 {
            var bytes = (0..<176).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            if random.chance(1, in: 2) { bytes.replaceSubrange(0..<6, with: [0x42, 0x41, 0x4c, 0x48, 1, 0]) }
            XCTAssertThrowsError(try read(bytes, inPartsOf: random.draw(1...176)))
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
