/// Memory for one key, which is a number as 16 decimal digits. Whoever makes one frees it.
struct KeyText {
    static let byteCount = 16

    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)

    /// Writes the digits of `number` and lends them until the next call.
    func digits(of number: Int) -> UnsafeRawBufferPointer {
        var rest = UInt64(number)
        for place in stride(from: KeyText.byteCount - 1, through: 0, by: -1) {
            memory[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        return UnsafeRawBufferPointer(memory)
    }

    /// As ``digits(of:)`` with an `x` for the first digit: a key that nobody has written, behind all that were.
    func missing(_ number: Int) -> UnsafeRawBufferPointer {
        _ = digits(of: number)
        memory[0] = UInt8(ascii: "x")
        return UnsafeRawBufferPointer(memory)
    }

    func free() { memory.deallocate() }
}
