import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

extension EngineOptions {
    /// Limits so small that a few keys fill a block and a few blocks a table.
    static var tiny: EngineOptions {
        var options = EngineOptions()
        options.memtableBytes = 4 << 10
        options.blockBytes = 128
        options.tableBytes = 1_024
        options.cacheBytes = 4 << 10
        options.levelBaseBytes = 4 << 10
        options.levelRatio = 3
        options.levels = 5
        options.levelZeroTables = 2
        options.levelZeroTablesToPause = 8
        options.manifestBytes = 64 << 10
        return options
    }
}

/// An engine on a simulated disk, driven as a replica would.
final class EngineFixture {
    let disk: SimulatedDisk
    let options: EngineOptions
    private(set) var engine: StorageEngine
    var sequence: SequenceNumber

    init(
        disk: SimulatedDisk = SimulatedDisk(),
        hook: (any DiskHook)? = nil,
        options: EngineOptions = .tiny
    ) throws(EngineError) {
        self.disk = disk
        self.options = options
        engine = try StorageEngine.open("engine", fileSystem: disk.mount(hook), options: options, seed: 1)
        sequence = engine.lastSequence
    }

    /// Ends the process and opens the engine again.
    func reopen(hook: (any DiskHook)? = nil, options: EngineOptions? = nil) throws(EngineError) {
        disk.processCrash()
        engine = try StorageEngine.open(
            "engine",
            fileSystem: disk.mount(hook),
            options: options ?? self.options,
            seed: 1
        )
        sequence = engine.lastSequence
    }

    // MARK: Writing

    @discardableResult
    func write(_ body: (inout WriteBatch) -> Void) throws(EngineError) -> SequenceNumber {
        var batch = WriteBatch()
        body(&batch)
        sequence += 1
        try engine.apply(batch, sequence: sequence)
        return sequence
    }

    @discardableResult
    func put(_ key: Bytes, _ value: Bytes) throws(EngineError) -> SequenceNumber { try write { $0.put(key, value) } }

    @discardableResult
    func delete(_ key: Bytes) throws(EngineError) -> SequenceNumber { try write { $0.delete(key) } }

    @discardableResult
    func deleteRange(_ start: Bytes, _ end: Bytes) throws(EngineError) -> SequenceNumber {
        try write { $0.deleteRange(from: start, to: end) }
    }

    func seal(mark: SequenceNumber = 0, state: Bytes = Bytes()) throws(EngineError) {
        let mark = max(mark, engine.retentionMark)
        try engine.seal(SealRecord(sequence: sequence, retentionMark: mark, systemState: state))
    }

    /// Does all background work.
    func work(budget: Int = 1 << 20) throws(EngineError) {
        while try engine.work(budget: budget) != .idle {}
    }

    /// Flushes what has been written, and does nothing else.
    func flush(mark: SequenceNumber = 0) throws(EngineError) {
        try seal(mark: mark)
        while engine.durableSeal?.sequence ?? 0 < sequence || engine.metrics.sealsWaiting > 0 {
            _ = try engine.work(budget: 1 << 20)
        }
    }

    /// Does all background work; an error where it finds more to do after 200 steps.
    func workThatEnds() throws {
        for _ in 0..<200 {
            if try engine.work(budget: 1 << 20) == .idle { return }
        }
        throw WorkWithoutEnd(metrics: engine.metrics)
    }

    struct WorkWithoutEnd: Error {
        let metrics: EngineMetrics
    }

    // MARK: Damage

    /// Has the engine take a table for damaged that is not, so that all of it can still be read.
    func quarantine(_ table: TableHandle) {
        table.table.quarantine(
            QuarantinedRange(
                file: table.metadata.fileName,
                level: table.table.level,
                smallest: table.metadata.smallest,
                largest: table.metadata.largest,
                reason: "a test says so"
            )
        )
    }

    // MARK: Reading

    func get(_ key: Bytes, at sequence: SequenceNumber? = nil) throws(EngineError) -> Bytes? {
        try engine.get(key, at: sequence)?.value
    }

    /// All pairs, forward.
    func pairs(at sequence: SequenceNumber? = nil, from: Bytes? = nil, to: Bytes? = nil) throws -> [String] {
        var cursor = try engine.makeCursor(from: from, to: to, at: sequence)
        return try EngineFixture.forward(&cursor)
    }

    static func forward(_ cursor: inout EngineCursor) throws -> [String] {
        var found: [String] = []
        try cursor.seekToFirst()
        while cursor.isValid {
            found.append(text(cursor))
            try cursor.next()
        }
        return found
    }

    static func backward(_ cursor: inout EngineCursor) throws -> [String] {
        var found: [String] = []
        try cursor.seekToLast()
        while cursor.isValid {
            found.append(text(cursor))
            try cursor.previous()
        }
        return found
    }

    static func text(_ cursor: borrowing EngineCursor) -> String {
        "\(Bytes(copying: cursor.key))=\(Bytes(copying: cursor.value))"
    }

    /// How many tables each level has.
    var tableCounts: [Int] { engine.metrics.levels.map(\.tableCount) }

    /// The names of the files in the engine's directory that begin with `prefix`.
    func files(_ prefix: String = "table-") throws -> [String] {
        try disk.mount().list("engine").filter { $0.hasPrefix(prefix) }
    }
}
