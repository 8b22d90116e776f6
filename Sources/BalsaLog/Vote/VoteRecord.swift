import BalsaPlatform
import BalsaRaft
import BalsaWire

/// One of the two copies in a vote file. `Docs/VoteFormat.md` has the layout.
package struct VoteRecord: Equatable, Sendable {
    /// The group.
    package var group: GroupID
    /// Counts the changes: of two valid copies the one with the higher sequence is the newer.
    package var sequence: UInt64
    /// What is remembered.
    package var state: HardState
    /// Whose it is.
    package var owner: FileOwner
    /// The latest opening of the directory that has written it.
    package var mark: Opening
    /// Up to where the log was durable when the copy was written. A log that ends before is an older copy.
    package var logEnd: LogPlace

    /// `BALSAVOT`.
    static let magic: UInt64 = 0x544f_5641_534c_4142
    /// The version of the format that this release writes, and the newest that it reads.
    static let version: UInt32 = 1
    /// The length of the encoded record, in bytes.
    static let encodedByteCount = 4_096
    /// Where the reserved bytes begin. They have room for the two newest configurations.
    private static let reservedOffset = 112
    private static let checksumOffset = encodedByteCount - 4

    /// The encoded record.
    package func encoded() -> Bytes {
        let slab = Slab.filled(capacity: VoteRecord.encodedByteCount) { target in
            _ = target.initializeMemory(as: UInt8.self, repeating: 0)
            target.storeBytes(of: VoteRecord.magic.littleEndian, toByteOffset: 0, as: UInt64.self)
            target.storeBytes(of: VoteRecord.version.littleEndian, toByteOffset: 8, as: UInt32.self)
            let numbers = [group, sequence, state.term, state.vote]
            for (place, number) in numbers.enumerated() {
                target.storeBytes(of: number.littleEndian, toByteOffset: 16 + 8 * place, as: UInt64.self)
            }
            target.store(owner, at: 48)
            target.storeBytes(of: mark.boot.littleEndian, toByteOffset: 80, as: UInt64.self)
            target.storeBytes(of: mark.nonce.littleEndian, toByteOffset: 88, as: UInt64.self)
            target.storeBytes(of: logEnd.segment.littleEndian, toByteOffset: 96, as: UInt64.self)
            target.storeBytes(of: logEnd.offset.littleEndian, toByteOffset: 104, as: UInt64.self)
            let end = VoteRecord.checksumOffset
            let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: target[0..<end]))
            target.storeBytes(of: checksum.littleEndian, toByteOffset: end, as: UInt32.self)
            return target.count
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Decodes the record at the beginning of `bytes`.
    ///
    /// The version is looked at before the checksum, because a newer format may have it elsewhere.
    package init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try VoteRecord(from: &reader) }
    }

    private init(from reader: inout ByteReader) throws(DecodingError) {
        guard try reader.uint64("vote magic") == VoteRecord.magic else {
            throw DecodingError(.magic, "vote magic", at: 0)
        }
        let version = try reader.uint32("vote version")
        guard version <= VoteRecord.version else { throw DecodingError(.version, "vote version", at: 8) }
        guard version > 0 else { throw DecodingError(.outOfBounds, "vote version", at: 8) }
        let end = VoteRecord.checksumOffset
        guard reader.offset + reader.remaining >= VoteRecord.encodedByteCount else {
            throw DecodingError(.truncated, "vote checksum", at: end)
        }
        var rest = reader
        _ = try rest.bytes(end - rest.offset, "vote reserved bytes")
        guard try rest.uint32("vote checksum") == reader.checksum(of: 0..<end) else {
            throw DecodingError(.checksum, "vote checksum", at: end)
        }
        try reader.zeros(4, "vote reserved bytes")
        group = try reader.uint64("vote group")
        sequence = try reader.uint64("vote sequence")
        guard (1...largestNumber).contains(sequence) else { throw DecodingError(.outOfBounds, "vote sequence", at: 24) }
        let term = try reader.uint64("vote term")
        guard term <= largestNumber else { throw DecodingError(.outOfBounds, "vote term", at: 32) }
        state = HardState(term: term, vote: try reader.uint64("vote member"))
        owner = try reader.fileOwner()
        guard let found = try reader.openingMark() else { throw DecodingError(.outOfBounds, "mark counter", at: 80) }
        mark = found
        logEnd = LogPlace(segment: try reader.uint64("log segment"), offset: try reader.uint64("log offset"))
        guard logEnd.segment <= largestNumber, logEnd.offset <= largestNumber else {
            throw DecodingError(.outOfBounds, "log segment", at: 96)
        }
        try reader.zeros(end - VoteRecord.reservedOffset, "vote reserved bytes")
    }

    package init(
        group: GroupID,
        sequence: UInt64,
        state: HardState,
        binding: FileBinding = .unbound,
        logEnd: LogPlace = .zero
    ) {
        self.logEnd = logEnd
        self.group = group
        self.sequence = sequence
        self.state = state
        owner = binding.owner
        mark = binding.mark
    }
}
