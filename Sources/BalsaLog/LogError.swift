import BalsaPlatform

/// Why a log cannot be opened, read or written any further.
public struct LogError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What kind of failure it is. More kinds may be added.
    public struct Reason: Equatable, Sendable, CustomStringConvertible {
        /// The kind in words.
        public let description: String

        /// Bytes that had been made durable, and may have been acknowledged, are not what was written. The log was left
        /// as it is; the member must be repaired from its peers.
        public static let damage = Reason(description: "damaged")
        /// The files were written by a newer release, which has to be used.
        public static let unsupportedVersion = Reason(description: "written by a newer release")
        /// The directory holds a file that is named almost like a segment.
        public static let unexpectedFile = Reason(description: "unexpected file")
        /// The files are of another member's directory, or of another cluster.
        public static let otherOwner = Reason(description: "of another member")
        /// A file operation failed; ``LogError/cause`` says which.
        public static let file = Reason(description: "file operation failed")
        /// The entries that were asked for are not in the log.
        public static let noSuchEntries = Reason(description: "no such entries")
        /// An option is outside of its bounds.
        public static let invalidOptions = Reason(description: "invalid options")
    }

    /// The kind of failure.
    public let reason: Reason
    /// The file; empty where the failure is not of a file.
    public let path: String
    /// Where in the file, in bytes from its beginning; nil where it is no place.
    public let offset: UInt64?
    /// What is wrong, in a sentence.
    public let explanation: String
    /// The failed file operation.
    public let cause: FileError?

    /// A failure.
    public init(
        _ reason: Reason,
        path: String,
        offset: UInt64? = nil,
        explanation: String,
        cause: FileError? = nil
    ) {
        self.reason = reason
        self.path = path
        self.offset = offset
        self.explanation = explanation
        self.cause = cause
    }

    /// The failure of a file operation.
    public init(_ cause: FileError) {
        self.init(.file, path: cause.path, explanation: cause.description, cause: cause)
    }

    /// Damage to `path` at `offset`.
    static func damage(_ path: String, at offset: UInt64, _ explanation: String) -> LogError {
        LogError(.damage, path: path, offset: offset, explanation: explanation)
    }

    /// The failure in one line.
    public var description: String {
        // The explanation of a file operation names the file.
        path.isEmpty || cause != nil ? "\(reason): \(explanation)" : "\(place): \(reason): \(explanation)"
    }

    /// The failure in one line without its kind, for an error that says the kind itself.
    package var sentence: String { path.isEmpty || cause != nil ? explanation : "\(place): \(explanation)" }

    private var place: String { path + (offset.map { " at byte \($0)" } ?? "") }
}

/// Calls `body` and names a failed file operation as a failure of the log.
func filed<Result>(_ body: () throws(FileError) -> Result) throws(LogError) -> Result {
    do { return try body() } catch { throw LogError(error) }
}
