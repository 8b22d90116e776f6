import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import Foundation
import XCTest

@testable import Balsa

/// Stores that fail: every error, the state and the events say why, and name the file.
final class StoreFailureTests: StoreTestCase {
    private let observer = NotingObserver()

    private var failures: [ReplicaError] {
        observer.events.compactMap { if case .failed(let error) = $0 { error } else { nil } }
    }

    private var damages: [String] {
        observer.events.compactMap { if case .damaged(let sentence) = $0 { sentence } else { nil } }
    }

    func testFailed_syncOfTheLog_isSaidWithTheFileByEveryCallAndTheState() async throws {
        let files = HookedFileSystem()
        var options = StoreOptions()
        options.observer = observer
        let store = try await ReplicatedStore.open(
            directory,
            member: 1,
            peers: [],
            network: nil,
            options,
            .shared,
            fileSystem: files
        )
        try await store.put("before", "all is well")
        let log = directory + "/log/"
        files.failSyncs { $0.hasPrefix(log) }
        let waiting = await refusal { try await store.put("k", "v") }
        XCTAssertEqual(waiting?.reason, .failed)
        XCTAssertEqual(waiting?.outcome, .unknown, "it was in the log")
        var errors = [waiting]
        errors.append(await refusal { try await store.put("k", "w") })
        errors.append(await refusal { _ = try await store.get("before") })
        errors.append(await refusal { _ = try await store.get("before", consistency: .local) })
        errors.append(await refusal { _ = try await store.scan() })
        for error in errors {
            XCTAssertEqual(error?.reason, .failed)
            XCTAssertEqual(error?.message.contains(log), true, "\(String(describing: error))")
            XCTAssertEqual(error?.message.contains("sync"), true, "\(String(describing: error))")
        }
        for error in errors.dropFirst() { XCTAssertEqual(error?.outcome, .notApplied) }
        let status = await store.status()
        XCTAssertEqual(status.state.failure?.contains(log), true, "\(status.state)")
        XCTAssertEqual(failures.map(\.code), [.file])
        XCTAssertEqual(failures.first?.file?.path.hasPrefix(log), true)
        XCTAssertEqual(damages, [], "a file operation that failed is no damage")
        await store.close()
    }

    /// A store with pairs `k100 ... k199` in several tables, in the first block of each of which a bit has changed.
    private func openDamaged(_ change: (inout StoreOptions) -> Void = { _ in }) async throws -> ReplicatedStore {
        var options = StoreOptions()
        options.keyValue.engine.memtableBytes = 32 << 10
        options.keyValue.engine.levelZeroTables = 100
        options.keyValue.engine.levelZeroTablesToPause = 200
        let first = try await ReplicatedStore.open(at: directory, options: options)
        // In an order in which every table overlaps the others: they have to be merged.
        for number in 0..<100 {
            try await first.put(Bytes("k\(100 + number * 37 % 100)"), Bytes([UInt8](repeating: 7, count: 1_000)))
        }
        try await eventually("all has been flushed that is frozen") {
            let engine = await first.status().engine
            return engine.flushes > 1 && engine.sealsWaiting == 0
        }
        await first.close()
        let fileSystem = LinuxFileSystem()
        let found = try XCTUnwrap(FileManager.default.enumerator(atPath: directory)?.allObjects as? [String])
        let tables = found.filter { $0.contains("/table-") }
        XCTAssertGreaterThan(tables.count, 1)
        for table in tables {
            let file = try fileSystem.open(directory + "/" + table, .readWrite)
            let byte = try file.read(1, at: 1_000)
            try file.write(Bytes([byte[0] ^ 1]), at: 1_000)
            file.close()
        }
        change(&options)
        options.observer = observer
        return try await ReplicatedStore.open(at: directory, options: options)
    }

    func testDamaged_blockThatACompactionMeets_isAnEventForEachTableAndTheStoreGoesOn() async throws {
        let store = try await openDamaged { $0.keyValue.engine.levelZeroTables = 2 }
        try await eventually("the event") { !self.damages.isEmpty }
        try await store.put("after", "it goes on")
        let after = try await store.get("after")
        XCTAssertNotNil(after)
        try await eventually("an event for each table that was found") {
            let engine = await store.status().engine
            return engine.quarantines > 0 && engine.quarantined.map { "damaged: \($0.sentence)" } == self.damages
        }
        for sentence in damages {
            XCTAssertTrue(sentence.contains("/table-"), sentence)
            XCTAssertTrue(sentence.contains("level "), sentence)
            XCTAssertNotNil(sentence.range(of: "at byte [0-9]+", options: .regularExpression), sentence)
        }
        XCTAssertNil(store.state.failure)
        await store.close()
    }

    func testDamaged_blockThatACommandReads_stopsApplyBeforeIt_andTheRestIsServed() async throws {
        let store = try await openDamaged()
        var failure: StoreError?
        var last: Bytes = ""
        for number in 100..<200 where failure == nil {
            last = Bytes("k\(number)")
            do throws(StoreError) {
                try await store.append("8", to: last, timeout: .milliseconds(500))
            } catch { failure = error }
        }
        XCTAssertEqual(failure?.outcome, .unknown, "it is in the log")
        let sentence = try XCTUnwrap(damages.last { $0.contains("entry ") })
        for part in ["/table-", "level ", "no other member could send a checkpoint"] {
            XCTAssertTrue(sentence.contains(part), "\(part) is not in: \(sentence)")
        }
        XCTAssertNotNil(sentence.range(of: "at byte [0-9]+", options: .regularExpression), sentence)
        let error = await refusal { try await store.put("after", "1", timeout: .milliseconds(500)) }
        XCTAssertEqual(error?.reason, .damaged)
        XCTAssertEqual(error?.outcome, .notApplied)
        XCTAssertEqual(error?.message.contains("StoreEvent.damaged"), true, "\(String(describing: error))")
        let other = try await store.get("k150", consistency: .local)
        XCTAssertEqual(other?.value.count, 1_000)
        // The same key, though it is not damaged: what it would have to reflect is not applied. The error does not say
        // that the key is.
        let read = await refusal { _ = try await store.get("k150", timeout: .milliseconds(500)) }
        XCTAssertEqual(read?.reason, .damaged)
        XCTAssertEqual(
            read?.message.hasPrefix(
                "a key that this call needs, or a command that has to be applied before it, lies in"
            ),
            true,
            "\(String(describing: read))"
        )
        // As `count` of the program: it reads all keys.
        let scan = await refusal {
            var next: Bytes? = "k"
            while let from = next { next = try await store.scan(from: from, consistency: .local).continuation }
        }
        XCTAssertEqual(scan?.reason, .damaged)
        XCTAssertNil(store.state.failure)
        let status = await store.status()
        XCTAssertEqual(status.metrics.unreadableEntries, 1)
        XCTAssertEqual(failures.map(\.code), [])
        await store.close()
    }

    func testDamaged_blockThatAReadMeets_isAnEventAndTheStoreGoesOn() async throws {
        let store = try await openDamaged()
        let error = await refusal {
            for number in 100..<200 { _ = try await store.get(Bytes("k\(number)")) }
        }
        XCTAssertEqual(error?.reason, .damaged)
        XCTAssertEqual(error?.outcome, .notApplied)
        XCTAssertEqual(error?.message.contains("/table-"), true, "\(String(describing: error))")
        // The file once, and the keys as the user knows them.
        let words = try XCTUnwrap(error?.message)
        XCTAssertEqual(words.components(separatedBy: "/table-").count, 2, words)
        XCTAssertTrue(words.contains("keys from k"), words)
        try await eventually("the event") { !self.damages.isEmpty }
        XCTAssertEqual(damages.first?.contains("/table-"), true)
        XCTAssertEqual(damages.first, "damaged: " + words, "read and event say the same")
        try await store.put("after", "it goes on")
        XCTAssertNil(store.state.failure)
        await store.close()
    }
}
