import BalsaPlatform

/// A range of a table's file: a block, or a section behind the blocks. Its checksum follows it and is not counted.
struct TablePlace: Equatable {
    /// Where it begins, in bytes from the beginning of the file.
    var offset: UInt64
    /// Its length, in bytes.
    var byteCount: UInt64

    /// Where what follows its checksum begins.
    var end: UInt64 { offset + byteCount + UInt64(TableLayout.checksumBytes) }
}

/// Numbers and checksums of the table format. `Docs/TableFormat.md` describes it.
enum TableLayout {
    /// `BALSATBL`.
    static let magic: UInt64 = 0x4c42_5441_534c_4142
    /// `BALSAEND`.
    static let footerMagic: UInt64 = 0x444e_4541_534c_4142
    /// The version of the format that this release writes, and the newest that it reads.
    static let version: UInt32 = 1
    /// The length of a checksum, in bytes.
    static let checksumBytes = 4
    /// The length of the header at the beginning of the file, in bytes.
    static let headerBytes = 32
    /// The length of the footer at the end of the file, in bytes.
    static let footerBytes = 96
    /// The longest key that fits into the format's 16 bits, in bytes.
    static let maxKeyBytes = Int(UInt16.max)
    /// The longest value, in bytes: a block with it must not exceed what a place in memory may count.
    static let maxValueBytes = 1 << 30
    /// The longest block, in bytes: one of a single entry with the longest key and value.
    static let maxBlockBytes = maxValueBytes + 2 * maxKeyBytes
    /// The smallest and the largest target size of a block, in bytes. A block with several entries is at most twice as
    /// long, so that 16 bits tell where its entries begin.
    static let blockRange = 128...(32 << 10)

    /// The checksum of `bytes` at `offset` of the table `id`.
    ///
    /// It covers the place: bytes that a disk wrote to, or read from, somewhere else have a right checksum for there.
    static func checksum(_ bytes: UnsafeRawBufferPointer, id: UInt64, offset: UInt64) -> UInt32 {
        let place = (id.littleEndian, offset.littleEndian)
        let checksum = CRC32C.checksum(bytes)
        return withUnsafeBytes(of: place) { CRC32C.extend(checksum, with: $0) }
    }

    // MARK: Header

    /// The beginning of the file of the table `id`.
    static func appendHeader(id: UInt64, to output: inout RawBuffer) {
        let start = output.count
        output.append(magic)
        output.append(version)
        output.append(UInt32(0))
        output.append(id)
        output.append(UInt32(0))
        appendChecksum(from: start, id: id, offset: 0, to: &output)
    }

    /// Checks the beginning of the file of the table `id`.
    ///
    /// The header looks the same in every version of the format, so that its checksum can be verified before the
    /// version is believed.
    static func checkHeader(_ bytes: UnsafeRawBufferPointer, id: UInt64) throws(DecodingError) {
        var reader = ByteReader(bytes.bytes)
        guard try reader.uint64("table magic") == magic else { throw DecodingError(.magic, "table magic", at: 0) }
        let version = try reader.uint32("table version")
        let reserved = try reader.uint32("table reserved")
        let storedID = try reader.uint64("table id")
        let padding = try reader.uint32("table reserved")
        let stored = try reader.uint32("table header checksum")
        guard checksum(UnsafeRawBufferPointer(rebasing: bytes[0..<headerBytes - 4]), id: storedID, offset: 0) == stored
        else { throw DecodingError(.checksum, "table header checksum", at: headerBytes - 4) }
        guard version <= TableLayout.version else { throw DecodingError(.version, "table version", at: 8) }
        guard version > 0 else { throw DecodingError(.outOfBounds, "table version", at: 8) }
        guard reserved == 0 else { throw DecodingError(.outOfBounds, "table reserved", at: 12) }
        guard padding == 0 else { throw DecodingError(.outOfBounds, "table reserved", at: 24) }
        guard storedID == id else { throw DecodingError(.inconsistent, "table id", at: 16) }
    }

    /// Appends the checksum of what `output` holds from `start` on, which lies at `offset` in the file.
    static func appendChecksum(from start: Int, id: UInt64, offset: UInt64, to output: inout RawBuffer) {
        let bytes = UnsafeRawBufferPointer(rebasing: output.bytes[start...])
        output.append(checksum(bytes, id: id, offset: offset))
    }
}

/// The end of a table's file: where its sections lie.
///
/// The sections follow the blocks and each other without gaps, in the order of the fields.
struct TableFooter: Equatable {
    /// How a filter is made.
    enum FilterKind {
        /// There is none.
        static let none: UInt32 = 0
        /// ``TableFilter`` over ``KeyHash``.
        static let blocked: UInt32 = 1
    }

    var filterKind: UInt32
    var filter: TablePlace
    var index: TablePlace
    var tombstones: TablePlace
    var properties: TablePlace
    /// The size of the file, in bytes.
    var fileBytes: UInt64

    func append(id: UInt64, to output: inout RawBuffer) {
        let start = output.count
        output.append(TableLayout.footerMagic)
        output.append(filterKind)
        output.append(UInt32(0))
        for place in [filter, index, tombstones, properties] {
            output.append(place.offset)
            output.append(place.byteCount)
        }
        output.append(fileBytes)
        output.append(UInt32(0))
        TableLayout.appendChecksum(
            from: start,
            id: id,
            offset: fileBytes - UInt64(TableLayout.footerBytes),
            to: &output
        )
    }

    init(
        filterKind: UInt32,
        filter: TablePlace,
        index: TablePlace,
        tombstones: TablePlace,
        properties: TablePlace,
        fileBytes: UInt64
    ) {
        self.filterKind = filterKind
        self.filter = filter
        self.index = index
        self.tombstones = tombstones
        self.properties = properties
        self.fileBytes = fileBytes
    }

    /// Decodes the footer of the table `id`, whose file has `fileBytes` bytes.
    init(decoding bytes: UnsafeRawBufferPointer, id: UInt64, fileBytes: UInt64) throws(DecodingError) {
        let offset = fileBytes - UInt64(TableLayout.footerBytes)
        var reader = ByteReader(bytes.bytes)
        guard try reader.uint64("footer magic") == TableLayout.footerMagic else {
            throw DecodingError(.magic, "footer magic", at: 0)
        }
        filterKind = try reader.uint32("filter kind")
        let reserved = try reader.uint32("footer reserved")
        filter = TablePlace(offset: try reader.uint64("filter offset"), byteCount: try reader.uint64("filter size"))
        index = TablePlace(offset: try reader.uint64("index offset"), byteCount: try reader.uint64("index size"))
        tombstones = TablePlace(
            offset: try reader.uint64("tombstones offset"),
            byteCount: try reader.uint64("tombstones size")
        )
        properties = TablePlace(
            offset: try reader.uint64("properties offset"),
            byteCount: try reader.uint64("properties size")
        )
        self.fileBytes = try reader.uint64("file size")
        let padding = try reader.uint32("footer reserved")
        let stored = try reader.uint32("footer checksum")
        let covered = UnsafeRawBufferPointer(rebasing: bytes[0..<TableLayout.footerBytes - 4])
        guard TableLayout.checksum(covered, id: id, offset: offset) == stored else {
            throw DecodingError(.checksum, "footer checksum", at: TableLayout.footerBytes - 4)
        }
        guard self.fileBytes == fileBytes else { throw DecodingError(.inconsistent, "file size", at: 80) }
        guard reserved == 0 else { throw DecodingError(.outOfBounds, "footer reserved", at: 12) }
        guard padding == 0 else { throw DecodingError(.outOfBounds, "footer reserved", at: 88) }
        // Each place is held against the file before its end is computed, so that no sum can overflow.
        var next = filter.offset
        guard next >= UInt64(TableLayout.headerBytes) else {
            throw DecodingError(.outOfBounds, "filter offset", at: 16)
        }
        for place in [filter, index, tombstones, properties] {
            guard place.offset == next, place.offset <= offset, place.byteCount <= offset - place.offset else {
                throw DecodingError(.outOfBounds, "section place", at: 16)
            }
            next = place.end
        }
        guard next == offset else { throw DecodingError(.inconsistent, "section place", at: 16) }
        let isFiltered = filterKind != FilterKind.none
        guard isFiltered == (filter.byteCount > 0) else { throw DecodingError(.inconsistent, "filter size", at: 24) }
    }
}
