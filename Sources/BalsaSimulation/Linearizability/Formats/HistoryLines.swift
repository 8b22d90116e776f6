import BalsaPlatform

/// The lines of a text, as bytes: no line has to be valid UTF-8, and none is copied.
struct HistoryLines {
    private let text: [UInt8]
    private var position = 0
    /// The number of the line that was returned last, counted from 1.
    private(set) var number = 0

    /// The lines of `text`.
    init(_ text: Bytes) { self.text = [UInt8](text) }

    /// Whether the text ends with the end of a line.
    var isEnded: Bool { text.last == UInt8(ascii: "\n") }

    /// The next line without its end; nil behind the last.
    mutating func next() -> ArraySlice<UInt8>? {
        guard position < text.count else { return nil }
        let rest = text[position...]
        let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? text.count
        number += 1
        position = end + 1
        return text[rest.startIndex..<end]
    }
}

extension ArraySlice where Element == UInt8 {
    /// Whether the bytes are those of `text`.
    func equals(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { elementsEqual($0) }
    }

    /// The number that the bytes write in decimal digits; nil where they do not or it is too large.
    var decimal: UInt64? {
        guard !isEmpty else { return nil }
        var result: UInt64 = 0
        for byte in self {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (product, productOverflows) = result.multipliedReportingOverflow(by: 10)
            let (sum, sumOverflows) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            guard !productOverflows, !sumOverflows else { return nil }
            result = sum
        }
        return result
    }

    /// The bytes as text for an error message, cut after 40 of them.
    var quoted: String { "\"\(Bytes(Array(prefix(40))))\"" + (count > 40 ? "…" : "") }
}

extension UInt8 {
    /// Whether the byte is a space, a tab or a carriage return.
    var isBlank: Bool { self == 0x20 || self == 0x09 || self == 0x0d }
}
