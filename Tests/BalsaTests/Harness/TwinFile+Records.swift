import BalsaPlatform

@testable import Balsa

extension TwinFile {
    /// The record in the bytes of a file BOOT of which neither copy is damaged.
    static func boot(_ bytes: Bytes) throws -> BootRecord {
        try decode(bytes) { bytes throws(DecodingError) in try BootRecord(decoding: bytes) }.record
    }
}
