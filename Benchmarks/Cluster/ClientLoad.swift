import Balsa
import BalsaKeyValue
import BalsaPlatform

/// Clients that each have one request in flight, until all of them together have made so many.
struct ClientLoad: Equatable, Sendable {
    enum Operation: String, CaseIterable, Sendable {
        case put
        case get
    }

    var operation: Operation
    var clients: Int
    var total: Int
    var valueBytes: Int
    var keyspace: Int

    init(operation: Operation, clients: Int, total: Int, valueBytes: Int, keyspace: Int) {
        self.operation = operation
        self.clients = clients
        self.total = total
        self.valueBytes = valueBytes
        self.keyspace = keyspace
    }

    /// The load that ``words`` say; nil where they say none.
    init?(words: [Substring]) {
        guard words.count == 5, let operation = Operation(rawValue: String(words[0])) else { return nil }
        let numbers = words[1...].compactMap { Int($0) }
        guard numbers.count == 4 else { return nil }
        self.init(
            operation: operation,
            clients: numbers[0],
            total: numbers[1],
            valueBytes: numbers[2],
            keyspace: numbers[3]
        )
    }

    /// The load as words, for a process that is to make it.
    var words: String { "\(operation.rawValue) \(clients) \(total) \(valueBytes) \(keyspace)" }

    /// Has the clients call `store`, and returns the line of the result.
    func run(on store: ReplicatedStore) async throws(BenchmarkError) -> String {
        let clock = MonotonicClock()
        let start = clock.nanoseconds()
        var latencies = try await withClients { client throws(BenchmarkError) in
            try await self.calls(of: client, on: store)
        }
        let nanoseconds = max(1, clock.nanoseconds() - start)
        latencies.sort()
        return Text.left("balsa \(operation.rawValue)", 10) + " " + Text.right("\(clients)", 5) + " clients "
            + Text.decimal(Double(latencies.count) / (Double(nanoseconds) / 1e9), 0, width: 10) + " ops/s  p50 "
            + Text.decimal(Double(latencies[latencies.count / 2]) / 1e6, 3, width: 8) + " ms  p99 "
            + Text.decimal(Double(latencies[latencies.count * 99 / 100]) / 1e6, 3, width: 8) + " ms"
    }

    /// Writes every key once, with as many clients as there are.
    func fill(_ store: ReplicatedStore) async throws(BenchmarkError) {
        _ = try await withClients { client throws(BenchmarkError) in
            let key = KeyText()
            defer { key.free() }
            let value = self.value
            for number in stride(from: client, to: self.keyspace, by: self.clients) {
                try await ClientLoad.put(Bytes(copying: key.digits(of: number)), value, store)
            }
            return []
        }
    }

    /// Runs `body` for the number of each client at once, and returns what they return, in no order.
    private func withClients(
        _ body: @escaping @Sendable (Int) async throws(BenchmarkError) -> [UInt64]
    ) async throws(BenchmarkError) -> [UInt64] {
        let results = await withTaskGroup(of: Result<[UInt64], BenchmarkError>.self) { group in
            for client in 0..<clients {
                group.addTask {
                    do throws(BenchmarkError) {
                        return .success(try await body(client))
                    } catch {
                        return .failure(error)
                    }
                }
            }
            var results: [Result<[UInt64], BenchmarkError>] = []
            for await result in group {
                if case .failure = result { group.cancelAll() }
                results.append(result)
            }
            return results
        }
        var all: [UInt64] = []
        // The first that failed says why; the others were cancelled because of it.
        for result in results { all += try result.get() }
        return all
    }

    /// Makes the requests of one client, and returns how long each took, in nanoseconds.
    private func calls(of client: Int, on store: ReplicatedStore) async throws(BenchmarkError) -> [UInt64] {
        let clock = MonotonicClock()
        let key = KeyText()
        defer { key.free() }
        let value = value
        let count = total / clients
        var random = PeerRandom(seed: UInt64(client))
        var latencies: [UInt64] = []
        latencies.reserveCapacity(count)
        for _ in 0..<count {
            let name = Bytes(copying: key.digits(of: random.next(below: keyspace)))
            let start = clock.nanoseconds()
            switch operation {
            case .put: try await ClientLoad.put(name, value, store)
            case .get: try await check(name, store)
            }
            latencies.append(clock.nanoseconds() - start)
        }
        return latencies
    }

    private var value: Bytes { Bytes([UInt8](repeating: 0, count: valueBytes)) }

    private static func put(_ key: Bytes, _ value: Bytes, _ store: ReplicatedStore) async throws(BenchmarkError) {
        do throws(StoreError) {
            try await store.put(key, value)
        } catch {
            throw BenchmarkError("put of \(key): \(error)")
        }
    }

    private func check(_ key: Bytes, _ store: ReplicatedStore) async throws(BenchmarkError) {
        let entry: KeyValueEntry?
        do throws(StoreError) {
            entry = try await store.get(key)
        } catch {
            throw BenchmarkError("get of \(key): \(error)")
        }
        guard let entry else { throw BenchmarkError("get of \(key): the key was not found") }
        guard entry.value.count == valueBytes else {
            throw BenchmarkError("get of \(key): the value has \(entry.value.count) bytes, not \(valueBytes)")
        }
    }
}
