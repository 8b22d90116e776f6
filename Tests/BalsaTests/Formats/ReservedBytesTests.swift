import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa
@testable import BalsaKeyValue
@testable import BalsaLSM
@testable import BalsaLog
@testable import BalsaTransport
@testable import BalsaWire

/// Every format refuses a reserved byte that is not 0, and the version 0, by the name of the field, though all
/// checksums fit.
/// Where another release uses those bytes, this one must not pass them by.
final class ReservedBytesTests: XCTestCase {
    private func assertRefused(
        _ format: FormatExample,
        _ field: String,
        at place: Int,
        changing byte: Int,
        to value: UInt8,
        _ reason: BalsaPlatform.DecodingError.Reason
    ) {
        var bytes = format.example
        bytes[byte] = value
        if let checksum = format.checksum {
            let sum = format.extended(Array(bytes[checksum.of]).withUnsafeBytes { CRC32C.checksum($0) })
            bytes.replaceSubrange(
                checksum.at..<checksum.at + 4,
                with: withUnsafeBytes(of: sum.littleEndian) { [UInt8]($0) }
            )
        }
        XCTAssertThrowsError(try format.read(bytes), "\(format.name), byte \(byte)") { thrown in
            var error = thrown as? BalsaPlatform.DecodingError
            if case .malformed(let inner)? = thrown as? CommandError { error = inner }
            XCTAssertEqual(error?.reason, reason, "\(format.name), byte \(byte): \(thrown)")
            XCTAssertEqual(error?.field.description, field, "\(format.name), byte \(byte)")
            XCTAssertEqual(error?.offset, place, "\(format.name), byte \(byte)")
        }
    }

    func testEveryFormat_refusesEachReservedByteAndTheVersionZero_byTheNameOfTheField() throws {
        for format in try FormatExample.all() {
            XCTAssertNoThrow(try format.read(format.example), format.name)
            for (field, range) in format.reserved {
                for byte in range {
                    // Of a long range not every bit.
                    for bit in 0..<8 where range.count < 100 || bit == byte % 8 {
                        assertRefused(format, field, at: range.lowerBound, changing: byte, to: 1 << bit, .outOfBounds)
                    }
                }
            }
            guard let version = format.version else { continue }
            XCTAssertEqual(format.example[version.at].first, 1, format.name)
            assertRefused(
                format,
                version.field,
                at: version.at.lowerBound,
                changing: version.at.lowerBound,
                to: 0,
                .outOfBounds
            )
        }
    }
}
