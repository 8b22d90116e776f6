import Glibc

extension FileError.Number: CustomStringConvertible {
    /// The C library's text for the number.
    public var description: String {
        guard let text = strerror(rawValue) else { return "error \(rawValue)" }
        return "\(String(cString: text)) (errno \(rawValue))"
    }
}
