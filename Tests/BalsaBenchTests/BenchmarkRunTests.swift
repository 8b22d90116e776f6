import Balsa
import BalsaPlatform
import XCTest

@testable import BalsaBench

/// Whole benchmarks on a few keys, in this process.
final class BenchmarkRunTests: BenchTestCase {
    private func names(_ lines: [String]) -> [String] {
        lines.filter { $0.contains(" ops/s ") || $0.hasPrefix("settle") }.map { String($0.prefix { $0 != " " }) }
    }

    func testStorage_allWorkloads_printTheirRowsInOrder() throws {
        let folder = try makeFolder()
        var arguments = StorageArguments()
        arguments.keyCount = 2_000
        arguments.bufferMebibytes = 1
        arguments.cacheMebibytes = 1
        var lines: [String] = []
        let bounds = StorageBenchmark.Bounds(checkInterval: 1, syncs: 10, sharedSyncs: 16)
        try StorageBenchmark(arguments, in: folder, bounds: bounds) { lines.append($0) }.run()
        XCTAssertEqual(
            names(lines),
            [
                "fillseq", "fillbatch(100)", "fillsync", "fillsync8", "fillrandom", "overwrite", "readrandom",
                "readmissing",
                "seekrandom(10)", "readwhilewriting", "settle", "readrandomsettled", "readseq",
            ]
        )
        XCTAssertTrue(lines.last?.hasSuffix(" MiB on disk") ?? false)
    }

    func testStorage_fewestKeysAndCompressible_runs() throws {
        var arguments = StorageArguments()
        arguments.keyCount = StorageArguments.minKeyCount
        arguments.isCompressible = true
        arguments.only = ["fillbatch", "seekrandom", "readrandom", "readwhilewriting"]
        var lines: [String] = []
        let bounds = StorageBenchmark.Bounds(checkInterval: 1)
        try StorageBenchmark(arguments, in: try makeFolder(), bounds: bounds) { lines.append($0) }.run()
        XCTAssertEqual(
            names(lines),
            ["fillbatch(100)", "fillrandom", "readrandom", "seekrandom(10)", "readwhilewriting"]
        )
    }

    func testStorage_longestValues_runsEveryWorkloadThatTakesThem() throws {
        for (value, workloads) in [
            (StorageArguments.maxBatchedValueBytes, ["fillseq", "fillbatch", "readrandom"]),
            (PeerValues.maxValueBytes, ["fillseq", "fillsync", "readrandom", "seekrandom", "readseq"]),
        ] {
            let words = [
                "--num", "100", "--value", "\(value)", "--buffer", "4", "--only", workloads.joined(separator: ","),
            ]
            let arguments = try StorageArguments(words)
            var lines: [String] = []
            let bounds = StorageBenchmark.Bounds(checkInterval: 1, syncs: 2)
            try StorageBenchmark(arguments, in: try makeFolder(), bounds: bounds) { lines.append($0) }.run()
            XCTAssertEqual(names(lines), arguments.rows)
        }
    }

    // MARK: Clients

    func testLoad_madeBeforeItsClockStarts_hasThePoolOfValues() {
        _ = ClientLoad(words: ["put", "1", "1", "1", "1", "0"])
        XCTAssertTrue(PeerValues.poolIsMade.withLock { $0 })
    }

    private let load = ClientLoad(
        operation: .get,
        clients: 4,
        total: 200,
        valueBytes: 20,
        keyspace: 10,
        round: .fillseq
    )

    private func bytes(_ number: Int, _ round: Round, count: Int = 20) -> Bytes {
        Bytes(copying: PeerValues(byteCount: count).of(number, round))
    }

    private func keyText(_ number: Int) -> Bytes {
        let key = KeyText()
        defer { key.free() }
        return Bytes(copying: key.digits(of: number))
    }

    /// The sentence with which reading and scanning end, in a store in which `plant` has changed something.
    private func sentences(
        _ plant: (ReplicatedStore) async throws -> Void
    ) async throws -> (get: String?, scan: String?) {
        let store = try await ReplicatedStore.open(at: try makeFolder().path + "/store")
        try await load.fill(store)
        try await plant(store)
        var get: String?
        do throws(BenchmarkError) { _ = try await load.run(on: store) } catch { get = error.description }
        var scan: String?
        do throws(BenchmarkError) { try await load.verifyAll(store) } catch { scan = error.description }
        await store.close()
        return (get, scan)
    }

    func testClients_storeAsWritten_findEveryValue() async throws {
        let found = try await sentences { _ in }
        XCTAssertNil(found.get)
        XCTAssertNil(found.scan)
    }

    func testClients_wrongValue_isReported() async throws {
        let found = try await sentences { try await $0.put(keyText(3), "12345678901234567890") }
        let expected = "the value of key 3 is one that nobody wrote, not the one of fillseq"
        XCTAssertEqual(found.get, expected)
        XCTAssertEqual(found.scan, expected)
    }

    func testClients_valueOfAnotherKey_isReported() async throws {
        let found = try await sentences { try await $0.put(keyText(3), bytes(4, .fillseq)) }
        let expected = "the value of key 3 is that of key 4 of fillseq, not the one of fillseq"
        XCTAssertEqual(found.get, expected)
        XCTAssertEqual(found.scan, expected)
    }

    func testClients_valueOfAnotherRound_isReported() async throws {
        let found = try await sentences { try await $0.put(keyText(3), bytes(3, .overwrite)) }
        let expected = "the value of key 3 is the one of overwrite, not the one of fillseq"
        XCTAssertEqual(found.get, expected)
        XCTAssertEqual(found.scan, expected)
    }

    func testClients_valueOfAnotherLength_isReported() async throws {
        let found = try await sentences { try await $0.put(keyText(3), bytes(3, .fillseq, count: 19)) }
        let expected = "the value of key 3 is 19 bytes long instead of 20, not the one of fillseq"
        XCTAssertEqual(found.get, expected)
        XCTAssertEqual(found.scan, expected)
    }

    func testClients_missingKey_isReported() async throws {
        let found = try await sentences { try await $0.delete(keyText(3)) }
        XCTAssertEqual(found.get, "get of 0000000000000003: the key was not found")
        XCTAssertEqual(found.scan, "scan: the key 0000000000000004 is where key 3 should be")
        let last = try await sentences { try await $0.delete(keyText(9)) }
        XCTAssertEqual(last.scan, "scan: 9 keys instead of 10")
    }

    func testClients_keyThatNobodyWrote_isReportedByTheScan() async throws {
        let found = try await sentences { try await $0.put("0000000000000010", bytes(10, .fillseq)) }
        XCTAssertNil(found.get)
        XCTAssertEqual(found.scan, "scan: 11 keys instead of 10")
        let other = try await sentences { try await $0.put("a", "b") }
        XCTAssertEqual(other.scan, "scan: the key a is where key 10 should be")
    }

    func testCluster_putsAndGetsInTurns_findTheValuesOfTheirRound() async throws {
        var arguments = ClusterArguments()
        arguments.memberCount = 1
        arguments.clientCounts = [2, 5]
        arguments.total = 20
        arguments.keyspace = 8
        arguments.operations = [.get, .put, .get, .put]
        let folder = try makeFolder()
        let lines = Lines()
        try await ClusterBenchmark(arguments, in: folder) { lines.add($0) }.run()
        XCTAssertEqual(
            lines.all.filter { !$0.hasPrefix("#") }.map { $0.split(separator: " ").prefix(3).joined(separator: " ") },
            ["get", "put", "get", "put"].flatMap { ["balsa \($0) 2", "balsa \($0) 5"] }
        )
    }
}

/// Lines that a closure adds.
private final class Lines {
    private(set) var all: [String] = []
    func add(_ line: String) { all.append(line) }
}
