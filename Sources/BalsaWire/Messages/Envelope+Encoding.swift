import BalsaPlatform
import BalsaRaft

extension Envelope {
    /// The envelope as one wire frame, in pieces for a gathered write.
    ///
    /// The header and the fields are one small piece. The entries, if there are any, are the piece behind it and are not
    /// copied: the piece shares the memory of ``entries``.
    ///
    /// - Parameters:
    ///   - options: the limits.
    ///   - version: the version of the format that sender and receiver agreed on.
    /// - Throws: ``DecodingError`` where a receiver with the same options would refuse the frame: *out of bounds* for a
    ///   frame that is too long or a number that is too high, *inconsistent* for entries that are not those which the
    ///   message announces. Nothing was sent then.
    /// - Complexity: linear in the length of the frame, all of which goes through the body's checksum.
    public func encoded(options: WireOptions, version: UInt16) throws(DecodingError) -> [Bytes] {
        try PeerFrame(self).encoded(options: options, version: version)
    }
}

extension Message.Body {
    /// Throws unless `batch` is what the message announces: the entries of an append that has any, else nothing.
    func check(_ batch: EntryBatch?, group: GroupID) throws(DecodingError) {
        let fieldsAt = WireFrameHeader.encodedByteCount
        if case .append(let append) = self {
            try append.check(batch, group: group, at: fieldsAt)
        } else if batch != nil {
            throw DecodingError(.inconsistent, "entries", at: fieldsAt)
        }
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
