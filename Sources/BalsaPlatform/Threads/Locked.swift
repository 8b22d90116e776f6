/// A value that is reached only under its lock.
///
/// ```swift
/// let waiting = Locked<[Ticket]>([])
/// waiting.withLock { $0.append(ticket) }
/// ```
public final class Locked<Value>: @unchecked Sendable {
    // Touched inside `withLock` only, which is what makes the class safe to share.
    private var value: Value
    private let lock = Lock()

    /// A box that holds `value`.
    public init(_ value: sending Value) {
        self.value = value
    }

    /// Calls `body` with the value, alone.
    ///
    /// What `body` returns must not share mutable state with the value; the compiler sees to that.
    public func withLock<Result, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        lock.acquire()
        defer { lock.release() }
        return try body(&value)
    }
}
