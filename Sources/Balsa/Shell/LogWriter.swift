import BalsaLog
import BalsaPlatform

/// The thread that writes and syncs the log and the vote of one store.
///
/// Everything that queued up behind the last sync is written, and then synced once: how many commands share a sync follows
/// from how long the last one took. After a failure nothing more is done on that file; everything that was waiting for it has
/// failed as well.
final class LogWriter: @unchecked Sendable {
    /// What became of a write.
    struct Outcome: @unchecked Sendable {
        let write: ReplicaWrite
        let error: FileError?
    }

    /// How long writes took together.
    struct Timing {
        var writeNanoseconds: UInt64 = 0
        var syncNanoseconds: UInt64 = 0
    }

    /// What became of writes, in their order.
    typealias Completion = @Sendable ([Outcome], Timing) -> Void

    private struct Queue: @unchecked Sendable {
        var writes: [ReplicaWrite] = []
    }

    private let queue = Locked(Queue())
    private let completion: Completion
    private var thread: BackgroundThread?

    /// Starts the thread.
    init(completion: @escaping Completion) throws(BackgroundThread.StartError) {
        self.completion = completion
        thread = try BackgroundThread { [queue, completion] in
            let taken = queue.withLock { queue in
                defer { queue = Queue() }
                return queue
            }
            guard !taken.writes.isEmpty else { return .wait }
            var timing = Timing()
            let outcomes = LogWriter.perform(taken.writes, &timing)
            completion(outcomes, timing)
            return .again
        }
    }

    /// Queues writes. From any thread.
    func enqueue(_ writes: [ReplicaWrite]) {
        let added = Queue(writes: writes)
        queue.withLock { $0.writes += added.writes }
        thread?.wake()
    }

    /// Ends the thread once what is under way is done. What waits is not written.
    func stop() { thread?.stop() }

    /// Writes and syncs, with one sync for neighbours that go to the same file.
    private static func perform(_ writes: [ReplicaWrite], _ timing: inout Timing) -> [Outcome] {
        let clock = MonotonicClock()
        var results: [Outcome] = []
        var failed: [(file: any File, error: FileError)] = []
        var begin = 0
        while begin < writes.count {
            let file = writes[begin].write.file
            var end = begin + 1
            while end < writes.count, writes[end].write.file === file { end += 1 }
            var error = failed.first { $0.file === file }?.error
            if error == nil {
                let start = clock.nanoseconds()
                var written = start
                do throws(FileError) {
                    for write in writes[begin..<end] { try write.write.write() }
                    written = clock.nanoseconds()
                    try file.sync()
                } catch let failure {
                    error = failure
                    failed.append((file, failure))
                }
                timing.writeNanoseconds += written - start
                timing.syncNanoseconds += clock.nanoseconds() - written
            }
            for write in writes[begin..<end] { results.append(Outcome(write: write, error: error)) }
            begin = end
        }
        return results
    }
}
