extension StorageEngine {
    /// From which length on a table's index and filter take so long to read that no reader should have to, in bytes.
    static let preloadedTableBytes: UInt64 = 1 << 20
    /// How much memory the indexes and filters take at most that an opening reads, in bytes.
    static let maxPreloadedBytes = 32 << 20

    /// Reads the indexes and filters of long tables, from the first level down, before anybody reads.
    ///
    /// Those of a flushed memtable take half a millisecond, and every scan needs those of all tables of the first
    /// level. A table that is written later has its own in memory before it can be found.
    func preloadTables() {
        let limit = min(StorageEngine.maxPreloadedBytes, options.tableMemoryBytes / 2)
        for table in retainedView().version.levels.joined() {
            guard tables.byteCount < limit else { return }
            guard table.metadata.byteCount >= StorageEngine.preloadedTableBytes else { continue }
            // What cannot be read stays away: damage is in quarantine now, and a reader that needs it is told.
            do throws(EngineError) { _ = try table.table.body(.allowed) } catch { continue }
        }
    }
}
