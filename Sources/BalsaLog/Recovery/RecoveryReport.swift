import BalsaRaft

/// What recovery has found and done, for the operator's eyes.
public struct RecoveryReport: Equatable, Sendable {
    /// Segments that hold the log.
    public var segments = 0
    /// Valid frames.
    public var frames = 0
    /// Entries in them, those dropped since included.
    public var entries = 0
    /// Torn tails that were cut, 0 or 1: bytes of frames that were never finished.
    public var tornTails = 0
    /// Bytes of the last segment behind the last valid frame that were cut with a torn tail.
    public var bytesCut: UInt64 = 0
    /// Entries of frames that nothing later had confirmed to be durable, which were written once more. Entries of
    /// confirmed frames do not count, though they are written once more where a new segment takes the place of theirs.
    public var entriesRewritten = 0
    /// Segments removed that were not part of the log: spares, unfinished ones, and ones that a rewriting replaced.
    public var segmentsRemoved = 0
    /// Whether the log went on in its last segment, because that was sealed.
    public var wasSealed = false

    /// Nothing found yet.
    public init() {}
}

/// What recovery knows of a group.
public struct RecoveredGroup: Equatable, Sendable {
    /// The group.
    public var group: GroupID
    /// The position before the first entry.
    public var base: LogPosition
    /// The position of the last entry, or the base.
    public var last: LogPosition
    /// The highest commit index that is known, from the base's to the last entry's.
    public var commit: LogIndex
    /// The highest stamp of all entries that the log has seen, in nanoseconds: no entry that is left has a higher one.
    public var lastStamp: UInt64
    /// The entries behind the base, in order.
    public var entries: [EntryMetadata]
}
