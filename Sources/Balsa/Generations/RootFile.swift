import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The file ROOT of a group: which generation of its state is live, and which position it began with: that of the
/// checkpoint that it was made of, or zero for the first. What the state contains beyond that, its own files say.
///
/// It is a ``TwinFile``, replaced as a whole: a crash anywhere leaves the old root or the new one.
/// `Docs/CheckpointFormat.md` has the layout.
struct RootFile: Equatable {
    static let magic: UInt32 = 0x424c_5352  // "RSLB" on disk
    static let version: UInt16 = 1
    static let byteCount = 128

    /// The live generation; generations count up from 1.
    var generation: UInt64
    /// The position that the generation contained everything through when it was published.
    var position: LogPosition
    /// Whose it is.
    var owner = FileOwner.none
    /// The latest opening that has published it.
    var mark = FileBinding.unbound.mark
    /// The group.
    var group: GroupID
    /// The random id of the generation, which the file OWNER in its directory has, too.
    var state = UniqueID.none
    /// Whether the generation was found to differ from the state of the majority: a checkpoint has to replace it.
    var isDiverged = false
    /// Whether the generation, which a checkpoint brought, was found to be the state of the others.
    var isConfirmed = false

    /// The flags of ``isDiverged`` and ``isConfirmed``.
    private static let divergedFlag: UInt8 = 1
    private static let confirmedFlag: UInt8 = 2

    /// The index of the checkpoint that the generation was made of, if it was not found to be the state of the others
    /// since; else 0.
    var receivedIndex: LogIndex { isConfirmed ? 0 : position.index }

    func encoded() throws(DecodingError) -> Bytes {
        var writer = ByteWriter(capacity: RootFile.byteCount, limit: RootFile.byteCount)
        try writer.uint32(RootFile.magic, "magic")
        try writer.uint16(RootFile.version, "version")
        try writer.uint16(0, "reserved")
        try writer.uint32(UInt32(RootFile.byteCount), "byte count")
        try writer.uint32(0, "reserved")
        try writer.uniqueID(owner.cluster, "owner cluster")
        try writer.uniqueID(owner.incarnation, "owner incarnation")
        try writer.uint64(mark.boot, "mark counter")
        try writer.uint64(mark.nonce, "mark nonce")
        try writer.uint64(group, "group")
        try writer.uint64(generation, "generation")
        try writer.uint64(position.term, "term")
        try writer.uint64(position.index, "index")
        try writer.uniqueID(state, "state")
        let flags = (isDiverged ? RootFile.divergedFlag : 0) | (isConfirmed ? RootFile.confirmedFlag : 0)
        try writer.uint8(flags, "flags")
        try writer.zeros(11, "reserved")
        try writer.uint32(writer.checksum(of: 0..<RootFile.byteCount - 4), "checksum")
        return Bytes(writer.array)
    }

    init(
        generation: UInt64,
        position: LogPosition,
        binding: FileBinding = .unbound,
        group: GroupID = Replica.group,
        state: UniqueID = .none
    ) {
        self.group = group
        self.generation = generation
        self.position = position
        owner = binding.owner
        mark = binding.mark
        self.state = state
    }

    init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try RootFile(from: &reader) }
    }

    private init(from reader: inout ByteReader) throws(DecodingError) {
        guard try reader.uint32("magic") == RootFile.magic else { throw DecodingError(.magic, "magic", at: 0) }
        let version = try reader.uint16("version")
        guard version <= RootFile.version else { throw DecodingError(.version, "version", at: 4) }
        guard version > 0 else { throw DecodingError(.outOfBounds, "version", at: 4) }
        // The checksum first: nothing else is believed before.
        let end = RootFile.byteCount - 4
        var rest = reader
        _ = try rest.bytes(end - rest.offset, "checksum")
        guard try rest.uint32("checksum") == reader.checksum(of: 0..<end) else {
            throw DecodingError(.checksum, "checksum", at: end)
        }
        try rest.finish("root")
        try reader.zeros(2, "reserved")
        guard try reader.uint32("byte count") == RootFile.byteCount else {
            throw DecodingError(.inconsistent, "byte count", at: 8)
        }
        try reader.zeros(4, "reserved")
        owner = try reader.fileOwner()
        guard let found = try reader.openingMark() else { throw DecodingError(.outOfBounds, "mark counter", at: 48) }
        mark = found
        group = try reader.uint64("group")
        let at = reader.offset
        generation = try reader.uint64("generation")
        position = LogPosition(term: try reader.uint64("term"), index: try reader.uint64("index"))
        state = try reader.uniqueID("state")
        let flagsAt = reader.offset
        let flags = try reader.uint8("flags")
        guard flags & ~(RootFile.divergedFlag | RootFile.confirmedFlag) == 0 else {
            throw DecodingError(.outOfBounds, "flags", at: flagsAt)
        }
        isDiverged = flags & RootFile.divergedFlag != 0
        isConfirmed = flags & RootFile.confirmedFlag != 0
        try reader.zeros(end - reader.offset, "reserved")
        guard generation >= 1, generation <= largestNumber, position.index <= largestNumber,
            position.term <= largestNumber,
            (position.index == 0) == (position.term == 0)
        else {
            throw DecodingError(.outOfBounds, "position", at: at)
        }
    }
}
