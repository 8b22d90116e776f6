import BalsaPlatform
import BalsaSimulation

@testable import BalsaLSM

extension EngineOptions {
    /// Limits so small that a few keys fill a table.
    static var cramped: EngineOptions {
        var options = EngineOptions()
        options.memtableBytes = 1
        options.blockBytes = 128
        options.tableBytes = 300
        options.cacheBytes = 2_000
        options.levelZeroTables = 2
        options.levelZeroTablesToPause = 8
        options.levelBaseBytes = 600
        options.levelRatio = 2
        options.levels = 4
        return options
    }
}

/// An engine at work on a disk that may crash, with what its owner knows when it dies.
final class CrashDriver {
    static let directory = "engine"

    let files: SimulatedFileSystem
    let engine: StorageEngine
    /// What was written, the batch under way included.
    private(set) var model = EngineModel()
    private var batches: [(sequence: SequenceNumber, writes: [ModelWrite])]
    /// The records of all seals, that under way included, in order.
    private(set) var seals: [SealRecord]
    /// The last record that the engine has said to be durable.
    private(set) var acknowledged: SealRecord?
    private var lastSequence: SequenceNumber
    private var mark: SequenceNumber = 0

    /// Opens an engine, which holds what an earlier driver wrote, up to the seal that it finds.
    init(_ files: SimulatedFileSystem, options: EngineOptions = .cramped, after earlier: CrashDriver? = nil) throws {
        self.files = files
        engine = try StorageEngine.open(CrashDriver.directory, fileSystem: files, options: options, seed: 1)
        acknowledged = engine.durableSeal
        lastSequence = engine.lastSequence
        mark = engine.durableSeal?.retentionMark ?? 0
        let last = lastSequence
        seals = earlier?.seals.filter { $0.sequence <= last } ?? []
        batches = earlier?.batches.filter { $0.sequence <= last } ?? []
        for batch in batches { model.apply(batch.writes, sequence: batch.sequence) }
    }

    private func acknowledge() {
        if let durable = engine.durableSeal { acknowledged = durable }
    }

    /// Writes a batch.
    func write(_ writes: ModelWrite...) throws { try write(writes) }

    private func write(_ writes: [ModelWrite]) throws {
        lastSequence += 2
        batches.append((lastSequence, writes))
        model.apply(writes, sequence: lastSequence)
        try engine.apply(WriteBatch(writes), sequence: lastSequence)
    }

    /// Puts `count` keys with values of some bytes, one batch for each.
    func fill(_ prefix: String, _ count: Int, bytes: Int = 20) throws {
        for number in 0..<count {
            let value = Bytes([UInt8](repeating: UInt8(truncatingIfNeeded: lastSequence), count: bytes))
            try write(.put(Bytes("\(prefix)\(number)"), value))
        }
    }

    /// Writes a few batches, as the seed has it.
    func writeAnything(seed: UInt64) throws {
        var random = RandomSource(seed: RandomSource.mix(seed))
        for _ in 0..<random.draw(1...4) {
            var writes: [ModelWrite] = []
            for key in 0..<8 where random.chance(1, in: 2) {
                let value = Bytes([UInt8](repeating: UInt8(random.draw(0...255)), count: random.draw(0...90)))
                writes.append(random.chance(3, in: 4) ? .put(Bytes("key\(key)"), value) : .delete(Bytes("key\(key)")))
            }
            if random.chance(1, in: 5) { writes.append(.deleteRange("key2", Bytes("key\(random.draw(3...9))"))) }
            try write(writes)
        }
    }

    /// Ends the memtable.
    ///
    /// - Parameter keeping: how many of the last sequence numbers stay readable, and no older ones; nil for all.
    func seal(keeping: SequenceNumber? = nil) throws {
        if let keeping { mark = max(mark, lastSequence - min(keeping, lastSequence)) }
        let state = Bytes("state of \(lastSequence)")
        let record = SealRecord(sequence: lastSequence, term: 3, stamp: 5, retentionMark: mark, systemState: state)
        seals.append(record)
        try engine.seal(record)
    }

    /// Does background work until there is none left, or for some steps.
    func work(budget: Int = 200, steps: Int = .max) throws {
        var done = 0
        while done < steps, try engine.work(budget: budget) != .idle {
            acknowledge()
            done += 1
        }
        acknowledge()
    }
}
