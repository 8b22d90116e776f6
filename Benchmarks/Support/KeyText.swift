/// Memory for one key, which is a number as 16 decimal digits. Its owner calls ``free()``.
struct KeyText {
    static let byteCount = 16

    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)

    /// Writes the digits of `number` and lends them until the next call.
    func digits(of number: Int) -> UnsafeRawBufferPointer {
        var rest = UInt64(number)
        for index in stride(from: KeyText.byteCount - 1, through: 0, by: -1) {
            memory[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        return UnsafeRawBufferPointer(memory)
    }

    /// As ``digits(of:)`` with an `x` for the first digit: a key that is never written, after all that are.
    func missing(_ number: Int) -> UnsafeRawBufferPointer {
        _ = digits(of: number)
        memory[0] = UInt8(ascii: "x")
        return UnsafeRawBufferPointer(memory)
    }

    /// The number that a key shows; nil where it is not 16 decimal digits.
    static func number(of key: UnsafeRawBufferPointer) -> Int? {
        guard key.count == byteCount else { return nil }
        var number = 0
        for byte in key {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            number = number * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return number
    }

    func free() { memory.deallocate() }
}

/// A hash of keys in their order: what a timed scan keeps of the keys it saw, to be compared when the clock has stopped.
struct KeyHash: Equatable {
    private var value: UInt64 = 0
    /// How many keys were added.
    private(set) var count = 0

    @inline(__always)
    mutating func add(_ key: UnsafeRawBufferPointer) {
        count += 1
        guard key.count == KeyText.byteCount else {
            for byte in key { mix(UInt64(byte)) }
            return mix(UInt64(key.count))
        }
        mix(key.loadUnaligned(as: UInt64.self))
        mix(key.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }

    @inline(__always)
    private mutating func mix(_ word: UInt64) {
        value = (value ^ word) &* 0x9E37_79B9_7F4A_7C15
        value ^= value >> 32
    }
}
