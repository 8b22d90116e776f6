/// What an entry does to its key.
public enum ValueKind: UInt8, Sendable {
    /// The key has no value from here on.
    case deletion = 0
    /// The key has this value from here on.
    case put = 1
    /// The keys from the entry's key up to its value, which is excluded, have no value from here on. It hides what has a
    /// strictly lower sequence number. Range deletions are kept apart from the entries of keys.
    case rangeDeletion = 2
}
