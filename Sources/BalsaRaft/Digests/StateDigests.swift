/// The newest digests that a member has recorded of its own state, oldest first, at most 64.
struct DigestHistory: Sendable {
    /// How many digests are kept.
    static let capacity = 64

    private var list: [StateDigest] = []

    /// How many digests there are.
    var count: Int { list.count }

    /// The digest of the highest index.
    var newest: StateDigest? { list.last }

    /// All digests, by ascending index.
    var all: [StateDigest] { list }

    /// Adds a digest of a higher index than all before it; others are ignored.
    mutating func add(_ digest: StateDigest) {
        if let last = list.last, last.index >= digest.index { return }
        if list.count == DigestHistory.capacity { list.removeFirst() }
        list.append(digest)
    }

    /// The digest of the state at `index`; nil where none was recorded or it is too old.
    func value(at index: LogIndex) -> UInt64? { list.last { $0.index == index }?.value }

    /// Forgets all of them: they were those of another state.
    mutating func removeAll() { list.removeAll(keepingCapacity: true) }
}

/// That this member's state is to be replaced by a checkpoint.
struct Divergence: Sendable {
    /// Why.
    let cause: CheckpointRequest.Reason
    /// Until when the member leads at most, if it does.
    let leadsUntil: Instant
    /// When a checkpoint may be asked for again.
    var nextRequest: Instant
    /// The term whose leader knows that the member waits; there is one leader a term.
    var askedTerm: Term = 0
    /// How many election timeouts have passed without a leader.
    var timeouts: UInt64 = 0
}
