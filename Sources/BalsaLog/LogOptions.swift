/// The limits of a log. All are in bytes unless they say otherwise.
public struct LogOptions: Sendable {
    /// The unit in which the device writes without tearing: frames begin at multiples of it. A power of two, 64 to 65,536.
    public var sectorBytes = 4_096
    /// The size of the first segment that is prepared after the log was opened.
    public var smallestSegmentBytes = 1 << 20
    /// The size up to which segments double. Only a frame that is longer makes a longer segment.
    public var largestSegmentBytes = 64 << 20
    /// How long a frame may become. Only a single entry that is longer makes a longer frame.
    public var maxFrameBytes = 4 << 20
    /// How many writes may be under way at once, as a number. The blind spot of recovery is as many frames.
    public var maxWritesInFlight = 2
    /// How many bytes of segments may be live before ``Log/isOverBound`` asks for compaction.
    public var boundBytes = 256 << 20
    /// How many bytes of recent entries are kept in memory, besides those that are not durable yet.
    public var cacheBytes = 16 << 20
    /// How many segments are prepared ahead, as a number. With 0 one is prepared when it is needed.
    public var sparesWanted = 1
    /// Faults that are built in on purpose, to test the tests.
    package var plantedBugs: LogPlantedBugs = []

    /// The default limits.
    public init() {}

    /// The sizes that a sector may have.
    static let sectorRange = 64...65_536

    /// How long a segment is at least: its header, two frames, and the one that ends it.
    private var fewestSegmentBytes: Int {
        SegmentHeader.headerBytes(sectorBytes: sectorBytes) + 2 * sectorBytes
            + Int(Continuation.reservedBytes(sectorBytes: UInt32(sectorBytes)))
    }

    /// How many bytes of records the segments at the end of the log may hold together for the new segment of an opening
    /// to take their place.
    var foldedBytes: Int { smallestSegmentBytes / 4 }

    /// Throws ``LogError`` with the first field that is outside of its bounds.
    public func validate() throws(LogError) {
        func require(_ holds: Bool, _ rule: String) throws(LogError) {
            guard holds else { throw LogError(.invalidOptions, path: "", explanation: rule) }
        }
        try require(
            LogOptions.sectorRange.contains(sectorBytes) && sectorBytes.nonzeroBitCount == 1,
            "sectorBytes must be a power of two from 64 to 65,536"
        )
        try require(
            smallestSegmentBytes >= fewestSegmentBytes && smallestSegmentBytes % sectorBytes == 0,
            "smallestSegmentBytes must be a multiple of sectorBytes and at least \(fewestSegmentBytes)"
        )
        try require(
            largestSegmentBytes >= smallestSegmentBytes && largestSegmentBytes % sectorBytes == 0
                && largestSegmentBytes <= 1 << 40,
            "largestSegmentBytes must be a multiple of sectorBytes, at least smallestSegmentBytes and at most 1 TiB"
        )
        try require(
            maxFrameBytes >= 2 * sectorBytes && maxFrameBytes <= 1 << 30,
            "maxFrameBytes must be at least two sectors and at most 1 GiB"
        )
        try require((1...64).contains(maxWritesInFlight), "maxWritesInFlight must be 1 to 64")
        try require(boundBytes > 0, "boundBytes must be positive")
        try require(cacheBytes >= 0, "cacheBytes must not be negative")
        try require((0...16).contains(sparesWanted), "sparesWanted must be 0 to 16")
    }
}

/// Faults that are built in on purpose: a test that does not notice them is no test.
package struct LogPlantedBugs: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Recovery takes frames of an earlier life of a recycled segment for valid.
    package static let staleFramesAccepted = LogPlantedBugs(rawValue: 1)
}
