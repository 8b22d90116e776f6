import Balsa

/// What was not as it has to be.
struct Unexpected: Error {
    let what: String
}

/// Gathers what a store tells its observer, as a service would log it.
final class Log: StoreObserver {
    let lines: AsyncStream<String>
    private let lineSource: AsyncStream<String>.Continuation

    init() { (lines, lineSource) = AsyncStream.makeStream(of: String.self) }

    func finish() { lineSource.finish() }

    func stateChanged(_ state: StoreState) {
        switch state {
        case .recovering, .noQuorum, .closed: break
        case .leader: lineSource.yield("leads")
        case .follower(let leader): lineSource.yield("follows \(leader)")
        case .failed(let reason): lineSource.yield("failed: \(reason)")
        }
    }

    func noticed(_ event: StoreEvent) {
        switch event {
        case .standing(let standing):
            lineSource.yield("\(standing.role) in \(standing.term), led by \(standing.leader)")
        case .slow(let part): lineSource.yield("\(part.kind), \(part.duration), \(part.parts.map(\.name))")
        case .stalled(let reason): lineSource.yield("stalled: \(reason)")
        case .damaged(let sentence): lineSource.yield("damaged: \(sentence)")
        case .failed(let error): lineSource.yield("failed: \(error.code), \(error.file?.path ?? "")")
        default: break
        }
    }
}

/// Touches what is public of a store, with no import but the one.
///
/// - Returns: how many checks were made. `run` compares the number with that of the lines that begin with one.
func exercise(_ directory: String) async throws -> Int {
    var checks = 0
    func expect(_ what: String, _ isTrue: Bool) throws {
        checks += 1
        if !isTrue { throw Unexpected(what: what) }
    }

    let log = Log()
    var options = StoreOptions()
    options.timeout = .seconds(20)
    options.observer = log
    options.slow.logWrite = .seconds(1)
    options.replica.raft.heartbeatInterval = .milliseconds(40)
    options.replica.log.boundBytes = 512 << 20
    options.replica.wire.maxFrameBytes = 8 << 20
    options.replicated.maxValueBytes = 1 << 20
    options.keyValue.engine.cacheBytes = 32 << 20
    let runtime = StoreRuntime(workers: 2)
    let store = try await ReplicatedStore.open(at: directory, options: options, runtime: runtime)

    let key = Bytes("user/ada")
    let revision = try await store.put(key, Bytes([65, 100, 97]))
    let entry: KeyValueEntry? = try await store.get(key, consistency: .atLeast(revision))
    try expect("the value that was put is read", entry.map { String($0.value) } == "Ada")
    try expect("its bytes are read", entry.map { [UInt8]($0.value) } == [65, 100, 97] && entry?.value.count == 3)
    try expect("its revision is that of the put", entry?.revision == revision)
    let condition: Command.Condition = .revision(revision)
    let swapped = try await store.compareAndSet(key, if: condition, then: .put("Countess"))
    try expect("a compare-and-set of that revision is done", swapped != nil)
    let refused = try await store.compareAndSet(key, if: condition, then: .put("nobody"))
    try expect("a second one is not done", refused == nil)
    try await store.append("!", to: key)
    try await store.add(41, to: "visits", timeout: .seconds(1))
    try await store.add(1, to: "visits", timeout: .seconds(1))
    let page: ScanPage = try await store.scan(from: "user/", to: "user0", limit: 10, order: .descending)
    try expect(
        "the page has the pair",
        page.pairs.map { String($0.key) + "=" + String($0.value) } == ["user/ada=Countess!"]
    )
    try expect("the page has no continuation", page.continuation == nil && page.pairs[0].revision > revision)
    let all = try await store.scan(limit: 1)
    try expect("a page of one pair has a continuation", all.pairs.count == 1 && all.continuation != nil)
    var refusal: StoreError?
    do throws(StoreError) { try await store.delete(from: "b", to: "a") } catch { refusal = error }
    try expect("a range that ends before it begins is refused", refusal?.reason == .invalid)
    try expect("it has done nothing", refusal?.outcome == .notApplied && refusal?.isRetriable == false)
    try expect("it says why", refusal?.message.isEmpty == false)

    let status = await store.status()
    let member: MemberID = status.member
    let term: Term = status.term
    let index: LogIndex = status.appliedIndex
    try expect("the member is the first in a term", member == 1 && term > 0)
    try expect("it has applied what was written", index >= 5)
    try expect("the log has synced", status.log.metrics.syncs > 0 && status.log.liveBytes > 0)
    try expect("the engine has levels", status.engine.levels.count > 0)
    for connection in status.connections {
        throw Unexpected(what: "\(connection.peer): \(connection.control) at \(connection.address.port)")
    }
    if case .slow(let part) = status.pressure { throw Unexpected(what: "\(part) is slow") }
    try expect("nothing was sent", status.transport.framesSent == 0)
    try expect("nothing was recovered", status.metrics.recovery.entries == 0)
    var hasLed = false
    for await state in store.states where state == .leader {
        hasLed = true
        break
    }
    try expect("it leads", hasLed)
    try expect("an error is in words", localized(StoreError(.notApplied, .busy, "full")) == "busy (not applied): full")
    await store.close(drainingFor: .seconds(1))
    log.finish()
    var lines: [String] = []
    for await line in log.lines { lines.append(line) }
    try expect("its observer has seen it lead: \(lines)", lines.contains("leads"))
    try expect("its observer has seen no failure: \(lines)", !lines.contains { $0.contains("failed") })
    return checks
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
