import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import Foundation
import XCTest

@testable import Balsa

/// The store on real files, threads and sockets.
final class ReplicatedStoreTests: StoreTestCase {
    func testASingleMemberServesEveryOperation() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        let first = try await store.put("greeting", "hello")
        let entry = try await store.get("greeting")
        XCTAssertEqual(entry, KeyValueEntry(value: "hello", revision: first))
        let wrong = try await store.compareAndSet("greeting", if: .revision(first + 1), then: .put("no"))
        XCTAssertNil(wrong)
        let right = try await store.compareAndSet("greeting", if: .revision(first), then: .put("hi"))
        XCTAssertGreaterThan(try XCTUnwrap(right), first)
        try await store.append(" there", to: "greeting")
        let sum = try await store.add(40, to: "counter")
        XCTAssertEqual(sum, 40)
        let next = try await store.add(2, to: "counter")
        XCTAssertEqual(next, 42)
        for number in 0..<20 { try await store.put(Bytes("user/\(100 + number)"), Bytes("\(number)")) }
        try await store.delete(from: "user/105", to: "user/110")
        let page = try await store.scan(from: "user/", to: "user0", limit: 10)
        XCTAssertEqual(page.pairs.map(\.value), ["0", "1", "2", "3", "4", "10", "11", "12", "13", "14"])
        XCTAssertEqual(page.continuation, "user/115")
        try await store.delete("greeting")
        let gone = try await store.get("greeting")
        XCTAssertNil(gone)
        XCTAssertEqual(store.state, .leader)
        await store.close()
        XCTAssertEqual(store.state, .closed)
    }

    func testWhatWasAcknowledgedIsThereWhenTheStoreIsOpenedAgain() async throws {
        for round in 1...3 {
            let store = try await ReplicatedStore.open(at: directory)
            if round > 1 {
                let last = try await store.get("round")
                XCTAssertEqual(last?.value, Bytes("\(round - 1)"))
            }
            try await store.put("round", Bytes("\(round)"))
            await store.close()
        }
    }

    func testReversedRangesAndLongKeysAreErrors() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        let reversed = await refusal { try await store.delete(from: "b", to: "a") }
        XCTAssertEqual(reversed?.reason, .invalid)
        XCTAssertEqual(reversed?.outcome, .notApplied)
        let scan = await refusal { _ = try await store.scan(from: "b", to: "a") }
        XCTAssertEqual(scan?.reason, .invalid)
        let long = await refusal { try await store.put(Bytes([UInt8](repeating: 1, count: 5_000)), "v") }
        XCTAssertEqual(long?.reason, .tooLarge)
        await store.close()
        let late = await refusal { try await store.put("k", "v") }
        XCTAssertEqual(late?.reason, .closed)
    }

    func testASecondOpenerIsRefusedAndTheFirstGoesOn() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        let directory = directory
        let error = await refusal { _ = try await ReplicatedStore.open(at: directory) }
        XCTAssertEqual(error?.reason, .inUse)
        XCTAssertTrue(error?.message.contains("\(directory)/LOCK") ?? false, "\(String(describing: error))")
        try await store.put("k", "v")
        await store.close()
    }

    func testThreeMembersInOneProcessAgreeAndSurviveALeader() async throws {
        let stores = try await openCluster()
        for number in 0..<30 { try await stores[number % 3].put(Bytes("k\(number)"), Bytes("\(number)")) }
        for store in stores {
            let value = try await store.get("k29")
            XCTAssertEqual(value?.value, "29", "a read on any member sees it")
        }
        let leader = try XCTUnwrap(stores.firstIndex { $0.state == .leader })
        await stores[leader].close()
        let others = stores.indices.filter { $0 != leader }
        try await stores[others[0]].put("after", "it", timeout: .seconds(20))
        let value = try await stores[others[1]].get("after", timeout: .seconds(20))
        XCTAssertEqual(value?.value, "it")
        for place in others { await stores[place].close() }
    }

    /// More keys are deleted before the pair than one page of the machine passes.
    func testScan_manyDeletedKeysBeforeAPair_goesOnToThePair() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("z", "last")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for first in stride(from: 100_000, to: 110_100, by: 101) {
                group.addTask {
                    for number in first..<first + 101 { try await store.delete(Bytes("k\(number)")) }
                }
            }
            try await group.waitForAll()
        }
        let page = try await store.scan(limit: 10)
        XCTAssertEqual(page.pairs.map(\.key), ["z"])
        XCTAssertNil(page.continuation)
        await store.close()
    }
}
