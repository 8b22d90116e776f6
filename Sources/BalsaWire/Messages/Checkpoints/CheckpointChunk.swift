import BalsaPlatform
import BalsaRaft

/// A part of a checkpoint on its way to a peer that the log cannot serve.
///
/// A checkpoint travels as one stream of bytes, whose contents are the replica's business. Every chunk names the transfer,
/// the checkpoint and its place in the stream, so that it can be judged alone: one that was lost, doubled or overtaken is
/// noticed by its ``offset``, and one of another attempt by its ``transfer``.
///
/// ```
///  stream   ├─────────────────────────┼── bytes ──┼───────────────────┤
///           0                       offset                     streamByteCount
///           └───────── streamChecksum ────────────┘
/// ```
///
/// The frame's own checksum tells damage of the network. ``streamChecksum`` tells what lies before the network: a chunk
/// that the sender read from a file which rotted or changed under its hands, and a receiver that put the parts together
/// wrongly. It is held against the bytes by who has those before, thus not here.
public struct CheckpointChunk: Equatable, Sendable {
    /// The attempt that the chunk belongs to.
    public var transfer: TransferID
    /// The position that the checkpoint contains everything through. Neither term nor index is 0.
    public var position: LogPosition
    /// The length of the whole stream, in bytes.
    public var streamByteCount: UInt64
    /// Where in the stream the chunk begins, in bytes.
    public var offset: UInt64
    /// The CRC32C of the stream from its beginning through the end of this chunk.
    public var streamChecksum: UInt32
    /// The bytes of the stream from ``offset`` on: at least one, unless the stream has none.
    public var bytes: Bytes

    /// A part of a checkpoint.
    ///
    /// - Parameters:
    ///   - transfer: the attempt that the chunk belongs to.
    ///   - position: the position that the checkpoint contains everything through.
    ///   - streamByteCount: the length of the whole stream, in bytes.
    ///   - offset: where in the stream the chunk begins, in bytes.
    ///   - streamChecksum: the CRC32C of the stream through the end of this chunk.
    ///   - bytes: the bytes of the stream from `offset` on.
    public init(
        transfer: TransferID,
        position: LogPosition,
        streamByteCount: UInt64,
        offset: UInt64,
        streamChecksum: UInt32,
        bytes: Bytes
    ) {
        self.transfer = transfer
        self.position = position
        self.streamByteCount = streamByteCount
        self.offset = offset
        self.streamChecksum = streamChecksum
        self.bytes = bytes
    }
}

extension CheckpointChunk {
    /// Decodes the body at which `reader` stands, all of the rest of `frame`.
    init(decoding reader: inout ByteReader, of frame: Bytes) throws(DecodingError) {
        let transfer = try TransferID(decoding: &reader)
        let position = try LogPosition(decoding: &reader, "chunk position")
        let streamByteCount = try reader.boundedNumber("chunk stream byte count")
        let offset = try reader.boundedNumber("chunk offset")
        let streamChecksum = try reader.uint32("chunk stream checksum")
        self.init(
            transfer: transfer,
            position: position,
            streamByteCount: streamByteCount,
            offset: offset,
            streamChecksum: streamChecksum,
            bytes: frame.slice(reader.offset..<frame.count)
        )
        try check()
    }

    /// Writes all fields. The bytes stand behind them.
    func encode(into fields: inout FieldWriter) throws(DecodingError) {
        try transfer.encode(into: &fields)
        try fields.position(position, "chunk position")
        try fields.number(streamByteCount, "chunk stream byte count")
        try fields.number(offset, "chunk offset")
        try fields.uint32(streamChecksum, "chunk stream checksum")
        try check()
    }

    /// Throws unless the chunk lies within the stream and there is something in it.
    private func check() throws(DecodingError) {
        let fieldsAt = WireFrameHeader.encodedByteCount
        guard position.term > 0 else { throw DecodingError(.outOfBounds, "chunk position", at: fieldsAt + 16) }
        guard position.index > 0 else { throw DecodingError(.outOfBounds, "chunk position", at: fieldsAt + 24) }
        guard offset <= streamByteCount else { throw DecodingError(.inconsistent, "chunk offset", at: fieldsAt + 40) }
        guard UInt64(bytes.count) <= streamByteCount - offset else {
            throw DecodingError(.inconsistent, "chunk bytes", at: fieldsAt + 52)
        }
        // A chunk that says nothing would be asked for again and again.
        guard !bytes.isEmpty || streamByteCount == 0 else {
            throw DecodingError(.inconsistent, "chunk bytes", at: fieldsAt + 52)
        }
    }
}
