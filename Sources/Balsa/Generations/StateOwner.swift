import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The file OWNER in the directory of a generation: whose state it is, of which group, and which generation.
///
/// It is durable before ROOT names the generation, and ROOT carries the same random id. So a directory that was
/// exchanged with that of another member, group or generation is refused before anything in it is believed. It is a
/// ``TwinFile``. The state machine leaves it alone, and no checkpoint contains it. `Docs/CheckpointFormat.md` has the
/// layout.
struct StateOwner: Equatable {
    static let fileName = "OWNER"
    static let magic: UInt32 = 0x574f_5342  // "BSOW" on disk
    static let version: UInt16 = 1
    static let byteCount = 96

    /// Whose the state is.
    var owner: FileOwner
    /// The group.
    var group: GroupID
    /// The generation; from 1.
    var generation: UInt64
    /// The random id that ROOT has, too.
    var id: UniqueID
    /// Whether the generation was found to differ from the state of the majority. ROOT says so, too: where one of the
    /// two files was put back as it was before, the other still says it.
    var isDiverged = false

    /// The flag of ``isDiverged``.
    private static let divergedFlag: UInt8 = 1

    init(owner: FileOwner, group: GroupID, generation: UInt64, id: UniqueID) {
        self.owner = owner
        self.group = group
        self.generation = generation
        self.id = id
    }

    func encoded() throws(DecodingError) -> Bytes {
        var writer = ByteWriter(capacity: StateOwner.byteCount, limit: StateOwner.byteCount)
        try writer.uint32(StateOwner.magic, "magic")
        try writer.uint16(StateOwner.version, "version")
        try writer.uint16(0, "reserved")
        try writer.uint32(UInt32(StateOwner.byteCount), "byte count")
        try writer.uint32(0, "reserved")
        try writer.uniqueID(owner.cluster, "owner cluster")
        try writer.uniqueID(owner.incarnation, "owner incarnation")
        try writer.uint64(group, "group")
        try writer.uint64(generation, "generation")
        try writer.uniqueID(id, "state")
        try writer.uint8(isDiverged ? StateOwner.divergedFlag : 0, "flags")
        try writer.zeros(11, "reserved")
        try writer.uint32(writer.checksum(of: 0..<StateOwner.byteCount - 4), "checksum")
        return Bytes(writer.array)
    }

    init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try StateOwner(from: &reader) }
    }

    private init(from reader: inout ByteReader) throws(DecodingError) {
        guard try reader.uint32("magic") == StateOwner.magic else { throw DecodingError(.magic, "magic", at: 0) }
        let version = try reader.uint16("version")
        guard version <= StateOwner.version else { throw DecodingError(.version, "version", at: 4) }
        guard version > 0 else { throw DecodingError(.outOfBounds, "version", at: 4) }
        // The checksum first: nothing else is believed before.
        let end = StateOwner.byteCount - 4
        var rest = reader
        _ = try rest.bytes(end - rest.offset, "checksum")
        guard try rest.uint32("checksum") == reader.checksum(of: 0..<end) else {
            throw DecodingError(.checksum, "checksum", at: end)
        }
        try rest.finish("owner")
        try reader.zeros(2, "reserved")
        guard try reader.uint32("byte count") == StateOwner.byteCount else {
            throw DecodingError(.inconsistent, "byte count", at: 8)
        }
        try reader.zeros(4, "reserved")
        owner = try reader.fileOwner()
        let at = reader.offset
        group = try reader.uint64("group")
        generation = try reader.uint64("generation")
        guard generation >= 1, generation <= largestNumber else {
            throw DecodingError(.outOfBounds, "generation", at: at + 8)
        }
        id = try reader.uniqueID("state")
        let flagsAt = reader.offset
        let flags = try reader.uint8("flags")
        guard flags & ~StateOwner.divergedFlag == 0 else { throw DecodingError(.outOfBounds, "flags", at: flagsAt) }
        isDiverged = flags & StateOwner.divergedFlag != 0
        try reader.zeros(end - reader.offset, "reserved")
    }
}
