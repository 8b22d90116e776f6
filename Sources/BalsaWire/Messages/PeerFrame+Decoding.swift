import BalsaPlatform
import BalsaRaft

extension PeerFrame {
    /// Decodes and verifies one wire frame that came from a peer.
    ///
    /// Nothing is copied: entries, the bytes of a chunk or a command are a slice of `frame`, which lives as long as they
    /// do.
    ///
    /// - Parameters:
    ///   - frame: the frame, whole and with nothing behind it.
    ///   - options: the limits.
    /// - Throws: ``DecodingError`` for everything but a frame that an honest member of this release can have sent: cut
    ///   off or overlong, damaged anywhere, of an unknown version or kind, with a number out of its bounds, with parts
    ///   that contradict each other, or with entries that are not consecutive or not those which the message announces.
    /// - Complexity: linear in the length of the frame; memory is taken for 4 bytes an entry.
    public init(decoding frame: Bytes, options: WireOptions) throws(DecodingError) {
        self = try frame.withReader { reader throws(DecodingError) in
            let header = try WireFrameHeader(opening: &reader, options: options)
            return PeerFrame(
                group: header.group,
                from: header.from,
                to: header.to,
                term: header.term,
                content: try Content(decoding: &reader, of: frame, header: header)
            )
        }
    }
}

extension PeerFrame.Content {
    /// Decodes the body, at which `reader` stands and whose checksum has been verified.
    fileprivate init(
        decoding reader: inout ByteReader,
        of frame: Bytes,
        header: WireFrameHeader
    ) throws(DecodingError) {
        switch header.kind {
        case .checkpointChunk:
            self = .checkpointChunk(try CheckpointChunk(decoding: &reader, of: frame))
        case .checkpointChunkResponse:
            self = .checkpointChunkResponse(try CheckpointChunkResponse(decoding: &reader))
            try reader.finish("frame body end")
        case .forward:
            let number = try reader.uint64("forward number")
            self = .forward(ForwardedCommand(number: number, command: frame.slice(reader.offset..<frame.count)))
        case .forwardResponse:
            self = .forwardResponse(try ForwardResponse(decoding: &reader))
            try reader.finish("frame body end")
        case .firstBoot:
            self = .firstBoot(try FirstBootMessage(decoding: &reader))
            try reader.finish("frame body end")
        default:
            let envelope = try Envelope(decoding: &reader, of: frame, header: header)
            self = .message(envelope.message.body, entries: envelope.entries)
        }
    }
}
