import BalsaPlatform

/// Writes a table: entries in order, range deletions in any order, then ``finish(syncing:)``.
///
/// `Docs/TableFormat.md` has the format. Blocks are written in pieces of at least 64 KiB, and nothing is synced before the
/// end. A writer whose file failed stays failed: nothing is retried on that file.
final class TableWriter {
    /// How much is gathered before it is written, in bytes.
    private static let pieceBytes = 128 << 10

    private let number: UInt64
    private let id: UInt64
    private let file: any File
    private let blockBytes: Int
    private let filterBitsPerKey: Int
    private let keepsBlocks: Bool

    private var block = BlockBuilder()
    private var index = TableIndexBuilder()
    private var hashes: [UInt64] = []
    private var deletions: [RangeDeletion] = []
    private var output = RawBuffer(capacity: TableWriter.pieceBytes + (64 << 10))
    /// How much of the file has been written: where ``output`` goes.
    private var writtenBytes: UInt64 = 0
    /// The last entry of the last finished block, which the next one is held against.
    private var previousKey = RawBuffer(capacity: 64)
    private var previousTrailer = Trailer(rawValue: 0)
    private var firstKey = Bytes()
    private var counts = TableProperties(
        smallest: Bytes(),
        largest: Bytes(),
        largestIsExclusive: false,
        smallestSequence: largestSequenceNumber,
        largestSequence: 0
    )
    /// The range deletions that are going to be added, as far as the caller has said so.
    private var hiding = TombstoneList.empty
    private var blocks: [Block] = []
    private var failure: EngineError?
    private var isClosed = false

    /// Creates the file of a table, which must not exist.
    ///
    /// - Parameters:
    ///   - directory: the engine's directory.
    ///   - number: the number in the file's name.
    ///   - id: the identity of the table, which no other table of any engine has.
    ///   - filterBitsPerKey: how many filter bits a key has; 0 for no filter.
    ///   - keepsBlocks: whether the blocks are kept in memory for ``takeBlocks()``, which costs the table's size.
    init(
        directory: String,
        number: UInt64,
        id: UInt64,
        fileSystem: any FileSystem,
        options: EngineOptions,
        filterBitsPerKey: Int,
        keepsBlocks: Bool = false
    ) throws(EngineError) {
        precondition(filterBitsPerKey >= 0, "a key cannot have fewer than no filter bits")
        self.number = number
        self.id = id
        self.filterBitsPerKey = filterBitsPerKey
        self.keepsBlocks = keepsBlocks
        let range = TableLayout.blockRange
        blockBytes = min(max(options.blockBytes, range.lowerBound), range.upperBound)
        do throws(FileError) {
            file = try fileSystem.open("\(directory)/\(TableMetadata.fileName(number))", .create)
        } catch {
            throw EngineError(error)
        }
        TableLayout.appendHeader(id: id, to: &output)
    }

    deinit { file.close() }

    /// The size of the file so far, in bytes, with the block that is open.
    var byteCount: UInt64 { writtenBytes + UInt64(output.count) + (block.isEmpty ? 0 : UInt64(block.byteCount + 4)) }

    /// Whether there are neither entries nor range deletions.
    var isEmpty: Bool { counts.entryCount == 0 && deletions.isEmpty }

    /// The key of the last entry.
    var lastKey: Bytes? {
        guard counts.entryCount > 0 else { return nil }
        return Bytes(copying: block.isEmpty ? previousKey.bytes : block.lastKey)
    }

    // MARK: Adding

    /// Adds an entry behind all others.
    ///
    /// - Throws: *invalid* for a key or value that does not fit into the format, *damaged* for an entry that does not
    ///   come after the last one or is a range deletion: the entries are those of other tables. The writer is as before
    ///   then.
    func add(
        _ key: UnsafeRawBufferPointer,
        _ trailer: Trailer,
        _ value: UnsafeRawBufferPointer
    ) throws(EngineError) {
        try checkUsable()
        guard key.count <= TableLayout.maxKeyBytes, value.count <= TableLayout.maxValueBytes, !index.isFull else {
            throw EngineError(.invalid, "\(file.path): the entry does not fit into a table")
        }
        let isNewKey = try checkOrder(key, trailer)
        countDead(key, trailer, value, isNewKey: isNewKey)
        if !block.isEmpty, block.byteCount(adding: key, value) > 2 * blockBytes { try finishBlock() }
        block.add(key, trailer, value)
        count(key, trailer, value, isNewKey: isNewKey)
        if block.byteCount >= blockBytes { try finishBlock() }
    }

    /// Says which range deletions are going to be added: what they hide counts as dead. Called before any entry is
    /// added.
    func expect(_ tombstones: TombstoneList) {
        precondition(counts.entryCount == 0, "an entry was counted without the range deletions that hide it")
        hiding = tombstones
    }

    /// Adds a range deletion. One that is empty deletes nothing and is left out.
    func add(_ deletion: RangeDeletion) {
        precondition(!isClosed, "the table is finished")
        guard deletion.start < deletion.end else { return }
        deletions.append(deletion)
    }

    /// Holds an entry against the one before.
    ///
    /// - Returns: whether it is the first of its key.
    private func checkOrder(_ key: UnsafeRawBufferPointer, _ trailer: Trailer) throws(EngineError) -> Bool {
        guard trailer.isOfEntry else {
            throw EngineError(
                .damaged,
                "an entry for \(file.path) has a kind that no entry has: \(trailer.rawValue & 0xff)"
            )
        }
        guard counts.entryCount > 0 else { return true }
        let order = KeyOrder.compare(block.isEmpty ? previousKey.bytes : block.lastKey, key)
        let last = block.isEmpty ? previousTrailer : block.lastTrailer
        guard order < 0 || (order == 0 && last > trailer) else {
            throw EngineError(
                .damaged,
                "the entries for \(file.path) come out of their order at \(Bytes(copying: key))"
            )
        }
        return order != 0
    }

    /// Counts an entry that is hidden in this table, or is a deletion. Called while the entry before it is the last
    /// one.
    private func countDead(
        _ key: UnsafeRawBufferPointer,
        _ trailer: Trailer,
        _ value: UnsafeRawBufferPointer,
        isNewKey: Bool
    ) {
        var hider: SequenceNumber = 0
        if !isNewKey { hider = (block.isEmpty ? previousTrailer : block.lastTrailer).sequence }
        if !hiding.isEmpty {
            let tombstone = hiding.covering(key, at: largestSequenceNumber)
            // Any of those that hide it will do; the newer entry of the key is the older one of both.
            if tombstone > trailer.sequence, hider == 0 { hider = tombstone }
        }
        if hider == 0, trailer.kind == .deletion { hider = trailer.sequence }
        guard hider > 0 else { return }
        counts.deadBytes += UInt64(key.count + value.count)
        counts.deadSequence = max(counts.deadSequence, hider)
    }

    private func count(
        _ key: UnsafeRawBufferPointer,
        _ trailer: Trailer,
        _ value: UnsafeRawBufferPointer,
        isNewKey: Bool
    ) {
        if counts.entryCount == 0 { firstKey = Bytes(copying: key) }
        counts.entryCount += 1
        if trailer.kind == .deletion { counts.deletionCount += 1 }
        counts.keyBytes += UInt64(key.count)
        counts.valueBytes += UInt64(value.count)
        counts.smallestSequence = min(counts.smallestSequence, trailer.sequence)
        counts.largestSequence = max(counts.largestSequence, trailer.sequence)
        counts.largestEntrySequence = max(counts.largestEntrySequence, trailer.sequence)
        guard isNewKey else { return }
        counts.keyCount += 1
        if filterBitsPerKey > 0 { hashes.append(KeyHash.hash(key)) }
    }

    private func finishBlock() throws(EngineError) {
        previousKey.removeAll()
        previousKey.append(block.lastKey)
        previousTrailer = block.lastTrailer
        let place = appendSection { output in block.finish(into: &output) }
        index.add(previousKey.bytes, previousTrailer, byteCount: Int(place.byteCount))
        counts.blockCount += 1
        if keepsBlocks { keepBlock(Int(place.byteCount)) }
        if output.count >= TableWriter.pieceBytes { try write() }
    }

    /// Copies the block that was just appended, which lies before its checksum.
    private func keepBlock(_ byteCount: Int) {
        let end = output.count - TableLayout.checksumBytes
        let bytes = UnsafeRawBufferPointer(rebasing: output.bytes[end - byteCount..<end])
        guard let block = Block.copying(bytes) else { preconditionFailure("a writer wrote what is not a block") }
        blocks.append(block)
    }

    /// All blocks, if they were kept, for ``Table/fillCache(_:)`` of the opened table. They are given away once.
    func takeBlocks() -> [Block] {
        defer { blocks = [] }
        return blocks
    }

    // MARK: Finishing

    /// Writes what is left, syncs the file and closes it. The directory is the caller's business.
    ///
    /// - Precondition: the table is not empty.
    /// - Throws: the file's error; the file is closed and must be removed.
    func finish(syncing: Bool = true) throws(EngineError) -> TableMetadata {
        try checkUsable()
        precondition(!isEmpty, "a table has an entry or a range deletion")
        if !block.isEmpty { try finishBlock() }
        let list = TombstoneList(deletions)
        noteBounds(list)
        let filter = appendSection { output in
            if !hashes.isEmpty { TableFilter.build(hashes, bitsPerKey: filterBitsPerKey, into: &output) }
        }
        let index = appendSection { output in self.index.finish(into: &output) }
        let tombstones = appendSection { output in
            counts.rangeDeletionCount = TombstoneSection.append(list, to: &output)
        }
        let properties = appendSection { output in counts.append(to: &output) }
        let footer = TableFooter(
            filterKind: hashes.isEmpty ? TableFooter.FilterKind.none : TableFooter.FilterKind.blocked,
            filter: filter,
            index: index,
            tombstones: tombstones,
            properties: properties,
            fileBytes: properties.end + UInt64(TableLayout.footerBytes)
        )
        footer.append(id: id, to: &output)
        try write()
        if syncing { try perform { file throws(FileError) in try file.sync() } }
        abandon()
        return counts.metadata(number: number, id: id, byteCount: footer.fileBytes)
    }

    /// Closes the file and leaves it as it is. The caller removes it.
    func abandon() {
        isClosed = true
        file.close()
    }

    /// Widens the bounds of the entries by those of the tombstones, which hide keys that have no entry here.
    private func noteBounds(_ list: TombstoneList) {
        counts.smallest = firstKey
        counts.largest = lastKey ?? Bytes()
        guard let bounds = list.bounds, let sequences = list.sequences else { return }
        let hasEntries = counts.entryCount > 0
        if !hasEntries || bounds.start < counts.smallest { counts.smallest = bounds.start }
        if !hasEntries || counts.largest < bounds.end {
            counts.largest = bounds.end
            counts.largestIsExclusive = true
        }
        counts.smallestSequence = min(counts.smallestSequence, sequences.lowest)
        counts.largestSequence = max(counts.largestSequence, sequences.highest)
        counts.deadSequence = max(counts.deadSequence, sequences.highest)
    }

    // MARK: Writing

    /// Appends what `body` appends, and its checksum.
    private func appendSection(_ body: (inout RawBuffer) -> Void) -> TablePlace {
        let start = output.count
        let offset = writtenBytes + UInt64(start)
        body(&output)
        let byteCount = output.count - start
        TableLayout.appendChecksum(from: start, id: id, offset: offset, to: &output)
        return TablePlace(offset: offset, byteCount: UInt64(byteCount))
    }

    private func write() throws(EngineError) {
        let bytes = output.bytes
        let offset = writtenBytes
        try perform { file throws(FileError) in try file.write(bytes, at: offset) }
        writtenBytes += UInt64(bytes.count)
        output.removeAll()
    }

    private func perform(_ operation: (any File) throws(FileError) -> Void) throws(EngineError) {
        do throws(FileError) {
            try operation(file)
        } catch {
            let failure = EngineError(error)
            self.failure = failure
            abandon()
            throw failure
        }
    }

    private func checkUsable() throws(EngineError) {
        if let failure { throw failure }
        precondition(!isClosed, "the table is finished")
    }
}
