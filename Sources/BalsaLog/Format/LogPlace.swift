/// A place in the files of the log: a byte of a segment. Places are ordered as the log was written.
public struct LogPlace: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number of the segment; 0 is before the first.
    public var segment: UInt64
    /// The offset in the segment's file, in bytes.
    public var offset: UInt64

    /// Before all segments.
    public static let zero = LogPlace(segment: 0, offset: 0)

    /// The byte at `offset` of `segment`.
    public init(segment: UInt64, offset: UInt64) {
        self.segment = segment
        self.offset = offset
    }

    /// The order of writing.
    public static func < (left: LogPlace, right: LogPlace) -> Bool {
        (left.segment, left.offset) < (right.segment, right.offset)
    }

    /// Segment and offset.
    public var description: String { "\(segment):\(offset)" }
}
