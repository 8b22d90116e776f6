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

    func testRuntime_ofNoWorkersOrCountlessOnes_hasTwoOrSixtyFour() {
        for (wanted, count) in [(Int.min, 2), (0, 2), (3, 3), (64, 64), (Int.max, 64)] {
            XCTAssertEqual(StoreRuntime(workers: wanted).workerCount, count)
        }
    }

    func testAWorkerMayBeTheLastThatHoldsItsThreads() throws {
        let done = expectation(description: "both jobs ran")
        done.expectedFulfillmentCount = 2
        var workers: WorkerThreads? = try WorkerThreads(count: 2)
        for _ in 0..<2 { workers?.enqueue { [workers] in withExtendedLifetime(workers) { done.fulfill() } } }
        workers = nil
        wait(for: [done], timeout: 120)
    }

    func testAJobWaitsForNoThreadThatIsBusyWhileAnotherIsFree() throws {
        let workers = try WorkerThreads(count: 2)
        let (mayEnd, hasBegun) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        for _ in 0..<20 {
            workers.enqueue {
                hasBegun.signal()
                mayEnd.wait()
            }
            XCTAssertEqual(hasBegun.wait(timeout: .now() + 120), .success)
            let done = expectation(description: "jobs ran beside one that takes long")
            done.expectedFulfillmentCount = 5
            for _ in 0..<5 { workers.enqueue { done.fulfill() } }
            wait(for: [done], timeout: 120)
            mayEnd.signal()
        }
    }

    func testEveryJobRunsOnceHoweverManyQueueThem() throws {
        let workers = try WorkerThreads(count: 3)
        let runs = Locked([Int](repeating: 0, count: 4_000))
        let done = expectation(description: "all ran")
        done.expectedFulfillmentCount = 4_000
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            for number in 0..<1_000 {
                workers.enqueue {
                    runs.withLock { $0[thread * 1_000 + number] += 1 }
                    done.fulfill()
                }
            }
        }
        wait(for: [done], timeout: 120)
        XCTAssertEqual(runs.withLock { $0 }, [Int](repeating: 1, count: 4_000))
    }
    func testAJobBehindTheRunningOnes_beginsWhenNothingIsLeftOfThem() throws {
        final class Held: Sendable {}
        let workers = try WorkerThreads(count: 2)
        let (mayEnd, hasBegun) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        for _ in 0..<20 {
            var held: Held? = Held()
            let seen = UncheckedBox(WeakReference(held))
            workers.enqueue { [held] in
                hasBegun.signal()
                mayEnd.wait()
                withExtendedLifetime(held) {}
            }
            held = nil
            XCTAssertEqual(hasBegun.wait(timeout: .now() + 120), .success)
            let found = Locked<[Bool]>([])
            let done = expectation(description: "it ran behind the one that takes long")
            workers.enqueueAfterRunning {
                found.withLock { $0.append(seen.value.object != nil) }
                done.fulfill()
            }
            // The other thread is free, and is done with this when it would have done that.
            let isFree = expectation(description: "a job ran on the other thread")
            workers.enqueue { isFree.fulfill() }
            wait(for: [isFree], timeout: 120)
            XCTAssertEqual(found.withLock { $0 }, [], "it has not begun")
            mayEnd.signal()
            wait(for: [done], timeout: 120)
            XCTAssertEqual(found.withLock { $0 }, [false], "the job before is gone, and what it held")
        }
    }
}

/// A reference that keeps nothing.
private final class WeakReference {
    weak var object: AnyObject?
    init(_ object: AnyObject?) { self.object = object }
}
