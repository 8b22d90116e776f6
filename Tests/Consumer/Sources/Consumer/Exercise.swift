import Balsa

/// What a service logs.
final class Log: StoreObserver {
    func stateChanged(_ state: StoreState) {
        switch state {
        case .recovering, .leader, .noQuorum, .closed: break
        case .follower(let leader): print("follows \(leader)")
        case .failed(let reason): print("failed: \(reason)")
        }
    }

    func noticed(_ event: StoreEvent) {
        switch event {
        case .standing(let standing): print("\(standing.role) in term \(standing.term), led by \(standing.leader)")
        case .slow(let operation): print("\(operation.kind), \(operation.duration), \(operation.parts.map(\.name))")
        case .stalled(let reason): print("stalled: \(reason)")
        case .damaged(let sentence): print("damaged: \(sentence)")
        case .failed(let error): print("failed: \(error.code), \(error.file?.path ?? "")")
        default: break
        }
    }
}

/// Touches what is public of a store, with no import but the one.
func exercise(_ directory: String) async throws(StoreError) {
    var options = StoreOptions()
    options.timeout = .seconds(20)
    options.observer = Log()
    options.slow.logWrite = .seconds(1)
    options.replica.raft.heartbeatInterval = .milliseconds(40)
    options.replica.log.boundBytes = 512 << 20
    options.replica.wire.maxFrameBytes = 8 << 20
    options.keyValue.limits.maxValueBytes = 1 << 20
    options.keyValue.engine.cacheBytes = 32 << 20
    let runtime = StoreRuntime(workers: 2)
    let store = try await ReplicatedStore.open(at: directory, options: options, runtime: runtime)

    let key = Bytes("user/ada")
    let revision = try await store.put(key, Bytes([65, 100, 97]))
    let entry: KeyValueEntry? = try await store.get(key, consistency: .atLeast(revision))
    if let entry { print(String(entry.value), entry.revision, [UInt8](entry.value), entry.value.count) }
    let condition: Command.Condition = .revision(revision)
    guard try await store.compareAndSet(key, if: condition, then: .put("Countess")) != nil else { return }
    try await store.append("!", to: key)
    try await store.add(1, to: "visits", timeout: .seconds(1))
    let page: ScanPage = try await store.scan(from: "user/", to: "user0", limit: 10, order: .descending)
    for pair in page.pairs { print(pair.key, pair.value, pair.revision) }
    do {
        try await store.delete(from: "b", to: "a")
    } catch {
        print(error.outcome == .notApplied, error.reason == .invalid, error.isRetriable, error.leader, error.message)
    }
    let status = await store.status()
    let member: MemberID = status.member
    let term: Term = status.term
    let index: LogIndex = status.appliedIndex
    print(member, term, index, status.engine.levels.count, status.log.metrics.syncs, status.log.liveBytes)
    for connection in status.connections { print(connection.peer, connection.control, connection.address.port) }
    if case .slow(let part) = status.pressure { print(part) }
    print(status.transport.framesSent, status.metrics.recovery.entries)
    for await state in store.states where state == .leader { break }
    await store.close(drainingFor: .seconds(1))
}

/// Compiled and never called: a member of three machines.
func openMember(_ directory: String) async throws(StoreError) -> ReplicatedStore {
    let peers: [MemberID: String] = [1: "10.0.0.1:7001", 2: "10.0.0.2:7001", 3: "10.0.0.3:7001"]
    let security: NetworkSecurity = .insecureNetwork
    return try await ReplicatedStore.open(
        at: directory,
        member: 1,
        peers: peers,
        listen: "0.0.0.0:7001",
        security: security
    )
}
