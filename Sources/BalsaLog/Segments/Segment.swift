import BalsaPlatform

/// A segment of the log. The file of one that is written, or is going to be, is open; of the others, those that were
/// read last.
struct Segment: Sendable {
    let number: UInt64
    let byteCount: UInt64
    let sectorBytes: UInt32
    let salt: UInt64
    /// With what the checksums of its frame headers begin.
    let frameSeed: UInt32
    let path: String
    var file: (any File)?
    /// Where the next frame goes, or, of a segment that is no longer written, where the log in it ends.
    var end: UInt64

    /// Whether the file has the size that its header says, which one that was cut at a torn tail has not.
    var isWhole = true

    init(header: SegmentHeader, file: any File) {
        self.init(header: header, path: file.path)
        self.file = file
    }

    init(header: SegmentHeader, path: String) {
        self.path = path
        number = header.number
        byteCount = header.byteCount
        sectorBytes = header.sectorBytes
        salt = header.salt
        frameSeed = header.frameSeed
        end = header.firstFrame
    }

    /// Where the next frame goes.
    var nextPlace: LogPlace { LogPlace(segment: number, offset: end) }

    /// The bytes behind the last frame, without those that are kept for the frame that ends the segment.
    var room: UInt64 {
        let reserved = Continuation.reservedBytes(sectorBytes: sectorBytes)
        return byteCount - end > reserved ? byteCount - end - reserved : 0
    }
}
