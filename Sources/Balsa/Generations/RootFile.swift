import BalsaPlatform
import BalsaRaft

/// The file ROOT of a group: which generation of its state is live, and which position it began with: that of the
/// checkpoint that it was made of, or zero for the first. What the state contains beyond that, its own files say.
///
/// It is a ``TwinFile``, replaced as a whole: a crash anywhere leaves the old root or the new one.
/// `Docs/CheckpointFormat.md` has the layout.
struct RootFile: Equatable {
    static let magic: UInt32 = 0x424c_5352  // "RSLB" on disk
    static let version: UInt16 = 1
    static let byteCount = 48

    /// The live generation; generations count up from 1.
    var generation: UInt64
    /// The position that the generation contained everything through when it was published.
    var position: LogPosition

    func encoded() throws(DecodingError) -> Bytes {
        var writer = ByteWriter(capacity: RootFile.byteCount, limit: RootFile.byteCount)
        try writer.uint32(RootFile.magic, "magic")
        try writer.uint16(RootFile.version, "version")
        try writer.uint16(0, "reserved")
        try writer.uint32(UInt32(RootFile.byteCount), "byte count")
        try writer.uint32(0, "reserved")
        try writer.uint64(generation, "generation")
        try writer.uint64(position.term, "term")
        try writer.uint64(position.index, "index")
        try writer.uint32(0, "reserved")
        try writer.uint32(writer.checksum(of: 0..<RootFile.byteCount - 4), "checksum")
        return Bytes(writer.array)
    }

    init(generation: UInt64, position: LogPosition) {
        self.generation = generation
        self.position = position
    }

    init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try RootFile(from: &reader) }
    }

    private init(from reader: inout ByteReader) throws(DecodingError) {
        guard try reader.uint32("magic") == RootFile.magic else { throw DecodingError(.magic, "magic", at: 0) }
        let version = try reader.uint16("version")
        guard version <= RootFile.version else { throw DecodingError(.version, "version", at: 4) }
        guard version > 0 else { throw DecodingError(.outOfBounds, "version", at: 4) }
        let reserved = try reader.uint16("reserved")
        let byteCount = try reader.uint32("byte count")
        let second = try reader.uint32("reserved")
        generation = try reader.uint64("generation")
        position = LogPosition(term: try reader.uint64("term"), index: try reader.uint64("index"))
        let third = try reader.uint32("reserved")
        let checksum = reader.checksum(of: 0..<reader.offset)
        guard try reader.uint32("checksum") == checksum else {
            throw DecodingError(.checksum, "checksum", at: RootFile.byteCount - 4)
        }
        try reader.finish("root")
        guard reserved == 0 else { throw DecodingError(.outOfBounds, "reserved", at: 6) }
        guard byteCount == RootFile.byteCount else { throw DecodingError(.inconsistent, "byte count", at: 8) }
        guard second == 0 else { throw DecodingError(.outOfBounds, "reserved", at: 12) }
        guard third == 0 else { throw DecodingError(.outOfBounds, "reserved", at: 40) }
        guard generation >= 1, position.index <= largestNumber, position.term <= largestNumber,
            (position.index == 0) == (position.term == 0)
        else {
            throw DecodingError(.outOfBounds, "position", at: 16)
        }
    }
}
