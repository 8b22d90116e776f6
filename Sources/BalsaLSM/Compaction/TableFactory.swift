import BalsaPlatform

/// Begins new tables for jobs: gives them a number that no file has had, and an identity of their own.
struct TableFactory {
    let directory: String
    let fileSystem: any FileSystem
    let options: EngineOptions
    /// A number that no file has had.
    let takeNumber: () -> UInt64
    /// An identity that no table has had: a number is used again where a crash has undone it, and by other engines.
    let takeID: () -> UInt64

    /// Creates the file of a table.
    ///
    /// - Parameters:
    ///   - isLastLevel: whether nothing lies deeper than the table.
    ///   - number: gets the table's number before its file is created, so that it can be removed whatever happens.
    func makeWriter(isLastLevel: Bool, noting number: inout UInt64) throws(EngineError) -> TableWriter {
        number = takeNumber()
        return try TableWriter(
            directory: directory,
            number: number,
            id: takeID(),
            fileSystem: fileSystem,
            options: options,
            filterBitsPerKey: isLastLevel ? options.filterBitsPerKeyInLastLevel : options.filterBitsPerKey
        )
    }

    /// Writes the rest of a table and syncs it.
    func finish(_ writer: TableWriter) throws(EngineError) -> TableMetadata {
        try writer.finish(syncing: !options.plantedBugs.contains(.manifestBeforeTableSync))
    }
}
