import BalsaPlatform

/// Why the engine cannot do what it was asked.
public struct EngineError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kinds of reason. More may be added.
    public struct Code: Equatable, Sendable, CustomStringConvertible {
        /// The code in words.
        public let description: String

        private init(_ description: String) { self.description = description }

        /// A file operation failed; the error says which. In background work that is undone and tried again by a later call;
        /// behind a failed write or sync of the write-ahead log nothing more is written until the engine is opened anew.
        public static let file = Code("file operation failed")
        /// Bytes on disk are not what was written. The description names the file and the place.
        public static let damaged = Code("damaged")
        /// An argument or an option is outside of its limits. Nothing has happened.
        public static let invalid = Code("invalid")
        /// The sequence number asked for is below the retention mark: its data may be gone.
        public static let compacted = Code("compacted")
        /// The answer needs the disk, and the caller asked not to wait for it. Ask again where waiting is allowed.
        public static let wouldWait = Code("would wait")
        /// Another engine has the directory open.
        public static let locked = Code("locked")
        /// An earlier failure stopped what was asked for, or the engine contradicts itself; it must be opened anew.
        public static let failed = Code("failed")
        /// The engine was closed.
        public static let closed = Code("closed")
        /// The files were written by a newer release.
        public static let upgradeRequired = Code("upgrade required")
    }

    /// The kind of reason.
    public let code: Code
    /// The failed file operation, if there is one.
    public let cause: FileError?
    /// The part of a table that the error is about; nil if it is about more. What lies outside of it can be read.
    public var quarantine: QuarantinedRange? { box?.range }
    /// What happened, in a sentence that names the file.
    public let description: String
    /// In memory of its own, since errors are copied on the way of every read.
    private let box: QuarantineBox?

    /// An error.
    public init(_ code: Code, _ description: String, cause: FileError? = nil) {
        self.code = code
        self.description = "\(code): \(description)"
        self.cause = cause
        box = nil
    }

    /// The error of a read that needs what cannot be read.
    init(_ error: EngineError, of range: QuarantinedRange) {
        code = error.code
        cause = error.cause
        box = QuarantineBox(range)
        description = "\(error.code): \(range)"
    }

    /// The error of a file operation.
    public init(_ error: FileError) {
        self.init(.file, error.description, cause: error)
    }

    /// The error of bytes that could not be decoded.
    public init(_ error: BalsaPlatform.DecodingError, in path: String) {
        self.init(error.reason == .version ? .upgradeRequired : .damaged, "\(path): \(error)")
    }
}

/// What an error holds of a range that cannot be read.
private final class QuarantineBox: Equatable, Sendable {
    let range: QuarantinedRange

    init(_ range: QuarantinedRange) { self.range = range }

    static func == (left: QuarantineBox, right: QuarantineBox) -> Bool { left.range == right.range }
}

/// Calls `body` and names a failed file operation as a failure of the engine.
func filed<Result>(_ body: () throws(FileError) -> Result) throws(EngineError) -> Result {
    do { return try body() } catch { throw EngineError(error) }
}
