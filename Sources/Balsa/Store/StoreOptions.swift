import BalsaKeyValue
import BalsaPlatform
import BalsaRaft

/// How a store is set up. The defaults suit a service with a few million small values.
///
/// All options but ``replicated`` are local: they decide no reply and no state, and may differ between members and from
/// opening to opening.
public struct StoreOptions: Sendable {
    /// The replicated options that this member proposes for a new cluster. Those of the first leader are written into
    /// its first entry. A cluster that exists keeps its own, and ``StoreEvent/optionsDiffer(_:)`` tells where these are
    /// others; ``ReplicatedStore/changeOptions(_:expecting:timeout:)`` changes them.
    public var replicated = ReplicatedOptions()
    /// The local options of the replica.
    public var replica = ReplicaOptions()
    /// The local options of the state.
    public var keyValue = KeyValueOptions()
    /// Whether the directory must hold a store already; false. An opening then creates nothing where there is none:
    /// where a disk is not mounted, the empty directory of its mount point does not become a new store.
    public var mustExist = false
    /// How long a call may take that names no time of its own; 10 s.
    public var timeout: Duration = .seconds(10)
    /// How many commands of this store may be outstanding; 1,000. At least 1; less than the window of the store's
    /// session, ``ReplicatedOptions/sessionWindow``, counts where it is smaller. More wait, and so do those with which
    /// more than a quarter of ``maxWaitingBytes`` were outstanding; one always may be.
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

    /// Throws the name of the first option with which nothing could be done, with its bound and its value.
    func validate() throws(StoreError) {
        func check(_ name: String, _ value: some Any, _ holds: Bool, _ bound: String) throws(StoreError) {
            if !holds { throw StoreError(.notApplied, .invalid, "\(name) must be \(bound), not \(value)") }
        }
        do throws(StateMachineError) {
            try KeyValueProvider(options: keyValue, proposal: replicated, seed: 0).validate()
        } catch {
            throw StoreError(ReplicaError(.invalid, error))
        }
        try check("maxOutstandingCommands", maxOutstandingCommands, maxOutstandingCommands >= 1, "at least 1")
        try check("maxWaitingBytes", maxWaitingBytes, maxWaitingBytes >= 1, "at least 1")
        try check("timeout", timeout, timeout > .zero, "above 0")
        try check("drainLimit", drainLimit, drainLimit >= .zero, "at least 0")
    }
}
