import BalsaPlatform

/// A place in a write-ahead log: a file by its number, and an offset in it. Number 0 stands for no place.
struct WriteAheadLogPlace: Equatable {
    var number: UInt64
    var offset: UInt64

    static let none = WriteAheadLogPlace(number: 0, offset: 0)
}

/// The first sector of a file of the write-ahead log. `Docs/WriteAheadLogFormat.md` has the layout.
///
/// The header says where the log before this file ends. Files are therefore a chain that is followed backwards from the
/// last: a file that reappears after a power loss, or one that is missing, is told from one that belongs there.
struct WriteAheadLogHeader: Equatable {
    /// The number of the file, which is also in its name.
    var number: UInt64
    /// The engine that the file belongs to.
    var engineID: UInt64
    /// The size of a sector, in bytes. Records behind a sync begin on a new one.
    var sectorBytes: UInt32
    /// The end of the log before this file; none where there is no log before it.
    var predecessor: WriteAheadLogPlace
    /// The number of the last batch before this file.
    var baseSequence: SequenceNumber
    /// Up to where the file was durable when it got its name.
    var durableThrough: UInt64

    /// `BALSAWAL`.
    static let magic: UInt64 = 0x4c41_5741_534c_4142
    /// The version of the format that this release writes, and the newest that it reads.
    static let version: UInt32 = 1
    /// The length of the encoded header, in bytes.
    static let encodedByteCount = 68
    /// The sizes that a sector may have, in bytes; powers of two.
    static let sectorRange: ClosedRange<UInt32> = 128...65_536

    /// Where the first record of a file begins.
    var start: UInt64 { UInt64(sectorBytes) }

    /// The header's whole sector.
    func encoded() -> Bytes {
        let slab = Slab.filled(capacity: Int(sectorBytes)) { target in
            _ = target.initializeMemory(as: UInt8.self, repeating: 0)
            target.storeBytes(of: WriteAheadLogHeader.magic.littleEndian, toByteOffset: 0, as: UInt64.self)
            target.storeBytes(of: WriteAheadLogHeader.version.littleEndian, toByteOffset: 8, as: UInt32.self)
            target.storeBytes(of: sectorBytes.littleEndian, toByteOffset: 12, as: UInt32.self)
            target.storeBytes(of: number.littleEndian, toByteOffset: 16, as: UInt64.self)
            target.storeBytes(of: engineID.littleEndian, toByteOffset: 24, as: UInt64.self)
            target.storeBytes(of: predecessor.number.littleEndian, toByteOffset: 32, as: UInt64.self)
            target.storeBytes(of: predecessor.offset.littleEndian, toByteOffset: 40, as: UInt64.self)
            target.storeBytes(of: baseSequence.littleEndian, toByteOffset: 48, as: UInt64.self)
            target.storeBytes(of: durableThrough.littleEndian, toByteOffset: 56, as: UInt64.self)
            let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: target[0..<64]))
            target.storeBytes(of: checksum.littleEndian, toByteOffset: 64, as: UInt32.self)
            return target.count
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Decodes the header at the beginning of `bytes`.
    ///
    /// The version is looked at before the checksum, because a newer format may have it elsewhere.
    init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in
            guard try reader.uint64("log magic") == WriteAheadLogHeader.magic else {
                throw DecodingError(.magic, "log magic", at: 0)
            }
            let version = try reader.uint32("log version")
            guard version <= WriteAheadLogHeader.version else { throw DecodingError(.version, "log version", at: 8) }
            guard version > 0 else { throw DecodingError(.outOfBounds, "log version", at: 8) }
            let header = WriteAheadLogHeader(
                sectorBytes: try reader.uint32("log sector size"),
                number: try reader.uint64("log number"),
                engineID: try reader.uint64("log engine"),
                predecessor: WriteAheadLogPlace(
                    number: try reader.uint64("predecessor number"),
                    offset: try reader.uint64("predecessor offset")
                ),
                baseSequence: try reader.uint64("log base"),
                durableThrough: try reader.uint64("log durable through")
            )
            let stored = try reader.uint32("log checksum")
            guard reader.checksum(of: 0..<64) == stored else { throw DecodingError(.checksum, "log checksum", at: 64) }
            guard WriteAheadLogHeader.sectorRange.contains(header.sectorBytes),
                header.sectorBytes.nonzeroBitCount == 1
            else { throw DecodingError(.outOfBounds, "log sector size", at: 12) }
            guard header.predecessor.number < header.number else {
                throw DecodingError(.inconsistent, "predecessor number", at: 32)
            }
            guard header.baseSequence <= largestSequenceNumber else {
                throw DecodingError(.outOfBounds, "log base", at: 48)
            }
            guard header.durableThrough >= header.start, header.durableThrough <= UInt64(Int64.max) else {
                throw DecodingError(.outOfBounds, "log durable through", at: 56)
            }
            return header
        }
    }

    init(
        sectorBytes: UInt32,
        number: UInt64,
        engineID: UInt64,
        predecessor: WriteAheadLogPlace,
        baseSequence: SequenceNumber,
        durableThrough: UInt64
    ) {
        self.number = number
        self.engineID = engineID
        self.sectorBytes = sectorBytes
        self.predecessor = predecessor
        self.baseSequence = baseSequence
        self.durableThrough = durableThrough
    }
}
