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
        let condition = Condition()
        // Both are touched with the condition held.
        var isWoken = true
        var isStopped = false

        init(_ step: @escaping @Sendable () -> Next) { self.step = step }

        func run() {
            while waitForWork() {
                guard case .again = step() else { continue }
                condition.withLock { isWoken = true }
            }
        }

        /// Waits until the thread is woken.
        ///
        /// - Returns: false when the thread is to end.
        private func waitForWork() -> Bool {
            condition.withLock {
                while !isWoken, !isStopped { condition.wait() }
                // Forgotten before the step: who wakes the thread during it gets one more.
                isWoken = false
                return !isStopped
            }
        }
    }

    private let shared: Shared
    private let thread: pthread_t
    // Touched with the shared condition held.
    private var isJoined = false

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
    public func wake() {
        shared.condition.withLock {
            shared.isWoken = true
            shared.condition.notifyAll()
        }
    }

    /// Ends the thread, and returns when it has ended. The step under way is completed; no other begins.
    ///
    /// May be called again, then without effect; not by the step itself, and by one thread at a time.
    public func stop() {
        let mustJoin = shared.condition.withLock {
            shared.isStopped = true
            shared.condition.notifyAll()
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
