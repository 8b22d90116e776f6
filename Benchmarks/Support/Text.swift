import Glibc

/// Columns of text.
enum Text {
    /// `text`, filled up with blanks behind it.
    static func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// `text`, filled up with blanks before it.
    static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// A number that is not negative, rounded to `places` decimal places.
    static func decimal(_ number: Double, _ places: Int, width: Int) -> String {
        let scale = pow(10, Double(places))
        let scaled = UInt64((number * scale).rounded())
        guard places > 0 else { return right(String(scaled), width) }
        let fraction = String(scaled % UInt64(scale))
        let zeros = String(repeating: "0", count: places - fraction.count)
        return right(String(scaled / UInt64(scale)) + "." + zeros + fraction, width)
    }
}
