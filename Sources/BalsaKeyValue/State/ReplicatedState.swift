import BalsaPlatform

/// What a key-value machine knows beside the keys and values in its engine. It is the same on every member at the same
/// index, lies in memory, and is written into the engine's seal. `Docs/SystemStateFormat.md` has the layout.
struct ReplicatedState {
    /// The cluster whose state it is.
    let cluster: UniqueID
    /// The replicated options in force.
    private(set) var options: ReplicatedOptions
    /// The index of the entry that set them; 0 before the first, when no command can be applied.
    private(set) var optionsRevision: UInt64
    /// The last entry that was applied.
    var position = KeyValuePosition.zero
    var digest = MutationDigest()
    var retention = RetentionMark()
    var sessions: SessionTable

    /// A state without keys and sessions: before the first entry, where nothing else is said.
    init(cluster: UniqueID, options: ReplicatedOptions = ReplicatedOptions(), revision: UInt64 = 0) {
        self.cluster = cluster
        self.options = options
        optionsRevision = revision
        sessions = SessionTable(options: options)
    }

    /// Puts options in force at the last entry. Sessions and samples beyond the new limits go at once.
    ///
    /// - Precondition: they are valid.
    mutating func change(_ options: ReplicatedOptions) {
        self.options = options
        optionsRevision = position.index
        digest.add(options, index: position.index)
        sessions.change(options)
        retention.change(options, stamp: position.stamp)
    }

    /// Moves on to an entry: time passes, sessions that have rested too long end, and the mark advances.
    ///
    /// - Precondition: it is the next entry.
    mutating func advance(to index: UInt64, term: UInt64, stamp: UInt64) {
        precondition(index == position.index + 1, "entries are applied in order, without gaps")
        // Stamps never fall along a log. Should one do so, time stands still, on every member alike.
        position = KeyValuePosition(index: index, term: term, stamp: max(position.stamp, stamp))
        sessions.expire(at: position.stamp)
        retention.advance(index: index, stamp: position.stamp, options: options)
    }
}
