import BalsaPlatform
import BalsaRaft

extension Envelope {
    /// Decodes and verifies one wire frame that came from a peer.
    ///
    /// Nothing is copied: the entries are a slice of `frame`, which lives as long as they do.
    ///
    /// - Parameters:
    ///   - frame: the frame, whole and with nothing behind it.
    ///   - options: the limits.
    /// - Throws: ``DecodingError`` for everything but a frame that an honest member of this release can have sent: cut
    ///   off or overlong, damaged anywhere, of an unknown version or kind or one that is not of the core, with a number
    ///   out of its bounds, or with entries that are not consecutive or not those which the message announces.
    /// - Complexity: linear in the length of the frame; memory is taken for 4 bytes an entry.
    public init(decoding frame: Bytes, options: WireOptions) throws(DecodingError) {
        self = try frame.withReader { reader throws(DecodingError) in
            let header = try WireFrameHeader(opening: &reader, options: options)
            return try Envelope(decoding: &reader, of: frame, header: header)
        }
    }

    /// Decodes the body, at which `reader` stands and whose checksum has been verified.
    init(
        decoding reader: inout ByteReader,
        of frame: Bytes,
        header: WireFrameHeader
    ) throws(DecodingError) {
        var entries: EntryBatch?
        let body: Message.Body
        if header.kind == .append {
            (body, entries) = try Envelope.append(&reader, of: frame, group: header.group)
        } else {
            body = try Message.Body(decoding: &reader, kind: header.kind)
            try reader.finish("frame body end")
        }
        let message = Message(from: header.from, to: header.to, term: header.term, body: body)
        self.init(group: header.group, message: message, entries: entries)
    }

    /// Decodes an append, verifies its entries, and holds them against what the fields announce.
    private static func append(
        _ reader: inout ByteReader,
        of frame: Bytes,
        group: GroupID
    ) throws(DecodingError) -> (Message.Body, EntryBatch?) {
        let fieldsAt = reader.offset
        let previous = try LogPosition(decoding: &reader, "append previous position")
        let commit = try reader.boundedNumber("append commit index")
        let lastAt = reader.offset
        let last = try LogPosition(decoding: &reader, "append last position")
        let round = try reader.uint64("append round")
        let sentAt = Instant(nanoseconds: try reader.uint64("append time"))
        let entriesAt = reader.offset
        guard entriesAt < frame.count else {
            guard last == .zero else { throw DecodingError(.inconsistent, "append last position", at: lastAt) }
            let probe = Append(previous: previous, entries: nil, commit: commit, round: round, sentAt: sentAt)
            return (.append(probe), nil)
        }
        let bytes = frame.slice(entriesAt..<frame.count)
        let batch: EntryBatch
        do {
            batch = try EntryBatch(decoding: bytes, group: group, entriesBytesLimit: bytes.count)
        } catch {
            throw DecodingError(error.reason, error.field, at: entriesAt + error.offset)
        }
        // The range has the announced last position, which is at least the first index before a range can be made of it.
        guard last.index >= batch.firstIndex else {
            throw DecodingError(.inconsistent, "append last position", at: lastAt)
        }
        let range = EntryRange(first: batch.firstIndex, last: last)
        let append = Append(previous: previous, entries: range, commit: commit, round: round, sentAt: sentAt)
        try append.check(batch, group: group, at: fieldsAt)
        return (.append(append), batch)
    }
}
