import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The segments at the end of the log that hold little, read once more to be written into one new segment.
///
/// Each opening behind a crash makes a segment. Where little is written between two crashes, the log would get one for
/// each crash, for as long as an entry before them is kept. So the new segment takes the place of all at the end of the
/// log that hold less than a quarter of the smallest segment together. Any two neighbours that stay hold more than
/// that, which bounds the number of segments by the bytes of the log.
///
/// ```
/// before   │ 1 ███████ │ 2 █ │ 3 ██ │ 4 █ torn
/// after    │ 1 ███████ │ 5 states behind 1, records of 2, 3 and 4, mark │ seal
/// ```
///
/// It is one frame. Until that is durable nothing is removed, and the old segments are the log.
struct FoldedSegments {
    /// Where the log before them ends.
    let durableThrough: LogPlace
    /// The mark and the group states there.
    let states: Bytes
    let stateCount: Int
    /// Their records, without marks and commit notes.
    let records: Bytes
    let recordCount: Int
    /// Where each record was, and its offset in `records`.
    private let places: [(from: LogPlace, offset: Int)]

    /// Reads the segments of the chain from position `first` through the end of the valid frames.
    ///
    /// - Throws: ``LogError`` where one does not hold any more what the scan found there.
    init(_ scan: LogScan, from first: Int) throws(LogError) {
        guard let opening = scan.segments[scan.chain[first]].opening else {
            preconditionFailure("a segment of the chain has an opening frame")
        }
        durableThrough = opening.durableThrough
        var states = Bytes()
        var stateCount = 0
        var bytes: [UInt8] = []
        var places: [(from: LogPlace, offset: Int)] = []
        for slot in first..<scan.chain.count {
            let position = scan.chain[slot]
            var reader = scan.segments[position].reader
            defer { reader.close() }
            let start = reader.header.firstFrame
            var offset = start
            let next = slot + 1 < scan.chain.count ? scan.segments[scan.chain[slot + 1]].opening?.durableThrough : nil
            let end = (next ?? scan.end).offset
            while offset < end {
                guard case .frame(let header, let body) = try reader.frame(at: offset) else {
                    throw scan.damage(position, at: offset, "a frame is damaged that was valid a moment ago")
                }
                var skipped = 0
                do throws(DecodingError) {
                    if offset == start {
                        let head = try LogReplay.head(of: body)
                        skipped = head.byteCount
                        if slot == first {
                            states = body.slice(0..<skipped).compact()
                            stateCount = Int(head.recordCount)
                        }
                    }
                    // It names a segment in which nothing is.
                    if header.flags.contains(.continuation) { skipped = body.count }
                    let base = offset + UInt64(FrameHeader.encodedByteCount + skipped)
                    try LogReplay.visitFolded(body.slice(skipped..<body.count)) { at, record in
                        let from = LogPlace(segment: reader.header.number, offset: base + UInt64(at))
                        places.append((from, bytes.count))
                        bytes.append(contentsOf: record)
                    }
                } catch {
                    throw scan.damage(position, at: offset, error.description)
                }
                offset = header.end(sectorBytes: reader.header.sectorBytes)
            }
        }
        self.states = states
        self.stateCount = stateCount
        records = Bytes(bytes)
        recordCount = places.count
        self.places = places
    }

    /// Where each record was and is, if the first one goes to `place`.
    func moves(to place: LogPlace) -> [(from: LogPlace, to: LogPlace)] {
        places.map {
            ($0.from, LogPlace(segment: place.segment, offset: place.offset + UInt64($0.offset)))
        }
    }
}
