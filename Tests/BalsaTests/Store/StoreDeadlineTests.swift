import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// Reads whose disk stands still: each call ends at its deadline or with its task, and what nobody waits for is not
/// begun.
final class StoreDeadlineTests: StoreTestCase {
    private let files = HookedFileSystem()

    /// A store most of whose pairs `k0 ... k99` can be read from tables only, which are cold.
    private func openCold(maxWaitingReads: Int = 100) async throws -> ReplicatedStore {
        var options = StoreOptions()
        options.keyValue.engine.memtableBytes = 32 << 10
        options.keyValue.engine.cacheBytes = 0
        options.replica.maxWaitingReads = maxWaitingReads
        let store = try await ReplicatedStore.open(
            directory,
            member: 1,
            peers: [],
            network: nil,
            options,
            StoreRuntime(workers: 2),
            fileSystem: files
        )
        for number in 0..<100 {
            try await store.put(Bytes("k\(number)"), Bytes([UInt8](repeating: 7, count: 1_000)))
        }
        try await eventually("all has been flushed that is frozen") {
            let status = await store.status()
            return status.engine.flushes > 0 && status.pressure == .none && status.engine.sealsWaiting == 0
        }
        files.makeCold()
        return store
    }

    /// Reads of both workers, which stand still.
    private func blockWorkers(of store: ReplicatedStore) async throws -> [Task<KeyValueEntry?, any Error>] {
        files.holdReads()
        let before = files.reads
        let blocked = (0..<2).map { number in
            Task { try await store.get(Bytes("k\(number)"), consistency: .local, timeout: .seconds(60)) }
        }
        try await eventually("both workers stand still") { self.files.reads == before + 2 }
        return blocked
    }

    func testRead_diskThatStandsStill_endsAtItsDeadlineWithoutEffect() async throws {
        let store = try await openCold()
        let blocked = try await blockWorkers(of: store)
        let begun = files.reads
        let timeout = Duration.milliseconds(50)
        var errors: [StoreError?] = []
        errors.append(await refusal { _ = try await store.get("k2", timeout: timeout) })
        errors.append(await refusal { _ = try await store.get("k3", consistency: .local, timeout: timeout) })
        errors.append(await refusal { _ = try await store.get("k4", consistency: .atLeast(1), timeout: timeout) })
        errors.append(await refusal { _ = try await store.scan(limit: 10, consistency: .local, timeout: timeout) })
        for error in errors {
            XCTAssertEqual(error?.reason, .deadlineExceeded)
            XCTAssertEqual(error?.outcome, .notApplied)
            XCTAssertEqual(error?.isRetriable, true)
        }
        let waiting = await store.status().waitingReads
        XCTAssertEqual(waiting, 6, "what was given up is still queued, and counts")
        files.letReadsGo()
        for task in blocked {
            let entry = try await task.value
            XCTAssertEqual(entry?.value.count, 1_000, "those that had begun end in their own time")
        }
        try await eventually("the queue is empty") { await store.status().waitingReads == 0 }
        // The two that were held may read more than one block each; the four that were given up read none.
        let after = files.reads
        let entry = try await store.get("k2", consistency: .local)
        XCTAssertEqual(entry?.value.count, 1_000)
        let readsOfOne = files.reads - after
        XCTAssertGreaterThan(readsOfOne, 0)
        XCTAssertLessThanOrEqual(after - begun, 2 * readsOfOne, "what nobody waited for was not begun")
        await store.close()
    }

    func testRead_blockedOnTheDiskItself_endsAtItsDeadlineAndWithItsTask() async throws {
        let store = try await openCold()
        files.holdReads()
        let before = files.reads
        let late = await refusal { _ = try await store.get("k0", consistency: .local, timeout: .milliseconds(50)) }
        XCTAssertEqual(late?.reason, .deadlineExceeded)
        XCTAssertEqual(late?.outcome, .notApplied)
        XCTAssertEqual(files.reads, before + 1, "a worker is in the middle of it")
        let task = Task { try await store.get("k1", timeout: .seconds(60)) }
        try await eventually("the other one as well") { self.files.reads == before + 2 }
        let queued = Task { try await store.scan(timeout: .seconds(60)) }
        try await eventually("one is queued") { await store.status().waitingReads == 3 }
        task.cancel()
        queued.cancel()
        let errors = [await refusal { _ = try await task.value }, await refusal { _ = try await queued.value }]
        for error in errors {
            XCTAssertEqual(error?.reason, .cancelled)
            XCTAssertEqual(error?.outcome, .notApplied)
        }
        files.letReadsGo()
        await store.close()
    }

    func testRead_moreThanMayWait_isBusyThoughTheCallersHaveGivenUp() async throws {
        let store = try await openCold(maxWaitingReads: 3)
        let blocked = try await blockWorkers(of: store)
        let late = await refusal { _ = try await store.get("k2", consistency: .local, timeout: .milliseconds(20)) }
        XCTAssertEqual(late?.reason, .deadlineExceeded)
        let busy = await refusal { _ = try await store.get("k3", consistency: .local) }
        XCTAssertEqual(busy?.reason, .busy)
        XCTAssertEqual(busy?.outcome, .notApplied)
        files.letReadsGo()
        for task in blocked { _ = try await task.value }
        try await eventually("the queue is empty") { await store.status().waitingReads == 0 }
        let entry = try await store.get("k3", consistency: .local)
        XCTAssertEqual(entry?.value.count, 1_000)
        await store.close()
    }

    func testRead_storeThatClosesMeanwhile_isToldClosed() async throws {
        let store = try await openCold()
        let blocked = try await blockWorkers(of: store)
        let closing = Task { await store.close(drainingFor: .zero) }
        for task in blocked {
            let error = await refusal { _ = try await task.value }
            XCTAssertEqual(error?.reason, .closed)
            XCTAssertEqual(error?.outcome, .notApplied)
        }
        files.letReadsGo()
        await closing.value
    }

    func testRead_withoutAnyTimeLeft_isLateWhateverItAsksFor() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("k", "v")
        for consistency in [.local, .linearizable, .atLeast(1)] as [ReadConsistency] {
            let error = await refusal { _ = try await store.get("k", consistency: consistency, timeout: .zero) }
            XCTAssertEqual(error?.reason, .deadlineExceeded, "\(consistency)")
            XCTAssertEqual(error?.outcome, .notApplied, "\(consistency)")
        }
        let write = await refusal { try await store.put("k", "w", timeout: .zero) }
        XCTAssertEqual(write?.reason, .deadlineExceeded)
        XCTAssertEqual(write?.outcome, .notApplied)
        let entry = try await store.get("k")
        XCTAssertEqual(entry?.value, "v")
        await store.close()
    }
}
