import BalsaPlatform
import BalsaRaft

/// The first 56 bytes of an entry, on disk and on the wire alike. `Docs/EntryFormat.md` has the layout.
///
/// ```
///  0        8        16       24              32       40            44            48     49      50   52      56
///  ├ group ─┼ index ─┼ term ──┼ previousTerm ─┼ stamp ─┼ payload n ──┼ payload crc ┼ kind ┼ flags ┼ 0 ─┼ crc ──┤
/// ```
///
/// The header has a checksum of its own, so that the length in it can be believed before the payload is read, and holds
/// the payload's, so that the identity of an entry is known even where its payload is damaged.
public struct EntryHeader: Hashable, Sendable {
    /// The group in whose log the entry is.
    public var group: GroupID
    /// The place of the entry in the group's log.
    public var index: LogIndex
    /// The term in which the entry was created.
    public var term: Term
    /// The term of the entry before it, by which a reader notices an entry from another history.
    public var previousTerm: Term
    /// The leader's logical time, in nanoseconds.
    public var stamp: UInt64
    /// What the entry is for.
    public var kind: EntryKind
    /// Reserved for the kind's own use.
    public var flags: UInt8
    /// The length of the payload, in bytes.
    public var payloadByteCount: UInt32
    /// The CRC32C of the payload.
    public var payloadChecksum: UInt32

    /// The length of an encoded header, in bytes.
    public static let encodedByteCount = 56

    /// The bytes that the header's own checksum covers.
    private static let checkedByteCount = 52

    /// A header of these fields.
    public init(
        group: GroupID,
        index: LogIndex,
        term: Term,
        previousTerm: Term,
        stamp: UInt64,
        kind: EntryKind,
        flags: UInt8 = 0,
        payloadByteCount: UInt32 = 0,
        payloadChecksum: UInt32 = 0
    ) {
        self.group = group
        self.index = index
        self.term = term
        self.previousTerm = previousTerm
        self.stamp = stamp
        self.kind = kind
        self.flags = flags
        self.payloadByteCount = payloadByteCount
        self.payloadChecksum = payloadChecksum
    }

    /// The entry's name.
    public var position: LogPosition { LogPosition(term: term, index: index) }

    /// The length of the whole entry, in bytes.
    public var entryByteCount: Int { EntryHeader.encodedByteCount + Int(payloadByteCount) }

    /// Writes the encoded header into the first 56 bytes of `target`.
    ///
    /// - Precondition: there is room for it.
    public func encode(into target: UnsafeMutableRawBufferPointer) {
        precondition(target.count >= EntryHeader.encodedByteCount, "an entry header needs 56 bytes")
        target.storeBytes(of: group.littleEndian, toByteOffset: 0, as: UInt64.self)
        target.storeBytes(of: index.littleEndian, toByteOffset: 8, as: UInt64.self)
        target.storeBytes(of: term.littleEndian, toByteOffset: 16, as: UInt64.self)
        target.storeBytes(of: previousTerm.littleEndian, toByteOffset: 24, as: UInt64.self)
        target.storeBytes(of: stamp.littleEndian, toByteOffset: 32, as: UInt64.self)
        target.storeBytes(of: payloadByteCount.littleEndian, toByteOffset: 40, as: UInt32.self)
        target.storeBytes(of: payloadChecksum.littleEndian, toByteOffset: 44, as: UInt32.self)
        target.storeBytes(of: kind.rawValue, toByteOffset: 48, as: UInt8.self)
        target.storeBytes(of: flags, toByteOffset: 49, as: UInt8.self)
        target.storeBytes(of: 0, toByteOffset: 50, as: UInt16.self)
        let checked = UnsafeRawBufferPointer(rebasing: target[0..<EntryHeader.checkedByteCount])
        target.storeBytes(of: CRC32C.checksum(checked).littleEndian, toByteOffset: 52, as: UInt32.self)
    }

    /// Decodes the header at `offset` of `raw` and verifies its checksum.
    ///
    /// The payload is not looked at. Offsets in errors count from the beginning of `raw`.
    ///
    /// - Throws: ``DecodingError`` when the bytes end too early, the checksum does not match, a reserved byte is set or
    ///   a number is above `largestNumber`.
    public init(decoding raw: UnsafeRawBufferPointer, at offset: Int = 0) throws(DecodingError) {
        guard offset >= 0, offset <= raw.count, raw.count - offset >= EntryHeader.encodedByteCount else {
            throw DecodingError(.truncated, "entry header", at: max(0, min(offset, raw.count)))
        }
        let checked = UnsafeRawBufferPointer(rebasing: raw[offset..<offset + EntryHeader.checkedByteCount])
        let stored = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset + 52, as: UInt32.self))
        guard CRC32C.checksum(checked) == stored else {
            throw DecodingError(.checksum, "entry header checksum", at: offset + 52)
        }
        self.init(trusting: raw, at: offset)
        guard raw.loadUnaligned(fromByteOffset: offset + 50, as: UInt16.self) == 0 else {
            throw DecodingError(.outOfBounds, "entry reserved bytes", at: offset + 50)
        }
        guard index <= largestNumber else { throw DecodingError(.outOfBounds, "entry index", at: offset + 8) }
        guard term <= largestNumber else { throw DecodingError(.outOfBounds, "entry term", at: offset + 16) }
        guard previousTerm <= largestNumber else {
            throw DecodingError(.outOfBounds, "entry previous term", at: offset + 24)
        }
        guard stamp <= largestNumber else { throw DecodingError(.outOfBounds, "entry stamp", at: offset + 32) }
    }

    /// Loads the fields of a header that has been verified before.
    init(trusting raw: UnsafeRawBufferPointer, at offset: Int) {
        func number(_ place: Int) -> UInt64 {
            UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset + place, as: UInt64.self))
        }
        func half(_ place: Int) -> UInt32 {
            UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset + place, as: UInt32.self))
        }
        self.init(
            group: number(0),
            index: number(8),
            term: number(16),
            previousTerm: number(24),
            stamp: number(32),
            kind: EntryKind(rawValue: raw[offset + 48]),
            flags: raw[offset + 49],
            payloadByteCount: half(40),
            payloadChecksum: half(44)
        )
    }
}
