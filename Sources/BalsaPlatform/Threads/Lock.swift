import Glibc

/// Mutual exclusion between threads.
///
/// A `pthread_mutex_t` in memory of its own, since a mutex must never move. It is used in place of the standard
/// library's `Mutex` because the thread sanitizer follows it: of `Mutex`, which goes to the kernel directly, the
/// sanitizer sees nothing and reports races that there are none of.
///
/// Not recursive: a thread that takes a lock which it holds already stops the process with a sentence. Hold it for a few
/// instructions, never across a system call that may wait, and never while a caller's continuation is resumed.
public final class Lock: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    /// A lock that nobody holds.
    public init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        var attributes = pthread_mutexattr_t()
        var result = pthread_mutexattr_init(&attributes)
        precondition(result == 0, "a mutex attribute could not be made")
        result = pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_ERRORCHECK))
        precondition(result == 0, "the system has no mutex that checks its use")
        result = pthread_mutex_init(mutex, &attributes)
        precondition(result == 0, "a mutex could not be made")
        pthread_mutexattr_destroy(&attributes)
    }

    deinit {
        let result = pthread_mutex_destroy(mutex)
        precondition(result == 0, "a lock was freed while it was held")
        mutex.deallocate()
    }

    /// Calls `body` while no other thread is in such a call of the same lock.
    @inlinable
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        acquire()
        defer { release() }
        return try body()
    }

    /// Waits until nobody holds the lock, and takes it.
    @usableFromInline
    func acquire() {
        let result = pthread_mutex_lock(mutex)
        precondition(result == 0, "a thread took a lock that it holds already")
    }

    /// Gives the lock to whoever waits for it.
    @usableFromInline
    func release() {
        let result = pthread_mutex_unlock(mutex)
        precondition(result == 0, "a lock was released by a thread that does not hold it")
    }
}
