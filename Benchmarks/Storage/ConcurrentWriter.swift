import BalsaPlatform
import Synchronization

/// Writes keys at random, on a thread of its own, while another one reads.
final class ConcurrentWriter: @unchecked Sendable {
    static let seed: UInt64 = 9
    /// How many keys are written until the thread looks whether it is to end.
    private static let stepCount = 16

    private let engine: MeasuredEngine
    private let keyCount: Int
    private let values: PeerValues
    private let key = KeyText()
    /// How many writes have returned.
    private let written = Atomic<Int>(0)
    private let begun = Condition()
    // Touched with the condition held.
    private var hasBegun = false
    // The thread's own until it has been stopped.
    private var random = PeerRandom(seed: seed)
    private var failure: BenchmarkError?

    init(_ engine: MeasuredEngine, keyCount: Int, values: PeerValues) {
        self.engine = engine
        self.keyCount = keyCount
        self.values = values
    }

    deinit {
        key.free()
        values.free()
    }

    /// Begins to write, and returns when the first keys have been written: reads that follow do not run alone. Stopping the
    /// thread ends it.
    func start() throws(BenchmarkError) -> BackgroundThread {
        do throws(BackgroundThread.StartError) {
            let thread = try BackgroundThread { self.step() }
            begun.withLock { while !hasBegun { begun.wait() } }
            return thread
        } catch { throw BenchmarkError("\(error)") }
    }

    private func step() -> BackgroundThread.Next {
        guard failure == nil else { return .wait }
        defer {
            begun.withLock {
                hasBegun = true
                begun.notifyAll()
            }
        }
        do throws(BenchmarkError) {
            for _ in 0..<ConcurrentWriter.stepCount {
                let number = random.next(below: keyCount)
                try engine.put(key.digits(of: number), values.of(number, .readwhilewriting), syncing: false)
                written.wrappingAdd(1, ordering: .sequentiallyConsistent)
            }
            return .again
        } catch {
            failure = error
            return .wait
        }
    }

    /// How many writes have returned by now. At most one more has begun.
    var writtenByNow: Int { written.load(ordering: .sequentiallyConsistent) }

    /// How many keys were written. Called when the thread has ended.
    ///
    /// - Throws: what stopped the writing before that.
    var count: Int {
        get throws(BenchmarkError) {
            if let failure { throw failure }
            return writtenByNow
        }
    }
}
