import BalsaKeyValue
import BalsaPlatform
import XCTest

@testable import Balsa

/// Cancelled tasks: their calls return at once, and say whether the write may have happened.
final class StoreCancellationTests: StoreTestCase {
    /// Runs `body` in a task that is cancelled before it begins.
    private func cancelled(_ body: @escaping @Sendable () async throws -> Void) async -> StoreError? {
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            try await body()
        }
        task.cancel()
        return await refusal { try await task.value }
    }

    func testACallOfACancelledTaskIsNotMade() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        try await store.put("k", "v")
        var errors: [StoreError?] = []
        errors.append(await cancelled { try await store.put("k", "w") })
        errors.append(await cancelled { _ = try await store.get("k") })
        errors.append(await cancelled { _ = try await store.get("k", consistency: .local) })
        errors.append(await cancelled { _ = try await store.scan() })
        for error in errors {
            XCTAssertEqual(error?.reason, .cancelled)
            XCTAssertEqual(error?.outcome, .notApplied)
        }
        let value = try await store.get("k")
        XCTAssertEqual(value?.value, "v")
        await store.close()
    }

    func testWhatWasSentIsUnknownAndWhatWaitedForItsTurnIsNotApplied() async throws {
        var options = StoreOptions()
        options.maxOutstandingCommands = 1
        options.timeout = .seconds(60)
        let store = try await survivor(options)
        let sent = Task { try await store.put("sent", "perhaps") }
        try await eventually("it is under way") { await store.status().outstandingCommands == 1 }
        let queued = Task { try await store.put("queued", "never") }
        try await eventually("it waits") { await store.status().outstandingCommands == 2 }
        let read = Task { try await store.get("sent") }
        try await eventually("it is under way") { await store.status().callsUnderWay == 3 }
        queued.cancel()
        let late = await refusal { _ = try await queued.value }
        XCTAssertEqual(late?.reason, .cancelled)
        XCTAssertEqual(late?.outcome, .notApplied)
        sent.cancel()
        let unknown = await refusal { _ = try await sent.value }
        XCTAssertEqual(unknown?.reason, .cancelled)
        XCTAssertEqual(unknown?.outcome, .unknown)
        read.cancel()
        let unread = await refusal { _ = try await read.value }
        XCTAssertEqual(unread?.reason, .cancelled)
        XCTAssertEqual(unread?.outcome, .notApplied, "a read has no effect")
        await store.close(drainingFor: .zero)
    }

    func testWhoIsCancelledWhileOthersAreServedLosesNothingOfTheirs() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        let results = await withTaskGroup(of: (number: Int, isDone: Bool).self) { group in
            for number in 0..<200 {
                group.addTask {
                    let task = Task { try await store.add(1, to: Bytes("counter/\(number % 10)")) }
                    if number % 3 == 0 { task.cancel() }
                    do {
                        _ = try await task.value
                        return (number, true)
                    } catch {
                        XCTAssertEqual((error as? StoreError)?.reason, .cancelled)
                        XCTAssertEqual(number % 3, 0, "nobody cancelled it")
                        return (number, false)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let done = results.filter(\.isDone).count
        XCTAssertGreaterThanOrEqual(done, results.count { $0.number % 3 != 0 })
        var sum: Int64 = 0
        for number in 0..<10 { sum += try await store.add(0, to: Bytes("counter/\(number)")) }
        XCTAssertGreaterThanOrEqual(sum, Int64(done))
        XCTAssertLessThanOrEqual(sum, 200)
        await store.close()
    }
}
