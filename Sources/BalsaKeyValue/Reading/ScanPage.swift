import BalsaPlatform

/// A key's value and the revision that wrote it.
public struct KeyValueEntry: Equatable, Sendable {
    /// The value.
    public var value: Bytes
    /// The index of the entry that wrote it.
    public var revision: UInt64

    /// A value with its revision.
    public init(value: Bytes, revision: UInt64) {
        self.value = value
        self.revision = revision
    }
}

/// A key with its value and the revision that wrote it.
public struct KeyValuePair: Equatable, Sendable {
    /// The key.
    public var key: Bytes
    /// The value.
    public var value: Bytes
    /// The index of the entry that wrote it.
    public var revision: UInt64

    /// A pair.
    public init(key: Bytes, value: Bytes, revision: UInt64) {
        self.key = key
        self.value = value
        self.revision = revision
    }
}

/// In which order a scan gives its pairs.
public enum ScanOrder: Sendable {
    /// By ascending key.
    case ascending
    /// By descending key.
    case descending
}

/// A part of a scan. It may be empty although more follows: a page ends when it has passed many deleted keys, too. A
/// scan of many pages keeps nothing in between: the next page is asked for with what this one says.
public struct ScanPage: Equatable, Sendable {
    /// The pairs, in the order asked for.
    public var pairs: [KeyValuePair]
    /// The revision at which they were read; the next page is to be read at the same.
    public var revision: UInt64
    /// Where the next page begins: its `from` in ascending order, its `to` in descending order. nil where there is no more.
    public var continuation: Bytes?
    /// Whether the page ends where it does because what follows cannot be read. The next page fails, and says why.
    public var isCutShort = false

    /// A page.
    public init(pairs: [KeyValuePair], revision: UInt64, continuation: Bytes?) {
        self.pairs = pairs
        self.revision = revision
        self.continuation = continuation
    }
}
