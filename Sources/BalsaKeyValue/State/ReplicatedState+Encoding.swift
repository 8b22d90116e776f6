import BalsaLSM
import BalsaPlatform

extension ReplicatedState {
    static let magic: UInt32 = 0x5356_4b42  // "BKVS" on disk
    static let version: UInt16 = 1
    /// The bytes before the samples: magic, version, reserved, cluster, position, digest, mark, revision of the
    /// options, options.
    static let headerByteCount = 8 + UniqueID.encodedByteCount + 6 * 8 + ReplicatedOptions.encodedByteCount
    static let sampleByteCount = 16
    /// The bytes of a session without its replies.
    static let sessionByteCount = 40
    /// The longest encoded state, in bytes: what the engine takes with a seal.
    static let maxEncodedBytes = SealRecord.maxSystemStateBytes

    /// The state as it goes into a seal.
    func encoded() throws(BalsaPlatform.DecodingError) -> Bytes {
        let byteCount =
            ReplicatedState.headerByteCount + 12 + retention.samples.count * ReplicatedState.sampleByteCount
            + sessions.count * ReplicatedState.sessionByteCount + sessions.replyCount * ReplyWindow.replyByteCount
        var writer = ByteWriter(capacity: byteCount, limit: ReplicatedState.maxEncodedBytes)
        try writer.uint32(ReplicatedState.magic, "magic")
        try writer.uint16(ReplicatedState.version, "version")
        try writer.uint16(0, "reserved")
        try writer.uniqueID(cluster, "cluster")
        let header = [
            position.index, position.term, position.stamp, digest.value, retention.index, optionsRevision,
        ]
        for field in header { try writer.uint64(field, "header") }
        try writer.bytes(options.encoded, "options")
        try writer.uint32(UInt32(retention.samples.count), "samples")
        for sample in retention.samples {
            try writer.uint64(sample.stamp, "sample stamp")
            try writer.uint64(sample.index, "sample index")
        }
        try writer.uint32(UInt32(sessions.count), "sessions")
        try sessions.visit { session throws(BalsaPlatform.DecodingError) in
            try ReplicatedState.encode(session, into: &writer)
        }
        try writer.uint32(writer.checksum(of: 0..<writer.count), "checksum")
        return Bytes(writer.array)
    }

    private static func encode(
        _ session: SessionTable.Session,
        into writer: inout ByteWriter
    ) throws(BalsaPlatform.DecodingError) {
        try writer.uint64(session.id, "session")
        try writer.uint64(session.lastIndex, "last index")
        try writer.uint64(session.lastStamp, "last stamp")
        try writer.uint64(session.lowest, "lowest number")
        try writer.uint32(UInt32(session.window), "window")
        try writer.uint32(UInt32(session.replies.count), "replies")
        for stored in session.replies.replies {
            try writer.uint64(stored.number, "number")
            try writer.uint8(stored.reply.outcome.rawValue, "outcome")
            try writer.uint8(stored.reply.number == nil ? 0 : 1, "flags")
            try writer.uint64(stored.reply.revision, "revision")
            try writer.uint64(UInt64(bitPattern: stored.reply.number ?? 0), "value")
        }
    }
}
