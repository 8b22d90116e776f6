import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaTransport
import XCTest

@testable import Balsa

/// What an operator can see of a store.
final class StoreStatusTests: StoreTestCase {
    func testTheFiguresOfASingleMember() async throws {
        var options = StoreOptions()
        options.keyValue.engine.memtableBytes = 32 << 10
        let store = try await ReplicatedStore.open(at: directory, options: options)
        var last: UInt64 = 0
        for number in 0..<100 {
            last = try await store.put(Bytes("k\(number)"), Bytes([UInt8](repeating: 7, count: 1_000)))
        }
        try await eventually("memtables have been flushed") { await store.status().engine.flushes > 0 }
        let status = await store.status()
        XCTAssertEqual(status.member, 1)
        XCTAssertEqual(status.state, .leader)
        XCTAssertEqual(status.leader, 1)
        XCTAssertGreaterThan(status.term, 0)
        XCTAssertEqual(status.appliedIndex, last)
        XCTAssertGreaterThanOrEqual(status.commitIndex, last)
        XCTAssertEqual(status.durableIndex, last, "what was acknowledged is durable, whatever has been flushed")
        XCTAssertGreaterThan(status.flushedIndex, 0)
        XCTAssertLessThanOrEqual(status.flushedIndex, last)
        XCTAssertNotEqual(status.digest, 0)
        XCTAssertEqual(status.sessionCount, 1)
        XCTAssertEqual(status.log.lastIndex, last)
        XCTAssertGreaterThan(status.log.liveBytes, 0)
        XCTAssertGreaterThan(status.log.boundBytes, status.log.liveBytes)
        XCTAssertGreaterThan(status.log.metrics.syncs, 0)
        XCTAssertGreaterThan(status.engine.levels.reduce(0) { $0 + $1.tableCount }, 0)
        XCTAssertGreaterThan(status.engine.memtableBytes, 0)
        XCTAssertNil(status.stall)
        XCTAssertEqual(status.outstandingCommands, 0)
        XCTAssertEqual(status.queuedBytes, 0)
        XCTAssertEqual(status.replicatingBytes, 0)
        XCTAssertEqual(status.waitingReads, 0)
        XCTAssertEqual(status.connections, [], "there are no ports")
        XCTAssertGreaterThanOrEqual(status.metrics.commandsApplied, 100)
        await store.close()
        let afterwards = await store.status()
        XCTAssertEqual(afterwards.state, .closed)
        XCTAssertEqual(afterwards.appliedIndex, last, "what it was")
    }

    /// That nothing has been flushed yet says nothing about what a crash would leave.
    func testStatus_beforeTheFirstFlush_saysThatTheLogIsDurable() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        let last = try await store.put("k", "v")
        let status = await store.status()
        XCTAssertEqual(status.durableIndex, last)
        XCTAssertEqual(status.flushedIndex, 0)
        await store.close()
    }

    func testConnectionsByPeer() async throws {
        let stores = try await openCluster()
        let (leader, others) = try await split(stores)
        try await leader.put("k", "v", timeout: .seconds(20))
        let own = await leader.status().member
        let status = await leader.status()
        XCTAssertEqual(status.connections.map(\.peer), [1, 2, 3].filter { $0 != own })
        for connection in status.connections {
            XCTAssertEqual(connection.control, .connected, "\(connection)")
            XCTAssertEqual(connection.address.host, "127.0.0.1")
        }
        XCTAssertGreaterThan(status.transport.framesSent, 0)
        for store in others { await store.close() }
        try await eventually("it has noticed") {
            await leader.status().connections.allSatisfy { $0.control != .connected }
        }
        await leader.close(drainingFor: .zero)
    }

    func testTheObserverHearsOfRolesAndConnections() async throws {
        let observer = NotingObserver()
        var options = StoreOptions()
        options.observer = observer
        let stores = try await openCluster(3, options)
        try await stores[0].put("k", "v", timeout: .seconds(20))
        let events = observer.events
        XCTAssertTrue(
            events.contains { if case .standing(let standing) = $0 { standing.role == .leader } else { false } }
        )
        XCTAssertTrue(events.contains { if case .connected = $0 { true } else { false } })
        for store in stores { await store.close() }
        XCTAssertEqual(observer.states.last, .closed)
    }

    func testWhatIsSlowIsToldWithWhereTheTimeWent() async throws {
        let observer = NotingObserver()
        var options = StoreOptions()
        options.observer = observer
        options.slow.logWrite = .zero
        options.slow.apply = .zero
        options.slow.turn = .zero
        options.slow.call = .zero
        options.slow.reportInterval = .zero
        let store = try await ReplicatedStore.open(at: directory, options: options)
        try await store.put("k", "v")
        _ = try await store.get("k")
        await store.close()
        let operations = observer.events.compactMap { event -> SlowOperation? in
            if case .slow(let operation) = event { operation } else { nil }
        }
        for kind in SlowOperation.Kind.allCases {
            let found = try XCTUnwrap(operations.first { $0.kind == kind }, "\(kind)")
            XCTAssertTrue(found.description.contains("\(kind) took"), found.description)
        }
        let write = operations.first { $0.kind == .logWrite }
        XCTAssertEqual(write?.parts.map(\.name), ["writing", "syncing"])
        let command = operations.first { $0.kind == .command }
        XCTAssertEqual(command?.parts.map(\.name), ["until it was sent", "until it was answered"])
        XCTAssertTrue(command?.detail.hasPrefix("one attempt") ?? false, command?.detail ?? "")
        let read = operations.first { $0.kind == .read }
        XCTAssertEqual(read?.parts.map(\.name), ["until it was permitted", "reading"])
    }

    func testDamageThatAReadMeetsIsToldAndNothingIsAnsweredFromIt() async throws {
        let observer = NotingObserver()
        var options = StoreOptions()
        options.keyValue.engine.memtableBytes = 32 << 10
        options.observer = observer
        let first = try await ReplicatedStore.open(at: directory, options: options)
        for number in 0..<100 {
            try await first.put(Bytes("k\(100 + number)"), Bytes([UInt8](repeating: 7, count: 1_000)))
        }
        try await eventually("all has been flushed that is sealed") {
            let engine = await first.status().engine
            return engine.flushes > 0 && engine.sealsWaiting == 0
        }
        await first.close()
        try damageTables(in: directory)
        let store = try await ReplicatedStore.open(at: directory, options: options)
        let error = await refusal {
            for number in 0..<100 { _ = try await store.get(Bytes("k\(100 + number)")) }
        }
        XCTAssertEqual(error?.reason, .damaged)
        XCTAssertEqual(error?.message.contains("the checksum of the block"), true, "\(String(describing: error))")
        await store.close()
        let sentences = observer.events.compactMap { if case .damaged(let sentence) = $0 { sentence } else { nil } }
        XCTAssertEqual(sentences.count, 1, "once, however often it is met: \(sentences)")
        XCTAssertEqual(sentences.first?.contains("/"), true, "it names the file")
    }

    /// Flips a bit in the first block of every table.
    private func damageTables(in directory: String) throws {
        let fileSystem = LinuxFileSystem()
        let found = try XCTUnwrap(FileManager.default.enumerator(atPath: directory)?.allObjects as? [String])
        let tables = found.filter { $0.contains("/table-") }
        XCTAssertFalse(tables.isEmpty, "\(found)")
        for table in tables {
            let file = try fileSystem.open(directory + "/" + table, .readWrite)
            let byte = try file.read(1, at: 1_000)
            try file.write(Bytes([byte[0] ^ 1]), at: 1_000)
            file.close()
        }
    }
}
