import BalsaPlatform

/// The bytes of an edit: fields one behind the other, each with its tag. `Docs/ManifestFormat.md` has the layout.
extension VersionEdit {
    private enum Tag: UInt8 {
        case removed = 1
        case added = 2
        case seal = 3
        case nextFileNumber = 4
        case floor = 5
    }

    /// The most bytes that an edit may have: the image of a very large engine, with room.
    static let maxByteCount = 1 << 30

    /// The encoded form.
    func encoded() throws(DecodingError) -> Bytes {
        var writer = ByteWriter(capacity: 256 + (seal?.systemState.count ?? 0), limit: VersionEdit.maxByteCount)
        for removed in removed {
            try writer.uint8(Tag.removed.rawValue, "tag")
            try writer.uint8(UInt8(removed.level), "level")
            try writer.uint64(removed.number, "number")
        }
        for placed in added {
            try writer.uint8(Tag.added.rawValue, "tag")
            try writer.uint8(UInt8(placed.level), "level")
            try placed.table.encode(to: &writer)
        }
        if let seal {
            try writer.uint8(Tag.seal.rawValue, "tag")
            try seal.encode(to: &writer)
        }
        try writer.field(Tag.nextFileNumber.rawValue, nextFileNumber)
        try writer.field(Tag.floor.rawValue, floor)
        return Bytes(writer.array)
    }

    /// The edit that `bytes` are the encoded form of.
    init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try VersionEdit(from: &reader) }
    }

    private init(from reader: inout ByteReader) throws(DecodingError) {
        self.init()
        while reader.remaining > 0 {
            let place = reader.offset
            switch Tag(rawValue: try reader.uint8("tag")) {
            case .removed:
                removed.append(Removed(level: try reader.level(), number: try reader.uint64("number")))
            case .added:
                let level = try reader.level()
                added.append(Placed(level: level, table: try TableMetadata(from: &reader)))
            case .seal: seal = try SealRecord(from: &reader)
            case .nextFileNumber:
                let number = try reader.uint64("next file number")
                guard number <= ManifestState.maxFileNumber else {
                    throw DecodingError(.outOfBounds, "next file number", at: place)
                }
                nextFileNumber = number
            case .floor: floor = try reader.uint64("floor")
            // Skipping what is not understood could be skipping a table.
            case nil: throw DecodingError(.version, "tag", at: place)
            }
        }
    }
}

extension ByteWriter {
    /// Appends a number under its tag, if there is one.
    fileprivate mutating func field(_ tag: UInt8, _ value: UInt64?) throws(DecodingError) {
        guard let value else { return }
        try uint8(tag, "tag")
        try uint64(value, "number")
    }

    /// Appends bytes behind their length.
    fileprivate mutating func counted(_ bytes: Bytes, _ field: StaticString) throws(DecodingError) {
        guard let count = UInt32(exactly: bytes.count) else { throw DecodingError(.outOfBounds, field, at: self.count) }
        try uint32(count, field)
        try self.bytes(bytes, field)
    }
}

extension ByteReader {
    fileprivate mutating func level() throws(DecodingError) -> Int {
        let place = offset
        let level = Int(try uint8("level"))
        guard level < ManifestState.maxLevels else { throw DecodingError(.outOfBounds, "level", at: place) }
        return level
    }

    fileprivate mutating func counted(_ field: StaticString) throws(DecodingError) -> Bytes {
        let count = Int(try uint32(field))
        return try bytes(count, field)
    }

    fileprivate mutating func sequence(_ field: StaticString) throws(DecodingError) -> SequenceNumber {
        let place = offset
        let sequence = try uint64(field)
        guard sequence <= largestSequenceNumber else { throw DecodingError(.outOfBounds, field, at: place) }
        return sequence
    }
}

extension TableMetadata {
    fileprivate func encode(to writer: inout ByteWriter) throws(DecodingError) {
        for number in [number, id, byteCount] { try writer.uint64(number, "table") }
        for number in [
            smallestSequence, largestSequence, entryCount, deletionCount, rangeDeletionCount, keyCount,
            largestEntrySequence, deadBytes, deadSequence,
        ] { try writer.uint64(number, "table") }
        try writer.uint8(largestIsExclusive ? 1 : 0, "largest is exclusive")
        try writer.counted(smallest, "smallest")
        try writer.counted(largest, "largest")
    }

    fileprivate init(from reader: inout ByteReader) throws(DecodingError) {
        let number = try reader.uint64("number")
        let id = try reader.uint64("id")
        let byteCount = try reader.uint64("byte count")
        let smallestSequence = try reader.sequence("smallest sequence")
        let largestSequence = try reader.sequence("largest sequence")
        let entryCount = try reader.uint64("entry count")
        let deletionCount = try reader.uint64("deletion count")
        let rangeDeletionCount = try reader.uint64("range deletion count")
        let keyCount = try reader.uint64("key count")
        let largestEntrySequence = try reader.sequence("largest entry sequence")
        let deadBytes = try reader.uint64("dead bytes")
        let deadSequence = try reader.sequence("dead sequence")
        // Each of them takes bytes. The manifest may come from another member, and its counts are added up everywhere.
        guard entryCount <= byteCount, deletionCount <= entryCount, rangeDeletionCount <= byteCount else {
            throw DecodingError(.inconsistent, "counts of a table", at: reader.offset)
        }
        guard keyCount <= entryCount, (keyCount == 0) == (entryCount == 0), largestEntrySequence <= largestSequence,
            deadSequence <= largestSequence
        else { throw DecodingError(.inconsistent, "counts of a table", at: reader.offset) }
        let place = reader.offset
        let flag = try reader.uint8("largest is exclusive")
        guard flag <= 1 else { throw DecodingError(.outOfBounds, "largest is exclusive", at: place) }
        self.init(
            number: number,
            id: id,
            byteCount: byteCount,
            smallest: try reader.counted("smallest"),
            largest: try reader.counted("largest"),
            largestIsExclusive: flag == 1,
            smallestSequence: smallestSequence,
            largestSequence: largestSequence,
            entryCount: entryCount,
            deletionCount: deletionCount,
            rangeDeletionCount: rangeDeletionCount,
            keyCount: keyCount,
            largestEntrySequence: largestEntrySequence,
            deadBytes: deadBytes,
            deadSequence: deadSequence
        )
    }
}

extension SealRecord {
    fileprivate func encode(to writer: inout ByteWriter) throws(DecodingError) {
        for number in [sequence, term, stamp, retentionMark] { try writer.uint64(number, "seal") }
        try writer.counted(systemState, "system state")
    }

    fileprivate init(from reader: inout ByteReader) throws(DecodingError) {
        self.init(
            sequence: try reader.sequence("sequence"),
            term: try reader.uint64("term"),
            stamp: try reader.uint64("stamp"),
            retentionMark: try reader.sequence("retention mark"),
            systemState: try reader.counted("system state")
        )
        guard systemState.count <= SealRecord.maxSystemStateBytes, retentionMark <= sequence else {
            throw DecodingError(.inconsistent, "seal", at: reader.offset)
        }
    }
}
