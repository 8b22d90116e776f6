import BalsaPlatform
import XCTest

@testable import BalsaSimulation

final class ByteDigestTests: XCTestCase {
    /// Bytes are added by a faster way where they begin at a multiple of eight.
    func testBytes_atEveryAddress_countAsTheirWords() {
        var random = RandomSource(seed: 3)
        let bytes = (0..<64).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        for count in 0...48 {
            var expected = ByteDigest(seed: 5)
            expected.add(UInt64(count))
            var place = 0
            while place + 8 <= count {
                expected.add(bytes[place..<place + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) })
                place += 8
            }
            expected.add(bytes[place..<count].reduce(0) { $0 << 8 | UInt64($1) })
            for shift in 0..<8 {
                let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 8)
                defer { buffer.deallocate() }
                let part = UnsafeMutableRawBufferPointer(rebasing: buffer[shift..<shift + count])
                part.copyBytes(from: bytes[..<count])
                var digest = ByteDigest(seed: 5)
                digest.add(UnsafeRawBufferPointer(part))
                XCTAssertEqual(digest.value, expected.value, "\(count) bytes, \(shift) behind a word")
            }
        }
    }
}
