import BalsaPlatform
import BalsaSimulation
import XCTest

@testable import BalsaLSM

/// Disks without space, and flushes that fail again and again: what is rewritten, and what goes on.
final class EngineFullDiskTests: XCTestCase {
    /// Fails the calls that a closure chooses, and counts what is written to tables.
    private final class Calls: DiskHook {
        var decide: (DiskCall) -> DiskAnswer = { _ in .proceed }
        private(set) var tableCreations = 0
        private(set) var tableBytes: UInt64 = 0

        func answer(_ call: DiskCall) -> DiskAnswer {
            let answer = decide(call)
            guard call.path.contains("/table-") else { return answer }
            if call.operation == .open, call.isChange { tableCreations += 1 }
            if call.operation == .write { tableBytes += call.count }
            return answer
        }
    }

    private static let capacity: UInt64 = 400 << 10

    /// An engine on a small disk, with tables in the first level of which nearly all entries are dead.
    private func fixture(_ calls: Calls) throws -> EngineFixture {
        var disk = DiskOptions()
        disk.capacityBytes = EngineFullDiskTests.capacity
        var options = EngineOptions.tiny
        options.memtableBytes = 64 << 10
        options.tableBytes = 64 << 10
        options.levelZeroTables = 3
        let fixture = try EngineFixture(disk: SimulatedDisk(options: disk), hook: calls, options: options)
        for round in 0..<3 {
            let value = Bytes([UInt8](repeating: UInt8(round), count: 1_000))
            for number in 100..<140 { try fixture.put("k\(number)".bytes, value) }
            try fixture.flush(mark: fixture.sequence)
        }
        XCTAssertEqual(fixture.tableCounts[0], 3)
        return fixture
    }

    /// Writes a file beside the engine's, so that `rest` bytes are left of the disk.
    private func fill(_ fixture: EngineFixture, leaving rest: UInt64) throws {
        let files = fixture.disk.mount()
        let file = try files.open("filler", .create)
        defer { file.close() }
        let available = try files.availableBytes(at: "/")
        try file.write(Bytes([UInt8](repeating: 1, count: Int(available - rest))), at: 0)
        try file.sync()
    }

    /// Calls the work `count` times.
    ///
    /// - Returns: what succeeded, and how many calls failed.
    private func work(_ fixture: EngineFixture, calls count: Int) -> (kinds: [WorkKind], failures: Int) {
        var kinds: [WorkKind] = []
        var failures = 0
        for _ in 0..<count {
            do throws(EngineError) {
                guard case .worked(let kind) = try fixture.engine.work(budget: 1 << 20) else { break }
                kinds.append(kind)
            } catch {
                XCTAssertEqual(error.code, .file)
                XCTAssertEqual(error.cause?.number, .noSpace)
                failures += 1
            }
        }
        return (kinds, failures)
    }

    func testAFullDisk_onWhichAFlushHasNoSpace_isFreedByACompaction() throws {
        let calls = Calls()
        let fixture = try fixture(calls)
        for number in 100..<170 { try fixture.put("n\(number)".bytes, Bytes([UInt8](repeating: 9, count: 1_000))) }
        try fixture.seal(mark: fixture.sequence)
        // Enough for the result of the compaction, 40 entries, and not for the flush of 70.
        try fill(fixture, leaving: 60 << 10)
        let done = work(fixture, calls: 60)
        XCTAssertEqual(done.kinds.first, .compaction, "\(done)")
        XCTAssertTrue(done.kinds.contains(.removal), "\(done)")
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, fixture.sequence, "the flush found the space: \(done)")
        XCTAssertEqual(try fixture.pairs().count, 110)
    }

    func testACompaction_onADiskThatIsNearlyFull_leavesSpaceForAFlush() throws {
        let calls = Calls()
        let fixture = try fixture(calls)
        // Its three tables have 120 KB, and a flush may need 80.
        try fill(fixture, leaving: 150 << 10)
        let before = calls.tableBytes
        let done = work(fixture, calls: 20)
        XCTAssertEqual(done.failures, 20)
        XCTAssertEqual(calls.tableBytes, before, "no attempt takes of the space that is left")
        assertFails(.file, .write, .noSpace, naming: "a compaction, which leaves space for a flush") {
            try fixture.engine.work(budget: 1)
        }
        for number in 100..<150 { try fixture.put("n\(number)".bytes, Bytes([UInt8](repeating: 9, count: 1_000))) }
        try fixture.seal(mark: fixture.sequence)
        XCTAssertEqual(try fixture.engine.work(budget: 1 << 20), .worked(.flush))
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, fixture.sequence)
        XCTAssertEqual(fixture.tableCounts[0], 4)
        XCTAssertEqual(fixture.engine.metrics.compactions, 0)
        try fixture.disk.mount().remove("filler")
        try fixture.work()
        // The three go down. The flushed table has no key in common with them, and waits for others.
        XCTAssertEqual(fixture.engine.metrics.compactions, 1)
        XCTAssertEqual(fixture.tableCounts[0], 1)
        XCTAssertEqual(try fixture.pairs().count, 90)
    }

    /// An engine in whose first level half of 43 KB is dead, on a disk with `rest` bytes.
    private func fixtureWithDeletions(_ calls: Calls, leaving rest: UInt64) throws -> EngineFixture {
        let fixture = try fixture(calls)
        try fixture.work()
        for number in 100..<120 { try fixture.delete("k\(number)".bytes) }
        try fixture.flush(mark: fixture.sequence)
        for round in 0..<2 {
            let value = Bytes([UInt8](repeating: 9, count: 1_000 + round))
            for number in 0..<3 { try fixture.put("z\(number)".bytes, value) }
            try fixture.flush(mark: fixture.sequence)
        }
        XCTAssertEqual(fixture.tableCounts[0], 3)
        try fill(fixture, leaving: rest)
        return fixture
    }

    func testACompaction_thatFreesSpace_onADiskThatIsNearlyFull_isDone() throws {
        // A flush may need 80 KB, and the compaction reads 43 KB. It is done, for half of that is deleted.
        let fixture = try fixtureWithDeletions(Calls(), leaving: 100 << 10)
        try fixture.work()
        // What is left of it are 20 entries and no tombstone. The way down through the levels takes four edits of the
        // manifest, each of a sector.
        let last = try XCTUnwrap(fixture.engine.metrics.levels.last)
        XCTAssertEqual(last.entryCount, 20)
        XCTAssertEqual(fixture.engine.metrics.levels.reduce(0) { $0 + $1.entryCount }, 20 + 6)
        XCTAssertGreaterThan(try fixture.disk.mount().availableBytes(at: "/"), 100 << 10)
        XCTAssertEqual(try fixture.pairs().count, 23)
    }

    func testACompaction_thatFreesSpace_leavesTheLastBytesToOthersWhileNobodyWaits() throws {
        let calls = Calls()
        let fixture = try fixtureWithDeletions(calls, leaving: 50 << 10)
        let before = calls.tableBytes
        // What needs no space is done, and then nothing.
        _ = work(fixture, calls: 10)
        XCTAssertEqual(work(fixture, calls: 30).failures, 30)
        XCTAssertEqual(calls.tableBytes, before, "less than 16 KB would be left for the log and the vote")
        // While a flush waits it is attempted, and frees what that needs.
        for number in 100..<130 { try fixture.put("n\(number)".bytes, Bytes([UInt8](repeating: 9, count: 1_000))) }
        try fixture.seal(mark: fixture.sequence)
        let done = work(fixture, calls: 60)
        XCTAssertTrue(done.kinds.contains(.compaction), "\(done)")
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, fixture.sequence, "\(done)")
    }

    func testWork_whereTheFileSystemDoesNotSayWhatIsFree_goesOn() throws {
        let calls = Calls()
        let fixture = try fixture(calls)
        calls.decide = { $0.operation == .status && $0.path == "engine" ? .fail(.noSystemCall) : .proceed }
        for number in 100..<130 { try fixture.put("n\(number)".bytes, Bytes([UInt8](repeating: 9, count: 1_000))) }
        try fixture.seal(mark: fixture.sequence)
        try fixture.work()
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, fixture.sequence)
        // The three tables go down. The flushed one has no key in common with them, and waits for others.
        XCTAssertEqual(fixture.engine.metrics.compactions, 1)
        XCTAssertEqual(fixture.tableCounts[0], 1)
        XCTAssertEqual(try fixture.pairs().count, 70)
    }

    func testAFlush_withoutSpace_writesNothing() throws {
        let calls = Calls()
        let fixture = try fixture(calls)
        try fixture.work()
        for number in 100..<170 { try fixture.put("n\(number)".bytes, Bytes([UInt8](repeating: 9, count: 1_000))) }
        try fixture.seal()
        try fill(fixture, leaving: 60 << 10)
        let before = calls.tableBytes
        let done = work(fixture, calls: 50)
        XCTAssertEqual(done.failures, 50)
        XCTAssertEqual(calls.tableBytes, before, "no attempt takes of the space that is left")
        assertFails(.file, .write, .noSpace, naming: "a flush needs") { try fixture.engine.work(budget: 1) }
        // The first call after there is space makes use of it: nothing rests.
        try fixture.disk.mount().remove("filler")
        XCTAssertEqual(try fixture.engine.work(budget: 1 << 20), .worked(.flush))
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, fixture.sequence)
    }

    func testAFlush_thatFailsAgainAndAgain_isAttemptedLessOften() throws {
        let calls = Calls()
        let fixture = try fixture(calls)
        try fixture.work()
        try fixture.put("n", "1")
        try fixture.seal()
        // A quota: the file system says that there is space, and refuses to write.
        calls.decide = { $0.operation == .write && $0.path.contains("/table-") ? .fail(.noSpace) : .proceed }
        let before = calls.tableCreations
        _ = work(fixture, calls: 100)
        let attempts = calls.tableCreations - before
        XCTAssertTrue((5...11).contains(attempts), "\(attempts)")
        calls.decide = { _ in .proceed }
        let done = work(fixture, calls: WorkBackoff.mostCalls + 1)
        XCTAssertEqual(done.kinds.last, .flush, "it is attempted again within 16 calls: \(done)")
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, fixture.sequence)
        // It begins from the start: one failure does not make the next call rest.
        try fixture.put("n", "2")
        try fixture.seal()
        calls.decide = { $0.operation == .write && $0.path.contains("/table-") ? .fail(.noSpace) : .proceed }
        XCTAssertEqual(work(fixture, calls: 1).failures, 1)
        calls.decide = { _ in .proceed }
        try fixture.work()
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, fixture.sequence)
    }

    func testACompaction_thatFailsAgainAndAgain_isAttemptedLessOftenAndStopsNoFlush() throws {
        let calls = Calls()
        let fixture = try fixture(calls)
        let firstNew = fixture.engine.metrics.flushes
        var isCompacting = true
        calls.decide = { call in
            isCompacting && call.operation == .write && call.path.contains("/table-") ? .fail(.noSpace) : .proceed
        }
        let before = calls.tableCreations
        _ = work(fixture, calls: 100)
        let attempts = calls.tableCreations - before
        XCTAssertTrue((5...11).contains(attempts), "\(attempts)")
        isCompacting = false
        try fixture.put("k100", "1")
        try fixture.seal()
        try fixture.work()
        XCTAssertEqual(fixture.engine.metrics.flushes, firstNew + 1)
        XCTAssertEqual(fixture.tableCounts[0], 0, "the compaction goes on after the flush")
    }

    func testTheRestAfterFailures_doublesUpToItsLimit() {
        var backoff = WorkBackoff()
        let error = EngineError(.file, "no space")
        for expected in [0, 1, 3, 7, 15, 15] {
            backoff.failed(error)
            var calls = 0
            while let resting = backoff.restingError {
                XCTAssertEqual(resting, error)
                backoff.passCall()
                calls += 1
            }
            XCTAssertEqual(calls, expected)
        }
        backoff.failed(error)
        XCTAssertEqual(backoff.restingError, error)
        backoff.endRest()
        XCTAssertNil(backoff.restingError)
        backoff.failed(error)
        XCTAssertNotNil(backoff.restingError)
        backoff.succeeded()
        backoff.failed(error)
        XCTAssertNil(backoff.restingError, "after a success the count begins again")
    }

    func testARemovalThatFailed_isAttemptedAgainWhileFlushesHaveNoSpace() throws {
        let calls = Calls()
        let fixture = try fixture(calls)
        calls.decide = { $0.operation == .remove ? .fail(.inputOutput) : .proceed }
        // The compaction leaves three files to be removed.
        for _ in 0..<20 { _ = try? fixture.engine.work(budget: 1 << 20) }
        XCTAssertEqual(fixture.engine.metrics.filesToRemove, 3)
        for number in 100..<170 { try fixture.put("n\(number)".bytes, Bytes([UInt8](repeating: 9, count: 1_000))) }
        try fixture.seal()
        try fill(fixture, leaving: 10 << 10)
        for _ in 0..<5 { XCTAssertThrowsError(try fixture.engine.work(budget: 1 << 20)) }
        calls.decide = { _ in .proceed }
        let done = work(fixture, calls: 30)
        XCTAssertEqual(done.kinds.filter { $0 == .removal }.count, 3, "\(done)")
        XCTAssertEqual(fixture.engine.durableSeal?.sequence, fixture.sequence, "\(done)")
    }
}
