import BalsaLSM
import BalsaPlatform
import Glibc

/// One writer, a thread of background work and several readers on one engine that is small enough to flush and compact all
/// the time.
///
/// Every value begins with the key's number and ends with the round that wrote it, twice: a torn or a foreign value shows.
func checkEngine() throws {
    let folder = try TemporaryFolder()
    defer { folder.remove() }
    var options = EngineOptions()
    options.hasWriteAheadLog = true
    options.memtableBytes = 256 << 10
    options.tableBytes = 64 << 10
    options.cacheBytes = 128 << 10
    options.levelBaseBytes = 256 << 10
    options.writeAheadLogBytes = 1 << 20
    let engine = try StorageEngine.open(
        folder.path + "/engine",
        fileSystem: LinuxFileSystem(),
        options: options,
        seed: .random(in: 0 ... .max)
    )
    let run = EngineRun(engine)
    var threads = [try BackgroundThread { run.work() }]
    for number in 0..<3 { threads.append(try BackgroundThread { run.read(UInt64(number)) }) }
    try run.write(wake: { threads[0].wake() })
    for thread in threads { thread.stop() }
    engine.close()
    if let failure = run.failure { throw RaceFailure(failure) }
    let reads = run.reads
    guard reads > 0 else { throw RaceFailure("nobody read anything") }
    report("engine: \(EngineRun.rounds * EngineRun.keys) writes, \(reads) reads beside them")
}

/// The threads of ``checkEngine()``.
private final class EngineRun: @unchecked Sendable {
    static let keys = 400
    static let rounds = 40

    private let engine: StorageEngine
    private let state = Locked<(failure: String?, reads: Int)>((nil, 0))

    init(_ engine: StorageEngine) { self.engine = engine }

    var failure: String? { state.withLock { $0.failure } }
    var reads: Int { state.withLock { $0.reads } }

    private func fail(_ text: String) { state.withLock { $0.failure = $0.failure ?? text } }

    private static func key(_ number: Int) -> Bytes { Bytes("key/\(1_000 + number)") }

    private static func value(_ number: Int, _ round: Int) -> Bytes {
        Bytes("\(1_000 + number) \(round)" + String(repeating: "·", count: 60 + number % 50) + "\(round)")
    }

    func write(wake: () -> Void) throws {
        for round in 1...EngineRun.rounds {
            for first in stride(from: 0, to: EngineRun.keys, by: 8) {
                var batch = WriteBatch()
                for number in first..<first + 8 { batch.put(EngineRun.key(number), EngineRun.value(number, round)) }
                let ticket = try engine.write(batch, syncing: first % 64 == 0)
                if first % 64 == 0 { try engine.waitForCommit(of: ticket) }
            }
            wake()
            while engine.pressure == .stopped, failure == nil {
                wake()
                usleep(500)
            }
            if failure != nil { return }
        }
    }

    func work() -> BackgroundThread.Next {
        do {
            return try engine.work(budget: 64 << 10) == .idle ? .wait : .again
        } catch {
            fail("background work: \(error)")
            return .wait
        }
    }

    func read(_ seed: UInt64) -> BackgroundThread.Next {
        do {
            if seed == 0 { try scan() } else { try look(seed) }
            _ = engine.metrics
            return failure == nil ? .again : .wait
        } catch {
            fail("reading: \(error)")
            return .wait
        }
    }

    /// Looks keys up, whose rounds never go back.
    private func look(_ seed: UInt64) throws {
        let snapshot = engine.snapshot()
        defer { snapshot.close() }
        for number in stride(from: Int(seed), to: EngineRun.keys, by: 17) {
            let then = try engine.get(EngineRun.key(number), in: snapshot).map { try round(of: $0.value, number) } ?? 0
            let now = try engine.get(EngineRun.key(number)).map { try round(of: $0.value, number) } ?? 0
            guard then <= now else { throw RaceFailure("key \(number) went back from \(then) to \(now)") }
        }
        state.withLock { $0.reads += 1 }
    }

    /// Goes through all keys both ways, at one moment: batches of eight are seen whole.
    private func scan() throws {
        var cursor = try engine.makeCursor()
        var rounds: [Int] = []
        try cursor.seekToFirst()
        while cursor.isValid {
            rounds.append(try round(of: Bytes(copying: cursor.value), rounds.count))
            try cursor.next()
        }
        for first in stride(from: 0, to: rounds.count, by: 8)
        where rounds[first..<first + 8].contains(where: { $0 != rounds[first] }) {
            throw RaceFailure("half a batch was seen at key \(first)")
        }
        try cursor.seekToLast()
        while cursor.isValid {
            guard rounds.popLast() == (try round(of: Bytes(copying: cursor.value), rounds.count)) else {
                throw RaceFailure("one cursor saw two moments")
            }
            try cursor.previous()
        }
        state.withLock { $0.reads += 1 }
    }

    private func round(of value: Bytes, _ number: Int) throws -> Int {
        let words = String(value).split { $0 == " " || $0 == "·" }
        guard words.count == 3, words[0] == "\(1_000 + number)", words[1] == words[2], let round = Int(words[1]) else {
            throw RaceFailure("key \(number) has the value \(value)")
        }
        return round
    }
}
