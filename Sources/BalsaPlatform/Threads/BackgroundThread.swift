import Glibc

/// A thread that does work in steps, sleeps when there is none, and is woken when there may be.
///
/// It is the thin driver of machines that are otherwise stepped by a simulation: it knows nothing of the work.
///
/// ```swift
/// let thread = try BackgroundThread { engine.step() ? .again : .wait }
/// thread.wake()      // there is work
/// thread.stop()      // returns when the step under way has ended
/// ```
public final class BackgroundThread: @unchecked Sendable {
    /// What comes after a step.
    public enum Next: Sendable {
        /// One more step.
        case again
        /// Nothing, until the thread is woken.
        case wait
    }

    /// The system refused to make a thread.
    public struct StartError: Error, Equatable, Sendable, CustomStringConvertible {
        /// What the system said.
        public let number: FileError.Number
        /// The refusal in one line.
        public var description: String { "start thread: \(number)" }
    }

    /// What thread and owner share. The thread holds this and not its owner, so that the owner can go.
    private final class Shared: @unchecked Sendable {
        let step: @Sendable () -> Next
        private let state = Locked(State())
        private let wakeUp = Semaphore()

        private struct State {
            var isWoken = true
            var isStopped = false
            /// Whether the thread sleeps, or is about to, and is to be signalled once.
            var isAsleep = false
        }

        init(_ step: @escaping @Sendable () -> Next) { self.step = step }

        func run() {
            var next = Next.again
            while waitForWork(after: next) { next = step() }
        }

        /// Waits until the thread is woken, or does not where the last step asks for another.
        ///
        /// - Returns: false when the thread is to end.
        private func waitForWork(after last: Next) -> Bool {
            while true {
                let goesOn: Bool? = state.withLock { state in
                    if state.isStopped { return false }
                    guard state.isWoken || last == .again else {
                        state.isAsleep = true
                        return nil
                    }
                    // Forgotten before the step: who wakes the thread during it gets one more.
                    state.isWoken = false
                    return true
                }
                if let goesOn { return goesOn }
                wakeUp.wait()
            }
        }

        /// Has the thread look again, now or after the step under way.
        ///
        /// Of several that wake it at once the first one signals, and may do so after the others have returned.
        func wake(toStop: Bool = false) {
            let mustSignal = state.withLock { state in
                state.isWoken = true
                state.isStopped = state.isStopped || toStop
                defer { state.isAsleep = false }
                return state.isAsleep
            }
            // Without the lock, which the thread takes first of all.
            if mustSignal { wakeUp.signal() }
        }
    }

    private let shared: Shared
    private let thread: pthread_t
    /// Whether somebody waits for the end of the thread, or has.
    private let isJoined = Locked(false)

    /// Starts a thread, which does its first step at once.
    ///
    /// - Parameter step: does a bounded part of the work. It is called by the thread, one call after the other.
    /// - Throws: ``StartError`` where the system has no thread left.
    public init(_ step: @escaping @Sendable () -> Next) throws(StartError) {
        let shared = Shared(step)
        let argument = Unmanaged.passRetained(shared)
        var thread = pthread_t()
        let result = pthread_create(
            &thread,
            nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Shared>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            },
            argument.toOpaque()
        )
        guard result == 0 else {
            argument.release()
            throw StartError(number: FileError.Number(rawValue: result))
        }
        self.shared = shared
        self.thread = thread
    }

    deinit { stop() }

    /// Has the thread do a step, or one more after that which is under way.
    public func wake() { shared.wake() }

    /// Ends the thread, and returns when it has ended. The step under way is completed; no other begins.
    ///
    /// May be called again, then without effect; not by the step itself, and by one thread at a time.
    public func stop() {
        shared.wake(toStop: true)
        let mustJoin = isJoined.withLock { isJoined in
            defer { isJoined = true }
            return !isJoined
        }
        guard mustJoin else { return }
        // The last reference may go away inside of the step, whose thread cannot wait for its own end.
        if pthread_equal(pthread_self(), thread) != 0 {
            pthread_detach(thread)
        } else {
            let result = pthread_join(thread, nil)
            precondition(result == 0, "a thread could not be waited for")
        }
    }
}
