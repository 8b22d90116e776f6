import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// An entry as the tests write it and expect to read it.
struct TestEntry: Equatable, CustomStringConvertible {
    var key: [UInt8]
    var sequence: SequenceNumber
    var kind = ValueKind.put
    var value: [UInt8]

    var trailer: Trailer { Trailer(sequence, kind) }

    var description: String { "\(Bytes(key))@\(sequence) \(kind) \(Bytes(value))" }

    /// Whether the entry comes before (`key`, `trailer`): the order that the format promises, said a second time.
    func isBefore(_ key: [UInt8], _ trailer: Trailer) -> Bool {
        self.key == key ? self.trailer > trailer : self.key.lexicographicallyPrecedes(key)
    }

    /// The entries in their order. Of several of one batch for one key the first stays: a key is written at most once a
    /// batch.
    static func sorted(_ entries: [TestEntry]) -> [TestEntry] {
        var sorted: [TestEntry] = []
        for entry in entries.sorted(by: { $0.isBefore($1.key, $1.trailer) }) {
            if let last = sorted.last, last.key == entry.key, last.sequence == entry.sequence { continue }
            sorted.append(entry)
        }
        return sorted
    }
}

/// A simulated disk with tables on it.
final class TableFixture {
    let disk = SimulatedDisk()
    let files: SimulatedFileSystem
    let epochs = Epochs()
    let cache: BlockCache
    var options = EngineOptions()

    init(cacheBytes: Int = 1 << 20, blockBytes: Int = 256, hook: (any DiskHook)? = nil) {
        files = disk.mount(hook)
        cache = BlockCache(capacityBytes: cacheBytes, epochs: epochs)
        options.blockBytes = blockBytes
    }

    func path(_ number: UInt64) -> String { "/\(TableMetadata.fileName(number))" }

    func writer(
        number: UInt64 = 1,
        id: UInt64? = nil,
        filterBitsPerKey: Int = 10
    ) throws -> TableWriter {
        try TableWriter(
            directory: "",
            number: number,
            id: id ?? 100 + number,
            fileSystem: files,
            options: options,
            filterBitsPerKey: filterBitsPerKey
        )
    }

    /// Writes a table of the entries, which are in order.
    func write(
        _ entries: [TestEntry],
        _ deletions: [RangeDeletion] = [],
        number: UInt64 = 1,
        id: UInt64? = nil,
        filterBitsPerKey: Int = 10
    ) throws -> TableMetadata {
        let writer = try writer(number: number, id: id, filterBitsPerKey: filterBitsPerKey)
        for entry in entries { try writer.add(entry) }
        for deletion in deletions { writer.add(deletion) }
        return try writer.finish()
    }

    func open(_ metadata: TableMetadata, cache: BlockCache? = nil) throws -> Table {
        try Table.open(directory: "", metadata: metadata, fileSystem: files, cache: cache ?? self.cache)
    }

    func table(_ entries: [TestEntry], _ deletions: [RangeDeletion] = []) throws -> Table {
        try open(try write(entries, deletions))
    }
}

extension TableWriter {
    func add(_ entry: TestEntry) throws {
        try entry.key.withUnsafeBytes { key in
            try entry.value.withUnsafeBytes { value in try add(key, entry.trailer, value) }
        }
    }
}

extension Table {
    /// A table with its body in memory, in a cache of tables of its own that has room for all that is opened.
    static func open(
        directory: String,
        metadata: TableMetadata,
        fileSystem: any FileSystem,
        cache: BlockCache
    ) throws(EngineError) -> Table {
        let tables = TableCache(
            directory: directory,
            fileSystem: fileSystem,
            maxFiles: 64,
            capacityBytes: .max,
            blocks: cache
        )
        return try open(metadata, in: tables)
    }

    /// The index, which is in memory.
    var index: TableIndex { presentBody.index }

    /// Whether the filter lets a hash pass.
    func mayContain(hash: UInt64) -> Bool { presentBody.mayContain(hash: hash) }

    private var presentBody: TableBody {
        do throws(EngineError) { return try body(.allowed) } catch {
            preconditionFailure("a table of a test has no body: \(error)")
        }
    }

    /// Finds an entry in what is in memory, reads what is missing, and looks again.
    func find<Result>(
        _ key: UnsafeRawBufferPointer,
        at sequence: SequenceNumber,
        hash: UInt64,
        waiting: Waiting,
        _ body: (Trailer, UnsafeRawBufferPointer) throws(EngineError) -> Result
    ) throws(EngineError) -> Result? {
        let loaded = LoadedParts()
        while true {
            let pin = cache.epochs.pin()
            defer { cache.epochs.unpin(pin) }
            switch lookUp(key, at: sequence, hash: hash, loaded) {
            case .absent: return nil
            case .entry(let trailer, let value): return try body(trailer, value)
            case .miss(let part): try loaded.load(TableMiss(table: self, part: part), waiting)
            }
        }
    }

    /// What a point read finds, copied.
    func get(
        _ key: [UInt8],
        at sequence: SequenceNumber = largestSequenceNumber,
        waiting: Waiting = .allowed
    ) throws -> TestEntry? {
        let pin = cache.epochs.pin()
        defer { cache.epochs.unpin(pin) }
        return try key.withUnsafeBytes { raw in
            try find(raw, at: sequence, hash: Table.hash(raw), waiting: waiting) { trailer, value in
                TestEntry(
                    key: key,
                    sequence: trailer.sequence,
                    kind: trailer.kind ?? .rangeDeletion,
                    value: [UInt8](value)
                )
            }
        }
    }

    /// All entries, from the first to the last.
    func entries(fillsCache: Bool = true) throws -> [TestEntry] {
        var cursor = makeCursor(fillsCache: fillsCache)
        var entries: [TestEntry] = []
        try cursor.seekToFirst()
        while cursor.isValid {
            entries.append(cursor.entry)
            try cursor.next()
        }
        return entries
    }

    /// All entries, from the last to the first.
    func entriesBackwards() throws -> [TestEntry] {
        var cursor = makeCursor(fillsCache: true)
        var entries: [TestEntry] = []
        try cursor.seekToLast()
        while cursor.isValid {
            entries.append(cursor.entry)
            try cursor.previous()
        }
        return entries
    }
}

extension TableCursor {
    /// The entry that the cursor is at, copied.
    var entry: TestEntry {
        TestEntry(
            key: [UInt8](key),
            sequence: trailer.sequence,
            kind: trailer.kind ?? .rangeDeletion,
            value: [UInt8](value)
        )
    }

    mutating func seek(_ key: [UInt8], _ trailer: Trailer) throws {
        try key.withUnsafeBytes { raw in try seek(raw, trailer) }
    }

    mutating func seekBefore(_ key: [UInt8]) throws {
        try key.withUnsafeBytes { raw in try seekBefore(raw) }
    }
}
