import BalsaPlatform
import BalsaRaft
import BalsaWire

/// Puts a frame together from pieces that are not copied.
struct FrameBuilder {
    private let place: LogPlace
    private let flags: FrameFlags
    private let durableThrough: LogPlace
    private let seed: UInt32
    private var pieces: [Bytes] = []
    private var bodyBytes = 0
    private var recordCount = 0
    private var checksum = BodyChecksum()
    /// The length of the whole frame, padding included, once it is finished.
    private(set) var paddedByteCount = 0

    init(place: LogPlace, flags: FrameFlags, durableThrough: LogPlace, seed: UInt32) {
        self.place = place
        self.flags = flags
        self.durableThrough = durableThrough
        self.seed = seed
    }

    /// The length so far, in bytes, without padding.
    var byteCount: Int { FrameHeader.encodedByteCount + bodyBytes }

    /// Where the next record goes.
    var nextPlace: LogPlace { LogPlace(segment: place.segment, offset: place.offset + UInt64(byteCount)) }

    /// Adds `records` encoded records.
    mutating func append(_ bytes: Bytes, records: Int) {
        guard records > 0 else { return }
        pieces.append(bytes)
        bodyBytes += bytes.count
        recordCount += records
        bytes.withUnsafeBytes { checksum.append($0) }
    }

    /// Adds the commit notes and pads the frame to whole sectors.
    mutating func finish(notes: [ControlRecord], sectorBytes: Int) -> [Bytes] {
        let size = EntryHeader.encodedByteCount
        let used = byteCount + notes.count * size
        paddedByteCount = Int(UInt64(used).roundedUp(to: UInt64(sectorBytes)))
        let tail = Slab.filled(capacity: paddedByteCount - byteCount) { target in
            _ = target.initializeMemory(as: UInt8.self, repeating: 0)
            for (position, note) in notes.enumerated() {
                let start = position * size
                note.encode(into: UnsafeMutableRawBufferPointer(rebasing: target[start..<start + size]))
            }
            return target.count
        }
        let padded = Bytes(slab: tail, offset: 0, count: tail.count)
        append(padded.slice(0..<notes.count * size), records: notes.count)
        if !notes.isEmpty { pieces.removeLast() }
        let header = FrameHeader(
            flags: flags,
            place: place,
            durableThrough: durableThrough,
            bodyByteCount: UInt32(bodyBytes),
            recordCount: UInt32(recordCount),
            bodyChecksum: checksum.value
        )
        let head = Slab.filled(capacity: FrameHeader.encodedByteCount) { target in
            header.encode(into: target, seed: seed)
            return target.count
        }
        let first = Bytes(slab: head, offset: 0, count: head.count)
        return [first] + pieces + (padded.isEmpty ? [] : [padded])
    }
}
