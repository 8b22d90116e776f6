import BalsaLSM
import BalsaPlatform

/// The workloads that read, and the checks of what they get.
///
/// Every answer is checked for a key that is missing or should be, and for the length of the value. Every 64th value is
/// compared with the one that was written last, byte by byte, at the same operations as in the programs that measure other
/// engines. Of a scan all keys are compared. What costs more than a comparison is done when the clock has stopped.
struct StorageReads {
    static let scanCount = 10
    static let usualInterval = 64

    let engine: MeasuredEngine
    let keyCount: Int
    let values: PeerValues
    let measurements: Measurements
    /// Of so many values one is compared.
    var checkInterval = StorageReads.usualInterval
    /// What has been written.
    var written: WrittenRounds

    // MARK: Points

    /// Reads keys at random.
    func readAtRandom(_ name: String, seed: UInt64) throws(BenchmarkError) {
        var random = PeerRandom(seed: seed)
        let key = KeyText()
        defer { key.free() }
        let found = FoundValue(capacity: values.byteCount)
        try measurements.run(name, keyCount) { operation throws(BenchmarkError) in
            let number = random.next(below: keyCount)
            try found.read(key.digits(of: number), from: engine.engine)
            guard found.isPresent == written.contains(number) else { throw wrongPresence(name, number, found) }
            guard found.isPresent else { return }
            guard found.byteCount == values.byteCount, operation % checkInterval != 0 else {
                return try check(found.bytes, found.byteCount, name, number)
            }
        }
    }

    /// Reads keys that nobody has written.
    func readMissing() throws(BenchmarkError) {
        var random = PeerRandom(seed: 4)
        let key = KeyText()
        defer { key.free() }
        let found = FoundValue(capacity: values.byteCount)
        try measurements.run("readmissing", keyCount) { _ throws(BenchmarkError) in
            let number = random.next(below: keyCount)
            try found.read(key.missing(number), from: engine.engine)
            guard !found.isPresent else { throw wrongPresence("readmissing", number, found) }
        }
    }

    /// Reads keys at random while another thread writes.
    ///
    /// - Parameters:
    ///   - writerValues: values of the writer's own.
    ///   - target: where it writes; nil for the engine that is read. A test has the writes go elsewhere.
    /// - Returns: how many keys that thread has written.
    mutating func readWhileWriting(
        _ writerValues: PeerValues,
        into target: MeasuredEngine? = nil
    ) throws(BenchmarkError) -> Int {
        let writer = ConcurrentWriter(target ?? engine, keyCount: keyCount, values: writerValues)
        let thread = try writer.start()
        var reads: [ConcurrentRead] = []
        reads.reserveCapacity(keyCount / 2 / checkInterval + 1)
        do throws(BenchmarkError) {
            try readBeside(writer, &reads)
        } catch {
            thread.stop()
            throw error
        }
        thread.stop()
        let count = try writer.count
        try ConcurrentRead.check(reads, writeCount: count, keyCount: keyCount, written)
        written.noteDraws(count, seed: ConcurrentWriter.seed, .readwhilewriting)
        guard count > 0 else { throw BenchmarkError("readwhilewriting: nothing was written beside the reads") }
        measurements.note("\(Text.right("\(count)", 12)) writes beside it")
        return count
    }

    private func readBeside(
        _ writer: ConcurrentWriter,
        _ reads: inout [ConcurrentRead]
    ) throws(BenchmarkError) {
        let name = "readwhilewriting"
        var random = PeerRandom(seed: 10)
        let key = KeyText()
        defer { key.free() }
        let found = FoundValue(capacity: values.byteCount)
        try measurements.run(name, keyCount / 2) { operation throws(BenchmarkError) in
            let number = random.next(below: keyCount)
            let isCompared = operation % checkInterval == 0
            let before = isCompared ? writer.writtenByNow : 0
            try found.read(key.digits(of: number), from: engine.engine)
            // A key that nobody had written before is there by now or not.
            guard found.isPresent || !written.contains(number) else { throw wrongPresence(name, number, found) }
            guard !found.isPresent || found.byteCount == values.byteCount else {
                return try check(found.bytes, found.byteCount, name, number)
            }
            guard isCompared else { return }
            var read = ConcurrentRead(key: number, found: nil, before: before, after: writer.writtenByNow)
            if found.isPresent {
                let rounds = [Round.readwhilewriting, written.round(of: number)]
                guard let round = rounds.compactMap({ $0 }).first(where: { values.matches(found.bytes, number, $0) })
                else { throw wrongValue(found.bytes, name, number) }
                read.found = round
            }
            reads.append(read)
        }
    }

    // MARK: Scans

    /// Reads short ranges that begin at random keys.
    func seekAtRandom() throws(BenchmarkError) {
        let name = "seekrandom"
        let count = keyCount / 10
        let key = KeyText()
        defer { key.free() }
        var random = PeerRandom(seed: 5)
        var seen: [KeyHash] = []
        seen.reserveCapacity(count)
        var visited = 0
        try measurements.run("\(name)(\(StorageReads.scanCount))", count) { _ throws(BenchmarkError) in
            let start = key.digits(of: random.next(below: keyCount))
            var cursor = try makeCursor(at: start)
            seen.append(try walk(&cursor, atMost: StorageReads.scanCount, name, &visited))
        }
        random = PeerRandom(seed: 5)
        for hash in seen { try checkScan(hash, name, from: random.next(below: keyCount), StorageReads.scanCount) }
    }

    /// Reads everything, from the first key on.
    func readInOrder() throws(BenchmarkError) {
        var hash = KeyHash()
        var visited = 0
        try measurements.runWhole("readseq") { () throws(BenchmarkError) in
            var cursor = try makeCursor(at: nil)
            hash = try walk(&cursor, atMost: keyCount, "readseq", &visited)
            return hash.count
        }
        try checkScan(hash, "readseq", from: 0, keyCount)
    }

    /// A cursor at the first key from `start` on; nil for the first of all.
    private func makeCursor(at start: UnsafeRawBufferPointer?) throws(BenchmarkError) -> EngineCursor {
        do throws(EngineError) {
            var cursor = try engine.engine.makeCursor()
            if let start { try cursor.seek(start) } else { try cursor.seekToFirst() }
            return cursor
        } catch { throw BenchmarkError(error) }
    }

    /// Moves a cursor over at most `limit` keys, and returns the hash of them.
    ///
    /// - Parameter visited: how many values the workload has seen; one of ``checkInterval`` is compared.
    private func walk(
        _ cursor: inout EngineCursor,
        atMost limit: Int,
        _ name: String,
        _ visited: inout Int
    ) throws(BenchmarkError) -> KeyHash {
        var hash = KeyHash()
        while cursor.isValid, hash.count < limit {
            hash.add(cursor.key)
            if cursor.value.count != values.byteCount || visited % checkInterval == 0 {
                guard let number = KeyText.number(of: cursor.key), number < keyCount, written.contains(number) else {
                    throw BenchmarkError("\(name): the key \(Bytes(copying: cursor.key)) was never written")
                }
                try check(cursor.value, cursor.value.count, name, number)
            }
            visited += 1
            guard hash.count < limit else { break }
            do throws(EngineError) { try cursor.next() } catch { throw BenchmarkError(error) }
        }
        return hash
    }

    private func checkScan(_ hash: KeyHash, _ name: String, from start: Int, _ limit: Int) throws(BenchmarkError) {
        let key = KeyText()
        defer { key.free() }
        var expected = KeyHash()
        written.forEach(from: start, atMost: limit) { expected.add(key.digits(of: $0)) }
        guard hash.count == expected.count else {
            throw BenchmarkError("\(name): \(hash.count) keys from key \(start) on instead of \(expected.count)")
        }
        guard hash == expected else {
            throw BenchmarkError("\(name): the keys from key \(start) on are not those that were written")
        }
    }

    // MARK: Checking

    /// Compares a value with the one that was written last.
    private func check(
        _ bytes: UnsafeRawBufferPointer,
        _ byteCount: Int,
        _ name: String,
        _ number: Int
    ) throws(BenchmarkError) {
        guard byteCount == values.byteCount else {
            throw BenchmarkError("\(name): the value of key \(number) has \(byteCount) bytes, not \(values.byteCount)")
        }
        guard let round = written.round(of: number), values.matches(bytes, number, round) else {
            throw wrongValue(bytes, name, number)
        }
    }

    private func wrongValue(_ bytes: UnsafeRawBufferPointer, _ name: String, _ number: Int) -> BenchmarkError {
        let found = values.description(of: bytes, at: number, keyCount: keyCount)
        let round = written.round(of: number).map { "\($0)" } ?? "nobody"
        return BenchmarkError("\(name): the value of key \(number) is \(found), not the one of \(round)")
    }

    private func wrongPresence(_ workload: String, _ number: Int, _ found: FoundValue) -> BenchmarkError {
        BenchmarkError("\(workload): the key \(number) was \(found.isPresent ? "" : "not ")found")
    }
}
