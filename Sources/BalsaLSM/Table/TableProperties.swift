import BalsaPlatform

/// What a table says of itself, held against what the manifest says of it.
struct TableProperties: Equatable {
    var smallest: Bytes
    var largest: Bytes
    var largestIsExclusive: Bool
    var smallestSequence: SequenceNumber
    var largestSequence: SequenceNumber
    var entryCount: UInt64
    var deletionCount: UInt64
    var rangeDeletionCount: UInt64
    var blockCount: UInt64
    /// How many different keys the entries have.
    var keyCount: UInt64
    /// The length of all keys of entries, in bytes.
    var keyBytes: UInt64
    /// The length of all values, in bytes.
    var valueBytes: UInt64
    /// The highest sequence number of an entry, tombstones left out; 0 without entries.
    var largestEntrySequence: SequenceNumber
    /// How many bytes of keys and values a newer entry or a tombstone of the same table hides, or are of deletions.
    var deadBytes: UInt64
    /// From which retention mark on all of ``deadBytes``, and every tombstone over nothing, can be dropped: the highest
    /// sequence number of an entry or tombstone that hides another, and of a deletion or tombstone; 0 if there is none.
    var deadSequence: SequenceNumber

    /// What the manifest keeps of them.
    func metadata(number: UInt64, id: UInt64, byteCount: UInt64) -> TableMetadata {
        TableMetadata(
            number: number,
            id: id,
            byteCount: byteCount,
            smallest: smallest,
            largest: largest,
            largestIsExclusive: largestIsExclusive,
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

    func append(to output: inout RawBuffer) {
        for number in [
            entryCount, deletionCount, rangeDeletionCount, blockCount, keyCount, keyBytes, valueBytes,
            smallestSequence, largestSequence, largestEntrySequence, deadBytes, deadSequence,
        ] { output.append(number) }
        output.append(UInt32(largestIsExclusive ? 1 : 0))
        output.append(UInt32(smallest.count))
        smallest.withUnsafeBytes { output.append($0) }
        output.append(UInt32(largest.count))
        largest.withUnsafeBytes { output.append($0) }
    }

    /// Decodes the section, whose checksum has been verified.
    init(decoding bytes: UnsafeRawBufferPointer) throws(DecodingError) {
        var reader = ByteReader(bytes.bytes)
        entryCount = try reader.uint64("entry count")
        deletionCount = try reader.uint64("deletion count")
        rangeDeletionCount = try reader.uint64("range deletion count")
        blockCount = try reader.uint64("block count")
        keyCount = try reader.uint64("key count")
        keyBytes = try reader.uint64("key bytes")
        valueBytes = try reader.uint64("value bytes")
        smallestSequence = try reader.uint64("smallest sequence")
        largestSequence = try reader.uint64("largest sequence")
        largestEntrySequence = try reader.uint64("largest entry sequence")
        deadBytes = try reader.uint64("dead bytes")
        deadSequence = try reader.uint64("dead sequence")
        guard largestEntrySequence <= largestSequence, deadSequence <= largestSequence else {
            throw DecodingError(.outOfBounds, "sequences of the properties", at: 72)
        }
        let flags = try reader.uint32("property flags")
        guard flags <= 1 else { throw DecodingError(.outOfBounds, "property flags", at: 96) }
        largestIsExclusive = flags == 1
        smallest = try reader.bytes(Int(try reader.uint32("smallest key size")), "smallest key")
        largest = try reader.bytes(Int(try reader.uint32("largest key size")), "largest key")
        try reader.finish("properties")
    }

    init(
        smallest: Bytes,
        largest: Bytes,
        largestIsExclusive: Bool,
        smallestSequence: SequenceNumber,
        largestSequence: SequenceNumber
    ) {
        self.smallest = smallest
        self.largest = largest
        self.largestIsExclusive = largestIsExclusive
        self.smallestSequence = smallestSequence
        self.largestSequence = largestSequence
        entryCount = 0
        deletionCount = 0
        rangeDeletionCount = 0
        blockCount = 0
        keyCount = 0
        keyBytes = 0
        valueBytes = 0
        largestEntrySequence = 0
        deadBytes = 0
        deadSequence = 0
    }
}
