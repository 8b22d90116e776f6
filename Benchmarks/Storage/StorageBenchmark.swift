import BalsaLSM
import BalsaPlatform

/// The storage workloads, in the order and with the keys of the programs that measure other engines.
///
/// Every read is checked: a key that was written is found, with the length of its value, and one that was not is not. The
/// first answer that is wrong ends the run, as every error does.
struct StorageBenchmark {
    private static let batchCount = 100
    private static let scanCount = 10

    let arguments: StorageArguments
    let folder: WorkFolder
    /// Whether all bytes of a value are compared, and not its length alone.
    let comparesValues: Bool
    /// How many keys fillsync writes at most.
    let maxSyncs: Int
    /// Gets each line of the results.
    let print: (String) -> Void

    private let value: [UInt8]
    private let measurement = Measurement()

    init(
        _ arguments: StorageArguments,
        in folder: WorkFolder,
        comparesValues: Bool = false,
        maxSyncs: Int = 10_000,
        print: @escaping (String) -> Void
    ) {
        self.arguments = arguments
        self.folder = folder
        self.comparesValues = comparesValues
        self.maxSyncs = maxSyncs
        self.print = print
        var random = PeerRandom(seed: 7)
        value = (0..<arguments.valueBytes).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    /// Runs all workloads that are wanted.
    func run() throws(BenchmarkError) {
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
        try withNewEngine { (engine) throws(BenchmarkError) in
            var written = WrittenKeys(count: arguments.keyCount)
            try writeAtRandom("fillrandom", seed: 1, engine, key, &written)
            if arguments.wants("overwrite") { try writeAtRandom("overwrite", seed: 2, engine, key, &written) }
            if arguments.wants("readrandom") { try readAtRandom("readrandom", seed: 3, engine, key, written) }
            if arguments.wants("readmissing") { try readMissing(engine, key) }
            if arguments.wants("seekrandom") { try seekAtRandom(engine, key, written) }
            if arguments.wants("readwhilewriting") { try readWhileWriting(engine, key, &written) }
            if arguments.wants("settle") {
                let seconds = try measurement.seconds { () throws(BenchmarkError) in try engine.settle() }
                print(Text.left("settle", 18) + " " + Text.decimal(seconds, 2, width: 12) + " s")
            }
            if arguments.wants("readrandomsettled") {
                try readAtRandom("readrandomsettled", seed: 11, engine, key, written)
            }
            if arguments.wants("readseq") { try readInOrder(engine, written) }
        }
        print("\(try folder.mebibytes(of: "db")) MiB on disk")
    }

    // MARK: Engines

    private func withNewEngine(_ body: (MeasuredEngine) throws(BenchmarkError) -> Void) throws(BenchmarkError) {
        try folder.remove("db")
        var options = EngineOptions()
        options.hasWriteAheadLog = true
        options.memtableBytes = arguments.bufferMebibytes << 20
        // The memtable decides when it is sealed, as in the other engines, and not the log, whose records are longer.
        options.writeAheadLogBytes = UInt64(arguments.bufferMebibytes) << 21
        options.cacheBytes = arguments.cacheMebibytes << 20
        options.filterBitsPerKey = 10
        let engine = try MeasuredEngine(directory: folder.path + "/db", options: options)
        defer { engine.close() }
        try body(engine)
    }

    // MARK: Writing

    private func fillInOrder(_ engine: MeasuredEngine, _ key: KeyText) throws(BenchmarkError) {
        try withValue { value throws(BenchmarkError) in
            try measurement.run("fillseq", arguments.keyCount, print) { number throws(BenchmarkError) in
                try engine.put(key.digits(of: number), value, syncing: false)
            }
        }
    }

    private func fillInBatches(_ engine: MeasuredEngine, _ key: KeyText) throws(BenchmarkError) {
        var random = PeerRandom(seed: 1)
        var numbers: [Int] = []
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        let name = "fillbatch(\(StorageBenchmark.batchCount))"
        let count = arguments.keyCount / StorageBenchmark.batchCount
        try withValue { value throws(BenchmarkError) in
            try measurement.run(name, count, print) { _ throws(BenchmarkError) in
                // A key is written at most once in a batch, and drawing it twice happens.
                numbers.removeAll(keepingCapacity: true)
                for _ in 0..<StorageBenchmark.batchCount {
                    let number = random.next(below: arguments.keyCount)
                    if !numbers.contains(number) { numbers.append(number) }
                }
                try engine.write { batch in
                    for number in numbers { batch.put(prefix: nothing, key: key.digits(of: number), value: value) }
                }
            }
        }
    }

    private func fillSyncing(_ engine: MeasuredEngine, _ key: KeyText) throws(BenchmarkError) {
        var random = PeerRandom(seed: 1)
        try withValue { value throws(BenchmarkError) in
            try measurement.run("fillsync", min(arguments.keyCount, maxSyncs), print) { _ throws(BenchmarkError) in
                try engine.put(key.digits(of: random.next(below: arguments.keyCount)), value, syncing: true)
            }
        }
    }

    private func writeAtRandom(
        _ name: String,
        seed: UInt64,
        _ engine: MeasuredEngine,
        _ key: KeyText,
        _ written: inout WrittenKeys
    ) throws(BenchmarkError) {
        var random = PeerRandom(seed: seed)
        try withValue { value throws(BenchmarkError) in
            try measurement.run(name, arguments.keyCount, print) { _ throws(BenchmarkError) in
                let number = random.next(below: arguments.keyCount)
                try engine.put(key.digits(of: number), value, syncing: false)
                written.insert(number)
            }
        }
    }

    private func withValue(
        _ body: (UnsafeRawBufferPointer) throws(BenchmarkError) -> Void
    ) throws(BenchmarkError) {
        try value.span.bytes.withUnsafeBytes(body)
    }

    // MARK: Reading

    private func readAtRandom(
        _ name: String,
        seed: UInt64,
        _ engine: MeasuredEngine,
        _ key: KeyText,
        _ written: WrittenKeys
    ) throws(BenchmarkError) {
        var random = PeerRandom(seed: seed)
        let found = FoundValue(capacity: arguments.valueBytes)
        try measurement.run(name, arguments.keyCount, print) { _ throws(BenchmarkError) in
            let number = random.next(below: arguments.keyCount)
            try found.read(key.digits(of: number), from: engine.engine)
            guard found.isPresent == written.contains(number) else { throw wrongPresence(name, number, found) }
            if found.isPresent { try check(found, name, number) }
        }
    }

    private func readMissing(_ engine: MeasuredEngine, _ key: KeyText) throws(BenchmarkError) {
        var random = PeerRandom(seed: 4)
        let found = FoundValue(capacity: arguments.valueBytes)
        try measurement.run("readmissing", arguments.keyCount, print) { _ throws(BenchmarkError) in
            let number = random.next(below: arguments.keyCount)
            try found.read(key.missing(number), from: engine.engine)
            guard !found.isPresent else { throw wrongPresence("readmissing", number, found) }
        }
    }

    private func readWhileWriting(
        _ engine: MeasuredEngine,
        _ key: KeyText,
        _ written: inout WrittenKeys
    ) throws(BenchmarkError) {
        let writer = ConcurrentWriter(engine, keyCount: arguments.keyCount, value: value)
        let thread = try writer.start()
        var random = PeerRandom(seed: 10)
        let found = FoundValue(capacity: arguments.valueBytes)
        do throws(BenchmarkError) {
            try measurement.run("readwhilewriting", arguments.keyCount / 2, print) { _ throws(BenchmarkError) in
                let number = random.next(below: arguments.keyCount)
                try found.read(key.digits(of: number), from: engine.engine)
                if found.isPresent {
                    try check(found, "readwhilewriting", number)
                } else if written.contains(number) {
                    // One that nobody had written before may be there by now or not.
                    throw wrongPresence("readwhilewriting", number, found)
                }
            }
        } catch {
            thread.stop()
            throw error
        }
        thread.stop()
        try writer.forEachWritten { written.insert($0) }
        print(Text.left("", 18) + " " + Text.right("\(try writer.count)", 12) + " writes beside it")
    }

    private func seekAtRandom(
        _ engine: MeasuredEngine,
        _ key: KeyText,
        _ written: WrittenKeys
    ) throws(BenchmarkError) {
        var random = PeerRandom(seed: 5)
        let name = "seekrandom(\(StorageBenchmark.scanCount))"
        try measurement.run(name, arguments.keyCount / 10, print) { _ throws(BenchmarkError) in
            let number = random.next(below: arguments.keyCount)
            let count = try measured { () throws(EngineError) in
                var cursor = try engine.engine.makeCursor()
                try cursor.seek(key.digits(of: number))
                return try walk(&cursor, atMost: StorageBenchmark.scanCount)
            }
            let expected = expectedCount(from: number, written)
            guard count == expected else {
                throw BenchmarkError("seekrandom: \(count) keys from \(number) on instead of \(expected)")
            }
        }
    }

    private func readInOrder(_ engine: MeasuredEngine, _ written: WrittenKeys) throws(BenchmarkError) {
        let expected = written.count
        try measurement.runWhole("readseq", print) { () throws(BenchmarkError) in
            let count = try measured { () throws(EngineError) in
                var cursor = try engine.engine.makeCursor()
                try cursor.seekToFirst()
                return try walk(&cursor, atMost: arguments.keyCount)
            }
            guard count == expected else { throw BenchmarkError("readseq: \(count) keys instead of \(expected)") }
            return count
        }
    }

    /// Goes on with a cursor, and returns how many keys it was at that have a value of the right length.
    private func walk(_ cursor: inout EngineCursor, atMost limit: Int) throws(EngineError) -> Int {
        var visited = 0
        var right = 0
        while cursor.isValid, visited < limit {
            visited += 1
            if cursor.value.count == arguments.valueBytes { right += 1 }
            if visited < limit { try cursor.next() }
        }
        return right
    }

    // MARK: Checking

    /// How many keys a short scan from `number` on finds.
    private func expectedCount(from number: Int, _ written: WrittenKeys) -> Int {
        var count = 0
        var next = number
        while count < StorageBenchmark.scanCount, next < arguments.keyCount {
            if written.contains(next) { count += 1 }
            next += 1
        }
        return count
    }

    private func check(_ found: FoundValue, _ workload: String, _ number: Int) throws(BenchmarkError) {
        guard found.byteCount == value.count else {
            throw BenchmarkError("\(workload): the value of \(number) has \(found.byteCount) bytes, not \(value.count)")
        }
        guard comparesValues, !found.bytes.elementsEqual(value) else { return }
        throw BenchmarkError("\(workload): the value of \(number) is another one")
    }

    private func wrongPresence(_ workload: String, _ number: Int, _ found: FoundValue) -> BenchmarkError {
        BenchmarkError("\(workload): the key \(number) was \(found.isPresent ? "" : "not ")found")
    }
}
