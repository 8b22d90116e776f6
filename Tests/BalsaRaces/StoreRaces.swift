import Balsa
import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaRaft

/// Three members in one process, and tasks that write, count, read and scan through all of them while members come and go.
func checkStores() async throws {
    let folder = try TemporaryFolder()
    defer { folder.remove() }
    let cluster = StoreCluster(folder.path, firstPort: 20_000 + UInt16.random(in: 0..<20_000))
    try await cluster.openAll()
    let acknowledged = try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<8 {
            let store = await cluster.store(MemberID(number % 3 + 1))
            group.addTask { try await drive(store, number) }
        }
        group.addTask {
            try await cluster.restart(3)
            return 0
        }
        return try await group.reduce(0, +)
    }
    let sum = try await cluster.store(1).get("sum")
    guard sum?.value.count == 8 else { throw RaceFailure("the counter is not there") }
    await cluster.closeAll()
    guard acknowledged > 0 else { throw RaceFailure("nothing was acknowledged") }
    report("stores: \(acknowledged) calls of 8 tasks through 3 members")
}

/// The calls of one task.
///
/// - Returns: how many were acknowledged. A member that is closed refuses the rest, which is right.
private func drive(_ store: ReplicatedStore, _ number: Int) async throws -> Int {
    let key = Bytes("task/\(number)")
    var count = 0
    do throws(StoreError) {
        for round in 0..<150 {
            let revision = try await store.put(key, Bytes("\(round)"))
            guard let entry = try await store.get(key), entry.revision >= revision else {
                throw StoreError(.unknown, .failed, "a write was acknowledged and is not there")
            }
            try await store.add(1, to: "sum")
            _ = try await store.scan(from: "task/", to: "task0", limit: 5)
            _ = try await store.get(key, consistency: .local)
            _ = (store.state, await store.status())
            count += 4
            if round % 10 == 0 { await cancelOne(store, key) }
        }
    } catch {
        guard error.reason == .closed || error.reason == .sessionExpired else { throw error }
    }
    return count
}

/// Begins a call and does not wait for it.
private func cancelOne(_ store: ReplicatedStore, _ key: Bytes) async {
    let task = Task { _ = try? await store.append("x", to: key) }
    task.cancel()
    await task.value
}

/// The members.
private actor StoreCluster {
    private let directory: String
    private let peers: [MemberID: String]
    private var stores: [MemberID: ReplicatedStore] = [:]

    init(_ directory: String, firstPort: UInt16) {
        self.directory = directory
        peers = .init(uniqueKeysWithValues: (1...3).map { (MemberID($0), "127.0.0.1:\(firstPort + UInt16($0))") })
    }

    private func open(_ member: MemberID) async throws -> ReplicatedStore {
        var options = StoreOptions()
        options.keyValue.engine.memtableBytes = 256 << 10
        return try await ReplicatedStore.open(
            at: "\(directory)/\(member)",
            member: member,
            peers: peers,
            options: options
        )
    }

    func openAll() async throws { for member in peers.keys { stores[member] = try await open(member) } }

    func store(_ member: MemberID) -> ReplicatedStore {
        guard let store = stores[member] else { preconditionFailure("member \(member) is not open") }
        return store
    }

    /// Closes a member under load and opens it again.
    func restart(_ member: MemberID) async throws {
        for _ in 0..<3 {
            try await Task.sleep(for: .milliseconds(300))
            await stores[member]?.close()
            stores[member] = try await open(member)
        }
    }

    func closeAll() async { for store in stores.values { await store.close() } }
}
