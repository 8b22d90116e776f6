import Balsa
import BalsaPlatform
import XCTest

/// What the examples of the page print.
private let printed = Locked<[String]>([])

/// Takes the place of Swift's own in the examples.
private func print(_ items: Any...) {
    let line = items.map { "\($0)" }.joined(separator: " ")
    printed.withLock { $0.append(line) }
}

/// The examples of `Docs/Store.md`, line by line. `PageClaimTests` compares them with the page.
final class StoreExampleTests: StoreTestCase {
    private func lines() -> [String] { printed.withLock { $0 } }

    override func setUpWithError() throws {
        try super.setUpWithError()
        printed.withLock { $0 = [] }
    }

    func testScan_pageByPage_givesEachPairOnceAtOneRevision() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        for number in 0..<250 { try await store.put(Bytes("user/\(number)"), "v") }
        try await store.put("user", "before the range")
        try await store.put("user0", "behind the range")

        var (from, revision): (Bytes?, UInt64?) = ("user/", nil)
        var count = 0
        repeat {
            let page = try await store.scan(from: from, to: "user0", limit: 100, at: revision)
            count += page.pairs.count
            (from, revision) = (page.continuation, page.revision)
        } while from != nil
        print(count)  // 250

        XCTAssertEqual(lines(), ["250"])
        await store.close()
    }

    /// What the page says of the other order, of `at:` and of short pages.
    func testScan_descendingWhileItIsWritten_showsTheMomentOfTheFirstPage() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        for number in 0..<10 { try await store.put(Bytes("k\(number)"), "v") }
        // Three of them fill a page of 1 MiB.
        for number in 3..<6 { try await store.put(Bytes("k\(number)"), Bytes([UInt8](repeating: 7, count: 600 << 10))) }
        var (to, revision): (Bytes?, UInt64?) = (nil, nil)
        var keys: [String] = []
        var sizes: [Int] = []
        repeat {
            let page = try await store.scan(from: "k", to: to, limit: 4, order: .descending, at: revision)
            sizes.append(page.pairs.count)
            keys += page.pairs.map { String($0.key) }
            XCTAssertFalse(page.isCutShort)
            XCTAssertEqual(revision ?? page.revision, page.revision, "all pages are of one revision")
            (to, revision) = (page.continuation, page.revision)
            try await store.delete("k0")
        } while to != nil
        XCTAssertEqual(keys, (0..<10).reversed().map { "k\($0)" })
        XCTAssertTrue(sizes.dropLast().contains { $0 < 4 }, "a short page is not the last one: \(sizes)")
        let now = try await store.scan(from: "k", to: "k1")
        XCTAssertEqual(now.pairs.count, 0)
        XCTAssertNil(now.continuation)
        await store.close()
    }

    func testErrors_byReason_areToldApart() async throws {
        let store = try await ReplicatedStore.open(at: directory)
        func put(_ value: Bytes) async {
            do throws(StoreError) {
                try await store.put("user/ada", value)
            } catch {
                switch error.reason {
                case _ where error.outcome == .unknown: print("perhaps written: read the key")
                case _ where error.isRetriable: print("not written: try again later")
                case .tooLarge: print("not written: too large")
                case .closed, .failed: print("not written: open the store again")
                default: print("not written:", error)
                }
            }
        }
        await put("Ada")
        await put(Bytes([UInt8](repeating: 7, count: 2 << 20)))
        await store.close()
        await put("Ada")
        XCTAssertEqual(lines(), ["not written: too large", "not written: open the store again"])
    }

    func testOptionsAndObserver_ofThePage_areInForceAndTold() async throws {
        final class EventLog: StoreObserver {
            func stateChanged(_ state: StoreState) { print("state:", state) }
            func noticed(_ event: StoreEvent) { if event.level >= .warning { print(event.level, event) } }
        }
        var options = StoreOptions()
        options.observer = EventLog()
        options.timeout = .seconds(20)  // of each call that names none
        options.keyValue.engine.cacheBytes = 128 << 20  // local: of this member alone
        options.replicated.maxValueBytes = 4 << 20  // a proposal, which a new cluster takes
        let store = try await ReplicatedStore.open(at: directory, options: options)

        let entry = try await store.options()
        XCTAssertEqual(entry.options.maxValueBytes, 4 << 20)
        await store.close()
        // A busy machine may add slow operations.
        let told = lines().filter { !$0.hasPrefix("warning slow") }
        XCTAssertEqual(told, ["state: leader", "state: closed"])
    }
}
