import BalsaPlatform

/// The tables that a compaction writes, one behind the other.
///
/// An output ends when it is long enough or lies on too much of the level below, and always between two user keys: were
/// the versions of a key in two tables, a compaction could move the newer one down past the older. In the first level
/// there is one output, for its tables have no sequence numbers between those of others. Each output takes the part of
/// the range tombstones from where it begins to where the next one begins, so that the outputs' bounds are disjoint and
/// no part of a tombstone is lost.
struct CompactionOutputs {
    private let plan: CompactionPlan
    private let tombstones: TombstoneList
    private let isLastLevel: Bool
    private let factory: TableFactory
    private var writer: TableWriter?
    private var finished: [TableMetadata] = []
    private var numbers: [UInt64] = []
    /// Where the current output begins; nil for the first.
    private var start: Bytes?
    /// How many tables of the level below lie before the current key.
    private var passed = 0
    /// How long those are that lie below the current output, in bytes.
    private var overlapBytes: UInt64 = 0

    init(_ plan: CompactionPlan, tombstones: TombstoneList, isLastLevel: Bool, factory: TableFactory) {
        self.plan = plan
        self.tombstones = tombstones
        self.isLastLevel = isLastLevel
        self.factory = factory
    }

    /// The names of the files that have been made.
    var fileNames: [String] { numbers.map(TableMetadata.fileName) }

    /// Says that the entries of a new user key follow.
    mutating func begin(_ key: UnsafeRawBufferPointer) throws(EngineError) {
        while passed < plan.below.count, plan.below[passed].slot.ends(before: key) { try passTable(before: key) }
        guard let writer else {
            // What lies between two outputs lies below neither. Range tombstones may fill the gap.
            if tombstones.isEmpty { overlapBytes = 0 }
            return
        }
        let isFull = writer.byteCount >= UInt64(factory.options.tableBytes)
        guard plan.outputLevel > 0, isFull || overlapBytes > plan.maxOverlapBytes else { return }
        let key = Bytes(copying: key)
        try finish(writer, before: key)
        start = key
        overlapBytes = 0
    }

    /// Adds an entry of the key that was begun.
    mutating func add(
        _ key: UnsafeRawBufferPointer,
        _ trailer: Trailer,
        _ value: UnsafeRawBufferPointer
    ) throws(EngineError) {
        try openWriter().add(key, trailer, value)
    }

    /// Passes a table of the level below, all of which lies behind the last key. Where range tombstones lie on too many
    /// of them, the output ends before the next one, whether it has entries or not: it would be the one input, and all
    /// that it lies on the rest, of a compaction that ends when all is merged.
    ///
    /// - Parameter key: the key that follows; nil for none.
    private mutating func passTable(before key: UnsafeRawBufferPointer?) throws(EngineError) {
        overlapBytes += plan.below[passed].metadata.byteCount
        passed += 1
        guard plan.outputLevel > 0, !tombstones.isEmpty, overlapBytes > plan.maxOverlapBytes else { return }
        var end = passed < plan.below.count ? plan.below[passed].metadata.smallest : nil
        if let key {
            let key = Bytes(copying: key)
            end = end.map { min($0, key) } ?? key
        }
        guard let end else { return }
        if writer != nil || !tombstones.clipped(from: start, to: end).isEmpty {
            try finish(openWriter(), before: end)
        }
        start = end
        overlapBytes = 0
    }

    /// Finishes the last output, and returns all of them.
    mutating func finish() throws(EngineError) -> [TableMetadata] {
        while passed < plan.below.count { try passTable(before: nil) }
        let rest = tombstones.clipped(from: start, to: nil)
        if writer != nil || !rest.isEmpty { try finish(openWriter(), before: nil) }
        return finished
    }

    /// Gives the file up that is being written.
    func abandon() { writer?.abandon() }

    private mutating func openWriter() throws(EngineError) -> TableWriter {
        if let writer { return writer }
        var number: UInt64 = 0
        defer { numbers.append(number) }
        let writer = try factory.makeWriter(isLastLevel: isLastLevel, noting: &number)
        writer.expect(tombstones)
        self.writer = writer
        return writer
    }

    private mutating func finish(_ writer: TableWriter, before end: Bytes?) throws(EngineError) {
        for deletion in tombstones.clipped(from: start, to: end).deletions { writer.add(deletion) }
        finished.append(try factory.finish(writer))
        self.writer = nil
    }
}
