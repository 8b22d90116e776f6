import BalsaPlatform

/// The range tombstones of a table: ranges in the order of their starts and then of their ends, which may overlap, with
/// their sequence numbers. The section is there in every table, empty or not.
enum TombstoneSection {
    /// Appends the section.
    ///
    /// - Returns: how many tombstones it holds, one for every range and sequence number.
    static func append(_ list: TombstoneList, to output: inout RawBuffer) -> UInt64 {
        let deletions = list.deletions.sorted { ($0.start, $0.end, $1.sequence) < ($1.start, $1.end, $0.sequence) }
        var ranges: [ArraySlice<RangeDeletion>] = []
        var first = 0
        for (index, deletion) in deletions.enumerated() {
            let isLast =
                index + 1 == deletions.count || deletions[index + 1].start != deletion.start
                || deletions[index + 1].end != deletion.end
            guard isLast else { continue }
            ranges.append(deletions[first...index])
            first = index + 1
        }
        output.append(UInt32(ranges.count))
        for range in ranges {
            guard let one = range.first else { continue }
            for key in [one.start, one.end] {
                output.append(UInt32(key.count))
                key.withUnsafeBytes { output.append($0) }
            }
            output.append(UInt32(range.count))
            for deletion in range { output.append(deletion.sequence) }
        }
        return UInt64(deletions.count)
    }

    /// Decodes the section, whose checksum has been verified.
    static func decode(_ bytes: UnsafeRawBufferPointer) throws(DecodingError) -> [RangeDeletion] {
        var reader = ByteReader(bytes.bytes)
        var deletions: [RangeDeletion] = []
        let ranges = try reader.uint32("range count")
        var last: (start: Bytes, end: Bytes)?
        // Nothing is reserved by a number that was read: each range must be there in bytes before it counts.
        for _ in 0..<ranges {
            let place = reader.offset
            let start = try reader.bytes(Int(try reader.uint32("range start size")), "range start")
            let end = try reader.bytes(Int(try reader.uint32("range end size")), "range end")
            let isBehind = if let last { (last.start, last.end) < (start, end) } else { true }
            guard start < end, isBehind else { throw DecodingError(.inconsistent, "range bounds", at: place) }
            let sequences = try reader.uint32("range sequence count")
            guard sequences > 0 else { throw DecodingError(.outOfBounds, "range sequence count", at: place) }
            var previous: SequenceNumber?
            for _ in 0..<sequences {
                let sequence = try reader.uint64("range sequence")
                guard sequence <= largestSequenceNumber, previous.map({ sequence < $0 }) ?? true else {
                    throw DecodingError(.outOfBounds, "range sequence", at: place)
                }
                deletions.append(RangeDeletion(start: start, end: end, sequence: sequence))
                previous = sequence
            }
            last = (start, end)
        }
        try reader.finish("tombstones")
        return deletions
    }
}
