import Balsa
import BalsaKeyValue
import BalsaPlatform

/// Clients that each have one request in flight, until each has made its share of a number of them.
///
/// Every load writes values of its own round, so that a get tells them from those of an earlier load and from another key's.
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
    /// Which of the rounds of ``PeerValues`` a put writes, and which a get must find.
    var round: Round

    init(operation: Operation, clients: Int, total: Int, valueBytes: Int, keyspace: Int, round: Round = .fillseq) {
        self.operation = operation
        self.clients = clients
        self.total = total
        self.valueBytes = valueBytes
        self.keyspace = keyspace
        self.round = round
        // A load is there before its clock starts. Its clients would make the pool after that.
        PeerValues.makePool()
    }

    /// The load that ``words`` say; nil where they say none.
    init?(words: [Substring]) {
        guard words.count == 6, let operation = Operation(rawValue: String(words[0])) else { return nil }
        let numbers = words[1...].compactMap { Int($0) }
        guard numbers.count == 5, let round = UInt8(exactly: numbers[4]).flatMap(Round.init) else { return nil }
        self.init(
            operation: operation,
            clients: numbers[0],
            total: numbers[1],
            valueBytes: numbers[2],
            keyspace: numbers[3],
            round: round
        )
    }

    /// The load as words, for a process that is to make it.
    var words: String { "\(operation.rawValue) \(clients) \(total) \(valueBytes) \(keyspace) \(round.rawValue)" }

    /// Has the clients call `store`, and returns the line of the result.
    ///
    /// After puts, and not measured, each client reads the key that it wrote last.
    func run(on store: ReplicatedStore) async throws(BenchmarkError) -> String {
        let clock = MonotonicClock()
        let start = clock.nanoseconds()
        let latencies = try await withClients { client throws(BenchmarkError) in
            try await self.calls(of: client, on: store)
        }
        let line = try line(latencies, nanoseconds: clock.nanoseconds() - start)
        if operation == .put {
            _ = try await withClients { client throws(BenchmarkError) in
                try await self.readLastKey(of: client, on: store)
                return []
            }
        }
        return line
    }

    /// The line of a result.
    ///
    /// - Throws: where requests are missing, or nothing was measured.
    func line(_ latencies: [UInt64], nanoseconds: UInt64) throws(BenchmarkError) -> String {
        let rate = Double(latencies.count) / (Double(nanoseconds) / 1e9)
        guard !latencies.isEmpty, latencies.count == total / clients * clients, rate.isFinite else {
            throw BenchmarkError(
                "\(operation.rawValue): \(latencies.count) of \(total) requests in \(nanoseconds) ns are no measurement"
            )
        }
        let sorted = latencies.sorted()
        return Text.left("balsa \(operation.rawValue)", 10) + " " + Text.right("\(clients)", 5) + " clients "
            + Text.decimal(rate, 0, width: 10) + " ops/s  p50 "
            + Text.decimal(Double(sorted[sorted.count / 2]) / 1e6, 3, width: 8) + " ms  p99 "
            + Text.decimal(Double(sorted[sorted.count * 99 / 100]) / 1e6, 3, width: 8) + " ms"
    }

    /// Writes every key once, with as many clients as there are.
    func fill(_ store: ReplicatedStore) async throws(BenchmarkError) {
        _ = try await withClients { client throws(BenchmarkError) in
            let key = KeyText()
            let values = self.makeValues()
            defer {
                key.free()
                values.free()
            }
            for number in stride(from: client, to: self.keyspace, by: self.clients) {
                let value = Bytes(copying: values.of(number, self.round))
                try await ClientLoad.put(Bytes(copying: key.digits(of: number)), value, store)
            }
            return []
        }
    }

    /// Reads all keys in their order, and compares each value with what ``fill(_:)`` has written.
    func verifyAll(_ store: ReplicatedStore) async throws(BenchmarkError) {
        let values = makeValues()
        defer { values.free() }
        var next = 0
        var from: Bytes?
        repeat {
            let page: ScanPage
            do throws(StoreError) {
                page = try await store.scan(from: from, limit: 1_000)
            } catch { throw BenchmarkError("scan: \(error)") }
            for pair in page.pairs {
                guard pair.key.withUnsafeBytes({ KeyText.number(of: $0) }) == next else {
                    throw BenchmarkError("scan: the key \(pair.key) is where key \(next) should be")
                }
                try check(pair.value, next, values)
                next += 1
            }
            from = page.continuation
        } while from != nil
        guard next == keyspace else { throw BenchmarkError("scan: \(next) keys instead of \(keyspace)") }
    }

    private func makeValues() -> PeerValues { PeerValues(byteCount: valueBytes) }

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
        let values = makeValues()
        defer {
            key.free()
            values.free()
        }
        let count = total / clients
        var random = PeerRandom(seed: UInt64(client))
        var latencies: [UInt64] = []
        latencies.reserveCapacity(count)
        for _ in 0..<count {
            let number = random.next(below: keyspace)
            let name = Bytes(copying: key.digits(of: number))
            switch operation {
            case .put:
                let value = Bytes(copying: values.of(number, round))
                let start = clock.nanoseconds()
                try await ClientLoad.put(name, value, store)
                latencies.append(clock.nanoseconds() - start)
            case .get:
                let start = clock.nanoseconds()
                let value = try await ClientLoad.get(name, store)
                latencies.append(clock.nanoseconds() - start)
                try check(value, number, values)
            }
        }
        return latencies
    }

    /// Reads the key that a client has written last.
    private func readLastKey(of client: Int, on store: ReplicatedStore) async throws(BenchmarkError) {
        let key = KeyText()
        let values = makeValues()
        defer {
            key.free()
            values.free()
        }
        var random = PeerRandom(seed: UInt64(client))
        var number = 0
        for _ in 0..<total / clients { number = random.next(below: keyspace) }
        try check(try await ClientLoad.get(Bytes(copying: key.digits(of: number)), store), number, values)
    }

    private static func put(_ key: Bytes, _ value: Bytes, _ store: ReplicatedStore) async throws(BenchmarkError) {
        do throws(StoreError) {
            try await store.put(key, value)
        } catch {
            throw BenchmarkError("put of \(key): \(error)")
        }
    }

    private static func get(_ key: Bytes, _ store: ReplicatedStore) async throws(BenchmarkError) -> Bytes {
        let entry: KeyValueEntry?
        do throws(StoreError) {
            entry = try await store.get(key)
        } catch {
            throw BenchmarkError("get of \(key): \(error)")
        }
        guard let entry else { throw BenchmarkError("get of \(key): the key was not found") }
        return entry.value
    }

    /// Compares a value with the one of the load's round.
    private func check(_ value: Bytes, _ number: Int, _ values: PeerValues) throws(BenchmarkError) {
        let found = value.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) -> String? in
            if values.matches(bytes, number, round) { return nil }
            return values.description(of: bytes, at: number, keyCount: keyspace)
        }
        if let found { throw BenchmarkError("the value of key \(number) is \(found), not the one of \(round)") }
    }
}
