import BalsaPlatform

/// The checksum of a frame's body: a CRC32C that is carried on over a *fold* of the same bytes.
///
/// A CRC alone would not do. A record ends with the CRC32C of its own header, and the CRC32C of any bytes followed by
/// their own CRC32C is always the same: so a torn frame that shows a record of an earlier use of the file, in the place
/// of another one of the same length, would have the right checksum. The fold multiplies, which a CRC cannot follow.
struct BodyChecksum {
    private var crc: UInt32 = 0
    private var fold: UInt64 = 0
    /// The bytes behind the last whole word.
    private var rest: UInt64 = 0
    private var restBytes: UInt64 = 0

    private mutating func take(_ word: UInt64) {
        fold = (fold ^ word) &* 0x9e37_79b9_7f4a_7c15
        fold ^= fold >> 32
    }

    /// Carries the checksum on over more of the body.
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        crc = CRC32C.extend(crc, with: bytes)
        var offset = 0
        while bytes.count - offset >= 8 {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            // The bytes left over from before come first. A shift by 64 leaves nothing.
            take(rest | word << (8 * restBytes))
            rest = word >> (64 - 8 * restBytes)
            offset += 8
        }
        while offset < bytes.count {
            rest |= UInt64(bytes[offset]) << (8 * restBytes)
            restBytes += 1
            offset += 1
            guard restBytes == 8 else { continue }
            take(rest)
            (rest, restBytes) = (0, 0)
        }
    }

    /// The checksum of all of the body.
    var value: UInt32 {
        var whole = self
        if restBytes > 0 { whole.take(rest) }
        return withUnsafeBytes(of: whole.fold.littleEndian) { CRC32C.extend(crc, with: $0) }
    }

    /// The checksum of a body.
    static func checksum(_ body: Bytes) -> UInt32 {
        var checksum = BodyChecksum()
        body.withUnsafeBytes { checksum.append($0) }
        return checksum.value
    }
}
