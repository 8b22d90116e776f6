import BalsaPlatform
import CBalsaPlatform
import Glibc
import Synchronization

/// One thread that waits for sockets, timers and jobs, and handles them one after the other.
///
/// A *turn* handles what is ready, then the jobs that other threads posted, then the timers that are due, and last what the
/// turn itself put off: everything that was sent in one turn leaves with one system call a connection.
///
/// Nothing that is called by a loop may wait, since everything else waits for it. Whoever starts a loop stops it.
public final class EventLoop: @unchecked Sendable {
    /// How a loop behaves.
    public struct Options: Sendable {
        /// How long to look for work again and again before the thread goes to sleep. To be woken costs more than the network
        /// does within a data centre; a processor that has nothing else to do can save it.
        public var spin: Duration = .zero
        /// How many sockets are handled in one turn at most; 256. 1 to 65,536.
        public var maxEventsPerTurn = 256

        /// The default behaviour: no spinning.
        public init() {}
    }

    /// A timer that has been set, to be taken back.
    package struct Timer: Equatable {
        fileprivate let id: TimerQueue<() -> Void>.ID
    }

    /// What threads share.
    private struct Shared {
        var jobs: [@Sendable () -> Void] = []
        /// Whether a wake-up is on its way; one is enough for any number of jobs.
        var isWoken = false
        var isStopping = false
        /// Whoever takes the thread out ends it.
        var thread: BackgroundThread?
    }

    let clock = MonotonicClock()
    private let shared = Locked(Shared())
    private let spinNanoseconds: UInt64
    /// The thread, once it runs. `pthread_t` is a number on Linux, and neither of these two is one.
    private let owner = Atomic<UInt>(EventLoop.unknown)
    private static let unknown: UInt = 0
    private static let nobody = UInt.max

    // What follows belongs to the loop's thread.
    let selector: Selector
    private var timers = TimerQueue<() -> Void>()
    private var deferred: [() -> Void] = []
    /// Told after each turn how long it took, in nanoseconds. Set on the loop's thread.
    package var onTurn: ((UInt64) -> Void)?

    /// Starts a loop.
    ///
    /// - Parameter options: how it behaves.
    /// - Throws: ``TransportError`` of the code *system* where the system has no thread or no descriptor left.
    public init(options: Options = Options()) throws(TransportError) {
        spinNanoseconds = options.spin.wholeNanoseconds
        guard (1...65_536).contains(options.maxEventsPerTurn) else {
            throw TransportError(.invalid, "maxEventsPerTurn must be 1 to 65536, not \(options.maxEventsPerTurn)")
        }
        selector = try Selector(maxEvents: options.maxEventsPerTurn)
        do throws(BackgroundThread.StartError) {
            let thread = try BackgroundThread { [self] in turn() ? .again : .wait }
            shared.withLock { $0.thread = thread }
        } catch {
            throw TransportError(.system, "start the thread of a loop", number: error.number)
        }
    }

    /// Whether the calling thread is the loop's.
    public var isCurrent: Bool { owner.load(ordering: .relaxed) == pthread_self() }

    /// The present moment on the machine's monotonic clock, in nanoseconds.
    public var now: UInt64 { clock.nanoseconds() }

    /// Has the loop run `job` soon. From any thread; jobs of one thread run in their order.
    ///
    /// - Returns: false where the loop has been stopped. The job will not run then.
    @discardableResult
    public func post(_ job: @escaping @Sendable () -> Void) -> Bool {
        let isLoop = isCurrent
        let (isTaken, mustWake) = shared.withLock { shared in
            guard !shared.isStopping else { return (false, false) }
            shared.jobs.append(job)
            defer { shared.isWoken = shared.isWoken || !isLoop }
            return (true, !shared.isWoken && !isLoop)
        }
        if mustWake { selector.wake() }
        return isTaken
    }

    /// Ends the loop. What was posted before is still run; what is watched and timed is let go.
    ///
    /// Whatever uses the loop is closed before. Returns when the thread has ended, except to that thread itself, which ends
    /// after the turn. May be called again.
    public func stop() {
        let isLoop = isCurrent
        let thread = shared.withLock { shared -> BackgroundThread? in
            shared.isStopping = true
            guard !isLoop else { return nil }
            defer { shared.thread = nil }
            return shared.thread
        }
        guard let thread else { return }
        selector.wake()
        thread.stop()
        // The thread may have ended between two turns. It is gone, and so this thread may do in its place what is left.
        if owner.load(ordering: .relaxed) != EventLoop.nobody {
            owner.store(EventLoop.unknown, ordering: .relaxed)
            _ = turn()
        }
        // No turn comes any more; a loop that is still referenced holds nothing.
        selector.closeDescriptors()
    }

    // MARK: On the loop's thread

    /// Has `job` run when the clock says `deadline`, in nanoseconds, or up to a millisecond later. On the loop's thread.
    package func schedule(at deadline: UInt64, _ job: @escaping () -> Void) -> Timer {
        checkThread()
        return Timer(id: timers.add(job, at: deadline))
    }

    /// Takes a timer back. Without effect where it has come. On the loop's thread.
    package func cancel(_ timer: Timer) {
        checkThread()
        timers.remove(timer.id)
    }

    /// Has `job` run at the end of this turn, behind everything that is ready now. On the loop's thread.
    package func runAtEndOfTurn(_ job: @escaping () -> Void) {
        checkThread()
        deferred.append(job)
    }

    func checkThread() {
        precondition(isCurrent, "what belongs to a loop was used on another thread")
    }

    /// One turn.
    ///
    /// - Returns: whether there is to be another.
    private func turn() -> Bool {
        if owner.load(ordering: .relaxed) == EventLoop.unknown { owner.store(pthread_self(), ordering: .relaxed) }
        let begin = onTurn == nil ? 0 : self.now
        selector.poll(timeoutMilliseconds: 0)
        let isStopping = runJobs()
        let now = now
        while let job = timers.popDue(at: now) { job() }
        let last = deferred
        deferred = []
        for job in last { job() }
        // A turn in which the hook was set has no beginning.
        if begin > 0, let onTurn { onTurn(self.now - begin) }
        if isStopping {
            end()
            return false
        }
        sleep()
        return true
    }

    /// Runs what other threads posted until now.
    ///
    /// - Returns: whether the loop is to end.
    private func runJobs() -> Bool {
        let (jobs, isStopping) = shared.withLock { shared in
            defer {
                shared.jobs = []
                shared.isWoken = false
            }
            return (shared.jobs, shared.isStopping)
        }
        for job in jobs { job() }
        return isStopping
    }

    /// Waits until there is something to do. What is ready is left to the next turn.
    private func sleep() {
        guard deferred.isEmpty, shared.withLock({ $0.jobs.isEmpty && !$0.isStopping }) else { return }
        var now = now
        let spinEnd = now &+ spinNanoseconds
        while now < spinEnd {
            if selector.isReady(timeoutMilliseconds: 0) { return }
            now = self.now
            if let next = timers.next, next <= now { return }
        }
        var timeout = Int32.max
        if let next = timers.next {
            guard next > now else { return }
            // Rounded up, so that the loop does not run around in the millisecond before a timer.
            timeout = Int32(min((next - now) / 1_000_000 + 1, UInt64(Int32.max)))
        }
        _ = selector.isReady(timeoutMilliseconds: timeout)
    }

    private func end() {
        timers.removeAll()
        deferred = []
        onTurn = nil
        selector.removeAll()
        owner.store(EventLoop.nobody, ordering: .relaxed)
        // Still there where the loop was stopped from one of its own jobs. A thread that stops itself ends after this step.
        let thread = shared.withLock { shared -> BackgroundThread? in
            defer { shared.thread = nil }
            return shared.thread
        }
        thread?.stop()
    }
}

extension Duration {
    /// The duration in nanoseconds; 0 for a negative one, and 292 years for a longer one.
    var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let limit = UInt64(Int64.max)
        return overflow || product >= limit ? limit : product + UInt64(attoseconds / 1_000_000_000)
    }
}
