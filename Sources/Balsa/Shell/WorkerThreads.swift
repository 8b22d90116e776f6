import BalsaPlatform

/// Threads for what takes long: flushes, compactions, tasks of the log, reads that have to wait for the disk.
///
/// Jobs are taken in their order by whichever thread is free. A job of background work is one bounded step, behind which
/// its owner queues the next one, so that the stores of a process take turns.
final class WorkerThreads: @unchecked Sendable {
    private struct Shared {
        var jobs = CallQueue<@Sendable () -> Void>()
        /// The threads that found nothing to do. Each sleeps, or is about to.
        var idle: [Int]
    }

    private let shared: Locked<Shared>
    private var threads: [BackgroundThread] = []

    /// Starts `count` threads.
    init(count: Int) throws(BackgroundThread.StartError) {
        shared = Locked(Shared(idle: []))
        for place in 0..<count {
            threads.append(
                try BackgroundThread { [shared] in
                    let job = shared.withLock { shared in
                        let job = shared.jobs.popFirst()
                        if job == nil { shared.idle.append(place) }
                        return job
                    }
                    guard let job else { return .wait }
                    job()
                    return .again
                }
            )
        }
    }

    /// Queues a job. From any thread.
    func enqueue(_ job: @escaping @Sendable () -> Void) {
        let idle = shared.withLock { shared in
            shared.jobs.append(job)
            return shared.idle.popLast()
        }
        // Where all are busy, the first that is not takes it.
        if let idle { threads[idle].wake() }
    }
}
