import BalsaLSM
import BalsaPlatform

/// An engine as a program would run it: its background work on a thread of its own, and a writer that heeds its pressure.
///
/// One thread at a time writes; any thread reads.
final class MeasuredEngine: @unchecked Sendable {
    /// How many bytes of input the background thread works through before it looks up.
    private static let stepBytes = 1 << 20
    /// After how many writes the writer looks whether there is background work, and how far behind it is.
    private static let writesPerLook = 32

    let engine: StorageEngine
    private let progress: WorkProgress
    private let worker: BackgroundThread
    /// Held by a thread that writes beside others.
    private let writers = Lock()
    // The writer's own, or touched with that lock held.
    private var batch = WriteBatch()
    private var writesSinceLook = 0

    init(directory: String, options: EngineOptions) throws(BenchmarkError) {
        let engine = try measured { () throws(EngineError) in
            try StorageEngine.open(
                directory,
                fileSystem: LinuxFileSystem(),
                options: options,
                seed: .random(in: 0 ... .max)
            )
        }
        let progress = WorkProgress()
        do throws(BackgroundThread.StartError) {
            worker = try BackgroundThread {
                do throws(EngineError) {
                    let result = try engine.work(budget: MeasuredEngine.stepBytes)
                    progress.noteStep(isIdle: result == .idle)
                    return result == .idle ? .wait : .again
                } catch {
                    progress.fail(BenchmarkError(error))
                    return .wait
                }
            }
        } catch { throw BenchmarkError("\(error)") }
        self.engine = engine
        self.progress = progress
    }

    /// Ends the background work and closes the engine.
    func close() {
        worker.stop()
        engine.close()
    }

    // MARK: Writing

    /// Writes one key. It has reached the kernel when this returns, and with `syncing` the disk.
    func put(
        _ key: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        syncing: Bool
    ) throws(BenchmarkError) {
        batch.removeAll()
        batch.put(prefix: UnsafeRawBufferPointer(start: nil, count: 0), key: key, value: value)
        try write(syncing: syncing)
    }

    /// Writes what `fill` puts into an empty batch, as one.
    func write(_ fill: (inout WriteBatch) -> Void) throws(BenchmarkError) {
        batch.removeAll()
        fill(&batch)
        try write(syncing: false)
    }

    /// Writes one key while other threads do the same, and waits until it is on the disk. Waiting threads share a sync.
    func putBesideOthers(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(BenchmarkError) {
        let ticket = try writers.withLock { () throws(BenchmarkError) in
            batch.removeAll()
            batch.put(prefix: UnsafeRawBufferPointer(start: nil, count: 0), key: key, value: value)
            let ticket = try measured { () throws(EngineError) in try engine.write(batch, syncing: true) }
            try lookAfterWrite()
            return ticket
        }
        try measured { () throws(EngineError) in try engine.waitForCommit(of: ticket) }
    }

    private func write(syncing: Bool) throws(BenchmarkError) {
        let ticket = try measured { () throws(EngineError) in try engine.write(batch, syncing: syncing) }
        if syncing { try measured { () throws(EngineError) in try engine.waitForCommit(of: ticket) } }
        try lookAfterWrite()
    }

    private func lookAfterWrite() throws(BenchmarkError) {
        writesSinceLook += batch.count
        guard writesSinceLook >= MeasuredEngine.writesPerLook else { return }
        writesSinceLook = 0
        try heedPressure()
    }

    private func heedPressure() throws(BenchmarkError) {
        if engine.hasWork { worker.wake() }
        switch engine.pressure {
        case .none: break
        // At most a millisecond for the writes since the last look, which LevelDB takes for each of them.
        case .slow(let share): progress.pause(nanoseconds: UInt64(share * 1e6))
        case .stopped: try progress.wait { self.engine.pressure != .stopped }
        }
    }

    /// Freezes the memtable, and returns when background work has nothing left to do.
    func settle() throws(BenchmarkError) {
        try measured { () throws(EngineError) in
            try engine.seal(SealRecord(sequence: engine.lastSequence, retentionMark: engine.lastSequence))
        }
        progress.expectWork()
        worker.wake()
        try progress.waitForIdleness { !self.engine.hasWork }
    }
}
