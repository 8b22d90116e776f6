import Glibc

/// Counts signals that threads wait for: each wait takes one.
///
/// There is no lock around a wait. With ``Condition`` the thread that is woken begins by taking the lock, which the
/// other one may still hold, and makes a system call to give it back.
package final class Semaphore: @unchecked Sendable {
    // It must never move, so that it has memory of its own.
    private let semaphore: UnsafeMutablePointer<sem_t>

    /// A semaphore without signals.
    package init() {
        semaphore = .allocate(capacity: 1)
        semaphore.initialize(to: sem_t())
        let result = sem_init(semaphore, 0, 0)
        precondition(result == 0, "a semaphore could not be made")
    }

    deinit {
        let result = sem_destroy(semaphore)
        precondition(result == 0, "a semaphore could not be given up")
        semaphore.deallocate()
    }

    /// How many signals nobody has taken yet.
    package var count: Int {
        var value: Int32 = 0
        let result = sem_getvalue(semaphore, &value)
        precondition(result == 0, "a semaphore could not be asked")
        return Int(value)
    }

    /// Adds a signal, and wakes one of the threads that wait.
    package func signal() {
        let result = sem_post(semaphore)
        precondition(result == 0, "a semaphore was signalled too often")
    }

    /// Takes a signal, and waits for one where there is none.
    package func wait() {
        while sem_wait(semaphore) != 0 { precondition(errno == EINTR, "a semaphore could not be waited for") }
    }
}
