import BalsaPlatform
import BalsaRaft

extension Envelope {
    /// The envelope as one wire frame, in pieces for a gathered write.
    ///
    /// The header and the fields are one small piece. The entries or the checkpoint, if there are any, are the piece
    /// behind it and are not copied: the piece shares the memory of ``entries`` or ``checkpoint``.
    ///
    /// - Throws: ``DecodingError`` where a receiver with the same options would refuse the frame: *out of bounds* for a
    ///   frame that is too long or a number that is too high, *inconsistent* for entries that are not those which the
    ///   message announces. Nothing was sent then.
    /// - Complexity: linear in the length of the frame, all of which goes through the body's checksum.
    public func encoded(options: WireOptions) throws(DecodingError) -> [Bytes] {
        try checkAttachments()
        var fields = FieldWriter()
        try fields.body(message.body)
        let attachment = entries?.bytes ?? checkpoint
        let bodyByteCount = fields.writer.count + attachment.count
        let header = WireFrameHeader(
            kind: message.body.wireKind,
            group: group,
            from: message.from,
            to: message.to,
            term: message.term,
            bodyByteCount: bodyByteCount,
            bodyChecksum: attachment.withUnsafeBytes {
                CRC32C.extend(fields.writer.checksum(of: 0..<fields.writer.count), with: $0)
            }
        )
        var head = ByteWriter(capacity: WireOptions.roomForFields, limit: WireOptions.roomForFields)
        try header.encode(into: &head, options: options)
        try head.bytes(Bytes(fields.writer.array), "frame body")
        let piece = Bytes(head.array)
        return attachment.isEmpty ? [piece] : [piece, attachment]
    }

    /// Throws unless the envelope carries what its message announces and nothing else.
    private func checkAttachments() throws(DecodingError) {
        let fieldsAt = WireFrameHeader.encodedByteCount
        if case .append(let append) = message.body {
            try append.check(entries, group: group, at: fieldsAt)
        } else if entries != nil {
            throw DecodingError(.inconsistent, "entries", at: fieldsAt)
        }
        if case .snapshot = message.body { return }
        guard checkpoint.isEmpty else { throw DecodingError(.inconsistent, "checkpoint", at: fieldsAt) }
    }
}

extension Append {
    /// Throws unless `batch` holds the entries that the message announces, right behind its previous position.
    func check(_ batch: EntryBatch?, group: GroupID, at offset: Int) throws(DecodingError) {
        guard let range = entries, let batch else {
            guard entries == nil, batch == nil else { throw DecodingError(.inconsistent, "entries", at: offset) }
            return
        }
        // The batch's own previous position is its first index less one and the term that its first entry names.
        guard batch.group == group else { throw DecodingError(.inconsistent, "entries group", at: offset) }
        guard batch.previous == previous, range.first == batch.firstIndex else {
            throw DecodingError(.inconsistent, "append previous position", at: offset)
        }
        guard batch.last == range.last else {
            throw DecodingError(.inconsistent, "append last position", at: offset)
        }
    }
}
