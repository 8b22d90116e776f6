import BalsaPlatform
import XCTest

final class CRC32CTests: XCTestCase {
    /// The check value of the catalogue of parametrised CRC algorithms, and the examples of RFC 3720, appendix B.4.
    private let published: [(bytes: [UInt8], checksum: UInt32)] = [
        ([], 0),
        (Array("123456789".utf8), 0xe306_9283),
        ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
        ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
        ((0..<32).map { UInt8($0) }, 0x46dd_794e),
        ((0..<32).reversed().map { UInt8($0) }, 0x113f_db5c),
        (
            [
                0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
                0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
            ], 0xd996_3a56
        ),
    ]

    func testPublishedChecksums() {
        for (bytes, checksum) in published {
            XCTAssertEqual(CRC32C.checksum(Bytes(bytes)), checksum)
            XCTAssertEqual(bytes.withUnsafeBytes { CRC32C.checksum($0) }, checksum)
            XCTAssertEqual(bytes.withUnsafeBytes { CRC32C.extendByTable(0, with: $0) }, checksum)
        }
    }

    func testTheProcessorAndTheTablesAgreeAtEveryLengthAndAlignment() {
        var random = RandomSource(seed: 1)
        let bytes = (0..<4096).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        bytes.withUnsafeBytes { all in
            for length in 0..<70 {
                for start in 0..<16 {
                    let part = UnsafeRawBufferPointer(rebasing: all[start..<start + length])
                    XCTAssertEqual(CRC32C.extend(0, with: part), CRC32C.extendByTable(0, with: part))
                }
            }
            for _ in 0..<500 {
                let start = random.draw(0...4096)
                let part = UnsafeRawBufferPointer(rebasing: all[start..<random.draw(start...4096)])
                let seed = UInt32(truncatingIfNeeded: random.next())
                XCTAssertEqual(CRC32C.extend(seed, with: part), CRC32C.extendByTable(seed, with: part))
            }
        }
    }

    func testPartsGiveTheChecksumOfTheWhole() {
        let bytes = Array("123456789".utf8)
        for cut in 0...bytes.count {
            let first = bytes[..<cut].withUnsafeBytes { CRC32C.checksum($0) }
            XCTAssertEqual(bytes[cut...].withUnsafeBytes { CRC32C.extend(first, with: $0) }, 0xe306_9283)
        }
    }
}
