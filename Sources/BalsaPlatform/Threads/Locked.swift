/// A value that is reached only under its lock.
///
/// ```swift
/// let waiting = Locked<[Ticket]>([])
/// waiting.withLock { $0.append(ticket) }
/// ```
public final class Locked<Value>: @unchecked Sendable {
    // Touched inside `withLock` only, which is what makes the class safe to share. In memory of its own: a property would
    // be checked at run time for a second access while one is under way, which the lock itself refuses already.
    @usableFromInline let value: UnsafeMutablePointer<Value>
    @usableFromInline let lock = Lock()

    /// A box that holds `value`.
    public init(_ value: sending Value) {
        self.value = .allocate(capacity: 1)
        self.value.initialize(to: value)
    }

    deinit {
        value.deinitialize(count: 1)
        value.deallocate()
    }

    /// Calls `body` with the value, alone.
    ///
    /// What `body` returns must not share mutable state with the value; the compiler sees to that.
    @inlinable
    public func withLock<Result, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        lock.acquire()
        defer {
            lock.release()
            // The pointer alone would not keep the value until here.
            withExtendedLifetime(self) {}
        }
        return try body(&value.pointee)
    }
}
