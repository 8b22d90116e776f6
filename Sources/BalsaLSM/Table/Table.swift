import BalsaPlatform
import CBalsaPlatform

/// An open table: index, filter and range tombstones in memory, blocks through the cache.
///
/// Any thread may read. Nothing of a table ever changes. Whoever holds the last reference, or calls ``close()``, has seen
/// to it that no reader is left.
final class Table: @unchecked Sendable {
    /// What the manifest says of the table, which the file agrees with.
    let metadata: TableMetadata
    /// The range tombstones, which also concern keys that have no entry in the table and that the filter denies.
    let tombstones: TombstoneList

    let index: TableIndex
    let slots: BlockSlots
    let cache: BlockCache
    /// The highest sequence number of an entry, tombstones left out; 0 without entries.
    let largestEntrySequence: SequenceNumber
    /// How many bytes of entries can be dropped, as far as the table itself shows, from ``deadSequence`` on.
    let deadBytes: UInt64
    /// From which retention mark on everything dead in the table, and every tombstone over nothing, can be dropped; 0
    /// if there is nothing dead.
    let deadSequence: SequenceNumber
    /// Whether some key has several entries.
    let hasVersions: Bool
    private let filter: TableFilter?
    private let file: any File
    /// How much memory index and filter take, in bytes.
    let pinnedBytes: Int

    private init(_ metadata: TableMetadata, _ file: any File, _ sections: TableSections, _ cache: BlockCache) {
        self.metadata = metadata
        self.file = file
        self.cache = cache
        index = sections.index
        filter = sections.filter
        largestEntrySequence = sections.properties.largestEntrySequence
        deadBytes = sections.properties.deadBytes
        deadSequence = sections.properties.deadSequence
        hasVersions = sections.properties.keyCount < sections.properties.entryCount
        tombstones = sections.tombstones
        slots = BlockSlots(count: sections.index.count)
        pinnedBytes = sections.memoryBytes + 8 * sections.index.count
    }

    deinit { close() }

    /// Opens the table that `metadata` describes.
    ///
    /// Header, footer, index, filter, tombstones and properties are verified and held against `metadata`; blocks are
    /// verified when they are read.
    ///
    /// - Throws: *damaged* where anything is not as it was written, *upgrade required* for a newer format, or the error of
    ///   the file, which may be missing.
    static func open(
        directory: String,
        metadata: TableMetadata,
        fileSystem: any FileSystem,
        cache: BlockCache
    ) throws(EngineError) -> Table {
        let file: any File
        do throws(FileError) {
            file = try fileSystem.open("\(directory)/\(metadata.fileName)", .read)
        } catch {
            throw EngineError(error)
        }
        do throws(EngineError) {
            return Table(metadata, file, try TableSections(reading: file, metadata), cache)
        } catch {
            file.close()
            throw error
        }
    }

    /// Drops the table's blocks from the cache and closes the file. Blocks that a cursor holds stay valid for it.
    func close() {
        cache.close(slots)
        file.close()
    }

    // MARK: Point reads

    /// The hash by which filters are asked; one for all tables.
    @inline(__always)
    static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 { KeyHash.hash(key) }

    /// Whether the table may have an entry of the key with `hash`. Says nothing about range tombstones.
    @inline(__always)
    func mayContain(hash: UInt64) -> Bool {
        guard let filter else { return true }
        return filter.mayContain(hash)
    }

    /// Asks the processor for what ``mayContain(hash:)`` will look at.
    @inline(__always)
    func prefetchFilter(hash: UInt64) { filter?.prefetch(hash) }

    /// Finds the newest entry of `key` with a sequence number of at most `sequence`.
    ///
    /// The caller is pinned in the epochs of the cache: that is what keeps a cached block alive while `body` looks at it.
    ///
    /// - Parameters:
    ///   - hash: the hash of `key`.
    ///   - waiting: whether a block may be read from the disk.
    ///   - body: gets the entry's trailer and value, which are valid until it returns.
    /// - Returns: what `body` returns; nil if the table has no such entry.
    func find<Result>(
        _ key: UnsafeRawBufferPointer,
        at sequence: SequenceNumber,
        hash: UInt64,
        waiting: Waiting,
        _ body: (Trailer, UnsafeRawBufferPointer) throws(EngineError) -> Result
    ) throws(EngineError) -> Result? {
        guard mayContain(hash: hash) else { return nil }
        let trailer = Trailer.seek(min(sequence, largestSequenceNumber))
        let number = index.find(key, trailer)
        guard number < index.count else { return nil }
        if let cached = slots.load(number) {
            cache.noteHit()
            let view = cached._withUnsafeGuaranteedRef { block in
                BlockView.prefetch(block.base)
                block.markVisited()
                return block.view
            }
            guard let entry = view.find(key, trailer) else { return nil }
            return try body(entry.trailer, entry.value)
        }
        let block = try load(number, waiting, fillsCache: true)
        defer { withExtendedLifetime(block) {} }
        guard let entry = block.view.find(key, trailer) else { return nil }
        return try body(entry.trailer, entry.value)
    }

    /// A cursor over all entries, or over what a reader at `sequence` sees, which is nowhere yet.
    ///
    /// - Parameter fillsCache: whether blocks that it reads are kept in the cache. A compaction's are not worth it.
    func makeCursor(fillsCache: Bool, visibleAt sequence: SequenceNumber? = nil) -> TableCursor {
        TableCursor(self, fillsCache: fillsCache, visibleAt: sequence)
    }

    // MARK: Blocks

    /// The block with this number, from the cache or the disk, with a reference of its own.
    func block(_ number: Int, _ waiting: Waiting, fillsCache: Bool) throws(EngineError) -> Block {
        let pin = cache.epochs.pin()
        let cached = slots.load(number)?.takeUnretainedValue()
        cache.epochs.unpin(pin)
        if let cached {
            BlockView.prefetch(cached.base)
            cache.noteHit()
            if fillsCache { cached.markVisited() }
            return cached
        }
        return try load(number, waiting, fillsCache: fillsCache)
    }

    /// Asks the processor for the beginning of a block, if there is one of that number and the cache has it: a scan needs it soon.
    @inline(__always)
    func prefetchBlock(_ number: Int) {
        // The address alone is used, so that it does not matter whether the block is still there.
        guard number < index.count, let block = slots.load(number) else { return }
        balsa_prefetch(block.toOpaque())
        balsa_prefetch(block.toOpaque() + 64)
    }

    /// Puts the blocks of a table that was just written into the cache, so that its first readers do not have to.
    ///
    /// - Parameter blocks: all of them, as ``TableWriter/takeBlocks()`` gave them.
    func fillCache(_ blocks: [Block]) {
        precondition(blocks.count == index.count, "the blocks are those of another table")
        for (number, block) in blocks.enumerated() {
            precondition(UInt64(block.byteCount) == index.place(number).byteCount, "the block is that of another place")
            cache.insert(block, slots, at: number)
        }
    }

    /// Reads the block with this number from the disk.
    private func load(_ number: Int, _ waiting: Waiting, fillsCache: Bool) throws(EngineError) -> Block {
        cache.noteMiss()
        let block = try read(number, waiting)
        if fillsCache { cache.insert(block, slots, at: number) }
        return block
    }

    /// Reads and verifies the block with this number, and leaves the cache alone.
    func read(_ number: Int, _ waiting: Waiting) throws(EngineError) -> Block {
        let place = index.place(number)
        // The index has been verified: the length is at most that of the file.
        let byteCount = Int(place.byteCount)
        let block = Block.make(byteCount: byteCount + TableLayout.checksumBytes)
        let buffer = UnsafeMutableRawBufferPointer(start: block.base, count: byteCount + TableLayout.checksumBytes)
        let count: Int?
        do throws(FileError) {
            switch waiting {
            case .allowed: count = try file.read(into: buffer, at: place.offset)
            case .forbidden: count = try file.readWithoutWaiting(into: buffer, at: place.offset)
            }
        } catch {
            throw EngineError(error)
        }
        guard waiting == .allowed || count == buffer.count else {
            // What the page cache has of the block may be a part of it, which serves nobody.
            throw EngineError(.wouldWait, "\(file.path): the block at byte \(place.offset) is not in memory")
        }
        guard count == buffer.count else {
            throw EngineError(.damaged, "\(file.path): ends within the block at byte \(place.offset)")
        }
        try verify(block, place)
        return block
    }

    private func verify(_ block: Block, _ place: TablePlace) throws(EngineError) {
        let bytes = UnsafeRawBufferPointer(start: block.base, count: Int(place.byteCount))
        let stored = block.base.loadUnaligned(fromByteOffset: bytes.count, as: UInt32.self)
        guard TableLayout.checksum(bytes, id: metadata.id, offset: place.offset) == UInt32(littleEndian: stored) else {
            throw EngineError(
                .damaged,
                "\(file.path): the checksum of the block at byte \(place.offset) is wrong"
            )
        }
        guard let maxKeyBytes = BlockView.check(bytes) else {
            throw EngineError(.damaged, "\(file.path): the block at byte \(place.offset) does not have a block's shape")
        }
        block.seal(byteCount: bytes.count, maxKeyBytes: maxKeyBytes)
    }

    /// Reads the rest of the file again and verifies it.
    func readSections() throws(EngineError) -> TableSections { try TableSections(reading: file, metadata) }
}
