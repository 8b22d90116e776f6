import BalsaLSM
import BalsaPlatform

/// Why a key-value machine cannot do what it was asked.
public struct KeyValueError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kinds of reason. More may be added.
    public struct Code: Equatable, Sendable, CustomStringConvertible {
        /// The code in words.
        public let description: String

        private init(_ description: String) { self.description = description }

        /// The engine failed; the error says how.
        public static let engine = Code("engine failed")
        /// Bytes on disk or in the log are not what was written.
        public static let damaged = Code("damaged")
        /// The state or a command is of a newer release.
        public static let upgradeRequired = Code("upgrade required")
        /// An argument or an option is outside of its limits. Nothing has happened.
        public static let invalid = Code("invalid")
        /// The revision asked for is below the retention mark.
        public static let compacted = Code("compacted")
        /// The revision asked for has not been applied here yet.
        public static let futureRevision = Code("future revision")
        /// The answer needs the disk, and the caller asked not to wait for it. Ask again where waiting is allowed.
        public static let wouldWait = Code("would wait")
        /// An earlier failure stopped the machine; it must be opened anew.
        public static let failed = Code("failed")
    }

    /// The kind of reason.
    public let code: Code
    /// The engine's error, if there is one.
    public let cause: EngineError?
    /// What happened, in a sentence.
    public let description: String

    /// An error.
    public init(_ code: Code, _ description: String) {
        self.code = code
        self.cause = nil
        self.description = "\(code): \(description)"
    }

    /// The error of the engine.
    public init(_ error: EngineError) {
        switch error.code {
        case .compacted: code = .compacted
        case .wouldWait: code = .wouldWait
        case .damaged: code = .damaged
        case .upgradeRequired: code = .upgradeRequired
        case .invalid: code = .invalid
        default: code = .engine
        }
        cause = error
        description = error.quarantine.map { "\(error.code): \($0.sentence)" } ?? error.description
    }

    /// The error of a command in the log that cannot be executed here.
    init(_ error: CommandError, at index: UInt64) {
        switch error {
        case .unknown: self.init(.upgradeRequired, "entry \(index): \(error)")
        case .malformed: self.init(.damaged, "entry \(index): \(error)")
        }
    }
}

extension QuarantinedRange {
    /// File, level and range in one line, with keys as users know them.
    package var sentence: String {
        text { key in
            let prefix = EngineKey.userPrefix
            let isUsers = key.count >= prefix.count && Array(key.slice(0..<prefix.count)) == prefix
            return isUsers ? "\(key.slice(prefix.count..<key.count))" : "\(key) (internal)"
        }
    }
}
