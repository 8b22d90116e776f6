import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import Foundation
import XCTest

@testable import Balsa

/// Several stores of one process.
final class SeveralStoresTests: StoreTestCase {
    private func threadCount() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count
    }

    func testElevenStoresShareARuntimeAndNothingElse() async throws {
        let runtime = StoreRuntime(workers: 2)
        let before = try threadCount()
        var alone: [ReplicatedStore] = []
        for number in 0..<8 {
            alone.append(try await ReplicatedStore.open(at: "\(directory)/alone-\(number)", runtime: runtime))
        }
        let cluster = try await openCluster(3, in: "cluster", runtime: runtime)
        let stores = alone + cluster
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, store) in stores.enumerated() {
                for client in 0..<4 {
                    group.addTask {
                        let name = number < 8 ? "alone \(number)" : "cluster"
                        for round in 0..<25 {
                            try await store.put(Bytes("\(client)/\(round)"), Bytes(name), timeout: .seconds(60))
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        // A loop and a log writer a store, a resolver where there are ports, the workers, and the tasks' own threads.
        XCTAssertLessThanOrEqual(try threadCount() - before, 3 * stores.count + 2 + 8)
        for (number, store) in alone.enumerated() {
            let page = try await store.scan()
            XCTAssertEqual(page.pairs.count, 100)
            XCTAssertTrue(page.pairs.allSatisfy { $0.value == Bytes("alone \(number)") }, "data of another store")
        }
        for store in alone.prefix(4) + cluster.prefix(1) { await store.close() }
        for store in alone.suffix(4) + cluster.suffix(2) {
            try await store.put("after", "the others have gone", timeout: .seconds(60))
            let value = try await store.get("after", timeout: .seconds(60))
            XCTAssertEqual(value?.value, "the others have gone")
        }
        for store in alone.suffix(4) + cluster.suffix(2) { await store.close() }
        try await eventually("their threads have ended") { ((try? self.threadCount()) ?? .max) <= before + 2 + 8 }
    }

    func testARuntimeLivesAsLongAsItsStores() async throws {
        var runtime: StoreRuntime? = StoreRuntime(workers: 2)
        weak let witness = runtime
        var options = StoreOptions()
        options.keyValue.engine.memtableBytes = 16 << 10
        let store = try await ReplicatedStore.open(at: directory, options: options, runtime: try XCTUnwrap(runtime))
        runtime = nil
        XCTAssertNil(witness, "nobody holds it but by its threads")
        for number in 0..<100 { try await store.put(Bytes("k\(number)"), Bytes([UInt8](repeating: 7, count: 1_000))) }
        try await eventually("its workers still flush") { await store.status().engine.flushes > 0 }
        await store.close()
    }

    func testAPeerThatClosesItsConnectionsRaisesNoSignal() async throws {
        // A process that has not said what is to be done about SIGPIPE dies of it, and with it whoever embeds a store.
        let before = signal(SIGPIPE, SIG_DFL)
        defer { signal(SIGPIPE, before) }
        let (listener, port) = try LoopbackListener.bound()
        defer { Glibc.close(listener) }
        XCTAssertEqual(listen(listener, 64), 0)
        let accepted = Locked(0)
        let thread = try BackgroundThread {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return .wait }
            // Closed with a reset, and with what was sent unread.
            var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
            setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
            Glibc.close(connection)
            accepted.withLock { $0 += 1 }
            return .again
        }
        var peers = try newPeers(1)
        peers[2] = "127.0.0.1:\(port)"
        peers[3] = "127.0.0.1:\(port)"
        let store = try await ReplicatedStore.open(at: directory, member: 1, peers: peers)
        try await eventually("it has tried again and again") { accepted.withLock { $0 } >= 12 }
        let error = await refusal { try await store.put("k", "v", timeout: .milliseconds(100)) }
        XCTAssertEqual(error?.outcome, .notApplied)
        await store.close()
        shutdown(listener, Int32(SHUT_RDWR))
        thread.stop()
    }

    /// A follower goes away and comes back three times, while large writes are under way to it each time.
    func testMembersThatGoAwayUnderLoadRaiseNoSignal() async throws {
        let before = signal(SIGPIPE, SIG_DFL)
        defer { signal(SIGPIPE, before) }
        let stores = try await openCluster()
        let (leader, others) = try await split(stores)
        var follower = others[0]
        let peer = await follower.status().member
        try await leader.put("k", "v", timeout: .seconds(60))
        let acknowledged = Locked(0)
        let load = Task {
            while !Task.isCancelled {
                do {
                    try await leader.put("k", Bytes([UInt8](repeating: 1, count: 50_000)), timeout: .seconds(60))
                    acknowledged.withLock { $0 += 1 }
                } catch {
                    XCTAssertEqual((error as? StoreError)?.reason, .cancelled, "\(error)")
                }
            }
        }
        for round in 1...3 {
            try await eventually("member \(peer) is connected, round \(round)") {
                await leader.status().connections.first { $0.peer == peer }?.control == .connected
            }
            let written = acknowledged.withLock { $0 }
            try await eventually("writes are under way to it") { acknowledged.withLock { $0 } > written + 2 }
            await follower.close()
            try await eventually("the leader has noticed, round \(round)") {
                let connection = await leader.status().connections.first { $0.peer == peer }
                return connection != nil && connection?.control != .connected
            }
            let alone = acknowledged.withLock { $0 }
            try await eventually("writes go on without it") { acknowledged.withLock { $0 } > alone + 2 }
            follower = try await openMember(peer)
        }
        load.cancel()
        await load.value
        let value = try await follower.get("k", timeout: .seconds(60))
        XCTAssertEqual(value?.value.count, 50_000, "the one that came back has what was written without it")
        for store in [leader, follower, others[1]] { await store.close() }
    }
}
