import BalsaPlatform

/// Threads for what takes long: flushes, compactions, tasks of the log, reads that have to wait for the disk.
///
/// Jobs are taken in their order by whichever thread is free. A job of background work is one bounded step, behind which
/// its owner queues the next one, so that the stores of a process take turns.
final class WorkerThreads: @unchecked Sendable {
    /// A job, and the threads that are still in a job that was begun before it was queued.
    private struct Barrier {
        var running: [Int]
        let job: @Sendable () -> Void
    }

    private struct Shared {
        var jobs = CallQueue<@Sendable () -> Void>()
        /// The threads that found nothing to do. Each sleeps, or is about to.
        var idle: [Int]
        var barriers: [Barrier] = []

        /// What a thread does next that has nothing of its last job any more.
        mutating func next(_ place: Int) -> (@Sendable () -> Void)? {
            if !barriers.isEmpty {
                for index in barriers.indices { barriers[index].running.removeAll { $0 == place } }
                if let index = barriers.firstIndex(where: \.running.isEmpty) { return barriers.remove(at: index).job }
            }
            let job = jobs.popFirst()
            if job == nil { idle.append(place) }
            return job
        }
    }

    private let shared: Locked<Shared>
    private var threads: [BackgroundThread] = []

    /// Starts `count` threads.
    init(count: Int) throws(BackgroundThread.StartError) {
        shared = Locked(Shared(idle: []))
        for place in 0..<count {
            threads.append(
                try BackgroundThread { [shared] in
                    guard let job = shared.withLock({ $0.next(place) }) else { return .wait }
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

    /// Queues a job that begins once every job that a thread is in now has ended and is gone with all that it held.
    /// From any thread.
    func enqueueAfterRunning(_ job: @escaping @Sendable () -> Void) {
        let isAlone = shared.withLock { shared in
            let running = threads.indices.filter { !shared.idle.contains($0) }
            if !running.isEmpty { shared.barriers.append(Barrier(running: running, job: job)) }
            return running.isEmpty
        }
        if isAlone { enqueue(job) }
    }
}
