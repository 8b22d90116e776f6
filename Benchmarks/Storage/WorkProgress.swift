import BalsaPlatform
import Glibc

/// What the background thread tells the others.
final class WorkProgress: @unchecked Sendable {
    private let condition = Condition()
    // Touched with the condition held.
    private var isIdle = true
    private var failure: BenchmarkError?

    /// Notes that a step has ended, and wakes those that wait for one.
    func noteStep(isIdle: Bool) {
        condition.withLock {
            self.isIdle = isIdle
            condition.notifyAll()
        }
    }

    /// Notes that a step has failed: the run ends, for a figure of an engine whose disk fails would mean nothing.
    func fail(_ error: BenchmarkError) {
        condition.withLock {
            if failure == nil { failure = error }
            condition.notifyAll()
        }
    }

    /// Forgets that there was nothing to do.
    func expectWork() { condition.withLock { isIdle = false } }

    /// Waits, from step to step, until `isReached`.
    ///
    /// - Throws: the failure of a step.
    func wait(until isReached: () -> Bool) throws(BenchmarkError) {
        try condition.withLock { () throws(BenchmarkError) in
            while failure == nil, !isReached() { condition.wait() }
            if let failure { throw failure }
        }
    }

    /// Waits until a step finds nothing to do, and `isDone` agrees: the step may have begun before there was work.
    ///
    /// - Throws: the failure of a step.
    func waitForIdleness(_ isDone: () -> Bool) throws(BenchmarkError) { try wait { isIdle && isDone() } }

    /// Lets the background work have the processor for a while.
    func pause(nanoseconds: UInt64) {
        var time = timespec(tv_sec: 0, tv_nsec: Int(min(nanoseconds, 1_000_000)))
        // Woken early by a signal, the writer goes on early; nothing depends on it.
        _ = nanosleep(&time, nil)
    }
}
