import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Engines that stand alone, with a write-ahead log.
final class EngineLogTests: XCTestCase {
    private var options: EngineOptions {
        var options = EngineOptions.tiny
        options.hasWriteAheadLog = true
        return options
    }

    private func batch(_ key: String, _ value: String) -> WriteBatch {
        var batch = WriteBatch()
        batch.put(key.bytes, value.bytes)
        return batch
    }

    private func pairs(_ engine: StorageEngine) throws -> [String] {
        var cursor = try engine.makeCursor()
        return try EngineFixture.forward(&cursor)
    }

    func testAnUnsyncedBatchSurvivesTheEndOfTheProcessAndASyncedOneAPowerLoss() throws {
        let disk = SimulatedDisk()
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: options, seed: 1)
        let first = try engine.write(batch("a", "1"), syncing: true)
        XCTAssertEqual(engine.commitState(of: first), .pending)
        try engine.waitForCommit(of: first)
        XCTAssertEqual(engine.commitState(of: first), .durable)
        let second = try engine.write(batch("b", "2"), syncing: false)
        XCTAssertEqual(engine.commitState(of: second), .pending)
        XCTAssertEqual(try pairs(engine), ["a=1", "b=2"])
        for image in disk.crashStates(limit: 100) {
            let again = try StorageEngine.open(
                "engine",
                fileSystem: SimulatedDisk(image).mount(),
                options: options,
                seed: 1
            )
            XCTAssertTrue([["a=1"], ["a=1", "b=2"]].contains(try pairs(again)))
        }
        disk.processCrash()
        let again = try StorageEngine.open("engine", fileSystem: disk.mount(), options: options, seed: 1)
        XCTAssertEqual(try pairs(again), ["a=1", "b=2"])
        XCTAssertEqual(again.lastSequence, 2)
    }

    func testALongLogBecomesSeveralMemtablesAndIsRemovedWhenTheyAreFlushed() throws {
        let disk = SimulatedDisk()
        var engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: options, seed: 1)
        for number in 100..<300 {
            _ = try engine.write(batch("k\(number)", String(repeating: "-", count: 100)), syncing: false)
        }
        XCTAssertGreaterThan(engine.metrics.sealsWaiting, 2)
        XCTAssertEqual(engine.pressure, .stopped)
        engine.close()
        engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: options, seed: 1)
        XCTAssertGreaterThan(engine.metrics.sealsWaiting, 2)
        XCTAssertEqual(try pairs(engine).count, 200)
        while try engine.work(budget: 1 << 20) != .idle {}
        XCTAssertEqual(engine.pressure, .none)
        XCTAssertFalse(engine.hasWork)
        let logs = try disk.mount().list("engine").filter { $0.hasPrefix("wal-") }
        XCTAssertLessThanOrEqual(logs.count, 2, "\(logs)")
        engine.close()
        engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: options, seed: 1)
        XCTAssertEqual(try pairs(engine).count, 200)
        XCTAssertEqual(engine.lastSequence, 200)
        _ = try engine.write(batch("k", "v"), syncing: true)
        XCTAssertEqual(try engine.get("k")?.sequence, 201)
    }

    func testAfterAFailedSyncNothingIsWrittenAnyMore() throws {
        final class Failing: DiskHook {
            var isArmed = false
            func answer(_ call: DiskCall) -> DiskAnswer {
                isArmed && call.operation == .sync && call.path.contains("wal-") ? .fail(.inputOutput) : .proceed
            }
        }
        let hook = Failing()
        let disk = SimulatedDisk()
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(hook), options: options, seed: 1)
        try engine.waitForCommit(of: try engine.write(batch("a", "1"), syncing: true))
        hook.isArmed = true
        let ticket = try engine.write(batch("b", "2"), syncing: true)
        assertFails(.file, .sync, .inputOutput, naming: "wal-") { try engine.waitForCommit(of: ticket) }
        hook.isArmed = false
        for _ in 0..<3 { assertFails(.failed) { try engine.write(batch("c", "3"), syncing: true) } }
        assertFails(.failed) { try engine.waitForCommit(of: ticket) }
        XCTAssertEqual(try engine.get("a")?.value, "1")
        XCTAssertNil(try engine.get("c"))
        disk.processCrash()
        let again = try StorageEngine.open("engine", fileSystem: disk.mount(), options: options, seed: 1)
        XCTAssertEqual(try again.get("a")?.value, "1")
    }

    func testACommitStep_performsOneSyncForAllThatWait_andNoneWhereNobodyDoes() throws {
        let hook = FailingCalls()
        let disk = SimulatedDisk()
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(hook), options: options, seed: 1)
        XCTAssertFalse(try engine.commitStep(), "nothing was written")
        let unwanted = try engine.write(batch("a", "1"), syncing: false)
        XCTAssertFalse(try engine.commitStep(), "nobody wants it to be durable")
        XCTAssertEqual(engine.commitState(of: unwanted), .pending)
        let tickets = [
            try engine.write(batch("b", "2"), syncing: true), try engine.write(batch("c", "3"), syncing: true),
        ]
        let calls = hook.calls.count
        XCTAssertTrue(try engine.commitStep())
        XCTAssertEqual(hook.calls.dropFirst(calls).filter { $0.hasPrefix("sync engine/wal-") }.count, 1)
        for ticket in [unwanted] + tickets { XCTAssertEqual(engine.commitState(of: ticket), .durable) }
        XCTAssertFalse(try engine.commitStep(), "all is durable")
        let lost = SimulatedDisk(disk.image())
        let again = try StorageEngine.open("engine", fileSystem: lost.mount(), options: options, seed: 1)
        XCTAssertEqual(try pairs(again), ["a=1", "b=2", "c=3"])
    }

    func testACommitStep_whoseSyncFails_isTheLast() throws {
        let hook = FailingCalls()
        let disk = SimulatedDisk()
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(hook), options: options, seed: 1)
        let ticket = try engine.write(batch("a", "1"), syncing: true)
        hook.fault = { $0.operation == .sync ? .fail(.inputOutput) : nil }
        assertFails(.file, .sync, .inputOutput, naming: "wal-") { try engine.commitStep() }
        hook.fault = { _ in nil }
        guard case .failed(let error) = engine.commitState(of: ticket) else { return XCTFail("the ticket waits on") }
        XCTAssertEqual(error.code, .failed)
        XCTAssertFalse(try engine.commitStep(), "nothing more is synced")
        assertFails(.failed) { try engine.write(batch("b", "2"), syncing: true) }
    }

    func testTheTwoKindsOfEngineAreNotMixed() throws {
        let disk = SimulatedDisk()
        let engine = try StorageEngine.open("engine", fileSystem: disk.mount(), options: options, seed: 1)
        XCTAssertThrowsError(try engine.apply(batch("a", "1"), sequence: 1)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .invalid)
        }
        _ = try engine.write(batch("a", "1"), syncing: true)
        engine.close()
        XCTAssertThrowsError(try StorageEngine.open("engine", fileSystem: disk.mount(), options: .tiny, seed: 1)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .invalid)
        }
        let other = try StorageEngine.open("other", fileSystem: disk.mount(), options: .tiny, seed: 1)
        XCTAssertThrowsError(try other.write(batch("a", "1"), syncing: true)) {
            XCTAssertEqual(($0 as? EngineError)?.code, .invalid)
        }
    }

    func testACrashAtEveryCallLeavesAPrefixWithEverythingThatWasDurable() throws {
        var durable: SequenceNumber = 0
        var written: SequenceNumber = 0
        var small = options
        small.memtableBytes = 1
        var states = 0
        try SimulatedDisk().forEachCrashPoint { files in
            (durable, written) = (0, 0)
            let engine = try StorageEngine.open("engine", fileSystem: files, options: small, seed: 1)
            for number in 1...5 as ClosedRange<UInt64> {
                written = number
                let ticket = try engine.write(batch("k\(number)", "v"), syncing: true)
                if number != 3 {
                    try engine.waitForCommit(of: ticket)
                    durable = number
                }
                if number == 4 { while try engine.work(budget: 1 << 20) != .idle {} }
            }
        } check: { crashed, point in
            for image in crashed.crashStates(limit: 10) {
                states += 1
                let engine = try StorageEngine.open(
                    "engine",
                    fileSystem: SimulatedDisk(image).mount(),
                    options: small,
                    seed: 1
                )
                let found = try pairs(engine)
                XCTAssertTrue((durable...max(durable, written)).contains(UInt64(found.count)), "\(point): \(found)")
                XCTAssertEqual(found, (1..<found.count + 1).map { "k\($0)=v" }, "\(point)")
                XCTAssertEqual(engine.lastSequence, UInt64(found.count), "\(point)")
            }
        }
        XCTAssertGreaterThan(states, 300)
    }
}
