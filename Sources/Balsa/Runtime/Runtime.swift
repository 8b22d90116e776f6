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

/// What drives the replicas of a simulated world, as its clients see it: through it everything that they want reaches them.
///
/// A client never touches a replica, which belongs to the world: it hands over requests, under names of its own, and is told the
/// replies by its ``ReplyReceiver``. Time is virtual and there is one thread.
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
