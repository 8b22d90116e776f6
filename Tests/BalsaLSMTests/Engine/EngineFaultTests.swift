import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Files that fail, disks that are full, and processes that die.
final class EngineFaultTests: XCTestCase {
    /// Fails the calls that a closure chooses.
    private final class Faults: DiskHook {
        var decide: (DiskCall) -> DiskAnswer = { _ in .proceed }
        func answer(_ call: DiskCall) -> DiskAnswer { decide(call) }
    }

    private func fill(_ fixture: EngineFixture, rounds: Int = 3) throws {
        for round in 0..<rounds {
            for number in 100..<110 { try fixture.put("k\(number)".bytes, "v\(round)".bytes) }
            try fixture.flush()
        }
    }

    /// Works until all is done, as often as it takes.
    private func workThrough(_ fixture: EngineFixture) throws -> Int {
        var failures = 0
        for _ in 0..<1_000 {
            do {
                if try fixture.engine.work(budget: 200) == .idle { return failures }
            } catch { failures += 1 }
        }
        throw EngineError(.failed, "the work does not end")
    }

    func testEveryCallOfTheWorkMayFailOnceAndTheWorkIsDoneNevertheless() throws {
        for isDone in [false, true] {
            var failing: UInt64 = 0
            while true {
                failing += 1
                let faults = Faults()
                let fixture = try EngineFixture(hook: faults)
                try fill(fixture)
                try fixture.deleteRange("k103", "k105")
                try fixture.seal(mark: 5)
                var calls: UInt64 = 0
                faults.decide = { _ in
                    calls += 1
                    guard calls == failing else { return .proceed }
                    return isDone ? .failAfter(.inputOutput) : .fail(.inputOutput)
                }
                _ = try workThrough(fixture)
                faults.decide = { _ in .proceed }
                XCTAssertEqual(try fixture.pairs().count, 8, "call \(failing)")
                XCTAssertNil(fixture.engine.checkInvariants())
                XCTAssertEqual(fixture.tableCounts[0], 0)
                let tables = try fixture.files()
                XCTAssertEqual(tables.count, fixture.tableCounts.reduce(0, +), "call \(failing): \(tables)")
                XCTAssertEqual(try fixture.files("MANIFEST-").count, 1)
                try fixture.reopen()
                XCTAssertEqual(try fixture.pairs().count, 8, "call \(failing)")
                try fixture.engine.verifyAll()
                guard calls >= failing else { break }
            }
            XCTAssertGreaterThan(failing, 25)
        }
    }

    func testAFullDiskIsWaitedOut() throws {
        let faults = Faults()
        let fixture = try EngineFixture(hook: faults)
        try fill(fixture)
        try fixture.put("k100", "newest")
        try fixture.seal()
        let before = try fixture.files("").count
        faults.decide = { $0.operation == .write ? .fail(.noSpace) : .proceed }
        for _ in 0..<50 {
            do {
                _ = try fixture.engine.work(budget: 1 << 20)
            } catch { XCTAssertEqual(error.cause?.number, .noSpace) }
        }
        XCTAssertLessThanOrEqual(try fixture.files("").count, before + 2)
        XCTAssertEqual(try fixture.get("k100"), "newest")
        XCTAssertEqual(try fixture.get("k101"), "v2")
        faults.decide = { _ in .proceed }
        // A flush that has failed so often rests for some calls.
        var failures = 0
        while fixture.engine.durableSeal?.sequence != fixture.sequence {
            do throws(EngineError) { _ = try fixture.engine.work(budget: 1 << 20) } catch {
                XCTAssertEqual(error.cause?.number, .noSpace)
                failures += 1
            }
            guard failures <= WorkBackoff.mostCalls else { return XCTFail("the flush is not attempted again") }
        }
        try fixture.work()
        try fixture.reopen()
        XCTAssertEqual(try fixture.get("k100"), "newest")
    }

    func testAWriteToTheManifestOfUnknownOutcomeRemovesNothingBeforeItIsResolved() throws {
        for isDone in [false, true] {
            let faults = Faults()
            let fixture = try EngineFixture(hook: faults)
            try fill(fixture)
            let before = try fixture.files()
            faults.decide = { call in
                guard call.operation == .sync, call.path.contains("MANIFEST-") else { return .proceed }
                return isDone ? .failAfter(.inputOutput) : .fail(.inputOutput)
            }
            for _ in 0..<10 {
                assertFails(.file, .sync, .inputOutput, naming: "MANIFEST-") { try fixture.work() }
            }
            // The old tables are there, in case the edit is not, and the new ones, in case it is.
            let during = try fixture.files()
            XCTAssertTrue(before.allSatisfy { during.contains($0) })
            XCTAssertGreaterThan(during.count, before.count)
            for image in fixture.disk.crashStates(limit: 100) {
                let crashed = SimulatedDisk(image)
                let engine = try StorageEngine.open("engine", fileSystem: crashed.mount(), options: .tiny, seed: 1)
                XCTAssertEqual(try engine.get("k105")?.value, "v2")
                XCTAssertEqual(engine.durableSeal?.sequence, 30)
            }
            faults.decide = { _ in .proceed }
            try fixture.work()
            XCTAssertEqual(try fixture.files().count, fixture.tableCounts.reduce(0, +))
            XCTAssertEqual(fixture.tableCounts[0], 0)
        }
    }

    func testAFileThatCannotBeRemovedDoesNotHoldUpTheWork() throws {
        let faults = Faults()
        let fixture = try EngineFixture(hook: faults)
        faults.decide = { $0.operation == .remove ? .fail(.inputOutput) : .proceed }
        try fill(fixture)
        for round in 0..<5 {
            try fixture.put("k100", "w\(round)".bytes)
            try fixture.seal(mark: fixture.sequence)
            for _ in 0..<10 {
                do { _ = try fixture.engine.work(budget: 1 << 20) } catch { XCTAssertEqual(error.code, .file) }
            }
        }
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, fixture.sequence)
        XCTAssertLessThan(fixture.tableCounts[0], 2)
        XCTAssertGreaterThan(fixture.engine.metrics.filesToRemove, 3)
        faults.decide = { _ in .proceed }
        try fixture.work()
        XCTAssertEqual(fixture.engine.metrics.filesToRemove, 0)
        XCTAssertEqual(try fixture.files().count, fixture.tableCounts.reduce(0, +))
    }

    func testAReaderOfAnOldTableKeepsItsFile() throws {
        let fixture = try EngineFixture()
        try fill(fixture, rounds: 1)
        let old = try fixture.files()
        func check() throws {
            var cursor = try fixture.engine.makeCursor()
            try fill(fixture, rounds: 2)
            try fixture.work()
            XCTAssertTrue(try fixture.files().contains(old[0]))
            XCTAssertEqual(try EngineFixture.forward(&cursor).first, "k100=v0")
        }
        try check()
        try fixture.work()
        XCTAssertFalse(try fixture.files().contains(old[0]))
    }

    // MARK: Crashes

    /// A small life with everything in it: flushes, a compaction, a new manifest, removals.
    private func live(_ files: SimulatedFileSystem, _ noting: (StorageEngine) -> Void) throws(EngineError) {
        var options = EngineOptions.tiny
        options.manifestBytes = 700
        let engine = try StorageEngine.open("engine", fileSystem: files, options: options, seed: 1)
        noting(engine)
        var sequence = engine.lastSequence
        for round in 0..<3 {
            for number in 100..<104 {
                sequence += 1
                var batch = WriteBatch()
                batch.put("k\(number)".bytes, "v\(sequence)".bytes)
                if round == 2 { batch.deleteRange(from: "k101", to: "k103") }
                try engine.apply(batch, sequence: sequence)
            }
            try engine.seal(
                SealRecord(sequence: sequence, retentionMark: sequence - 3, systemState: "\(sequence)".bytes)
            )
            while try engine.work(budget: 1 << 20) != .idle { noting(engine) }
        }
    }

    private static let expected: [SequenceNumber?: [String]] = [
        nil: [],
        4: ["k100=v1", "k101=v2", "k102=v3", "k103=v4"],
        8: ["k100=v5", "k101=v6", "k102=v7", "k103=v8"],
        12: ["k100=v9", "k103=v12"],
    ]

    /// All pairs. The cursor is gone when this returns, and holds no table any more.
    private func pairs(_ engine: StorageEngine) throws -> [String] {
        var cursor = try engine.makeCursor()
        return try EngineFixture.forward(&cursor)
    }

    func testACrashAtEveryCallLeavesTheStateOfADurableSeal() throws {
        var durable: SequenceNumber?
        // The same state is left by many crashes, and recovered once.
        var recovered: [UInt64: SequenceNumber] = [:]
        let calls = try SimulatedDisk().forEachCrashPoint { files in
            durable = nil
            try live(files) { durable = $0.durableSeal?.sequence }
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 12) {
                let digest = image.contentDigest
                if let sequence = recovered[digest] {
                    XCTAssertGreaterThanOrEqual(sequence, durable ?? 0, "\(point)")
                    continue
                }
                let disk = SimulatedDisk(image)
                for _ in 0..<2 {
                    let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: .tiny, seed: 1)
                    let found = engine.durableSeal
                    XCTAssertGreaterThanOrEqual(found?.sequence ?? 0, durable ?? 0, "\(point)")
                    recovered[digest] = found?.sequence ?? 0
                    XCTAssertEqual(found?.systemState ?? "", found.map { "\($0.sequence)".bytes } ?? "")
                    XCTAssertEqual(try pairs(engine), EngineFaultTests.expected[found?.sequence], "\(point)")
                    XCTAssertNil(engine.checkInvariants())
                    // What is left of the crash is cleaned up, and the engine can be opened again.
                    while try engine.work(budget: 1 << 20) != .idle {}
                    let tables = try disk.mount().list("engine").filter { $0.hasPrefix("table-") }
                    XCTAssertEqual(tables.count, engine.metrics.levels.reduce(0) { $0 + $1.tableCount }, "\(point)")
                    disk.processCrash()
                }
            }
        }
        XCTAssertGreaterThan(calls, 60)
        XCTAssertGreaterThan(recovered.count, 170)
    }

    /// Whether a crash somewhere loses what was durable, with an error built in.
    private func loses(_ bug: EnginePlantedBugs) throws -> Bool {
        var options = EngineOptions.tiny
        options.plantedBugs = bug
        var lost = false
        try SimulatedDisk().forEachCrashPoint { files in
            let engine = try StorageEngine.open("engine", fileSystem: files, options: options, seed: 1)
            var batch = WriteBatch()
            batch.put("k", "v")
            try engine.apply(batch, sequence: 1)
            try engine.seal(SealRecord(sequence: 1))
            while try engine.work(budget: 1 << 20) != .idle {}
        } check: { crashed, _ in
            for image in crashed.crashStates(limit: 50) {
                do {
                    let engine = try StorageEngine.open(
                        "engine",
                        fileSystem: SimulatedDisk(image).mount(),
                        options: .tiny,
                        seed: 1
                    )
                    let value = try engine.get("k")?.value
                    if engine.durableSeal != nil, value != "v" { lost = true }
                } catch { lost = true }
            }
        }
        return lost
    }

    func testTablesThatWereNotSyncedOrNotNamedDurablyAreLostByACrash() throws {
        XCTAssertFalse(try loses([]))
        XCTAssertTrue(try loses(.manifestBeforeTableSync))
        XCTAssertTrue(try loses(.directorySyncLeftOut))
    }
}
