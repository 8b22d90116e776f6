import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// Keeps what a store says of its background work.
private final class Notices: StoreObserver {
    private let shared = Locked<[String]>([])

    var retries: [String] { shared.withLock { $0 } }

    func noticed(_ event: StoreEvent) {
        if case .retrying(let what) = event { shared.withLock { $0.append(what) } }
    }
}

/// Stores on real files under a layer that lets calls fail: what was acknowledged stays, and the state says what happened.
final class FaultyDiskTests: ProcessTestCase {
    private var folder: Folder!

    override func setUpWithError() throws { folder = try Folder(below: Folder.inMemory) }
    override func tearDownWithError() throws { try folder.remove() }

    /// Waits until a store has failed, and returns why.
    private func failure(of store: ReplicatedStore) async throws -> String {
        var reason = ""
        try await eventually("the store has failed: \(store.state)") {
            guard case .failed(let text) = store.state else { return false }
            reason = text
            return true
        }
        return reason
    }

    func testAFailedSyncOfTheLogStopsTheStoreAndLosesNothing() async throws {
        let path = folder.path + "/store"
        await check {
            let files = FaultyFileSystem()
            let store = try await TestStores.open(path, files)
            var acknowledged = Acknowledged()
            var error = await acknowledged.put(0..<40, on: store)
            XCTAssertNil(error)
            files.failOnce([.sync], 1, as: .inputOutput) { $0.contains("/log/") && $0.hasSuffix(".log") }
            error = await acknowledged.put(40..<60, on: store)
            XCTAssertEqual(error?.outcome, .unknown)
            let reason = try await failure(of: store)
            XCTAssertTrue(reason.contains(path) && reason.contains("sync"), reason)
            // The next sync would succeed, and must not be believed.
            let refused = await acknowledged.put(60..<61, on: store)
            XCTAssertEqual(refused?.reason, .failed)
            XCTAssertEqual(refused?.outcome, .notApplied)
            // Nor is anything read from a state that has failed, however old it may be.
            do {
                let read = try await store.get("0", consistency: .local)
                XCTFail("\(String(describing: read)) was read")
            } catch {
                XCTAssertEqual((error as? StoreError)?.reason, .failed)
            }
            await store.close()
            let again = try await TestStores.open(path)
            let losses = try await acknowledged.losses(again)
            XCTAssertEqual(losses, [])
            await again.close()
        }
    }

    /// One call of each kind fails in the middle of everything that a store does. It goes on, or it stops with a sentence;
    /// opened again it has all that was acknowledged.
    private func sweep(_ operations: [FileError.Operation], _ error: FileError.Number, step: Int) async throws {
        var (failed, went) = (0, 0)
        var number = 1
        while true {
            let path = "\(folder.path)/\(operations[0].rawValue)-\(number)"
            let files = FaultyFileSystem()
            let store = try await TestStores.open(path, files)
            files.failOnce(operations, number, as: error)
            var acknowledged = Acknowledged()
            var refusal: StoreError?
            var next = 0
            var last = 160
            while next < last, refusal == nil {
                refusal = await acknowledged.put(next..<next + 1, on: store)
                next += 1
                // What was lost without a word must not become old: the log would be dropped, and nobody would miss it.
                if files.failures > 0 { last = min(last, next + 3) }
            }
            files.fail(nil)
            if refusal != nil {
                let reason = try await failure(of: store)
                XCTAssertTrue(reason.contains(path), "\(operations) \(number): \(reason)")
                failed += 1
            } else {
                went += 1
            }
            await store.close()
            let again = try await TestStores.open(path)
            let losses = try await acknowledged.losses(again)
            XCTAssertEqual(losses, [], "\(operations) \(number)")
            await again.close()
            // So often are these calls made, and no more.
            if files.failures == 0 { break }
            number += step
        }
        XCTAssertGreaterThan(number, step, "no call of \(operations) was made")
        print("        \(operations[0].rawValue): stopped \(failed) times, went on \(went) times")
    }

    func testSyncsThatFail() async throws {
        await check { try await sweep([.sync], .inputOutput, step: 13) }
    }

    func testWritesThatFail() async throws {
        await check { try await sweep([.write], .inputOutput, step: 17) }
    }

    func testWritesWithoutSpace() async throws {
        await check { try await sweep([.write], .noSpace, step: 23) }
    }

    func testReadsThatFail() async throws {
        await check { try await sweep([.read], .inputOutput, step: 15) }
    }

    func testRenamesThatFail() async throws {
        await check { try await sweep([.rename, .link], .inputOutput, step: 4) }
    }

    func testDirectorySyncsThatFail() async throws {
        await check { try await sweep([.syncDirectory], .inputOutput, step: 5) }
    }

    func testFilesThatCannotBeCreatedOrRemoved() async throws {
        await check { try await sweep([.open, .remove, .createDirectory], .noSpace, step: 15) }
    }

    /// Every call of an opening fails once. What is there stays as it is.
    func testAnOpeningThatFailsAnywhereChangesNothing() async throws {
        let path = folder.path + "/store"
        await check {
            let store = try await TestStores.open(path)
            var acknowledged = Acknowledged()
            let error = await acknowledged.put(0..<160, on: store)
            XCTAssertNil(error)
            await store.close()
            var number = 1
            var refusals = 0
            while true {
                let files = FaultyFileSystem()
                files.failOnce(
                    [
                        .open, .read, .write, .sync, .rename, .link, .remove, .list, .syncDirectory, .createDirectory,
                        .lock, .size,
                    ],
                    number,
                    as: .inputOutput
                )
                do {
                    let store = try await TestStores.open(path, files)
                    let isOver = files.failures == 0
                    await store.close()
                    if isOver { break }
                } catch let error as StoreError {
                    // The parent, where it is that which cannot be synced.
                    XCTAssertTrue(error.message.contains(folder.path), "call \(number): \(error)")
                    refusals += 1
                }
                number += 3
            }
            XCTAssertGreaterThan(refusals, 10)
            let again = try await TestStores.open(path)
            let losses = try await acknowledged.losses(again)
            XCTAssertEqual(losses, [])
            await again.close()
        }
    }

    func testReadsThatFailAreErrorsAndTheStoreGoesOn() async throws {
        await check {
            let files = FaultyFileSystem()
            let store = try await TestStores.open(folder.path + "/store", files)
            var acknowledged = Acknowledged()
            let error = await acknowledged.put(0..<400, on: store)
            XCTAssertNil(error)
            files.fail { operation, path in operation == .read && path.contains("/groups/") ? .inputOutput : nil }
            var refusals: [StoreError] = []
            for number in 0..<90 {
                do throws(StoreError) {
                    let found = try await store.get(Bytes("key-\(number)"), consistency: .local)
                    XCTAssertEqual(found.map { String($0.value) }, acknowledged.values["key-\(number)"])
                } catch {
                    refusals.append(error)
                }
            }
            XCTAssertFalse(refusals.isEmpty, "no read came to the disk")
            for refusal in refusals { XCTAssertTrue(refusal.message.contains(self.folder.path), "\(refusal)") }
            files.fail(nil)
            let losses = try await acknowledged.losses(store)
            XCTAssertEqual(losses, [])
            await store.close()
        }
    }

    /// No file can grow, and no new one be made, until there is space again. The store waits, and goes on by itself.
    func testAFullDiskIsWaitedFor() async throws {
        await check {
            let files = FaultyFileSystem()
            let path = folder.path + "/store"
            let notices = Notices()
            var options = TestStores.tiny
            options.observer = notices
            let store = try await TestStores.open(path, files, options: options)
            var acknowledged = Acknowledged()
            var error = await acknowledged.put(0..<50, on: store)
            XCTAssertNil(error)
            // Space for what is there is there; a new segment or a new file is not to be had.
            files.fail { operation, path in
                guard operation == .write || operation == .open else { return nil }
                return path.hasSuffix(".preparing") || path.contains("/groups/") ? .noSpace : nil
            }
            var number = 50
            while error == nil, number < 5_000 {
                error = await acknowledged.put(number..<number + 1, on: store, timeout: .seconds(1))
                number += 1
            }
            XCTAssertNotNil(error, "it took \(number) writes and did not notice")
            if case .failed(let reason) = store.state { XCTFail(reason) }
            XCTAssertTrue(
                notices.retries.contains { $0.contains(path) && $0.contains("No space left") },
                "\(notices.retries)"
            )
            let found = try await acknowledged.losses(store, .local)
            XCTAssertEqual(found, [], "what is there can be read")
            files.fail(nil)
            var more: StoreError?
            try await eventually("writes go on: \(String(describing: more)), \(store.state)") {
                more = await acknowledged.put(number..<number + 50, on: store, timeout: .seconds(2))
                return more == nil
            }
            var losses = try await acknowledged.losses(store)
            XCTAssertEqual(losses, [])
            await store.close()
            let again = try await TestStores.open(path)
            losses = try await acknowledged.losses(again)
            XCTAssertEqual(losses, [])
            await again.close()
        }
    }

    /// The leader's disk fails. The others choose another one, and the member comes back as soon as it is opened again.
    func testALeaderWhoseDiskFailsIsReplaced() async throws {
        await check {
            let reserved = try ReservedPorts(3)
            let peers = TestStores.peers(reserved)
            let files = (0..<3).map { _ in FaultyFileSystem() }
            var stores: [ReplicatedStore] = []
            for place in 0..<3 {
                stores.append(
                    try await TestStores.open(
                        "\(self.folder.path)/\(place)",
                        files[place],
                        member: UInt64(place + 1),
                        peers: peers
                    )
                )
            }
            var leader = 0
            try await eventually("one leads") {
                leader = stores.firstIndex { $0.state == .leader } ?? -1
                return leader >= 0
            }
            let others = stores.indices.filter { $0 != leader }
            var acknowledged = Acknowledged()
            var error = await acknowledged.put(0..<50, on: stores[others[0]])
            XCTAssertNil(error)
            files[leader].fail { operation, path in operation == .sync && path.contains("/log/") ? .inputOutput : nil }
            error = await acknowledged.put(50..<100, on: stores[others[0]], timeout: .seconds(20))
            XCTAssertNil(error, "writes through the others go on")
            let reason = try await self.failure(of: stores[leader])
            XCTAssertTrue(reason.contains("sync"), reason)
            await stores[leader].close()
            stores[leader] = try await TestStores.open(
                "\(self.folder.path)/\(leader)",
                LinuxFileSystem(),
                member: UInt64(leader + 1),
                peers: peers
            )
            for store in stores {
                let losses = try await acknowledged.losses(store)
                XCTAssertEqual(losses, [])
            }
            for store in stores { await store.close() }
            withExtendedLifetime(reserved) {}
        }
    }
}
