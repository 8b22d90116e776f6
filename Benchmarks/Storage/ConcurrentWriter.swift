import BalsaPlatform

/// Writes keys at random, on a thread of its own, for as long as another one reads.
final class ConcurrentWriter: @unchecked Sendable {
    private static let seed: UInt64 = 9
    /// How many keys are written until the thread looks whether it is to end.
    private static let stepCount = 16

    private let engine: MeasuredEngine
    private let keyCount: Int
    private let value: [UInt8]
    private let key = KeyText()
    // The thread's own until it has been stopped.
    private var random = PeerRandom(seed: seed)
    private var writtenCount = 0
    private var failure: BenchmarkError?

    init(_ engine: MeasuredEngine, keyCount: Int, value: [UInt8]) {
        self.engine = engine
        self.keyCount = keyCount
        self.value = value
    }

    deinit { key.free() }

    /// Begins to write. Stopping the thread ends it.
    func start() throws(BenchmarkError) -> BackgroundThread {
        do throws(BackgroundThread.StartError) {
            return try BackgroundThread { self.step() }
        } catch { throw BenchmarkError("\(error)") }
    }

    private func step() -> BackgroundThread.Next {
        do throws(BenchmarkError) {
            let value = value
            for _ in 0..<ConcurrentWriter.stepCount {
                try value.span.bytes.withUnsafeBytes { value throws(BenchmarkError) in
                    try engine.put(key.digits(of: random.next(below: keyCount)), value, syncing: false)
                }
                writtenCount += 1
            }
            return .again
        } catch {
            failure = error
            return .wait
        }
    }

    /// How many keys were written. To be asked when the thread has ended.
    ///
    /// - Throws: what stopped the writing before that.
    var count: Int {
        get throws(BenchmarkError) {
            if let failure { throw failure }
            return writtenCount
        }
    }

    /// Calls `body` with the number of each key that was written. To be called when the thread has ended.
    func forEachWritten(_ body: (Int) -> Void) throws(BenchmarkError) {
        var random = PeerRandom(seed: ConcurrentWriter.seed)
        for _ in 0..<(try count) { body(random.next(below: keyCount)) }
    }
}
