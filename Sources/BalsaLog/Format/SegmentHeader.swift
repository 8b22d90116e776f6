import BalsaPlatform

/// The beginning of a segment: its first sector holds this and zeros. `Docs/LogFormat.md` has the layout.
package struct SegmentHeader: Equatable, Sendable {
    /// The number of the segment, which is also its name.
    package var number: UInt64
    /// The size of the file, in bytes.
    package var byteCount: UInt64
    /// The size of a sector, in bytes: frames begin at multiples of it.
    package var sectorBytes: UInt32

    /// `BALSALOG`.
    static let magic: UInt64 = 0x474f_4c41_534c_4142
    /// The version of the format that this release writes, and the newest that it reads.
    static let version: UInt32 = 1
    /// The length of the encoded header, in bytes.
    static let encodedByteCount = 36

    /// The header's whole sector.
    func encoded() -> Bytes {
        let slab = Slab.filled(capacity: Int(sectorBytes)) { target in
            _ = target.initializeMemory(as: UInt8.self, repeating: 0)
            target.storeBytes(of: SegmentHeader.magic.littleEndian, toByteOffset: 0, as: UInt64.self)
            target.storeBytes(of: SegmentHeader.version.littleEndian, toByteOffset: 8, as: UInt32.self)
            target.storeBytes(of: sectorBytes.littleEndian, toByteOffset: 12, as: UInt32.self)
            target.storeBytes(of: number.littleEndian, toByteOffset: 16, as: UInt64.self)
            target.storeBytes(of: byteCount.littleEndian, toByteOffset: 24, as: UInt64.self)
            let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: target[0..<32]))
            target.storeBytes(of: checksum.littleEndian, toByteOffset: 32, as: UInt32.self)
            return target.count
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Decodes the header at the beginning of `bytes`.
    ///
    /// The version is looked at before the checksum, because a newer format may have it elsewhere.
    package init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in
            guard try reader.uint64("segment magic") == SegmentHeader.magic else {
                throw DecodingError(.magic, "segment magic", at: 0)
            }
            let version = try reader.uint32("segment version")
            guard version <= SegmentHeader.version else { throw DecodingError(.version, "segment version", at: 8) }
            guard version > 0 else { throw DecodingError(.outOfBounds, "segment version", at: 8) }
            let sectorBytes = try reader.uint32("segment sector size")
            let number = try reader.uint64("segment number")
            let byteCount = try reader.uint64("segment size")
            let stored = try reader.uint32("segment checksum")
            guard reader.checksum(of: 0..<32) == stored else {
                throw DecodingError(.checksum, "segment checksum", at: 32)
            }
            guard LogOptions.sectorRange.contains(Int(sectorBytes)), sectorBytes.nonzeroBitCount == 1 else {
                throw DecodingError(.outOfBounds, "segment sector size", at: 12)
            }
            guard byteCount % UInt64(sectorBytes) == 0, byteCount >= 2 * UInt64(sectorBytes),
                byteCount <= UInt64(Int64.max)
            else { throw DecodingError(.outOfBounds, "segment size", at: 24) }
            return SegmentHeader(number: number, byteCount: byteCount, sectorBytes: sectorBytes)
        }
    }

    init(number: UInt64, byteCount: UInt64, sectorBytes: UInt32) {
        self.number = number
        self.byteCount = byteCount
        self.sectorBytes = sectorBytes
    }
}
