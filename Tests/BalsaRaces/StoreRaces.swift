import Balsa
import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaRaft

/// Three members in one process, and tasks that write, count, read and scan through all of them while one member is closed and
/// opened again.
///
/// Each task writes values of its own, so that it knows what every read may find. A call may fail only where the test has closed
/// its member or cancelled it. With `isPlanted`, each task writes one
/// value that it does not expect: the run must fail.
func checkStores(isPlanted: Bool) async throws {
    let folder = try TemporaryFolder()
    defer { folder.remove() }
    let cluster = StoreCluster(folder.path, try ReservedPorts(3))
    try await cluster.openAll()
    let tasks = 8
    let done = try await withThrowingTaskGroup(of: TaskCounts.self) { group in
        for number in 0..<tasks {
            group.addTask {
                var task = StoreTask(cluster, number, isPlanted: isPlanted)
                return try await task.run()
            }
        }
        return try await group.reduce(into: TaskCounts()) { $0.add($1) }
    }
    // What was unknown may have been added or not.
    guard let entry = try await cluster.store(1).get("sum"), let sum = Int64(counter: entry.value),
        Int64(done.added)...Int64(done.added + done.unknown) ~= sum
    else { throw RaceFailure("the counter is not between \(done.added) and \(done.added + done.unknown)") }
    await cluster.closeAll()
    guard done.refused > 0 else { throw RaceFailure("no call met a member that was being closed") }
    report(
        "stores: \(done.added * 4) calls of \(tasks) tasks through 3 members, \(done.refused) refused while one was closed"
    )
}

/// What tasks have done.
private struct TaskCounts: Sendable {
    /// How many additions were acknowledged.
    var added = 0
    /// How many additions may have happened.
    var unknown = 0
    /// How many calls were refused because their member was being closed.
    var refused = 0

    mutating func add(_ other: TaskCounts) {
        added += other.added
        unknown += other.unknown
        refused += other.refused
    }
}

/// A task that calls one member, round after round.
private struct StoreTask {
    private static let rounds = 150

    private let cluster: StoreCluster
    private let member: MemberID
    private let number: Int
    private let isPlanted: Bool
    private var counts = TaskCounts()

    init(_ cluster: StoreCluster, _ number: Int, isPlanted: Bool) {
        self.cluster = cluster
        self.number = number
        self.isPlanted = isPlanted
        member = MemberID(number % 3 + 1)
    }

    /// Runs until every round was acknowledged whole. The first task of member 3 restarts it in some of its rounds.
    mutating func run() async throws -> TaskCounts {
        for round in 0..<StoreTask.rounds {
            if number == 2, [20, 60, 100].contains(round) {
                let cluster = cluster
                async let restart: Void = cluster.restart(3)
                try await complete(round)
                try await restart
            } else {
                try await complete(round)
            }
        }
        guard counts.added >= StoreTask.rounds else { throw RaceFailure("task \(number) added \(counts.added) times") }
        return counts
    }

    private mutating func complete(_ round: Int) async throws {
        while true {
            let store = await cluster.store(member)
            do throws(StoreError) {
                try await self.round(round, on: store)
                return
            } catch {
                // Only member 3 is ever closed, and only by the test.
                guard error.reason == .closed, member == 3 else { throw error }
                counts.refused += 1
                await Task.yield()
            }
        }
    }

    private mutating func round(_ round: Int, on store: ReplicatedStore) async throws(StoreError) {
        let key = Bytes("task/\(number)")
        let value = Bytes("\(number) \(round) " + String(repeating: "·", count: 20 + round % 40))
        let isWrong = isPlanted && round == StoreTask.rounds / 2
        let revision = try await store.put(key, isWrong ? "another value" : value)
        guard let entry = try await store.get(key), entry.revision >= revision, entry.value == value else {
            throw StoreError(.unknown, .failed, "what task \(number) wrote in round \(round) is not there")
        }
        do throws(StoreError) {
            try await store.add(1, to: "sum")
            counts.added += 1
        } catch {
            if error.outcome == .unknown { counts.unknown += 1 }
            throw error
        }
        let page = try await store.scan(from: "task/", to: "task0")
        guard page.pairs.contains(where: { $0.key == key && $0.value == value }) else {
            throw StoreError(.unknown, .failed, "a scan does not find what task \(number) wrote in round \(round)")
        }
        // What this member has itself is what it has acknowledged.
        guard let local = try await store.get(key, consistency: .local), local.value == value else {
            throw StoreError(.unknown, .failed, "member \(member) does not have what it acknowledged")
        }
        _ = (store.state, await store.status())
        if round % 10 == 0 { try await cancelOne(store) }
    }

    /// Begins a call and cancels it at once.
    private func cancelOne(_ store: ReplicatedStore) async throws(StoreError) {
        let key = Bytes("cancelled/\(number)")
        let task = Task { try await store.append("x", to: key) }
        task.cancel()
        do {
            _ = try await task.value
        } catch let error as StoreError {
            if error.reason != .cancelled { throw error }
        } catch {
            throw StoreError(.unknown, .failed, "\(error)")
        }
    }
}

extension Int64 {
    /// The number of a counter's value: eight bytes, the lowest first.
    fileprivate init?(counter bytes: Bytes) {
        guard bytes.count == 8 else { return nil }
        self = bytes.withUnsafeBytes { Int64(littleEndian: $0.loadUnaligned(as: Int64.self)) }
    }
}

/// The members.
private actor StoreCluster {
    private let directory: String
    private let reserved: ReservedPorts
    private let peers: [MemberID: String]
    private var stores: [MemberID: ReplicatedStore] = [:]

    init(_ directory: String, _ reserved: ReservedPorts) {
        self.directory = directory
        self.reserved = reserved
        var peers: [MemberID: String] = [:]
        for (index, port) in reserved.ports.enumerated() { peers[MemberID(index + 1)] = "127.0.0.1:\(port)" }
        self.peers = peers
    }

    private func open(_ member: MemberID) async throws -> ReplicatedStore {
        var options = StoreOptions()
        options.keyValue.engine.memtableBytes = 256 << 10
        // A sanitized build is slow; the limit is for a hang only.
        options.timeout = .seconds(120)
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

    /// Closes a member and opens it again.
    func restart(_ member: MemberID) async throws {
        await store(member).close()
        stores[member] = try await open(member)
    }

    func closeAll() async { for store in stores.values { await store.close() } }
}
