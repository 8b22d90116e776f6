import BalsaPlatform

/// The bytes around the edits of a manifest. `Docs/ManifestFormat.md` has the layout.
///
/// The checksum of a record's header covers the number of the manifest and the place of the record, so that bytes of another
/// manifest, or of another place of this one, are never taken for a record.
enum ManifestRecord {
    /// The header of the file.
    struct FileHeader: Equatable {
        static let byteCount = 40
        private static let magic: UInt64 = 0x4e41_4d41_534c_4142  // "BALSAMAN" on disk
        private static let version: UInt32 = 1

        /// The number of the manifest, the same as in its name.
        var number: UInt64
        /// The number of the engine, which is drawn once and stays.
        var engineID: UInt64

        func encode(to writer: inout ByteWriter) throws(DecodingError) {
            let start = writer.count
            try writer.uint64(FileHeader.magic, "magic")
            try writer.uint32(FileHeader.version, "version")
            try writer.uint32(0, "reserved")
            try writer.uint64(number, "number")
            try writer.uint64(engineID, "engine id")
            try writer.uint32(0, "reserved")
            try writer.uint32(writer.checksum(of: start..<start + FileHeader.byteCount - 4), "checksum")
        }

        init(number: UInt64, engineID: UInt64) {
            self.number = number
            self.engineID = engineID
        }

        init(from reader: inout ByteReader) throws(DecodingError) {
            let start = reader.offset
            guard try reader.uint64("magic") == FileHeader.magic else {
                throw DecodingError(.magic, "magic", at: start)
            }
            let version = try reader.uint32("version")
            let reserved = try reader.uint32("reserved")
            number = try reader.uint64("number")
            engineID = try reader.uint64("engine id")
            let padding = try reader.uint32("reserved")
            let checksum = reader.checksum(of: start..<reader.offset)
            guard try reader.uint32("checksum") == checksum else {
                throw DecodingError(.checksum, "file header", at: start)
            }
            guard version <= FileHeader.version else { throw DecodingError(.version, "version", at: start + 8) }
            guard version > 0 else { throw DecodingError(.outOfBounds, "version", at: start + 8) }
            guard reserved == 0 else { throw DecodingError(.outOfBounds, "reserved", at: start + 12) }
            guard padding == 0 else { throw DecodingError(.outOfBounds, "reserved", at: start + 32) }
        }
    }

    static let headerBytes = 24
    /// Records that are written one after the other begin at multiples of this: no device writes larger units, so that a
    /// record that is torn takes nothing with it of those before.
    static let sectorBytes = 4096
    static let magic: UInt32 = 0x4345_524d  // "MREC" on disk

    /// A record at `offset` of the manifest `number` that holds `body`.
    static func encode(
        _ body: Bytes,
        to writer: inout ByteWriter,
        number: UInt64,
        offset: UInt64
    ) throws(DecodingError) {
        guard let count = UInt32(exactly: body.count) else { throw DecodingError(.outOfBounds, "body", at: 0) }
        let start = writer.count
        try writer.uint32(magic, "magic")
        try writer.uint32(count, "body bytes")
        try writer.uint64(offset, "offset")
        try writer.uint32(CRC32C.checksum(body), "body checksum")
        let checksum = seal(writer.checksum(of: start..<start + headerBytes - 4), with: number)
        try writer.uint32(checksum, "header checksum")
        try writer.bytes(body, "body")
    }

    /// The body of the record at `offset` of `file`, a whole manifest of that number; nil where there is no valid one.
    static func body(at offset: Int, of file: Bytes, number: UInt64) -> Range<Int>? {
        guard offset <= file.count - headerBytes else { return nil }
        return file.withUnsafeBytes { raw -> Range<Int>? in
            func load<Number: FixedWidthInteger & BitwiseCopyable>(_ place: Int, _ type: Number.Type) -> Number {
                Number(littleEndian: raw.loadUnaligned(fromByteOffset: offset + place, as: type))
            }
            guard load(0, UInt32.self) == magic, load(8, UInt64.self) == UInt64(offset) else { return nil }
            let header = UnsafeRawBufferPointer(rebasing: raw[offset..<offset + headerBytes - 4])
            guard load(headerBytes - 4, UInt32.self) == seal(CRC32C.checksum(header), with: number) else { return nil }
            let count = Int(load(4, UInt32.self))
            guard count <= raw.count - offset - headerBytes else { return nil }
            let body = offset + headerBytes..<offset + headerBytes + count
            let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: raw[body]))
            return load(16, UInt32.self) == checksum ? body : nil
        }
    }

    /// Where the record behind one that ends at `offset` begins.
    static func start(behind offset: Int) -> Int { (offset + sectorBytes - 1) / sectorBytes * sectorBytes }

    /// Zeros from `offset` to where the next record begins. They are written along with what is before them, so that a write
    /// of the next record never has to fill up a sector that is durable.
    static func pad(_ writer: inout ByteWriter, from offset: Int) throws(DecodingError) {
        try writer.zeros(start(behind: offset) - offset, "padding")
    }

    /// Carries `checksum` on over the number of the manifest.
    private static func seal(_ checksum: UInt32, with number: UInt64) -> UInt32 {
        withUnsafeBytes(of: number.littleEndian) { CRC32C.extend(checksum, with: $0) }
    }
}
