import BalsaPlatform

/// The file CURRENT: which manifest is the live one. 36 bytes, replaced as a whole.
struct CurrentFile: Equatable {
    static let byteCount = 36
    private static let magic: UInt64 = 0x5255_4341_534c_4142  // "BALSACUR" on disk
    private static let version: UInt32 = 1

    /// The number of the live manifest.
    var manifestNumber: UInt64
    /// The number of the engine, the same as in the manifest.
    var engineID: UInt64

    init(manifestNumber: UInt64, engineID: UInt64) {
        self.manifestNumber = manifestNumber
        self.engineID = engineID
    }

    /// The encoded form.
    func encoded() throws(DecodingError) -> Bytes {
        var writer = ByteWriter(capacity: CurrentFile.byteCount, limit: CurrentFile.byteCount)
        try writer.uint64(CurrentFile.magic, "magic")
        try writer.uint32(CurrentFile.version, "version")
        try writer.uint32(0, "reserved")
        try writer.uint64(manifestNumber, "manifest number")
        try writer.uint64(engineID, "engine id")
        try writer.uint32(writer.checksum(of: 0..<CurrentFile.byteCount - 4), "checksum")
        return Bytes(writer.array)
    }

    /// What `bytes` are the encoded form of.
    init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try CurrentFile(from: &reader) }
    }

    private init(from reader: inout ByteReader) throws(DecodingError) {
        guard try reader.uint64("magic") == CurrentFile.magic else { throw DecodingError(.magic, "magic", at: 0) }
        let version = try reader.uint32("version")
        let reserved = try reader.uint32("reserved")
        manifestNumber = try reader.uint64("manifest number")
        engineID = try reader.uint64("engine id")
        let checksum = reader.checksum(of: 0..<reader.offset)
        guard try reader.uint32("checksum") == checksum else {
            throw DecodingError(.checksum, "checksum", at: CurrentFile.byteCount - 4)
        }
        guard version <= CurrentFile.version else { throw DecodingError(.version, "version", at: 8) }
        guard version > 0 else { throw DecodingError(.outOfBounds, "version", at: 8) }
        guard reserved == 0 else { throw DecodingError(.outOfBounds, "reserved", at: 12) }
        try reader.finish("current")
    }
}
