/// A place in the log, with the logical time there.
public struct KeyValuePosition: Equatable, Sendable {
    /// The index of the entry; 0 before the first.
    public var index: UInt64
    /// Its term.
    public var term: UInt64
    /// Its stamp: nanoseconds of logical time, which never fall along the log.
    public var stamp: UInt64

    /// A position.
    public init(index: UInt64, term: UInt64, stamp: UInt64) {
        self.index = index
        self.term = term
        self.stamp = stamp
    }

    /// Before the first entry.
    public static let zero = KeyValuePosition(index: 0, term: 0, stamp: 0)
}
