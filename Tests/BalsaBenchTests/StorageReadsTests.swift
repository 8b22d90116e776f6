import BalsaLSM
import BalsaPlatform
import XCTest

@testable import BalsaBench

/// What the checks of the storage benchmark report when something wrong is planted in the store.
final class StorageReadsTests: BenchTestCase {
    private static let keyCount = 640

    private enum Workload: CaseIterable {
        case random, beside, besideWritesElsewhere, seek, order
    }

    /// A store with all keys of fillrandom, half of them overwritten, in which `plant` then changes something; read by
    /// workloads that compare one of `interval` values.
    private func read(
        _ workloads: [Workload],
        interval: Int = 1,
        plant: (MeasuredEngine, PeerValues, KeyText) throws -> Void = { _, _, _ in }
    ) throws {
        let folder = try makeFolder()
        var options = EngineOptions()
        options.hasWriteAheadLog = true
        let engine = try MeasuredEngine(directory: folder.path + "/db", options: options)
        let values = PeerValues(byteCount: 100)
        let key = KeyText()
        defer {
            engine.close()
            key.free()
            try? folder.remove()
        }
        var written = WrittenRounds(keyCount: StorageReadsTests.keyCount)
        for number in 0..<StorageReadsTests.keyCount {
            try engine.put(key.digits(of: number), values.of(number, .fillrandom), syncing: false)
            written.note(number, .fillrandom)
        }
        for number in 0..<StorageReadsTests.keyCount / 2 {
            try engine.put(key.digits(of: number), values.of(number, .overwrite), syncing: false)
            written.note(number, .overwrite)
        }
        try plant(engine, values, key)
        var reads = StorageReads(
            engine: engine,
            keyCount: StorageReadsTests.keyCount,
            values: values,
            measurements: Measurements { _ in },
            checkInterval: interval,
            written: written
        )
        for workload in workloads {
            switch workload {
            case .random: try reads.readAtRandom("readrandom", seed: 3)
            case .beside: _ = try reads.readWhileWriting(PeerValues(byteCount: 100))
            case .besideWritesElsewhere:
                let other = try MeasuredEngine(directory: folder.path + "/other", options: options)
                defer { other.close() }
                _ = try reads.readWhileWriting(PeerValues(byteCount: 100), into: other)
            case .seek: try reads.seekAtRandom()
            case .order: try reads.readInOrder()
            }
        }
    }

    /// The key that a workload of this seed reads as its `operation`-th.
    private func key(seed: UInt64, operation: Int = 0) -> Int {
        var random = PeerRandom(seed: seed)
        for _ in 0..<operation { _ = random.next() }
        return random.next(below: StorageReadsTests.keyCount)
    }

    func testReads_ofAStoreAsWritten_areRight() throws {
        try read([.random, .seek, .order, .beside, .random, .seek, .order])
        try read([.random, .seek, .order, .beside, .random, .seek, .order], interval: 64)
    }

    func testReadRandom_wrongValue_isReported() {
        let number = key(seed: 3)
        for interval in [1, 64] {
            let found = sentence {
                try self.read([.random], interval: interval) { engine, values, key in
                    var bytes = Array(values.of(number, .overwrite))
                    bytes[50] ^= 0x80
                    try bytes.withUnsafeBytes { try engine.put(key.digits(of: number), $0, syncing: false) }
                }
            }
            XCTAssertTrue(
                found?.hasPrefix("readrandom: the value of key \(number) is one that nobody wrote") ?? false,
                found ?? ""
            )
        }
    }

    func testReadRandom_valueOfAnotherKey_isReported() {
        let number = key(seed: 3, operation: 64)
        XCTAssertEqual(
            sentence {
                try self.read([.random], interval: 64) { engine, values, key in
                    try engine.put(key.digits(of: number), values.of(5, .overwrite), syncing: false)
                }
            },
            "readrandom: the value of key \(number) is that of key 5 of overwrite, not the one of "
                + (number < StorageReadsTests.keyCount / 2 ? "overwrite" : "fillrandom")
        )
    }

    func testReadRandom_oldValue_isReported() {
        XCTAssertEqual(
            sentence {
                try self.read([.order], interval: 64) { engine, values, key in
                    try engine.put(key.digits(of: 64), values.of(64, .fillrandom), syncing: false)
                }
            },
            "readseq: the value of key 64 is the one of fillrandom, not the one of overwrite"
        )
        let number = key(seed: 3, operation: 1)
        let last = number < StorageReadsTests.keyCount / 2 ? Round.overwrite : .fillrandom
        XCTAssertEqual(
            sentence {
                try self.read([.random]) { engine, values, key in
                    try engine.put(key.digits(of: number), values.of(number, .fillseq), syncing: false)
                }
            },
            "readrandom: the value of key \(number) is the one of fillseq, not the one of \(last)"
        )
    }

    func testReadRandom_valueOfAnotherLength_isReportedAtAnyOperation() {
        let number = key(seed: 3, operation: 33)
        let found = sentence {
            try self.read([.random], interval: 64) { engine, values, key in
                let part = UnsafeRawBufferPointer(rebasing: values.of(number, .fillrandom)[..<99])
                try engine.put(key.digits(of: number), part, syncing: false)
            }
        }
        XCTAssertEqual(found, "readrandom: the value of key \(number) has 99 bytes, not 100")
    }

    private func delete(_ number: Int, _ engine: MeasuredEngine) throws {
        let key = KeyText()
        defer { key.free() }
        try engine.write { batch in batch.delete(Bytes(copying: key.digits(of: number))) }
    }

    func testReads_missingKey_isReportedByEveryWorkload() {
        for (workload, seed) in [(Workload.random, UInt64(3)), (.besideWritesElsewhere, 10)] {
            let number = key(seed: seed, operation: 33)
            let found = sentence {
                try self.read([workload], interval: 64) { engine, _, _ in try self.delete(number, engine) }
            }
            XCTAssertTrue(found?.hasSuffix(": the key \(number) was not found") ?? false, found ?? "")
        }
        let start = key(seed: 5, operation: 7)
        let next = min(start + 3, StorageReadsTests.keyCount - 1)
        let seek = sentence { try self.read([.seek], interval: 64) { engine, _, _ in try self.delete(next, engine) } }
        XCTAssertTrue(seek?.hasPrefix("seekrandom: ") ?? false, seek ?? "")
        let order = sentence { try self.read([.order], interval: 64) { engine, _, _ in try self.delete(77, engine) } }
        XCTAssertEqual(order, "readseq: 639 keys from key 0 on instead of 640")
    }

    func testScans_keyThatNobodyWroteInsteadOfAnother_isReported() {
        let plant: (MeasuredEngine, PeerValues, KeyText) throws -> Void = { engine, values, _ in
            // Another key at the same position in the order, with the value of the one that is gone.
            try self.delete(77, engine)
            try Array("0000000000000076z".utf8).withUnsafeBytes {
                try engine.put($0, values.of(77, .overwrite), syncing: false)
            }
        }
        XCTAssertEqual(
            sentence { try self.read([.order], interval: 64, plant: plant) },
            "readseq: the keys from key 0 on are not those that were written"
        )
        XCTAssertEqual(
            sentence { try self.read([.order], plant: plant) },
            "readseq: the key 0000000000000076z was never written"
        )
    }

    func testScans_valueOfAnotherKey_isReported() {
        XCTAssertEqual(
            sentence {
                try self.read([.order], interval: 64) { engine, values, key in
                    try engine.put(key.digits(of: 128), values.of(129, .overwrite), syncing: false)
                }
            },
            "readseq: the value of key 128 is that of key 129 of overwrite, not the one of overwrite"
        )
        let start = key(seed: 5)
        let found = sentence {
            try self.read([.seek], interval: 64) { engine, values, key in
                try engine.put(key.digits(of: start), values.of(start, .fillseq), syncing: false)
            }
        }
        XCTAssertTrue(
            found?.hasPrefix("seekrandom: the value of key \(start) is the one of fillseq") ?? false,
            found ?? ""
        )
    }

    // MARK: Reads beside a writer

    func testConcurrentRead_ofEachMoment_isRightOrWrong() {
        func fault(_ found: Round?, _ firstWrite: Int?, _ earlier: Round?) -> String? {
            ConcurrentRead(key: 1, found: found, before: 10, after: 20).fault(firstWrite: firstWrite, earlier: earlier)
        }
        let old = "readwhilewriting: key 1 has the old value of overwrite, not the one of readwhilewriting"
        let early = "readwhilewriting: key 1 has a value that was not yet written"
        // Written before the read began: the new value, and no other.
        XCTAssertNil(fault(.readwhilewriting, 9, .overwrite))
        XCTAssertEqual(fault(.overwrite, 9, .overwrite), old)
        XCTAssertEqual(
            fault(nil, 9, nil),
            "readwhilewriting: key 1 has no value, not the one of readwhilewriting"
        )
        // Written during the read, or just when it ended: either.
        for write in [10, 20] {
            XCTAssertNil(fault(.readwhilewriting, write, .overwrite))
            XCTAssertNil(fault(.overwrite, write, .overwrite))
            XCTAssertNil(fault(nil, write, nil))
        }
        // Written later or never: the old one.
        for write in [21, nil] {
            XCTAssertEqual(fault(.readwhilewriting, write, .overwrite), early)
            XCTAssertNil(fault(.overwrite, write, .overwrite))
            XCTAssertEqual(
                fault(.fillrandom, write, .overwrite),
                "readwhilewriting: key 1 has the value of fillrandom, not that of overwrite"
            )
            XCTAssertEqual(
                fault(nil, write, .overwrite),
                "readwhilewriting: key 1 has no value, not that of overwrite"
            )
        }
    }

    func testConcurrentReadCheck_drawsTheWritersKeys_andFindsAnOldValue() throws {
        var random = PeerRandom(seed: ConcurrentWriter.seed)
        let keys = (0..<30).map { _ in random.next(below: 1_000) }
        var written = WrittenRounds(keyCount: 1_000)
        for key in 0..<1_000 { written.note(key, .overwrite) }
        func check(_ found: Round, before: Int, after: Int) throws {
            let read = ConcurrentRead(key: keys[20], found: found, before: before, after: after)
            try ConcurrentRead.check([read], writeCount: 30, keyCount: 1_000, written)
        }
        try check(.readwhilewriting, before: 25, after: 25)
        try check(.overwrite, before: 3, after: 5)
        XCTAssertNotNil(sentence { try check(.overwrite, before: 25, after: 25) })
        XCTAssertNotNil(sentence { try check(.readwhilewriting, before: 3, after: 5) })
    }

    func testReadWhileWriting_wrongValues_areReported() {
        let number = key(seed: 10, operation: 64)
        let last = number < StorageReadsTests.keyCount / 2 ? Round.overwrite : .fillrandom
        for (planted, round) in [(number, Round.fillsync), (number == 5 ? 6 : 5, .readwhilewriting)] {
            let found = sentence {
                try self.read([.besideWritesElsewhere], interval: 64) { engine, values, key in
                    try engine.put(key.digits(of: number), values.of(planted, round), syncing: false)
                }
            }
            let whose = planted == number ? "the one of fillsync" : "that of key \(planted) of readwhilewriting"
            XCTAssertEqual(found, "readwhilewriting: the value of key \(number) is \(whose), not the one of \(last)")
        }
    }

    func testReadWhileWriting_valueOfAnotherLength_isReportedAtAnyOperation() {
        let number = key(seed: 10, operation: 33)
        let found = sentence {
            try self.read([.besideWritesElsewhere], interval: 64) { engine, values, key in
                let part = UnsafeRawBufferPointer(rebasing: values.of(number, .fillrandom)[..<99])
                try engine.put(key.digits(of: number), part, syncing: false)
            }
        }
        XCTAssertEqual(found, "readwhilewriting: the value of key \(number) has 99 bytes, not 100")
    }

    func testReadWhileWriting_writesThatAreLost_areReported() {
        // The keys are read again and again until one is read that was written, elsewhere, before the read began.
        let found = sentence {
            for _ in 0..<1_000 { try self.read([.besideWritesElsewhere]) }
        }
        XCTAssertTrue(found?.contains(" has the old value of ") ?? false, found ?? "")
    }

    // MARK: What was written

    func testWrittenRounds_draws_areTheKeysOfTheLastRound() {
        var written = WrittenRounds(keyCount: 100)
        XCTAssertEqual(written.count, 0)
        XCTAssertNil(written.round(of: 0))
        written.noteDraws(50, seed: 1, .fillrandom)
        var random = PeerRandom(seed: 1)
        let first = (0..<50).map { _ in random.next(below: 100) }
        for key in 0..<100 { XCTAssertEqual(written.round(of: key), first.contains(key) ? .fillrandom : nil) }
        XCTAssertEqual(written.count, Set(first).count)
        written.note(first[0], .overwrite)
        XCTAssertEqual(written.round(of: first[0]), .overwrite)
        XCTAssertEqual(written.count, Set(first).count)
        var found: [Int] = []
        written.forEach(from: 10, atMost: 5) { found.append($0) }
        XCTAssertEqual(found, Array(Set(first).filter { $0 >= 10 }.sorted().prefix(5)))
    }
}
