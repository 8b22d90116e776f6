import BalsaPlatform

/// The first 36 bytes of a record of the write-ahead log. `Docs/WriteAheadLogFormat.md` has the layout.
///
/// The header has a checksum of its own, so that the length in it is believed only after that has been verified. The
/// checksum covers engine, file and offset as well, which are not written: bytes that lie elsewhere than they were
/// written are no record. Each record names the checksum of the one before, so that what a failed write left behind can
/// never be read as the continuation of what was written in its place.
struct WriteAheadLogRecord: Equatable {
    /// What a record is.
    enum Kind: UInt8 {
        /// A batch of writes.
        case batch = 1
        /// No batch: written when everything before it is durable, so that damage to that is told from a torn tail.
        case seal = 2
    }

    /// What the record is.
    var kind: Kind
    /// The number of the batch; of a seal, that of the last batch before it.
    var sequence: SequenceNumber
    /// The length of the encoded batch, in bytes.
    var bodyByteCount: UInt32
    /// Up to where the file was known to be durable when the record was written.
    var durableThrough: UInt64
    /// The header checksum of the record before in the file; 0 for the first.
    var previousChecksum: UInt32
    /// The CRC32C of the encoded batch.
    var bodyChecksum: UInt32
    /// The header's own checksum, once it has been encoded or decoded.
    private(set) var checksum: UInt32 = 0

    /// `BREC`.
    static let magic: UInt32 = 0x4345_5242
    /// The length of the encoded header, in bytes.
    static let encodedByteCount = 36

    /// The length of header and body, in bytes.
    var byteCount: UInt64 { UInt64(WriteAheadLogRecord.encodedByteCount) + UInt64(bodyByteCount) }

    init(
        kind: Kind,
        sequence: SequenceNumber,
        bodyByteCount: UInt32,
        durableThrough: UInt64,
        previousChecksum: UInt32,
        bodyChecksum: UInt32
    ) {
        self.kind = kind
        self.sequence = sequence
        self.bodyByteCount = bodyByteCount
        self.durableThrough = durableThrough
        self.previousChecksum = previousChecksum
        self.bodyChecksum = bodyChecksum
    }

    /// What the checksums of a file's records begin with: everything of their place but the offset.
    static func checksumSeed(engineID: UInt64, number: UInt64) -> UInt32 {
        withUnsafeBytes(of: (engineID.littleEndian, number.littleEndian)) { CRC32C.checksum($0) }
    }

    /// Writes the header into the first 36 bytes of `target`, for a record at `offset`.
    mutating func encode(into target: UnsafeMutableRawBufferPointer, seed: UInt32, offset: UInt64) {
        target.storeBytes(of: WriteAheadLogRecord.magic.littleEndian, toByteOffset: 0, as: UInt32.self)
        target.storeBytes(of: bodyByteCount.littleEndian, toByteOffset: 4, as: UInt32.self)
        target.storeBytes(of: durableThrough.littleEndian, toByteOffset: 8, as: UInt64.self)
        let number = sequence << 8 | UInt64(kind.rawValue)
        target.storeBytes(of: number.littleEndian, toByteOffset: 16, as: UInt64.self)
        target.storeBytes(of: previousChecksum.littleEndian, toByteOffset: 24, as: UInt32.self)
        target.storeBytes(of: bodyChecksum.littleEndian, toByteOffset: 28, as: UInt32.self)
        let checked = UnsafeRawBufferPointer(rebasing: target[0..<32])
        checksum = WriteAheadLogRecord.checksum(checked, seed: seed, offset: offset)
        target.storeBytes(of: checksum.littleEndian, toByteOffset: 32, as: UInt32.self)
    }

    /// The header in the first 36 bytes of `raw`, which lie at `offset` of the file; nil where there is none whose
    /// checksum matches.
    init?(decoding raw: UnsafeRawBufferPointer, seed: UInt32, offset: UInt64) {
        guard raw.count >= WriteAheadLogRecord.encodedByteCount else { return nil }
        func half(_ place: Int) -> UInt32 {
            UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: place, as: UInt32.self))
        }
        func word(_ place: Int) -> UInt64 {
            UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: place, as: UInt64.self))
        }
        guard half(0) == WriteAheadLogRecord.magic else { return nil }
        let checked = UnsafeRawBufferPointer(rebasing: raw[0..<32])
        guard WriteAheadLogRecord.checksum(checked, seed: seed, offset: offset) == half(32) else { return nil }
        guard let kind = Kind(rawValue: UInt8(truncatingIfNeeded: word(16))) else { return nil }
        self.init(
            kind: kind,
            sequence: word(16) >> 8,
            bodyByteCount: half(4),
            durableThrough: word(8),
            previousChecksum: half(24),
            bodyChecksum: half(28)
        )
        checksum = half(32)
    }

    private static func checksum(_ header: UnsafeRawBufferPointer, seed: UInt32, offset: UInt64) -> UInt32 {
        let placed = withUnsafeBytes(of: offset.littleEndian) { CRC32C.extend(seed, with: $0) }
        return CRC32C.extend(placed, with: header)
    }
}
