extension EngineOptions {
    /// Throws where an option is outside of its limits.
    package func validate() throws(EngineError) {
        try check(memtableBytes > 0, "memtableBytes")
        try check(maxSealedMemtables >= 0, "maxSealedMemtables")
        try check(maxRangeDeletionsPerMemtable > 0, "maxRangeDeletionsPerMemtable")
        try check(maxRangeDeletionsPerBatch > 0, "maxRangeDeletionsPerBatch")
        try check(blockBytes >= 128 && blockBytes <= 32 << 10, "blockBytes")
        try check(tableBytes > 0, "tableBytes")
        try check((0...64).contains(filterBitsPerKey), "filterBitsPerKey")
        try check((0...64).contains(filterBitsPerKeyInLastLevel), "filterBitsPerKeyInLastLevel")
        try check(cacheBytes >= 0, "cacheBytes")
        try check(maxOpenTables > 0, "maxOpenTables")
        try check(tableMemoryBytes >= 0, "tableMemoryBytes")
        try check(levelZeroTables > 0, "levelZeroTables")
        try check(levelZeroTablesToPause > levelZeroTables, "levelZeroTablesToPause")
        try check(levelBaseBytes > 0, "levelBaseBytes")
        try check(levelRatio >= 2, "levelRatio")
        try check((2...ManifestState.maxLevels).contains(levels), "levels")
        try check(manifestBytes > 0, "manifestBytes")
        try check(maxKeyBytes > 0 && maxKeyBytes <= TableLayout.maxKeyBytes, "maxKeyBytes")
        try check(maxValueBytes >= 0 && maxValueBytes <= TableLayout.maxValueBytes, "maxValueBytes")
        try check(maxBatchBytes > 0 && maxBatchBytes < 1 << 31, "maxBatchBytes")
        try check(writeAheadLogBytes > 0, "writeAheadLogBytes")
    }

    private func check(_ isWithin: Bool, _ name: String) throws(EngineError) {
        guard isWithin else { throw EngineError(.invalid, "the option \(name) is outside of its limits") }
    }
}
