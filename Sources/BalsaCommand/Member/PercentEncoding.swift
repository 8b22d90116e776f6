import BalsaPlatform

/// Bytes as words of a line: letters, digits and `-._~` stand for themselves, everything else is `%` and two hexadecimal
/// digits. No bytes at all are a `%` alone, so that a word is never empty.
enum PercentEncoding {
    private static let digits = Array("0123456789ABCDEF".utf8)

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default:
            false
        }
    }

    /// Appends the word for `bytes` to `line`.
    static func append(_ bytes: UnsafeRawBufferPointer, to line: inout [UInt8]) {
        if bytes.isEmpty { line.append(UInt8(ascii: "%")) }
        for byte in bytes {
            if isPlain(byte) {
                line.append(byte)
            } else {
                line.append(UInt8(ascii: "%"))
                line.append(digits[Int(byte >> 4)])
                line.append(digits[Int(byte & 15)])
            }
        }
    }

    /// The bytes that a word stands for; nil where it is none.
    static func decode(_ word: ArraySlice<UInt8>) -> Bytes? {
        if word.count == 1, word.first == UInt8(ascii: "%") { return Bytes() }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(word.count)
        let isEncoding = word.withUnsafeBufferPointer { word in
            var index = 0
            while index < word.count {
                let byte = word[index]
                index += 1
                guard byte == UInt8(ascii: "%") else {
                    guard isPlain(byte) else { return false }
                    bytes.append(byte)
                    continue
                }
                guard word.count - index >= 2, let high = value(word[index]), let low = value(word[index + 1]) else {
                    return false
                }
                bytes.append(high << 4 | low)
                index += 2
            }
            return true
        }
        return isEncoding ? Bytes(bytes) : nil
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
