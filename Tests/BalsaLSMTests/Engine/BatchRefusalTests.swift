import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Batches that no engine takes, each of them refused before anything of it is written.
final class BatchRefusalTests: XCTestCase {
    private var logged: EngineOptions {
        var options = EngineOptions.tiny
        options.hasWriteAheadLog = true
        return options
    }

    private func batch(_ body: (inout WriteBatch) -> Void) -> WriteBatch {
        var batch = WriteBatch()
        body(&batch)
        return batch
    }

    // MARK: Repeated keys

    /// Batches that repeat the key `again`: in every pair of kinds, next to each other and not, in order and not.
    private var repeating: [WriteBatch] {
        var batches: [WriteBatch] = []
        for kinds in 0..<4 {
            for between in [[], ["between"], ["zz", "b"], (0..<300).map { "k\($0 * 7 % 300)" }] as [[String]] {
                batches.append(
                    batch { batch in
                        if kinds & 1 == 0 { batch.put("again", "1") } else { batch.delete("again") }
                        for key in between { batch.put(key.bytes, "x") }
                        if kinds & 2 == 0 { batch.put("again", "2") } else { batch.delete("again") }
                    }
                )
            }
        }
        return batches
    }

    func testABatch_thatRepeatsAKey_isInvalidAndLeavesNothingInTheLog() throws {
        let disk = SimulatedDisk()
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: logged, seed: 1)
        _ = try engine.write(batch { $0.put("before", "1") }, syncing: false)
        for batch in repeating {
            assertFails(.invalid, naming: "the key again twice") { try engine.write(batch, syncing: true) }
        }
        _ = try engine.write(batch { $0.put("behind", "2") }, syncing: false)
        XCTAssertEqual(engine.lastSequence, 2)
        disk.processCrash()
        let again = try StorageEngine.open("engine", fileSystem: disk.mount(), options: logged, seed: 1)
        XCTAssertEqual(try again.pairs().map { "\($0)" }, ["before=1@1", "behind=2@2"])
    }

    func testAnAppliedBatch_thatRepeatsAKey_isInvalidAndWritesNothing() throws {
        let fixture = try EngineFixture()
        for batch in repeating {
            assertFails(.invalid, naming: "the key again twice") { try fixture.engine.apply(batch, sequence: 1) }
        }
        XCTAssertEqual(fixture.engine.lastSequence, 0)
        try fixture.put("a", "1")
        XCTAssertEqual(try fixture.pairs(), ["a=1"], "nothing of the refused batches appears later")
    }

    func testABatchOfTheLog_thatRepeatsAKey_isDamaged() throws {
        let disk = SimulatedDisk()
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: logged, seed: 1)
        let log = try XCTUnwrap(engine.commitLog)
        // An earlier release wrote such batches.
        _ = try repeating[0].withEncoded { try log.append($0, sequence: 1, syncing: false) }
        disk.processCrash()
        assertFails(.damaged, naming: "repeated key") {
            try StorageEngine.open("engine", fileSystem: disk.mount(), options: logged, seed: 1)
        }
    }

    func testARepetition_isFoundWhateverTheKeysAre() {
        var random = RandomSource(seed: 21)
        var found = 0
        for round in 0..<400 {
            var seen: [Bytes] = []
            var expected: Bytes?
            let batch = batch { batch in
                for _ in 0..<random.draw(1...random.pick([3, 12, 90])) {
                    let key = MemtableKeyShape.random.draw(&random)
                    if random.chance(1, in: 6) {
                        batch.deleteRange(from: key, to: Bytes([UInt8](key) + [0]))
                        continue
                    }
                    if seen.contains(key), expected == nil { expected = key }
                    seen.append(key)
                    if random.chance(1, in: 3) { batch.delete(key) } else { batch.put(key, "value") }
                }
            }
            let repetition = batch.repetition
            XCTAssertEqual(repetition != nil, expected != nil, "round \(round)")
            if let repetition {
                found += 1
                XCTAssertEqual(seen.count { $0 == batch.key(at: repetition) } > 1, true, "round \(round)")
            }
        }
        XCTAssertTrue((50...350).contains(found), "\(found)")
    }

    func testARepetition_amongKeysWhoseHashesCollide_isFound() {
        // So many keys that begin their search in one slot that the hash table is given up.
        var keys: [Bytes] = []
        var number = 0
        while keys.count < 64 {
            let key = Bytes("k\(number)")
            if key.withUnsafeBytes({ KeyHash.hash($0) }) & 127 == 0 { keys.append(key) }
            number += 1
        }
        keys.swapAt(0, 63)
        let distinct = batch { batch in for key in keys { batch.put(key, "v") } }
        XCTAssertNil(distinct.repetition)
        let repeated = batch { batch in for key in keys.dropLast() + [keys[31]] { batch.put(key, "v") } }
        XCTAssertEqual(repeated.repetition.map { repeated.key(at: $0) }, keys[31])
    }

    // MARK: Range deletions

    func testAPut_inARangeThatItsBatchDeletes_staysWhereverItStands() throws {
        for isPutFirst in [true, false] {
            let fixture = try EngineFixture()
            try fixture.write { $0.put("b", "old") }
            try fixture.write { $0.put("c", "old") }
            try fixture.write { batch in
                if isPutFirst { batch.put("b", "new") }
                batch.deleteRange(from: "a", to: "d")
                batch.deleteRange(from: "b", to: "x")
                batch.deleteRange(from: "a", to: "d")
                if !isPutFirst { batch.put("b", "new") }
            }
            XCTAssertEqual(try fixture.pairs(), ["b=new"])
            try fixture.flush()
            XCTAssertEqual(try fixture.pairs(), ["b=new"])
        }
    }

    func testABatch_ofMoreRangeDeletionsThanTheLimit_isInvalid() throws {
        let fixture = try EngineFixture()
        func deletions(_ count: Int) -> WriteBatch {
            batch { batch in
                for number in 0..<count { batch.deleteRange(from: "k\(number)".bytes, to: "k\(number)x".bytes) }
            }
        }
        assertFails(.invalid, naming: "1001 range deletions exceeds the limit of 1000") {
            try fixture.engine.apply(deletions(1_001), sequence: 1)
        }
        try fixture.engine.apply(deletions(1_000), sequence: 1)
        XCTAssertTrue(fixture.engine.wantsSeal)
    }

    func testTheLog_withThousandsOfRangeDeletionsInABatch_isReplayedInBoundedMemory() throws {
        let disk = SimulatedDisk()
        var generous = logged
        generous.maxRangeDeletionsPerBatch = 20_000
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: generous, seed: 1)
        _ = try engine.write(batch { $0.put("k5", "v") }, syncing: false)
        let deletions = batch { batch in
            for number in 100_000..<120_000 { batch.deleteRange(from: "k\(number)".bytes, to: "k\(number)x".bytes) }
        }
        _ = try engine.write(deletions, syncing: false)
        disk.processCrash()
        // A limit that has been lowered since does not make the log unreadable.
        let again = try StorageEngine.open("engine", fileSystem: disk.mount(), options: logged, seed: 1)
        XCTAssertEqual(again.lastSequence, 2)
        XCTAssertLessThan(again.metrics.memtableBytes, 20_000 * 100)
        XCTAssertEqual(try again.get("k5")?.value, "v")
    }

    func testARange_thatEndsBeforeItBegins_isInvalidAndAnEmptyOneDoesNothing() throws {
        let fixture = try EngineFixture()
        try fixture.put("b", "1")
        assertFails(.invalid, naming: "from c to a ends before it begins") {
            try fixture.write { $0.deleteRange(from: "c", to: "a") }
        }
        let prefixed = batch { batch in
            let bytes: [UInt8] = Array("pqo".utf8)
            bytes.withUnsafeBytes { raw in
                batch.deleteRange(
                    prefix: UnsafeRawBufferPointer(rebasing: raw[0..<1]),
                    from: UnsafeRawBufferPointer(rebasing: raw[1..<2]),
                    to: UnsafeRawBufferPointer(rebasing: raw[2..<3])
                )
            }
        }
        assertFails(.invalid, naming: "from pq to o ends before it begins") {
            try fixture.engine.apply(prefixed, sequence: 9)
        }
        var reused = prefixed
        reused.removeAll()
        reused.deleteRange(from: "b", to: "b")
        XCTAssertTrue(reused.isEmpty)
        try fixture.engine.apply(reused, sequence: 9)
        XCTAssertEqual(try fixture.pairs(), ["b=1"])
    }
}
