import BalsaLSM
import BalsaPlatform

/// The storage workloads, in the order and with the keys and values of the programs that measure other engines.
///
/// The first answer that is wrong ends the run, as every error does, and so does a row that was not measured.
struct StorageBenchmark {
    /// How much is done of what is bounded.
    struct Bounds {
        /// Of so many values that are read one is compared.
        var checkInterval = StorageReads.usualInterval
        /// How many keys fillsync writes at most.
        var syncs = 10_000
        /// How many keys the writers of fillsync8 write at most, all together.
        var sharedSyncs = 16_000
    }

    let arguments: StorageArguments
    let folder: WorkFolder
    let bounds: Bounds
    /// Gets each line of the results.
    let print: (String) -> Void

    private let measurements: Measurements
    private let values: PeerValues

    init(
        _ arguments: StorageArguments,
        in folder: WorkFolder,
        bounds: Bounds = Bounds(),
        print: @escaping (String) -> Void
    ) {
        self.arguments = arguments
        self.folder = folder
        self.bounds = bounds
        self.print = print
        measurements = Measurements(print: print)
        values = PeerValues(byteCount: arguments.valueBytes, isCompressible: arguments.isCompressible)
    }

    /// Runs all workloads that are wanted.
    func run() throws(BenchmarkError) {
        defer { values.free() }
        let key = KeyText()
        defer { key.free() }
        if arguments.wants("fillseq") {
            try withNewEngine { (engine) throws(BenchmarkError) in try fillInOrder(engine, key) }
        }
        if arguments.wants("fillbatch") {
            try withNewEngine { (engine) throws(BenchmarkError) in try fillInBatches(engine, key) }
        }
        if arguments.wants("fillsync") {
            try withNewEngine { (engine) throws(BenchmarkError) in try fillSyncing(engine, key) }
        }
        if arguments.wants("fillsync8") {
            try withNewEngine { (engine) throws(BenchmarkError) in try fillSyncingTogether(engine) }
        }
        let writtenBefore = ProcessFigures.writtenBytes
        var putCount = 0
        try withNewEngine { (engine) throws(BenchmarkError) in putCount = try runMain(engine, key) }
        try measurements.requireRows(arguments.rows)
        printEnd(putCount: putCount, writtenBefore: writtenBefore)
        print("\(try folder.mebibytes(of: "db")) MiB on disk")
    }

    /// Runs fillrandom and the workloads that need what it wrote, and returns how many keys were written.
    private func runMain(_ engine: MeasuredEngine, _ key: KeyText) throws(BenchmarkError) -> Int {
        var putCount = arguments.keyCount
        var reads = StorageReads(
            engine: engine,
            keyCount: arguments.keyCount,
            values: values,
            measurements: measurements,
            checkInterval: bounds.checkInterval,
            written: WrittenRounds(keyCount: arguments.keyCount)
        )
        try writeAtRandom(.fillrandom, seed: 1, engine, key, &reads.written)
        if arguments.wants("overwrite") {
            try writeAtRandom(.overwrite, seed: 2, engine, key, &reads.written)
            putCount += arguments.keyCount
        }
        if arguments.wants("readrandom") { try reads.readAtRandom("readrandom", seed: 3) }
        if arguments.wants("readmissing") { try reads.readMissing() }
        if arguments.wants("seekrandom") { try reads.seekAtRandom() }
        if arguments.wants("readwhilewriting") {
            putCount += try reads.readWhileWriting(makeValues())
        }
        if arguments.wants("settle") {
            try measurements.runSeconds("settle") { () throws(BenchmarkError) in try engine.settle() }
        }
        if arguments.wants("readrandomsettled") { try reads.readAtRandom("readrandomsettled", seed: 11) }
        if arguments.wants("readseq") { try reads.readInOrder() }
        return putCount
    }

    /// Says how much was written to the disk for each byte that was put, from fillrandom on, and how much memory it took.
    private func printEnd(putCount: Int, writtenBefore: Int?) {
        var parts: [String] = []
        if let before = writtenBefore, let after = ProcessFigures.writtenBytes {
            let put = Double(putCount) * Double(KeyText.byteCount + arguments.valueBytes)
            parts.append("\(Text.decimal(Double(max(0, after - before)) / put, 2, width: 0)) bytes written a byte put")
        }
        if let resident = ProcessFigures.residentMebibytes { parts.append("\(resident) MiB resident at most") }
        if !parts.isEmpty { print(parts.joined(separator: ", ")) }
    }

    /// Values for a thread of its own, which frees them.
    private func makeValues() -> PeerValues {
        PeerValues(byteCount: arguments.valueBytes, isCompressible: arguments.isCompressible)
    }

    // MARK: Engines

    private func withNewEngine(_ body: (MeasuredEngine) throws(BenchmarkError) -> Void) throws(BenchmarkError) {
        try folder.remove("db")
        var options = EngineOptions()
        options.hasWriteAheadLog = true
        options.memtableBytes = arguments.bufferMebibytes << 20
        // The memtable decides when it is frozen, as in the other engines, and not the log, whose records are longer.
        options.writeAheadLogBytes = UInt64(arguments.bufferMebibytes) << 21
        options.cacheBytes = arguments.cacheMebibytes << 20
        options.filterBitsPerKey = 10
        let engine = try MeasuredEngine(directory: folder.path + "/db", options: options)
        defer { engine.close() }
        try body(engine)
    }

    // MARK: Writing

    private func fillInOrder(_ engine: MeasuredEngine, _ key: KeyText) throws(BenchmarkError) {
        try measurements.run("fillseq", arguments.keyCount) { number throws(BenchmarkError) in
            try engine.put(key.digits(of: number), values.of(number, .fillseq), syncing: false)
        }
    }

    private func fillInBatches(_ engine: MeasuredEngine, _ key: KeyText) throws(BenchmarkError) {
        var random = PeerRandom(seed: 1)
        var numbers: [Int] = []
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        let name = "fillbatch(\(StorageArguments.batchCount))"
        let count = arguments.keyCount / StorageArguments.batchCount
        try measurements.run(name, count) { _ throws(BenchmarkError) in
            // A key is written at most once in a batch, and drawing it twice happens.
            numbers.removeAll(keepingCapacity: true)
            for _ in 0..<StorageArguments.batchCount {
                let number = random.next(below: arguments.keyCount)
                if !numbers.contains(number) { numbers.append(number) }
            }
            try engine.write { batch in
                for number in numbers {
                    batch.put(prefix: nothing, key: key.digits(of: number), value: values.of(number, .fillbatch))
                }
            }
        }
    }

    private func fillSyncing(_ engine: MeasuredEngine, _ key: KeyText) throws(BenchmarkError) {
        var random = PeerRandom(seed: 1)
        try measurements.run("fillsync", min(arguments.keyCount, bounds.syncs)) { _ throws(BenchmarkError) in
            let number = random.next(below: arguments.keyCount)
            try engine.put(key.digits(of: number), values.of(number, .fillsync), syncing: true)
        }
    }

    private func fillSyncingTogether(_ engine: MeasuredEngine) throws(BenchmarkError) {
        let each = min(arguments.keyCount, bounds.sharedSyncs) / SyncWriters.count
        try measurements.runWhole("fillsync8") { () throws(BenchmarkError) in
            try SyncWriters.run(engine, each: each, keyCount: arguments.keyCount, makeValues: makeValues)
            return each * SyncWriters.count
        }
    }

    private func writeAtRandom(
        _ round: Round,
        seed: UInt64,
        _ engine: MeasuredEngine,
        _ key: KeyText,
        _ written: inout WrittenRounds
    ) throws(BenchmarkError) {
        var random = PeerRandom(seed: seed)
        try measurements.run("\(round)", arguments.keyCount) { _ throws(BenchmarkError) in
            let number = random.next(below: arguments.keyCount)
            try engine.put(key.digits(of: number), values.of(number, round), syncing: false)
        }
        written.noteDraws(arguments.keyCount, seed: seed, round)
    }
}
