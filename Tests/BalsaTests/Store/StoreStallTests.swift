import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import XCTest

@testable import Balsa

/// A store whose background work does not get on: what waits, what is refused, and what an operator hears of it.
final class StoreStallTests: StoreTestCase {
    func testAStallIsToldAndRefusesWhatWouldPileUpAndEndsByItself() async throws {
        let observer = NotingObserver()
        let runtime = StoreRuntime(workers: 2)
        var options = StoreOptions()
        options.observer = observer
        options.keyValue.engine.memtableBytes = 16 << 10
        options.replica.maxBacklogBytes = 16 << 10
        let store = try await ReplicatedStore.open(at: directory, options: options, runtime: runtime)
        try await store.put("before", "all is well")
        let held = try HeldWorkers(of: runtime)
        let value = Bytes([UInt8](repeating: 7, count: 1_000))
        var refused: [StoreError] = []
        for number in 0..<1_000 {
            do throws(StoreError) {
                try await store.put(Bytes("k\(number)"), value, timeout: .milliseconds(50))
            } catch {
                refused.append(error)
                if error.reason == .busy { break }
            }
        }
        XCTAssertTrue(
            refused.contains { $0.reason == .deadlineExceeded && $0.outcome == .unknown },
            "in the log, not applied"
        )
        XCTAssertEqual(refused.last?.reason, .busy, "\(refused)")
        XCTAssertEqual(refused.last?.outcome, .notApplied, "what would only pile up is not taken")
        let status = await store.status()
        XCTAssertEqual(status.stall, .backlog)
        XCTAssertEqual(status.pressure, .stopped)
        XCTAssertGreaterThan(status.engine.sealsWaiting, 0)
        let read = try await store.get("before", consistency: .local)
        XCTAssertEqual(read?.value, "all is well", "reads of what is there go on")

        held.letGo()
        try await store.put("after", "all is well again", timeout: .seconds(30))
        try await eventually("it is over") { await store.status().stall == nil }
        await store.close()
        let told = observer.events.compactMap { event -> String? in
            switch event {
            case .stalled(let reason): "stalled \(reason.rawValue)"
            case .resumed(let reason, let duration): duration > .zero ? "resumed \(reason.rawValue)" : nil
            default: nil
            }
        }
        XCTAssertEqual(told.first, "stalled flush", "\(told)")
        XCTAssertTrue(told.contains("stalled backlog"), "\(told)")
        XCTAssertEqual(told.count { $0.hasPrefix("stalled") }, told.count { $0.hasPrefix("resumed") }, "\(told)")
        XCTAssertEqual(told.last?.hasPrefix("resumed"), true)
    }

    func testAStoreCanBeClosedWhileItsWorkDoesNotGetOn() async throws {
        let runtime = StoreRuntime(workers: 2)
        var options = StoreOptions()
        options.keyValue.engine.memtableBytes = 16 << 10
        let store = try await ReplicatedStore.open(at: directory, options: options, runtime: runtime)
        let held = try HeldWorkers(of: runtime)
        let value = Bytes([UInt8](repeating: 7, count: 1_000))
        var acknowledged: [Int] = []
        for number in 0..<1_000 {
            do throws(StoreError) {
                try await store.put(Bytes("k\(number)"), value, timeout: .milliseconds(50))
                acknowledged.append(number)
            } catch {
                break
            }
        }
        let closing = Task { await store.close(drainingFor: .zero) }
        try await eventually("it is closed for its users") { store.state == .closed }
        held.letGo()
        await closing.value
        let again = try await ReplicatedStore.open(at: directory, options: options)
        for number in acknowledged {
            let found = try await again.get(Bytes("k\(number)"), timeout: .seconds(30))
            XCTAssertEqual(found?.value, value, "k\(number)")
        }
        await again.close()
    }

    func testAStoreWhoseSessionWasEndedOpensAnother() async throws {
        let stores = try await openCluster(3)
        var sum: Int64 = 0
        for round in 0..<6 {
            for store in stores { sum = try await store.add(1, to: "counter", timeout: .seconds(20)) }
            // Every session ends whose window is wider than all replies may be.
            var entry = try await stores[0].options(timeout: .seconds(20))
            entry.options.sessionWindow = 512 >> round
            entry.options.maxReplyBytes = 26 * entry.options.sessionWindow
            let store = stores[round % 3]
            try await store.changeOptions(entry.options, expecting: entry.revision, timeout: .seconds(20))
            let sessions = await store.status().sessionCount
            XCTAssertEqual(sessions, 0, "round \(round)")
        }
        for store in stores { sum = try await store.add(1, to: "counter", timeout: .seconds(20)) }
        XCTAssertEqual(sum, 21, "each of them took effect once, though each change ended all sessions")
        for store in stores { await store.close() }
    }
}
