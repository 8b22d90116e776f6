import BalsaPlatform
import Foundation
import XCTest

@testable import Balsa

/// The threads that stores share, and how long they live.
final class StoreRuntimeTests: XCTestCase {
    private var directory = ""

    override func setUpWithError() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("balsa-runtime-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        directory = url.path
    }

    override func tearDownWithError() throws { try FileManager.default.removeItem(atPath: directory) }

    func testAStoreKeepsTheThreadsOfARuntimeThatNobodyElseHolds() async throws {
        let store = try await ReplicatedStore.open(at: directory, runtime: StoreRuntime())
        try await store.put("k", "v")
        await store.close()
        XCTAssertEqual(store.state, .closed, "to close takes a worker")
    }

    func testAWorkerMayBeTheLastThatHoldsItsThreads() throws {
        let done = expectation(description: "both jobs ran")
        done.expectedFulfillmentCount = 2
        var workers: WorkerThreads? = try WorkerThreads(count: 2)
        for _ in 0..<2 { workers?.enqueue { [workers] in withExtendedLifetime(workers) { done.fulfill() } } }
        workers = nil
        wait(for: [done], timeout: 10)
    }
}
