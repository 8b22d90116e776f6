import BalsaPlatform

/// Why a vote file cannot be used. Without it a member must not vote, campaign or acknowledge anything.
public struct VoteError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What kind of failure it is. More kinds may be added.
    public struct Reason: Equatable, Sendable, CustomStringConvertible {
        /// The kind in words.
        public let description: String

        /// There is no vote file.
        public static let missing = Reason(description: "missing")
        /// There is one already, and it is not overwritten.
        public static let exists = Reason(description: "exists already")
        /// Neither copy can be believed.
        public static let damage = Reason(description: "damaged")
        /// The file was written by a newer release, which has to be used.
        public static let unsupportedVersion = Reason(description: "written by a newer release")
        /// The file belongs to another group.
        public static let wrongGroup = Reason(description: "of another group")
        /// The file is of another member's directory, or of another cluster.
        public static let otherOwner = Reason(description: "of another member")
        /// A file operation failed; ``VoteError/cause`` says which.
        public static let file = Reason(description: "file operation failed")
    }

    /// The kind of failure.
    public let reason: Reason
    /// The file.
    public let path: String
    /// The failed file operation.
    public let cause: FileError?

    /// A failure.
    public init(_ reason: Reason, path: String, cause: FileError? = nil) {
        self.reason = reason
        self.path = path
        self.cause = cause
    }

    /// The failure in one line.
    public var description: String {
        let advice = reason == .otherOwner ? ": put back what belongs together" : ""
        return "\(path): \(cause.map { "\(reason): \($0)" } ?? "\(reason)")\(advice)"
    }
}
