import CBalsaPlatform

/// The hash of a key, by which filters are built and asked.
///
/// It is part of the table format (`Docs/TableFormat.md`) and must never change: a filter asked with another hash denies
/// keys that are there. Sixteen bytes a step are folded by a multiplication of 64 by 64 bits, as wyhash does it; all
/// loads are of unsigned little-endian numbers, so that the result is the same on every machine.
enum KeyHash {
    private static let first: UInt64 = 0x9e37_79b9_7f4a_7c15
    private static let second: UInt64 = 0xbf58_476d_1ce4_e5b9
    private static let third: UInt64 = 0x94d0_49bb_1331_11eb

    /// The hash of `key`.
    static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 {
        let count = key.count
        var state = first ^ UInt64(truncatingIfNeeded: count)
        var low: UInt64 = 0
        var high: UInt64 = 0
        if let start = key.baseAddress {
            if count >= 8 {
                var offset = 0
                while count - offset > 16 {
                    state = fold(word(start, offset) ^ second, word(start, offset + 8) ^ state)
                    offset += 16
                }
                // What is left is 1 to 16 bytes, or 8 to 16 from the beginning; the two words may overlap each other
                // and what was folded before, which does no harm.
                low = word(start, count >= 16 ? count - 16 : 0)
                high = word(start, count - 8)
            } else if count >= 4 {
                low = halfWord(start, 0)
                high = halfWord(start, count - 4)
            } else if count > 0 {
                low =
                    UInt64(start.load(as: UInt8.self))
                    | UInt64(start.load(fromByteOffset: count / 2, as: UInt8.self)) << 8
                    | UInt64(start.load(fromByteOffset: count - 1, as: UInt8.self)) << 16
            }
        }
        return fold(fold(low ^ second, high ^ state) ^ third, first ^ UInt64(truncatingIfNeeded: count))
    }

    @inline(__always)
    private static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }

    @inline(__always)
    private static func word(_ start: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        UInt64(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    @inline(__always)
    private static func halfWord(_ start: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        UInt64(UInt32(littleEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }
}
