import Glibc

extension FileError.Number: CustomStringConvertible {
    /// The C library's text for the number.
    public var description: String {
        if self == .exchanged {
            return "it or its directory was renamed, replaced or removed while it was open; "
                + "put back what was open, then open it again (errno \(rawValue))"
        }
        guard let text = strerror(rawValue) else { return "error \(rawValue)" }
        return "\(String(cString: text)) (errno \(rawValue))"
    }

    /// The text, and which limit to raise where one was met.
    package var sentence: String {
        let isOutOfDescriptors = self == .tooManyOpenFiles || self == .tooManyOpenFilesInSystem
        return description + (isOutOfDescriptors ? "; raise the limit of open files" : "")
    }
}
