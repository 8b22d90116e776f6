import Glibc

/// A lock under which threads can wait for each other.
///
/// ```swift
/// condition.withLock {
///     while queue.isEmpty { condition.wait() }
///     return queue.removeFirst()
/// }
/// ```
///
/// A thread can wake without having been notified: what it waits for is tested in a loop. Waiting belongs into thin
/// wrappers at the edge; what decides is a value that is asked under the lock.
public final class Condition: @unchecked Sendable {
    // Neither must ever move, so that both have memory of their own.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    /// A condition that nobody waits for.
    public init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        var attributes = pthread_mutexattr_t()
        var result = pthread_mutexattr_init(&attributes)
        precondition(result == 0, "a mutex attribute could not be made")
        result = pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_ERRORCHECK))
        precondition(result == 0, "the system has no mutex that checks its use")
        result = pthread_mutex_init(mutex, &attributes)
        precondition(result == 0, "a mutex could not be made")
        pthread_mutexattr_destroy(&attributes)
        result = pthread_cond_init(condition, nil)
        precondition(result == 0, "a condition could not be made")
    }

    deinit {
        var result = pthread_cond_destroy(condition)
        precondition(result == 0, "a condition was freed while a thread waited for it")
        result = pthread_mutex_destroy(mutex)
        precondition(result == 0, "a condition was freed while its lock was held")
        condition.deallocate()
        mutex.deallocate()
    }

    /// Calls `body` while no other thread is in such a call of the same condition and does not wait there.
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let result = pthread_mutex_lock(mutex)
        precondition(result == 0, "a thread took a lock that it holds already")
        defer {
            let result = pthread_mutex_unlock(mutex)
            precondition(result == 0, "a lock was released by a thread that does not hold it")
        }
        return try body()
    }

    /// Gives the lock up, waits for a notification, and takes the lock again. To be called inside of ``withLock(_:)``.
    public func wait() {
        let result = pthread_cond_wait(condition, mutex)
        precondition(result == 0, "a thread waited without the lock")
    }

    /// Wakes all threads that wait.
    public func notifyAll() {
        let result = pthread_cond_broadcast(condition)
        precondition(result == 0, "a condition could not be notified")
    }
}
