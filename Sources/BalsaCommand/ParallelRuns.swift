import BalsaPlatform

/// Does independent jobs on several threads, and hands their results over in the order of the jobs.
///
/// The jobs are numbered from 0. Threads do not get further ahead of what was handed over than a few jobs each, so that
/// few results are kept in memory.
struct ParallelRuns {
    /// How many jobs are done at once.
    let threads: Int

    /// Does the jobs from 0 to `last` until `take` says that it is enough.
    ///
    /// - Parameters:
    ///   - job: does one job, on any thread.
    ///   - take: gets each result on the caller's thread, and returns whether to go on.
    func run<Result: Sendable>(
        last: UInt64,
        job: @escaping @Sendable (UInt64) -> Result,
        take: (UInt64, Result) throws -> Bool
    ) throws {
        let board = Board<Result>(last: last, ahead: UInt64(4 * threads))
        var workers: [BackgroundThread] = []
        defer {
            board.close()
            for worker in workers { worker.stop() }
        }
        for _ in 0..<threads where threads > 1 {
            workers.append(
                try BackgroundThread {
                    guard let number = board.claim() else { return .wait }
                    board.put(job(number), number)
                    return .again
                }
            )
        }
        var number: UInt64 = 0
        while try take(number, workers.isEmpty ? job(number) : board.result(of: number)), number < last { number += 1 }
    }

    /// What the threads share.
    private final class Board<Result: Sendable>: @unchecked Sendable {
        private let condition = Condition()
        private let last: UInt64
        private let ahead: UInt64
        // All are touched with the condition held.
        private var next: UInt64?
        private var taken: UInt64 = 0
        private var results: [UInt64: Result] = [:]
        private var isClosed = false

        init(last: UInt64, ahead: UInt64) {
            self.last = last
            self.ahead = ahead
            next = 0
        }

        /// The next job to do; nil where there is none.
        func claim() -> UInt64? {
            condition.withLock {
                while !isClosed, let number = next, number >= taken, number - taken >= ahead { condition.wait() }
                guard !isClosed, let number = next else { return nil }
                next = number < last ? number + 1 : nil
                return number
            }
        }

        func put(_ result: Result, _ number: UInt64) {
            condition.withLock {
                results[number] = result
                condition.notifyAll()
            }
        }

        /// Waits for the result of a job.
        func result(of number: UInt64) -> Result {
            condition.withLock {
                while true {
                    if let result = results.removeValue(forKey: number) {
                        taken = number + 1
                        condition.notifyAll()
                        return result
                    }
                    condition.wait()
                }
            }
        }

        /// Lets no further job begin.
        func close() {
            condition.withLock {
                isClosed = true
                condition.notifyAll()
            }
        }
    }
}
