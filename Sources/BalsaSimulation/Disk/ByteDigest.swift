import BalsaPlatform

/// A running 64-bit digest of numbers and bytes.
///
/// It is equal for equal input on every machine and in every process, which the standard library's hasher is not. It
/// tells states of a simulation apart and protects against nothing that is done on purpose.
package struct ByteDigest {
    private var state: UInt64

    /// A digest of nothing yet; different seeds give unrelated digests.
    package init(seed: UInt64 = 0) { state = seed ^ 0x9e37_79b9_7f4a_7c15 }

    /// The digest of what has been added so far, in its order.
    package var value: UInt64 { RandomSource.mix(state) }

    /// Adds a number.
    package mutating func add(_ number: UInt64) {
        // Multiply, rotate, multiply as in the finalizers of the xxHash family: the rotation brings the high bits, which
        // know of every input bit, back to where the next multiplication spreads them again.
        state = (state ^ (number &* 0xc2b2_ae3d_27d4_eb4f)) &* 0x9e37_79b1_85eb_ca87
        // The masking shifts are the plain ones without optimization, which tests and simulations often run without.
        state = (state &<< 31 | state &>> 33) &* 0x1656_67b1_9e37_79f9
    }

    /// Adds bytes and how many they are.
    package mutating func add(_ bytes: UnsafeRawBufferPointer) {
        let count = bytes.count
        add(UInt64(count))
        var offset = 0
        if let start = bytes.baseAddress, UInt(bitPattern: start) & 7 == 0 {
            // The same without a generic call a word, for the pages of a disk.
            let words = start.assumingMemoryBound(to: UInt64.self)
            let wordCount = count / 8
            var index = 0
            while index < wordCount {
                add(words[index].littleEndian)
                index += 1
            }
            offset = 8 * wordCount
        }
        while offset + 8 <= count {
            add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < count {
            rest = rest &<< 8 | UInt64(bytes[offset])
            offset += 1
        }
        add(rest)
    }

    /// Adds the UTF-8 bytes of a text and how many they are.
    package mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    }
}
