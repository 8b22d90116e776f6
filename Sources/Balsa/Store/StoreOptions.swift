import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// How a store is set up. The defaults suit a service with a few million small values.
public struct StoreOptions: Sendable {
    /// The limits of the replica.
    public var replica = ReplicaOptions()
    /// The limits of the state. Those in `limits` decide replies: they must be the same on all members, and at every opening, since a
    /// state refuses others.
    public var keyValue = KeyValueOptions()
    /// Whether the directory must hold a store already; false. An opening then creates nothing where there is none:
    /// where a disk is not mounted, the empty directory of its mount point does not become a new store.
    public var mustExist = false
    /// How long a call may take that names no time of its own; 10 s.
    public var timeout: Duration = .seconds(10)
    /// How many commands of this store may be outstanding; 1,000. At least 1, and fewer than a session's window. More wait, and
    /// so do those with which more than a quarter of ``maxWaitingBytes`` were outstanding; one always may be.
    public var maxOutstandingCommands = 1_000
    /// How many bytes of commands may wait for their turn or their answer; 32 MiB. More are refused with *busy*.
    public var maxWaitingBytes = 32 << 20
    /// How long ``ReplicatedStore/close(drainingFor:)`` waits for the calls that are under way, unless told otherwise; 5 s.
    public var drainLimit: Duration = .seconds(5)
    /// From when on an operation is told to the observer as slow.
    public var slow = SlowThresholds()
    /// Is told what the store does.
    public var observer: (any StoreObserver)?

    /// The defaults.
    public init() {}

    /// Throws a sentence about options with which nothing could be done.
    func validate() throws(StoreError) {
        func require(_ condition: Bool, _ sentence: String) throws(StoreError) {
            if !condition { throw StoreError(.notApplied, .invalid, sentence) }
        }
        // First: the next sentence takes the window for granted.
        do throws(StateMachineError) { try KeyValueProvider(options: keyValue, seed: 0).validate() } catch {
            throw StoreError(ReplicaError(.invalid, error))
        }
        try require(
            maxOutstandingCommands >= 1 && maxOutstandingCommands < keyValue.limits.sessionWindow,
            "maxOutstandingCommands must be from 1 to one less than the session's window of \(keyValue.limits.sessionWindow)"
        )
        try require(maxWaitingBytes > 0, "maxWaitingBytes must be positive")
        try require(timeout > .zero, "the timeout must be positive")
        try require(drainLimit >= .zero, "drainLimit must not be negative")
    }
}
