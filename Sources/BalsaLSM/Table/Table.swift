import BalsaPlatform
import CBalsaPlatform

/// A table that can be read: range tombstones in memory, everything else through caches.
///
/// Any thread may read. Nothing of a table ever changes. Whoever holds the last reference, or calls ``close()``, has seen
/// to it that no reader is left.
final class Table: @unchecked Sendable {
    /// What readers load and note without a lock.
    private enum Cell {
        static let body = 0
        static let isBodyUsed = 8
        static let level = 16
        static let byteCount = 64
    }

    /// What the manifest says of the table, which the file agrees with.
    let metadata: TableMetadata
    /// The range tombstones, which also concern keys that have no entry in the table and that the filter denies.
    let tombstones: TombstoneList
    /// Whether the range tombstones cannot be read. No read of the table succeeds then, since what they delete would
    /// come back.
    let isUnreadable: Bool
    /// Whether this stands for a table only while its range tombstones are read.
    let isProbe: Bool
    let cache: BlockCache
    /// What of the table is in memory. The lock of ``TableCache`` guards it.
    var residency = TableCache.Residency()
    private let tables: TableCache
    /// The body's address or 0, and a byte that says whether it was used, in a line that slots know, too.
    private let cells: UnsafeMutableRawPointer

    private init(
        _ metadata: TableMetadata,
        _ tombstones: TombstoneList,
        _ tables: TableCache,
        isUnreadable: Bool = false,
        isProbe: Bool = false
    ) {
        self.metadata = metadata
        self.isUnreadable = isUnreadable
        self.isProbe = isProbe
        self.tombstones = tombstones
        self.tables = tables
        cache = tables.blocks
        cells = .allocate(byteCount: Cell.byteCount, alignment: 64)
        cells.initializeMemory(as: UInt8.self, repeating: 0, count: Cell.byteCount)
    }

    deinit {
        close()
        cells.deallocate()
    }

    /// The table that `metadata` describes. Only range tombstones are read, if there are any.
    ///
    /// Its body is verified when it is read, blocks are when they are.
    ///
    /// - Parameter level: the level of a table that the manifest names: range tombstones that are damaged, or that the
    ///   device does not read, make such a table unreadable, and everything outside of its bounds can be read. Nil for
    ///   a table that was just written.
    /// - Throws: *damaged* for a missing file, *upgrade required* for a newer format, or the error of the file.
    static func known(
        _ metadata: TableMetadata,
        in tables: TableCache,
        level: Int? = nil
    ) throws(EngineError) -> Table {
        guard metadata.rangeDeletionCount > 0 else { return Table(metadata, .empty, tables) }
        // Its file belongs to no table yet, and is closed again.
        let probe = Table(metadata, .empty, tables, isProbe: true)
        let file = try tables.file(of: probe)
        do throws(EngineError) {
            let tombstones = try file.use { file throws(EngineError) in
                try TableSections.tombstones(reading: file, metadata)
            }
            return Table(metadata, tombstones, tables)
        } catch {
            guard let level, error.code == .damaged || Table.isDeviceFailure(error) else { throw error }
            let table = Table(metadata, .empty, tables, isUnreadable: true)
            table.level = level
            table.quarantine(table.range(nil, error))
            return table
        }
    }

    /// Whether a read has to look into the table for keys within its bounds.
    var hasEntries: Bool { metadata.entryCount > 0 || isUnreadable }

    // MARK: Damage

    /// The level that the table is in.
    var level: Int {
        get { Int(balsa_load_relaxed_64(cells + Cell.level)) }
        set { balsa_store_release_64(cells + Cell.level, UInt64(newValue)) }
    }

    /// What a failed read means: damage is put into quarantine, the error of a device gets the range that it concerns,
    /// and any other error stays as it is.
    ///
    /// - Parameter keys: the keys that are affected; nil for all of the table.
    func damage(_ error: EngineError, _ keys: (smallest: Bytes, largest: Bytes)?) -> EngineError {
        guard error.code == .damaged || Table.isDeviceFailure(error), error.quarantine == nil else { return error }
        let range = self.range(keys, error)
        // A device may recover; what was written wrong stays so.
        if error.code == .damaged { quarantine(range) }
        return EngineError(error, of: range)
    }

    private static func isDeviceFailure(_ error: EngineError) -> Bool {
        error.cause?.operation == .read && error.cause?.number == .inputOutput
    }

    private func range(
        _ keys: (smallest: Bytes, largest: Bytes)?,
        _ error: EngineError
    ) -> QuarantinedRange {
        // What the description of the range says by itself.
        let known = "\(error.code): \(path): "
        let text = error.description
        return QuarantinedRange(
            file: path,
            level: level,
            smallest: keys?.smallest ?? metadata.smallest,
            largest: keys?.largest ?? metadata.largest,
            reason: text.hasPrefix(known) ? String(text.dropFirst(known.count)) : text
        )
    }

    /// Puts what `error` says into quarantine, also where a device may recover.
    func quarantine(_ range: QuarantinedRange) { tables.quarantine.note(range, of: metadata) }

    /// The table that `metadata` describes, with its body in memory.
    ///
    /// Header, footer, index, filter, tombstones and properties are verified and held against `metadata`; blocks are
    /// verified when they are read.
    ///
    /// - Throws: *damaged* where anything is not as it was written, *upgrade required* for a newer format, or the error of
    ///   the file, which may be missing.
    static func open(_ metadata: TableMetadata, in tables: TableCache) throws(EngineError) -> Table {
        let table = try known(metadata, in: tables)
        _ = try table.body(.allowed)
        return table
    }

    /// Drops the table's body and blocks from memory and closes the file. Blocks that a cursor holds stay valid for it.
    func close() { tables.close(self) }

    /// How much memory index and filter take at the moment, in bytes.
    var residentBytes: Int {
        cache.epochs.withPin { residentBody?._withUnsafeGuaranteedRef { $0.memoryBytes } ?? 0 }
    }

    // MARK: The body

    /// The body, if it is in memory. It stays valid for as long as the caller is pinned, or has the lock of
    /// ``TableCache``.
    @inline(__always)
    var residentBody: Unmanaged<TableBody>? {
        guard let address = UnsafeRawPointer(bitPattern: UInt(balsa_load_acquire_64(cells + Cell.body))) else {
            return nil
        }
        return Unmanaged.fromOpaque(address)
    }

    /// Publishes a body, or takes it back. Called with the lock of ``TableCache``.
    ///
    /// In one order with the pins of the readers: one that pins after a body was taken back does not find it.
    func setBody(_ body: Unmanaged<TableBody>?) {
        balsa_store_64(cells + Cell.body, body.map { UInt64(UInt(bitPattern: $0.toOpaque())) } ?? 0)
        _ = takeBodyUsed()
    }

    /// Notes that a reader has used the body. Tested first, because a store would take the line from other readers.
    @inline(__always)
    private func noteBodyUse() {
        if balsa_load_relaxed_8(cells + Cell.isBodyUsed) == 0 { balsa_store_relaxed_8(cells + Cell.isBodyUsed, 1) }
    }

    /// Whether a reader has used the body since the last call.
    func takeBodyUsed() -> Bool {
        guard balsa_load_relaxed_8(cells + Cell.isBodyUsed) != 0 else { return false }
        balsa_store_relaxed_8(cells + Cell.isBodyUsed, 0)
        return true
    }

    /// The body, from memory or the disk, with a reference of its own.
    ///
    /// - Parameter work: gets a read; nil if nobody asks.
    func body(_ waiting: Waiting, noting work: CursorWork? = nil) throws(EngineError) -> TableBody {
        let pin = cache.epochs.pin()
        let resident = residentBody?.takeUnretainedValue()
        cache.epochs.unpin(pin)
        if let resident {
            noteBodyUse()
            return resident
        }
        let body = try tables.body(of: self, waiting)
        work?.noteRead(byteCount: body.memoryBytes)
        return body
    }

    // MARK: Point reads

    /// The hash by which filters are asked; one for all tables.
    @inline(__always)
    static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 { KeyHash.hash(key) }

    /// Finds the newest entry of `key` with a sequence number of at most `sequence`, in what is in memory.
    ///
    /// The caller is pinned in the epochs of the cache: that is what keeps body and block alive.
    ///
    /// - Parameters:
    ///   - hash: the hash of `key`.
    ///   - loaded: what the caller has read because an earlier call missed it.
    @inline(__always)
    func lookUp(
        _ key: UnsafeRawBufferPointer,
        at sequence: SequenceNumber,
        hash: UInt64,
        _ loaded: LoadedParts?
    ) -> TableLookup {
        if let loaded, let body = loaded.body(of: self) {
            // That it was read for this look-up is no use of it yet.
            return lookUp(key, at: sequence, hash: hash, in: body, loaded)
        }
        guard let body = residentBody else { return .miss(.body) }
        noteBodyUse()
        return body._withUnsafeGuaranteedRef { lookUp(key, at: sequence, hash: hash, in: $0, loaded) }
    }

    @inline(__always)
    private func lookUp(
        _ key: UnsafeRawBufferPointer,
        at sequence: SequenceNumber,
        hash: UInt64,
        in body: TableBody,
        _ loaded: LoadedParts?
    ) -> TableLookup {
        guard body.mayContain(hash: hash) else { return .absent }
        let trailer = Trailer.seek(min(sequence, largestSequenceNumber))
        let number = body.index.find(key, trailer)
        guard number < body.index.count else { return .absent }
        let view: BlockView
        if let loaded, let block = loaded.block(number, of: self) {
            // The caller holds what it has read.
            view = block.view
        } else {
            guard let cached = body.slots.load(number) else { return .miss(.block(number)) }
            cache.noteHit()
            view = cached._withUnsafeGuaranteedRef { block in
                BlockView.prefetch(block.base)
                block.markVisited()
                return block.view
            }
        }
        guard let entry = view.find(key, trailer) else { return .absent }
        return .entry(entry.trailer, entry.value)
    }

    /// A cursor over all entries, or over what a reader at `sequence` sees, which is nowhere yet.
    ///
    /// - Parameters:
    ///   - fillsCache: whether blocks that it reads are kept in the cache. A compaction's are not worth it.
    ///   - work: gets what is read; nil if nobody asks.
    func makeCursor(
        fillsCache: Bool,
        visibleAt sequence: SequenceNumber? = nil,
        noting work: CursorWork? = nil
    ) -> TableCursor {
        TableCursor(self, fillsCache: fillsCache, visibleAt: sequence, noting: work)
    }

    // MARK: Blocks

    /// The block with this number, from the cache or the disk, with a reference of its own.
    func block(
        _ number: Int,
        of body: TableBody,
        _ waiting: Waiting,
        fillsCache: Bool,
        noting work: CursorWork? = nil
    ) throws(EngineError) -> Block {
        let pin = cache.epochs.pin()
        let cached = body.slots.load(number)?.takeUnretainedValue()
        cache.epochs.unpin(pin)
        if let cached {
            BlockView.prefetch(cached.base)
            cache.noteHit()
            if fillsCache { cached.markVisited() }
            return cached
        }
        cache.noteMiss()
        let block: Block
        do throws(EngineError) {
            block = try read(body.index.place(number), waiting)
        } catch {
            throw damage(error, keys(of: number, in: body))
        }
        work?.noteRead(byteCount: block.byteCount)
        if fillsCache { cache.insert(block, body.slots, at: number) }
        return block
    }

    /// Puts the blocks of a table that was just written into the cache, so that its first readers do not have to.
    ///
    /// - Parameter blocks: all of them, as ``TableWriter/takeBlocks()`` gave them.
    func fillCache(_ blocks: [Block]) throws(EngineError) {
        let body = try body(.allowed)
        precondition(blocks.count == body.index.count, "the blocks are those of another table")
        for (number, block) in blocks.enumerated() {
            let byteCount = body.index.place(number).byteCount
            precondition(UInt64(block.byteCount) == byteCount, "the block is that of another place")
            cache.insert(block, body.slots, at: number)
        }
    }

    /// Reads and verifies the block at `place`, and leaves the cache alone.
    func read(_ place: TablePlace, _ waiting: Waiting) throws(EngineError) -> Block {
        guard let open = waiting == .allowed ? try tables.file(of: self) : tables.openFile(of: self) else {
            throw EngineError(.wouldWait, "\(tables.path(of: self)) is not open")
        }
        // The index has been verified: the length is at most that of the file.
        let byteCount = Int(place.byteCount)
        let block = Block.make(byteCount: byteCount + TableLayout.checksumBytes)
        let buffer = UnsafeMutableRawBufferPointer(start: block.base, count: byteCount + TableLayout.checksumBytes)
        let count: Int?
        do throws(FileError) {
            count = try open.use { file throws(FileError) -> Int? in
                switch waiting {
                case .allowed: try file.read(into: buffer, at: place.offset)
                case .forbidden: try file.readWithoutWaiting(into: buffer, at: place.offset)
                }
            }
        } catch {
            throw EngineError(error)
        }
        guard waiting == .allowed || count == buffer.count else {
            // What the page cache has of the block may be a part of it, which serves nobody.
            throw EngineError(.wouldWait, "\(path): the block at byte \(place.offset) is not in memory")
        }
        guard count == buffer.count else {
            throw EngineError(.damaged, "\(path): ends within the block at byte \(place.offset)")
        }
        try verify(block, place)
        return block
    }

    private var path: String { tables.path(of: self) }

    /// Between which keys the entries of a block lie: the last key of the block before may go on in it.
    private func keys(of number: Int, in body: TableBody) -> (smallest: Bytes, largest: Bytes) {
        (number > 0 ? body.index.lastKey(of: number - 1) : metadata.smallest, body.index.lastKey(of: number))
    }

    private func verify(_ block: Block, _ place: TablePlace) throws(EngineError) {
        let bytes = UnsafeRawBufferPointer(start: block.base, count: Int(place.byteCount))
        let stored = block.base.loadUnaligned(fromByteOffset: bytes.count, as: UInt32.self)
        guard TableLayout.checksum(bytes, id: metadata.id, offset: place.offset) == UInt32(littleEndian: stored) else {
            throw EngineError(
                .damaged,
                "\(path): the checksum of the block at byte \(place.offset) is wrong"
            )
        }
        guard let maxKeyBytes = BlockView.check(bytes) else {
            throw EngineError(.damaged, "\(path): the block at byte \(place.offset) does not have a block's shape")
        }
        block.seal(byteCount: bytes.count, maxKeyBytes: maxKeyBytes)
    }

    /// Reads the rest of the file again and verifies it.
    func readSections() throws(EngineError) -> TableSections {
        try tables.file(of: self).use { file throws(EngineError) in try TableSections(reading: file, metadata) }
    }
}
