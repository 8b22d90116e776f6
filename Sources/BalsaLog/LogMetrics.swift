/// What a log has done since it was opened, for the operator's eyes. Nothing decides by it.
public struct LogMetrics: Equatable, Sendable {
    /// Frames handed out to be written, seals included.
    public var frames: UInt64 = 0
    /// Bytes of these frames.
    public var bytes: UInt64 = 0
    /// Writes that were reported finished: each has been one sync.
    public var syncs: UInt64 = 0
    /// Seals among the frames.
    public var seals: UInt64 = 0
    /// Entries appended.
    public var entries: UInt64 = 0
    /// Truncations that dropped something.
    public var truncations: UInt64 = 0
    /// Entries dropped by truncations.
    public var entriesTruncated: UInt64 = 0
    /// Segments prepared from new files.
    public var segmentsCreated: UInt64 = 0
    /// Bytes written to prepare segments: zeros and headers.
    public var bytesPrepared: UInt64 = 0
    /// Segments prepared from dead ones.
    public var segmentsRecycled: UInt64 = 0
    /// Dead segments removed.
    public var segmentsRemoved: UInt64 = 0
    /// Reads that memory answered.
    public var readsFromMemory: UInt64 = 0
    /// Reads that went to a file.
    public var readsFromFile: UInt64 = 0
    /// Torn tails cut when the log was opened.
    public var tornTails: UInt64 = 0

    /// Nothing done yet.
    public init() {}
}
