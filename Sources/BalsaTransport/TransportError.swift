import BalsaPlatform

/// Why a transport cannot be opened.
public struct TransportError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kinds of reason. More may be added.
    public struct Code: Equatable, Sendable, CustomStringConvertible {
        /// The kind in words.
        public let description: String

        private init(_ description: String) { self.description = description }

        /// An address is not of the form `host:port`, or its name is unknown.
        public static let address = Code("address")
        /// Others than this machine could connect, and nobody said that this is wanted.
        public static let insecure = Code("insecure")
        /// The options cannot work.
        public static let invalid = Code("invalid")
        /// The system refused a call.
        public static let system = Code("system")
    }

    /// The kind of reason.
    public let code: Code
    /// The reason in a sentence.
    public let message: String
    /// What the system said, where it was asked.
    public let number: FileError.Number?

    package init(_ code: Code, _ message: String, number: FileError.Number? = nil) {
        self.code = code
        self.message = message
        self.number = number
    }

    /// Kind and reason in one line.
    public var description: String { "\(code): \(sentence)" }

    /// The reason in one line, with what the system said, and without its kind.
    package var sentence: String {
        number.map { "\(message): \($0.sentence)" } ?? message
    }
}
