import BalsaPlatform

/// Writers at once, each on a thread of its own, each of which waits until its write is durable before it begins the next.
enum SyncWriters {
    static let count = 8
    /// The seed of the first writer's keys; the next ones follow.
    static let firstSeed: UInt64 = 100

    /// Has each writer write `each` keys, and returns when all are durable.
    static func run(
        _ engine: MeasuredEngine,
        each: Int,
        keyCount: Int,
        makeValues: () -> PeerValues
    ) throws(BenchmarkError) {
        let group = Group(count)
        var threads: [BackgroundThread] = []
        defer { for thread in threads { thread.stop() } }
        for number in 0..<count {
            let writer = SyncWriter(
                engine,
                seed: firstSeed + UInt64(number),
                count: each,
                keyCount: keyCount,
                values: makeValues(),
                group: group
            )
            do throws(BackgroundThread.StartError) {
                threads.append(try BackgroundThread { writer.step() })
            } catch { throw BenchmarkError("\(error)") }
        }
        try group.wait()
    }

    /// Counts the writers that have not ended.
    final class Group: @unchecked Sendable {
        private let condition = Condition()
        // Both are touched with the condition held.
        private var running: Int
        private var failure: BenchmarkError?

        init(_ running: Int) { self.running = running }

        /// Notes that a writer has ended, with the error that ended it.
        func end(_ failure: BenchmarkError?) {
            condition.withLock {
                running -= 1
                if self.failure == nil { self.failure = failure }
                condition.notifyAll()
            }
        }

        /// Waits until all have ended, or one has failed.
        func wait() throws(BenchmarkError) {
            try condition.withLock { () throws(BenchmarkError) in
                while running > 0, failure == nil { condition.wait() }
                if let failure { throw failure }
            }
        }
    }
}

/// One of them. Its state belongs to its thread.
private final class SyncWriter: @unchecked Sendable {
    private let engine: MeasuredEngine
    private let keyCount: Int
    private let values: PeerValues
    private let group: SyncWriters.Group
    private let key = KeyText()
    private var random: PeerRandom
    private var left: Int
    private var hasEnded = false

    init(
        _ engine: MeasuredEngine,
        seed: UInt64,
        count: Int,
        keyCount: Int,
        values: PeerValues,
        group: SyncWriters.Group
    ) {
        self.engine = engine
        self.keyCount = keyCount
        self.values = values
        self.group = group
        random = PeerRandom(seed: seed)
        left = count
    }

    deinit {
        key.free()
        values.free()
    }

    /// Writes one key.
    func step() -> BackgroundThread.Next {
        guard !hasEnded else { return .wait }
        do throws(BenchmarkError) {
            let number = random.next(below: keyCount)
            try engine.putBesideOthers(key.digits(of: number), values.of(number, .fillsync8))
        } catch { return end(error) }
        left -= 1
        return left > 0 ? .again : end(nil)
    }

    private func end(_ failure: BenchmarkError?) -> BackgroundThread.Next {
        hasEnded = true
        group.end(failure)
        return .wait
    }
}
