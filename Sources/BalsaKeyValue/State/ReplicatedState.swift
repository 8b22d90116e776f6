import BalsaPlatform

/// What a key-value machine knows beside the keys and values in its engine. It is the same on every member at the same
/// index, lies in memory, and is written into the engine's seal. `Docs/SystemStateFormat.md` has the layout.
struct ReplicatedState {
    let limits: KeyValueLimits
    /// The last entry that was applied.
    var position = KeyValuePosition.zero
    var digest: MutationDigest
    var retention = RetentionMark()
    var sessions: SessionTable

    /// The state before the first entry.
    init(limits: KeyValueLimits) {
        self.limits = limits
        digest = MutationDigest(limits: limits)
        sessions = SessionTable(limits: limits)
    }

    /// Moves on to an entry: time passes, sessions that have rested too long end, and the mark advances.
    ///
    /// - Precondition: it is the next entry.
    mutating func advance(to index: UInt64, term: UInt64, stamp: UInt64) {
        precondition(index == position.index + 1, "entries are applied in order, without gaps")
        // Stamps never fall along a log. Should one do so, time stands still, on every member alike.
        position = KeyValuePosition(index: index, term: term, stamp: max(position.stamp, stamp))
        sessions.expire(at: position.stamp)
        retention.advance(index: index, stamp: position.stamp, limits: limits)
    }
}
