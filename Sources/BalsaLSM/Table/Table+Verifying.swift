import BalsaPlatform

extension Table {
    /// What is found while all blocks are walked.
    private struct Findings {
        var entryCount: UInt64 = 0
        var deletionCount: UInt64 = 0
        var keyCount: UInt64 = 0
        var keyBytes: UInt64 = 0
        var valueBytes: UInt64 = 0
        var largestSequence: SequenceNumber = 0
        var previousKey = Bytes()
        var previousTrailer = Trailer(rawValue: 0)
    }

    /// Reads every byte of the file from the disk and verifies it, whatever the cache has.
    ///
    /// More is held against each other than a read needs: the order of all entries, the heads of the blocks, the last
    /// entries that the index names, the filter, and the counts, bounds and sequence numbers of the properties.
    ///
    /// - Throws: *damaged* with what is wrong, or the error of the file.
    func verify() throws(EngineError) {
        let sections = try readSections()
        var findings = Findings()
        for number in 0..<sections.index.count {
            let place = sections.index.place(number)
            let block = try read(place, .allowed)
            let offset = place.offset
            guard block.view.isOrdered() else { throw damage("the block at byte \(offset) is not in order") }
            if let fault = walk(block, number, sections, &findings) {
                throw damage("the block at byte \(offset) \(fault)")
            }
        }
        let properties = sections.properties
        guard findings.entryCount == properties.entryCount, findings.deletionCount == properties.deletionCount,
            findings.keyCount == properties.keyCount, findings.keyBytes == properties.keyBytes,
            findings.valueBytes == properties.valueBytes, findings.largestSequence == properties.largestEntrySequence
        else { throw damage("the entries are not those that the properties count") }
    }

    /// Holds the entries of a block against everything else.
    ///
    /// - Returns: what does not fit; nil where all does.
    private func walk(
        _ block: Block,
        _ number: Int,
        _ sections: TableSections,
        _ findings: inout Findings
    ) -> String? {
        let view = block.view
        let prefix = UnsafeRawBufferPointer(start: view.prefix, count: view.prefixLength)
        for position in 0..<view.count {
            let entry = view.entry(position)
            let key = Bytes(
                Array(prefix) + Array(UnsafeRawBufferPointer(start: entry.suffix, count: entry.suffixLength))
            )
            if findings.entryCount == 0 || findings.previousKey != key {
                guard findings.entryCount == 0 || findings.previousKey < key else { return "is out of order" }
                findings.keyCount += 1
                guard key.withUnsafeBytes({ sections.mayContain(KeyHash.hash($0)) }) else {
                    return "has a key that the filter denies"
                }
            } else {
                guard findings.previousTrailer > entry.trailer else { return "is out of order" }
            }
            guard key >= metadata.smallest, key <= metadata.largest,
                key < metadata.largest || !metadata.largestIsExclusive
            else { return "has a key outside of the table's bounds" }
            guard entry.trailer.sequence >= metadata.smallestSequence,
                entry.trailer.sequence <= metadata.largestSequence
            else { return "has a sequence number outside of the table's" }
            findings.entryCount += 1
            if entry.trailer.kind == .deletion { findings.deletionCount += 1 }
            findings.largestSequence = max(findings.largestSequence, entry.trailer.sequence)
            findings.keyBytes += UInt64(key.count)
            findings.valueBytes += UInt64(entry.valueLength)
            findings.previousKey = key
            findings.previousTrailer = entry.trailer
        }
        let isLast = findings.previousKey.withUnsafeBytes {
            sections.index.isLast($0, findings.previousTrailer, of: number)
        }
        return isLast ? nil : "does not end with the entry that the index names"
    }

    private func damage(_ fault: String) -> EngineError {
        EngineError(.damaged, "\(metadata.fileName): \(fault)")
    }
}
