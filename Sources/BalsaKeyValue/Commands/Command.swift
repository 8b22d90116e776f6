import BalsaPlatform

/// A request to change the store, as one entry of the log carries it. `Docs/CommandFormat.md` has the layout.
public struct Command: Equatable, Sendable {
    /// Which request it is.
    public var identity: RequestIdentity
    /// The lowest number of the session whose reply the client still waits for. The replies below it are forgotten.
    public var lowestOutstanding: UInt64
    /// What is to be done.
    public var operation: Operation

    /// A command.
    ///
    /// - Parameters:
    ///   - identity: which request it is.
    ///   - lowestOutstanding: the lowest number of the session whose reply the client still waits for; the command's own
    ///     where it is nil, which is right for a client that has one request at a time.
    ///   - operation: what is to be done.
    public init(identity: RequestIdentity, lowestOutstanding: UInt64? = nil, operation: Operation) {
        self.identity = identity
        self.lowestOutstanding = lowestOutstanding ?? identity.number
        self.operation = operation
    }

    /// What a command does. The revision of what it writes is the index of its entry.
    public enum Operation: Equatable, Sendable {
        /// Opens a session, whose name is the revision of the reply. The identity has no session and a random number.
        case openSession
        /// Ends the session of the identity.
        case closeSession
        /// Gives a key a value, whatever it had.
        case put(key: Bytes, value: Bytes)
        /// Takes a key's value away, if it has one.
        case delete(key: Bytes)
        /// Takes away the values of the keys from `from` up to `to`, which is excluded. There is no upper bound where `to`
        /// is nil or empty.
        case deleteRange(from: Bytes, to: Bytes?)
        /// Changes a key if its state is the expected one.
        case compareAndSet(key: Bytes, condition: Condition, then: Change)
        /// Puts bytes behind the value of a key; a key without a value gets them as its value.
        case append(key: Bytes, bytes: Bytes)
        /// Adds to a key's value, which is a counter: eight bytes, little-endian, in two's complement. A key without a
        /// value counts as 0.
        case add(key: Bytes, amount: Int64)
        /// Replaces the replicated options, if the revision of those in force is the expected one. All later entries
        /// are decided by the new ones.
        case changeOptions(ReplicatedOptions, expecting: UInt64)
    }

    /// What a key's state is compared with.
    public enum Condition: Equatable, Sendable {
        /// The key has no value.
        case absent
        /// The value was written by the entry of this index. Without a value the revision is 0.
        case revision(UInt64)
        /// The key has this value.
        case value(Bytes)
    }

    /// What a key becomes when its state is the expected one.
    public enum Change: Equatable, Sendable {
        /// The key gets this value.
        case put(Bytes)
        /// The key loses its value.
        case delete
    }
}
