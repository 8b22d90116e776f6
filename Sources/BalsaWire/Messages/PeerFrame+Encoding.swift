import BalsaPlatform
import BalsaRaft

extension PeerFrame {
    /// The frame in pieces for a gathered write.
    ///
    /// The header and the fields are one small piece. Entries, the bytes of a chunk or a command, where there are any, are
    /// the piece behind it and are not copied: the piece shares their memory.
    ///
    /// - Parameters:
    ///   - options: the limits.
    ///   - version: the version of the format that sender and receiver agreed on.
    /// - Throws: ``DecodingError``, *version* for one that this release does not speak; and where a receiver with the
    ///   same options would refuse the frame: *out of bounds* for a frame that is too long or a number that is too
    ///   high, *inconsistent* for parts that contradict each other. Nothing was sent then.
    /// - Complexity: linear in the length of the frame, all of which goes through the body's checksum.
    public func encoded(options: WireOptions, version: UInt16) throws(DecodingError) -> [Bytes] {
        var fields = FieldWriter(version: version)
        let attachment = try encodeContent(into: &fields)
        let header = WireFrameHeader(
            kind: kind,
            group: group,
            from: from,
            to: to,
            term: term,
            version: fields.version
        )
        return try header.frame(of: fields, attachment: attachment, options: options)
    }

    /// Writes the fields of the content, and returns what stands behind them.
    private func encodeContent(into fields: inout FieldWriter) throws(DecodingError) -> Bytes {
        switch content {
        case .message(let body, let entries):
            try body.check(entries, group: group)
            try fields.body(body)
            return entries?.bytes ?? Bytes()
        case .checkpointChunk(let chunk):
            try chunk.encode(into: &fields)
            return chunk.bytes
        case .checkpointChunkResponse(let response):
            try response.encode(into: &fields)
            return Bytes()
        case .forward(let forwarded):
            try fields.uint64(forwarded.number, "forward number")
            return forwarded.command
        case .forwardResponse(let response):
            try response.encode(into: &fields)
            return Bytes()
        case .firstBoot(let message):
            return try message.encode(into: &fields)
        }
    }
}
