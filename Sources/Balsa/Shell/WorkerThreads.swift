import BalsaPlatform

/// Threads for what takes long: flushes, compactions, tasks of the log, reads that have to wait for the disk.
///
/// Jobs are taken in their order by whichever thread is free. A job of background work is one bounded step, behind which
/// its owner queues the next one, so that the stores of a process take turns.
final class WorkerThreads: @unchecked Sendable {
    private struct Shared {
        var jobs: [@Sendable () -> Void] = []
        var isStopped = false
    }

    private let shared = Locked(Shared())
    private var threads: [BackgroundThread] = []
    /// Which thread is woken next.
    private let next = Locked(0)

    /// Starts `count` threads.
    init(count: Int) throws(BackgroundThread.StartError) {
        for _ in 0..<count {
            threads.append(
                try BackgroundThread { [shared] in
                    let job = shared.withLock { shared in
                        shared.jobs.isEmpty ? nil : shared.jobs.removeFirst()
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
        shared.withLock { $0.jobs.append(job) }
        let place = next.withLock { next in
            next = (next + 1) % threads.count
            return next
        }
        threads[place].wake()
    }

}
