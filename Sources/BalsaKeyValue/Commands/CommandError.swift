import BalsaPlatform

/// Why the bytes of a command cannot be executed.
public enum CommandError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The command is of a newer release. A member that meets it in its log stops until it is upgraded; to skip it would
    /// let the members drift apart.
    case unknown(version: UInt8, kind: UInt8)
    /// The bytes are no command of this format.
    case malformed(BalsaPlatform.DecodingError)

    /// The reason in one line.
    public var description: String {
        switch self {
        case .unknown(let version, let kind):
            "a command of version \(version) and kind \(kind), which a newer release has"
        case .malformed(let error): "no command: \(error)"
        }
    }
}
