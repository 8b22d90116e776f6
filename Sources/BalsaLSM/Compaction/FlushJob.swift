import BalsaPlatform

/// Writes a sealed memtable into a table of the first level, in steps.
///
/// Everything is written, hidden versions included: what may be dropped is a compaction's question.
final class FlushJob {
    let seal: SealedMemtable
    private let memtable: Memtable
    private let factory: TableFactory
    private var cursor: MemtableCursor
    private var writer: TableWriter?
    private var number: UInt64 = 0
    private var entryCount = 0

    /// A flush of `memtable`, which belongs to `seal`.
    init(_ seal: SealedMemtable, _ memtable: Memtable, _ factory: TableFactory) {
        self.seal = seal
        self.memtable = memtable
        self.factory = factory
        cursor = memtable.makeCursor()
    }

    /// The name of the file, if there is one yet.
    var fileName: String? { number > 0 ? TableMetadata.fileName(number) : nil }

    /// Does the next part of the work.
    ///
    /// - Parameter budget: about how many bytes to write.
    /// - Returns: the table, when it is finished and synced.
    func step(budget: Int) throws(EngineError) -> TableMetadata? {
        let writer: TableWriter
        if let begun = self.writer {
            writer = begun
        } else {
            writer = try factory.makeWriter(isLastLevel: false, noting: &number)
            writer.expect(memtable.tombstones)
            self.writer = writer
            cursor.seekToFirst()
        }
        var written = 0
        while cursor.isValid, written < budget {
            try writer.add(cursor.key, cursor.trailer, cursor.value)
            written += cursor.key.count + cursor.value.count + 16
            entryCount += 1
            cursor.next()
        }
        guard !cursor.isValid else { return nil }
        guard entryCount == memtable.entryCount else {
            throw EngineError(.failed, "a flush found \(entryCount) of \(memtable.entryCount) entries")
        }
        for deletion in memtable.tombstones.deletions { writer.add(deletion) }
        return try factory.finish(writer)
    }

    /// Gives the file up.
    func abandon() { writer?.abandon() }
}
