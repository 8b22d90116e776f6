import BalsaRaft

/// Which of a runtime's stores is meant.
public struct StoreID: Hashable, Sendable {
    /// The number.
    public var number: UInt64

    /// The store of that number.
    public init(_ number: UInt64) { self.number = number }
}

/// Is told what became of requests. A runtime has one for each of its stores.
public protocol ReplyReceiver: AnyObject {
    /// A request was answered; each is, exactly once. Called outside of every lock, on a thread of the runtime that must not
    /// be held up.
    func receive(_ reply: Reply, to request: RequestID, of store: StoreID)
}

/// The shell as a store sees it: what drives replicas, and through which everything that callers want reaches them.
///
/// A store never touches its replica, which belongs to the runtime: it hands over requests, under names of its own, and is
/// told the replies by its ``ReplyReceiver``. The shell of the simulation is one implementation, with virtual time and one
/// thread; the production shell, with sockets, threads and a clock, is to be the other.
public protocol Runtime: AnyObject {
    /// The present moment on the clock of a store: deadlines are moments of it.
    func now(of store: StoreID) -> Instant

    /// Hands commands to a store's replica. They are proposed together and in this order.
    ///
    /// Does not wait. A store that does not exist, or not any more, answers *not applied, closed*.
    func submit(_ submissions: [Submission], to store: StoreID)

    /// Asks a store's replica when its state may be read. The reply is ``Reply/readable(_:)``; the read itself is the caller's,
    /// on the caller's thread.
    func read(_ request: RequestID, _ consistency: ReadConsistency, deadline: Instant, of store: StoreID)

    /// Closes a store: every request that waits is answered, and its replica stops.
    func close(_ store: StoreID)
}
