import BalsaPlatform
import BalsaRaft

/// A checkpoint of a group's state as one file: which position it contains everything through, the logical time there,
/// and the state itself, under one checksum. `Docs/CheckpointFormat.md` has the layout.
struct CheckpointFile: Equatable {
    static let magic: UInt32 = 0x424c_5343  // "CSLB" on disk
    static let version: UInt16 = 1
    static let headerByteCount = 56

    var position: LogPosition
    /// The stamp of the entry at the position.
    var stamp: UInt64
    var state: Bytes

    init(position: LogPosition, stamp: UInt64, state: Bytes) {
        self.position = position
        self.stamp = stamp
        self.state = state
    }

    func encoded() throws(DecodingError) -> Bytes {
        var writer = ByteWriter(capacity: CheckpointFile.headerByteCount + state.count)
        try writer.uint32(CheckpointFile.magic, "magic")
        try writer.uint16(CheckpointFile.version, "version")
        try writer.uint16(0, "reserved")
        try writer.uint64(position.term, "term")
        try writer.uint64(position.index, "index")
        try writer.uint64(stamp, "stamp")
        try writer.uint64(UInt64(state.count), "state bytes")
        try writer.zeros(8, "reserved")
        try writer.uint32(CRC32C.checksum(state), "state checksum")
        try writer.uint32(writer.checksum(of: 0..<CheckpointFile.headerByteCount - 4), "header checksum")
        try writer.bytes(state, "state")
        return Bytes(writer.array)
    }

    init(decoding bytes: Bytes) throws(DecodingError) {
        let header = try bytes.withReader { reader throws(DecodingError) in try Header(from: &reader) }
        guard header.stateByteCount == bytes.count - CheckpointFile.headerByteCount else {
            throw DecodingError(.truncated, "state", at: bytes.count)
        }
        let state = bytes.slice(CheckpointFile.headerByteCount..<bytes.count)
        guard CRC32C.checksum(state) == header.stateChecksum else {
            throw DecodingError(.checksum, "state checksum", at: CheckpointFile.headerByteCount - 8)
        }
        self.init(position: header.position, stamp: header.stamp, state: state)
    }

    private struct Header {
        var position: LogPosition
        var stamp: UInt64
        var stateByteCount: UInt64
        var stateChecksum: UInt32

        init(from reader: inout ByteReader) throws(DecodingError) {
            guard try reader.uint32("magic") == CheckpointFile.magic else {
                throw DecodingError(.magic, "magic", at: 0)
            }
            guard try reader.uint16("version") <= CheckpointFile.version else {
                throw DecodingError(.version, "version", at: 4)
            }
            try reader.skip(2, "reserved")
            position = LogPosition(term: try reader.uint64("term"), index: try reader.uint64("index"))
            stamp = try reader.uint64("stamp")
            stateByteCount = try reader.uint64("state bytes")
            try reader.skip(8, "reserved")
            stateChecksum = try reader.uint32("state checksum")
            let checksum = reader.checksum(of: 0..<reader.offset)
            guard try reader.uint32("header checksum") == checksum else {
                throw DecodingError(.checksum, "header checksum", at: CheckpointFile.headerByteCount - 4)
            }
            guard position.index >= 1, position.index <= largestNumber, position.term <= largestNumber else {
                throw DecodingError(.outOfBounds, "position", at: 8)
            }
        }
    }
}
