import BalsaKeyValue
import BalsaPlatform
import XCTest

@testable import Balsa

/// Closing in order, closing in haste, and not closing at all.
final class StoreClosingTests: StoreTestCase {
    func testCallsUnderWayAreAnsweredBeforeTheStoreIsClosed() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("k", "v")
        // Each goes on until it is refused, so that some are under way whenever the store is closed.
        let writers = (0..<50).map { writer in
            Task { () -> (acknowledged: Int, error: (any Error)?) in
                for number in 0..<Int.max {
                    do { try await store.put(Bytes("k\(writer)-\(number)"), "v") } catch { return (number, error) }
                }
                return (.max, nil)
            }
        }
        let readers = (0..<50).map { _ in
            Task { () -> (any Error)? in
                while true { do { _ = try await store.get("k") } catch { return error } }
            }
        }
        try await eventually("a write is acknowledged, and others are under way") {
            guard try await store.get("k0-0") != nil else { return false }
            return await store.status().callsUnderWay > 0
        }
        await store.close()
        let again = try await ReplicatedStore.open(at: directory)
        for (writer, task) in writers.enumerated() {
            let (acknowledged, error) = await task.value
            // It came after the door was shut.
            XCTAssertEqual(error as? StoreError, StoreError(.notApplied, .closed))
            for number in max(0, acknowledged - 3)...acknowledged {
                let value = try await again.get(Bytes("k\(writer)-\(number)"))
                XCTAssertEqual(value != nil, number < acknowledged, "k\(writer)-\(number)")
            }
        }
        for reader in readers {
            let error = await reader.value
            XCTAssertEqual(error as? StoreError, StoreError(.notApplied, .closed))
        }
        await again.close()
    }

    /// Notes states and events in one order.
    private final class Lines: StoreObserver {
        let noted = Locked<[String]>([])

        func stateChanged(_ state: StoreState) { noted.withLock { $0.append("state \(state)") } }
        func noticed(_ event: StoreEvent) { noted.withLock { $0.append("\(event)") } }
    }

    func testClosing_stateClosed_isTheLastThatAnObserverIsTold() async throws {
        let lines = Lines()
        var options = StoreOptions()
        options.observer = lines
        let store = try await ReplicatedStore.open(at: directory, options: options)
        try await store.put("k", "v")
        XCTAssertGreaterThan(lines.noted.withLock { $0.count }, 1)
        await store.close()
        XCTAssertEqual(lines.noted.withLock { $0.last }, "state closed", "\(lines.noted.withLock { $0 })")
    }

    func testAClosedStorePublishesItsStateNoMore() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("k", "v")
        let core = store.core
        XCTAssertTrue(core.published.withLock { $0.machine != nil })
        let isPublished: Bool = await withCheckedContinuation { continuation in
            core.shell.loop.post {
                core.close()
                // The shell takes turns until it is closed as well.
                core.shell.take([], [.timer])
                core.shell.loop.post {
                    continuation.resume(returning: core.published.withLock { $0.machine != nil })
                }
            }
        }
        XCTAssertFalse(isPublished)
        await store.close()
    }

    func testWhatCannotBeAnsweredHoldsUpTheClosingUpToTheLimitAndIsTold() async throws {
        var options = StoreOptions()
        options.timeout = .seconds(600)
        options.maxOutstandingCommands = 1
        let store = try await survivor(options)
        let sent = Task { try await store.put("sent", "perhaps") }
        try await eventually("it is under way") { await store.status().outstandingCommands == 1 }
        let queued = Task { try await store.put("queued", "never") }
        let read = Task { try await store.get("sent") }
        try await eventually("all are under way") { await store.status().callsUnderWay == 3 }
        await store.close(drainingFor: .milliseconds(50))
        let unknown = await refusal { _ = try await sent.value }
        XCTAssertEqual(unknown?.reason, .closed)
        XCTAssertEqual(unknown?.outcome, .unknown)
        let never = await refusal { _ = try await queued.value }
        XCTAssertEqual(never?.reason, .closed)
        XCTAssertEqual(never?.outcome, .notApplied)
        let unread = await refusal { _ = try await read.value }
        XCTAssertEqual(unread?.reason, .closed)
        XCTAssertEqual(unread?.outcome, .notApplied)
    }

    func testAllWhoCloseWaitUntilItIsClosed() async throws {
        for _ in 0..<5 {
            let store = try await ReplicatedStore.open(at: directory)
            try await store.put("k", "v")
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        await store.close()
                        XCTAssertEqual(store.state, .closed)
                    }
                }
            }
            await store.close()
        }
    }

    func testAStoreThatWasJustOpenedCanBeClosed() async throws {
        for round in 0..<5 {
            let stores = try await openCluster(3, in: "\(round)")
            let call = Task { try await stores[0].put("k", "v", timeout: .seconds(20)) }
            for store in stores { await store.close(drainingFor: round % 2 == 0 ? .zero : .seconds(1)) }
            do {
                _ = try await call.value
            } catch let error as StoreError {
                XCTAssertTrue([.closed, .noQuorum].contains(error.reason), "\(error)")
            }
        }
    }

    func testAClosedStoreCanBeOpenedAtOnce() async throws {
        for round in 0..<10 {
            let store = try await ReplicatedStore.open(at: directory)
            let count = try await store.add(1, to: "openings")
            XCTAssertEqual(count, Int64(round + 1))
            await store.close()
        }
    }

    func testAStoreThatNobodyHoldsAnyMoreGivesItsDirectoryBack() async throws {
        var store: ReplicatedStore? = try await ReplicatedStore.open(at: directory)
        try await store?.put("k", "acknowledged")
        let states = try XCTUnwrap(store).states
        store = nil
        var seen: [StoreState] = []
        for await state in states { seen.append(state) }
        XCTAssertEqual(seen.last, .closed, "who listens is told")
        var again: ReplicatedStore?
        let directory = directory
        try await eventually("the lock is free") {
            do {
                again = try await ReplicatedStore.open(at: directory)
                return true
            } catch {
                XCTAssertEqual((error as? StoreError)?.message.contains("LOCK"), true, "\(error)")
                return false
            }
        }
        let value = try await again?.get("k")
        XCTAssertEqual(value?.value, "acknowledged")
        await again?.close()
    }

    func testStatesAreToldInOrderToEveryListenerAndEnd() async throws {
        let observer = NotingObserver()
        var options = StoreOptions()
        options.observer = observer
        let stores = try await openCluster(3, options)
        let store = stores[0]
        let first = store.states
        let second = store.states
        let unread = store.states
        let heard = [first, second].map { states in
            Task {
                var seen: [StoreState] = []
                for await state in states { seen.append(state) }
                return seen
            }
        }
        try await store.put("k", "v", timeout: .seconds(20))
        for store in stores { await store.close() }
        let seen = await (heard[0].value, heard[1].value)
        XCTAssertEqual(seen.0.last, .closed)
        XCTAssertEqual(seen.0, seen.1)
        for (before, after) in zip(seen.0, seen.0.dropFirst()) { XCTAssertNotEqual(before, after, "only changes") }
        XCTAssertTrue(seen.0.contains { if case .follower = $0 { true } else { $0 == .leader } })
        var late: [StoreState] = []
        for await state in unread { late.append(state) }
        XCTAssertEqual(late.last, .closed, "who reads late is told how it ended")
        var afterwards: [StoreState] = []
        for await state in store.states { afterwards.append(state) }
        XCTAssertEqual(afterwards, [.closed])
    }

    func testAListenerThatDoesNotReadKeepsTheNewestStatesAndOneThatGoesIsForgotten() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await eventually("it leads") { store.state == .leader }
        var unread: AsyncStream<StoreState>? = store.states
        let slow = store.states
        XCTAssertEqual(store.core.published.withLock { $0.streams.count }, 2)
        _ = unread
        unread = nil
        XCTAssertEqual(store.core.published.withLock { $0.streams.count }, 1, "it has been let go")
        let core = store.core
        core.shell.loop.post { for member in 1...100 { core.setState(.follower(of: UInt64(member))) } }
        await store.close()
        var seen: [StoreState] = []
        for await state in slow { seen.append(state) }
        XCTAssertEqual(seen.count, 16, "bounded")
        XCTAssertEqual(seen.last, .closed)
    }
}
