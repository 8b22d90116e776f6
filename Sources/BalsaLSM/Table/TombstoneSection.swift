import BalsaPlatform

/// The range tombstones of a table, as fragments that do not overlap. The section is there in every table, empty or not.
enum TombstoneSection {
    /// Appends the section.
    ///
    /// - Returns: how many tombstones it holds, one for every fragment and sequence number.
    static func append(_ list: TombstoneList, to output: inout RawBuffer) -> UInt64 {
        var count: UInt64 = 0
        output.append(UInt32(list.fragments.count))
        for fragment in list.fragments {
            for key in [fragment.start, fragment.end] {
                output.append(UInt32(key.count))
                key.withUnsafeBytes { output.append($0) }
            }
            output.append(UInt32(fragment.sequences.count))
            for sequence in fragment.sequences { output.append(sequence) }
            count += UInt64(fragment.sequences.count)
        }
        return count
    }

    /// Decodes the section, whose checksum has been verified.
    static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodingError) -> [RangeDeletion] {
        var reader = ByteReader(bytes.bytes)
        var deletions: [RangeDeletion] = []
        let fragments = try reader.uint32("fragment count")
        var previousEnd: Bytes?
        // Nothing is reserved by a number that was read: each fragment must be there in bytes before it counts.
        for _ in 0..<fragments {
            let place = reader.offset
            let start = try reader.bytes(Int(try reader.uint32("fragment start size")), "fragment start")
            let end = try reader.bytes(Int(try reader.uint32("fragment end size")), "fragment end")
            let isBehind = if let previousEnd { previousEnd <= start } else { true }
            guard start < end, isBehind else { throw DecodingError(.inconsistent, "fragment bounds", at: place) }
            let sequences = try reader.uint32("fragment sequence count")
            guard sequences > 0 else { throw DecodingError(.outOfBounds, "fragment sequence count", at: place) }
            var previous: SequenceNumber?
            for _ in 0..<sequences {
                let sequence = try reader.uint64("fragment sequence")
                guard sequence <= largestSequenceNumber, previous.map({ sequence < $0 }) ?? true else {
                    throw DecodingError(.outOfBounds, "fragment sequence", at: place)
                }
                deletions.append(RangeDeletion(start: start, end: end, sequence: sequence))
                previous = sequence
            }
            previousEnd = end
        }
        try reader.finish("tombstones")
        return deletions
    }
}
