import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The beginning of a segment: its first sectors hold this and zeros. `Docs/LogFormat.md` has the layout.
package struct SegmentHeader: Equatable, Sendable {
    /// The number of the segment, which is also its name.
    package var number: UInt64
    /// The size of the file, in bytes.
    package var byteCount: UInt64
    /// The size of a sector, in bytes: frames begin at multiples of it.
    package var sectorBytes: UInt32
    /// The length of the header, in bytes: where the first frame begins.
    package var headerBytes: UInt32
    /// A random number of this use of the file. The checksum of every frame header begins with it, so that neither a
    /// frame of an earlier use nor a value that looks like a frame is taken for one.
    package var salt: UInt64
    /// Whose the segment is.
    package var owner: FileOwner

    /// `BALSALOG`.
    static let magic: UInt64 = 0x474f_4c41_534c_4142
    /// The version of the format that this release writes, and the newest that it reads.
    static let version: UInt32 = 1
    /// The length of the fields before the reserved bytes.
    static let fieldsByteCount = 80
    /// The lengths that a header may have.
    static let headerRange = 128...65_536
    /// A header of this length has room for the two newest configurations.
    private static let usualHeaderBytes = 4_096

    /// How long the header is in a log of these sectors: with the usual ones it has room for configurations.
    static func headerBytes(sectorBytes: Int) -> Int {
        sectorBytes >= usualHeaderBytes ? sectorBytes : max(sectorBytes, headerRange.lowerBound)
    }

    /// Where the first frame begins.
    var firstFrame: UInt64 { UInt64(headerBytes) }

    /// With what the checksums of frame headers begin.
    var frameSeed: UInt32 {
        withUnsafeBytes(of: salt.littleEndian) { CRC32C.checksum($0) }
    }

    /// The whole header.
    func encoded() -> Bytes {
        let slab = Slab.filled(capacity: Int(headerBytes)) { target in
            _ = target.initializeMemory(as: UInt8.self, repeating: 0)
            target.storeBytes(of: SegmentHeader.magic.littleEndian, toByteOffset: 0, as: UInt64.self)
            target.storeBytes(of: SegmentHeader.version.littleEndian, toByteOffset: 8, as: UInt32.self)
            target.storeBytes(of: sectorBytes.littleEndian, toByteOffset: 12, as: UInt32.self)
            target.storeBytes(of: number.littleEndian, toByteOffset: 16, as: UInt64.self)
            target.storeBytes(of: byteCount.littleEndian, toByteOffset: 24, as: UInt64.self)
            target.storeBytes(of: headerBytes.littleEndian, toByteOffset: 32, as: UInt32.self)
            target.storeBytes(of: salt.littleEndian, toByteOffset: 40, as: UInt64.self)
            target.store(owner, at: 48)
            let end = Int(headerBytes) - 4
            let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: target[0..<end]))
            target.storeBytes(of: checksum.littleEndian, toByteOffset: end, as: UInt32.self)
            return target.count
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Decodes the header at the beginning of `bytes`.
    ///
    /// The version is looked at before the checksum, because a newer format may have it elsewhere.
    package init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try SegmentHeader(from: &reader) }
    }

    private init(from reader: inout ByteReader) throws(DecodingError) {
        guard try reader.uint64("segment magic") == SegmentHeader.magic else {
            throw DecodingError(.magic, "segment magic", at: 0)
        }
        let version = try reader.uint32("segment version")
        guard version <= SegmentHeader.version else { throw DecodingError(.version, "segment version", at: 8) }
        guard version > 0 else { throw DecodingError(.outOfBounds, "segment version", at: 8) }
        sectorBytes = try reader.uint32("segment sector size")
        number = try reader.uint64("segment number")
        byteCount = try reader.uint64("segment size")
        headerBytes = try reader.uint32("segment header size")
        // It is bounded before anything is read that it says the length of; then the checksum decides.
        guard SegmentHeader.headerRange.contains(Int(headerBytes)) else {
            throw DecodingError(.outOfBounds, "segment header size", at: 32)
        }
        let end = Int(headerBytes) - 4
        guard reader.offset + reader.remaining >= end + 4 else {
            throw DecodingError(.truncated, "segment checksum", at: end)
        }
        var rest = reader
        _ = try rest.bytes(end - rest.offset, "segment reserved bytes")
        guard try rest.uint32("segment checksum") == reader.checksum(of: 0..<end) else {
            throw DecodingError(.checksum, "segment checksum", at: end)
        }
        try reader.zeros(4, "segment reserved bytes")
        salt = try reader.uint64("segment salt")
        owner = try reader.fileOwner()
        try reader.zeros(end - SegmentHeader.fieldsByteCount, "segment reserved bytes")
        // Numbers are counted on from those that are read.
        guard (1...largestNumber).contains(number) else { throw DecodingError(.outOfBounds, "segment number", at: 16) }
        guard LogOptions.sectorRange.contains(Int(sectorBytes)), sectorBytes.nonzeroBitCount == 1 else {
            throw DecodingError(.outOfBounds, "segment sector size", at: 12)
        }
        guard headerBytes % sectorBytes == 0 else { throw DecodingError(.outOfBounds, "segment header size", at: 32) }
        guard byteCount % UInt64(sectorBytes) == 0, byteCount >= UInt64(headerBytes) + UInt64(sectorBytes),
            byteCount <= UInt64(Int64.max)
        else { throw DecodingError(.outOfBounds, "segment size", at: 24) }
    }

    init(number: UInt64, byteCount: UInt64, sectorBytes: UInt32, salt: UInt64 = 0, owner: FileOwner = .none) {
        self.number = number
        self.byteCount = byteCount
        self.sectorBytes = sectorBytes
        self.salt = salt
        self.owner = owner
        headerBytes = UInt32(SegmentHeader.headerBytes(sectorBytes: Int(sectorBytes)))
    }
}
