import BalsaPlatform

/// A command that a member which does not lead passes on to the leader for its caller.
///
/// There is no answer to a command that is put into the log: the sender sees it there, when it applies it. Where it is
/// not, a ``ForwardResponse`` says why, if it arrives. Silence therefore says nothing about the command.
public struct ForwardedCommand: Equatable, Sendable {
    /// Which of the sender's commands it is. The sender never uses a number again, also in another life, so that no late
    /// answer is taken for that to another command: it begins to count at a random number.
    public var number: UInt64
    /// The command, as it shall be an entry's payload; of no meaning here.
    public var command: Bytes

    /// A command that is passed on.
    ///
    /// - Parameters:
    ///   - number: which of the sender's commands it is.
    ///   - command: the command, as it shall be an entry's payload.
    public init(number: UInt64, command: Bytes) {
        self.number = number
        self.command = command
    }
}
