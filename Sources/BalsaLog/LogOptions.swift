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

    /// Throws ``LogError`` with the first field that is outside of its bounds, its bounds and its value.
    public func validate() throws(LogError) {
        func check(_ name: String, _ value: Int, _ holds: Bool, _ bounds: String) throws(LogError) {
            guard !holds else { return }
            let sentence = "\(name) must be \(bounds), not \(value)"
            throw LogError(.invalidOptions, path: "", explanation: sentence)
        }
        let sectors = "a multiple of sectorBytes, \(sectorBytes), and"
        try check(
            "sectorBytes",
            sectorBytes,
            LogOptions.sectorRange.contains(sectorBytes) && sectorBytes.nonzeroBitCount == 1,
            "a power of two, \(LogOptions.sectorRange.lowerBound) to \(LogOptions.sectorRange.upperBound)"
        )
        try check(
            "smallestSegmentBytes",
            smallestSegmentBytes,
            smallestSegmentBytes >= fewestSegmentBytes && smallestSegmentBytes % sectorBytes == 0,
            "\(sectors) at least \(fewestSegmentBytes)"
        )
        try check(
            "largestSegmentBytes",
            largestSegmentBytes,
            largestSegmentBytes >= smallestSegmentBytes && largestSegmentBytes % sectorBytes == 0
                && largestSegmentBytes <= 1 << 40,
            "\(sectors) \(smallestSegmentBytes) to \(1 << 40)"
        )
        try check(
            "maxFrameBytes",
            maxFrameBytes,
            (2 * sectorBytes...1 << 30).contains(maxFrameBytes),
            "\(2 * sectorBytes) to \(1 << 30)"
        )
        try check("maxWritesInFlight", maxWritesInFlight, (1...64).contains(maxWritesInFlight), "1 to 64")
        try check("boundBytes", boundBytes, boundBytes >= 1, "at least 1")
        try check("cacheBytes", cacheBytes, cacheBytes >= 0, "at least 0")
        try check("sparesWanted", sparesWanted, (0...16).contains(sparesWanted), "0 to 16")
    }
}

/// Faults that are built in on purpose: a test that does not notice them is no test.
package struct LogPlantedBugs: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Recovery takes frames of an earlier life of a recycled segment for valid.
    package static let staleFramesAccepted = LogPlantedBugs(rawValue: 1)
}
