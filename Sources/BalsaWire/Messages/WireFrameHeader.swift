import BalsaPlatform
import BalsaRaft

/// The first 52 bytes of every wire frame. `Docs/WireFormat.md` has the layout.
///
/// ```
///  0       4         6      7       8       16     24   32     40           44         48           52
///  ├ magic ┼ version ┼ kind ┼ flags ┼ group ┼ from ┼ to ┼ term ┼ body bytes ┼ body crc ┼ header crc ┤
/// ```
///
/// The header has a checksum of its own, so that the length of the body can be believed before the body has arrived.
struct WireFrameHeader: Equatable, Sendable {
    /// What the frame says.
    var kind: WireFrameKind
    /// The group that it is about.
    var group: GroupID
    /// Who says it.
    var from: MemberID
    /// To whom.
    var to: MemberID
    /// The term that the sender is in.
    var term: Term
    /// The length of the body, in bytes.
    var bodyByteCount = 0
    /// The CRC32C of the body.
    var bodyChecksum: UInt32 = 0
    /// The version of the format in which the frame is written.
    var version: UInt16

    /// `BALW`.
    static let magic: UInt32 = 0x574c_4142
    /// The length of the encoded header, in bytes.
    static let encodedByteCount = 52

    /// The bytes that the header's own checksum covers.
    private static let checkedByteCount = 48

    /// The length of the whole frame, in bytes.
    var frameByteCount: Int { WireFrameHeader.encodedByteCount + bodyByteCount }

    /// Throws unless every field is one that may travel.
    private func check(options: WireOptions) throws(DecodingError) {
        guard WireAgreement.spokenVersions.contains(version) else {
            throw DecodingError(.version, "frame version", at: 4)
        }
        guard group != 0 else { throw DecodingError(.outOfBounds, "frame group", at: 8) }
        guard from != 0 else { throw DecodingError(.outOfBounds, "frame sender", at: 16) }
        guard to != 0 else { throw DecodingError(.outOfBounds, "frame receiver", at: 24) }
        guard term <= largestNumber else { throw DecodingError(.outOfBounds, "frame term", at: 32) }
        guard frameByteCount <= options.frameLimit else {
            throw DecodingError(.outOfBounds, "frame body byte count", at: 40)
        }
    }

    /// Writes the header in front of everything else.
    ///
    /// - Throws: ``DecodingError`` where a field is none that a receiver would accept.
    /// - Precondition: nothing has been written yet.
    func encode(into writer: inout ByteWriter, options: WireOptions) throws(DecodingError) {
        precondition(writer.count == 0, "a header begins its frame")
        try check(options: options)
        try writer.uint32(WireFrameHeader.magic, "frame magic")
        try writer.uint16(version, "frame version")
        try writer.uint8(kind.rawValue, "frame kind")
        try writer.uint8(0, "frame flags")
        try writer.uint64(group, "frame group")
        try writer.uint64(from, "frame sender")
        try writer.uint64(to, "frame receiver")
        try writer.uint64(term, "frame term")
        try writer.uint32(UInt32(bodyByteCount), "frame body byte count")
        try writer.uint32(bodyChecksum, "frame body checksum")
        let checksum = writer.checksum(of: 0..<WireFrameHeader.checkedByteCount)
        try writer.uint32(checksum, "frame header checksum")
    }
}

extension WireFrameHeader {
    /// Decodes the header at the beginning of a frame and moves `reader` to the body.
    ///
    /// The version is looked at before the checksum, because a newer format may have it elsewhere.
    ///
    /// - Throws: ``DecodingError`` when the header is cut off or damaged, when it belongs to another format or a newer
    ///   version, when a number is none that may travel, and when the frame is longer than the options allow.
    init(decoding reader: inout ByteReader, options: WireOptions) throws(DecodingError) {
        guard try reader.uint32("frame magic") == WireFrameHeader.magic else {
            throw DecodingError(.magic, "frame magic", at: 0)
        }
        version = try reader.uint16("frame version")
        guard version <= WireAgreement.spokenVersions.upperBound else {
            throw DecodingError(.version, "frame version", at: 4)
        }
        guard version > 0 else { throw DecodingError(.outOfBounds, "frame version", at: 4) }
        kind = WireFrameKind(rawValue: try reader.uint8("frame kind"))
        let flags = try reader.uint8("frame flags")
        group = try reader.uint64("frame group")
        from = try reader.uint64("frame sender")
        to = try reader.uint64("frame receiver")
        term = try reader.uint64("frame term")
        bodyByteCount = Int(try reader.uint32("frame body byte count"))
        bodyChecksum = try reader.uint32("frame body checksum")
        let stored = try reader.uint32("frame header checksum")
        guard reader.checksum(of: 0..<WireFrameHeader.checkedByteCount) == stored else {
            throw DecodingError(.checksum, "frame header checksum", at: WireFrameHeader.checkedByteCount)
        }
        guard flags == 0 else { throw DecodingError(.outOfBounds, "frame flags", at: 7) }
        try check(options: options)
    }
}

// The frame around a body, which is the same for every kind.

extension WireFrameHeader {
    /// Decodes the header of a whole frame, verifies that the body is all there, undamaged and followed by nothing, and
    /// moves `reader` to it.
    ///
    /// - Throws: ``DecodingError`` as ``init(decoding:options:)`` does, and when the body is cut off, overlong or damaged.
    /// - Precondition: `reader` is at the beginning of the frame.
    init(opening reader: inout ByteReader, options: WireOptions) throws(DecodingError) {
        let byteCount = reader.remaining
        try self.init(decoding: &reader, options: options)
        guard bodyByteCount <= reader.remaining else { throw DecodingError(.truncated, "frame body", at: byteCount) }
        guard bodyByteCount == reader.remaining else {
            throw DecodingError(.inconsistent, "frame end", at: frameByteCount)
        }
        guard reader.checksum(of: reader.offset..<byteCount) == bodyChecksum else {
            throw DecodingError(.checksum, "frame body checksum", at: 44)
        }
    }

    /// The frame of a body under this header, whose length and checksum of the body are filled in.
    ///
    /// - Parameters:
    ///   - fields: the fields of the body.
    ///   - attachment: what stands behind the fields; empty for nothing.
    ///   - options: the limits.
    /// - Returns: header and fields in one piece, followed by the attachment, not copied, where there is one.
    /// - Throws: ``DecodingError`` where a field of the header is none that a receiver would accept.
    func frame(of fields: FieldWriter, attachment: Bytes, options: WireOptions) throws(DecodingError) -> [Bytes] {
        let fieldsChecksum = fields.writer.checksum(of: 0..<fields.writer.count)
        var header = self
        header.bodyByteCount = fields.writer.count + attachment.count
        // Before all of it goes through the checksum.
        try header.check(options: options)
        header.bodyChecksum = attachment.withUnsafeBytes { CRC32C.extend(fieldsChecksum, with: $0) }
        var head = ByteWriter(capacity: WireOptions.roomForFields, limit: WireOptions.roomForFields)
        try header.encode(into: &head, options: options)
        try head.bytes(Bytes(fields.writer.array), "frame body")
        let piece = Bytes(head.array)
        return attachment.isEmpty ? [piece] : [piece, attachment]
    }
}

extension PeerFrame {
    /// Who sends a frame that a ``FrameDecoder`` has cut out, by its header, which the decoder has verified. The body is not
    /// looked at.
    public static func sender(of frame: Bytes) -> MemberID {
        precondition(frame.count >= WireFrameHeader.encodedByteCount, "a frame has a header")
        return frame.withUnsafeBytes { MemberID(littleEndian: $0.loadUnaligned(fromByteOffset: 16, as: MemberID.self)) }
    }
}
