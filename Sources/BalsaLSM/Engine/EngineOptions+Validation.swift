extension EngineOptions {
    /// Throws where an option is outside of its limits, with the limits and the value.
    package func validate() throws(EngineError) {
        // More has space on no disk that it could be flushed to.
        try check(memtableBytes, from: 1, to: 1 << 40, "memtableBytes")
        try check(maxSealedMemtables, from: 0, "maxSealedMemtables")
        try check(maxRangeDeletionsPerMemtable, from: 1, "maxRangeDeletionsPerMemtable")
        try check(maxRangeDeletionsPerBatch, from: 1, "maxRangeDeletionsPerBatch")
        try check(blockBytes, from: 128, to: 32 << 10, "blockBytes")
        try check(tableBytes, from: 1, "tableBytes")
        try check(filterBitsPerKey, from: 0, to: 64, "filterBitsPerKey")
        try check(filterBitsPerKeyInLastLevel, from: 0, to: 64, "filterBitsPerKeyInLastLevel")
        try check(cacheBytes, from: 0, "cacheBytes")
        try check(maxOpenTables, from: 1, "maxOpenTables")
        try check(tableMemoryBytes, from: 0, "tableMemoryBytes")
        try check(levelZeroTables, from: 1, to: .max - 1, "levelZeroTables")
        try check(levelZeroTablesToPause, from: levelZeroTables + 1, "levelZeroTablesToPause")
        try check(levelBaseBytes, from: 1, "levelBaseBytes")
        try check(levelRatio, from: 2, "levelRatio")
        try check(levels, from: 2, to: ManifestState.maxLevels, "levels")
        try check(manifestBytes, from: 1, "manifestBytes")
        try check(maxKeyBytes, from: 1, to: TableLayout.maxKeyBytes, "maxKeyBytes")
        try check(maxValueBytes, from: 0, to: TableLayout.maxValueBytes, "maxValueBytes")
        try check(maxBatchBytes, from: 1, to: 1 << 31 - 1, "maxBatchBytes")
        try check(writeAheadLogBytes, from: 1, "writeAheadLogBytes")
    }

    private func check<Number: FixedWidthInteger>(
        _ value: Number,
        from lowest: Number,
        to highest: Number = .max,
        _ name: String
    ) throws(EngineError) {
        guard value < lowest || value > highest else { return }
        let bounds = highest == .max ? "at least \(lowest)" : "\(lowest) to \(highest)"
        throw EngineError(.invalid, "\(name) must be \(bounds), not \(value)")
    }
}
