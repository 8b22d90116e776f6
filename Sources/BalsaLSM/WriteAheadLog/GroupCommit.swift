/// Which batches wait for a sync, as a value.
///
/// While one sync is under way the tickets of further batches gather, and the next sync covers all of them. Batches that
/// nobody wants to be synced take part when a later one does. After a failed sync nothing becomes durable any more.
struct GroupCommit: Equatable {
    /// The number of the last batch that was written.
    private(set) var writtenThrough: SequenceNumber
    /// The number of the last batch that is durable.
    private(set) var syncedThrough: SequenceNumber
    /// The number of the last batch that somebody wants to be durable.
    private var wantedThrough: SequenceNumber
    /// The number of the last batch that the sync under way covers.
    private(set) var underWay: SequenceNumber?
    /// Why nothing becomes durable any more.
    private(set) var failure: EngineError?
    /// What tells this opening of this log from all others.
    private let origin: UInt64

    /// The state behind recovery, which leaves everything up to `sequence` durable.
    init(durableThrough sequence: SequenceNumber, origin: UInt64 = 0) {
        self.origin = origin
        writtenThrough = sequence
        syncedThrough = sequence
        wantedThrough = sequence
    }

    /// Notes that the batch of that number was written.
    mutating func wrote(_ sequence: SequenceNumber, syncing: Bool) -> CommitTicket {
        precondition(sequence > writtenThrough, "batches are numbered upwards")
        writtenThrough = sequence
        if syncing { wantedThrough = sequence }
        return CommitTicket(number: sequence, origin: origin)
    }

    /// Notes that somebody wants a batch to be durable.
    mutating func want(_ ticket: CommitTicket) {
        guard ticket.origin == origin else { return }
        wantedThrough = max(wantedThrough, min(ticket.number, writtenThrough))
    }

    /// Whether a sync should begin now.
    var wantsSync: Bool { failure == nil && underWay == nil && wantedThrough > syncedThrough }

    /// Notes that a sync of everything that has been written begins.
    mutating func begin() {
        precondition(underWay == nil && failure == nil, "one sync at a time, and none after one has failed")
        underWay = writtenThrough
    }

    /// Notes that the sync under way has ended well, which may be after the log has failed.
    mutating func finish() {
        guard let through = underWay else { preconditionFailure("no sync is under way") }
        underWay = nil
        synced(through: through)
    }

    /// Notes that the batches up to `sequence` are durable, by whatever sync.
    mutating func synced(through sequence: SequenceNumber) {
        syncedThrough = max(syncedThrough, sequence)
    }

    /// Notes that the log has failed: the sync under way, or a write or another file while that goes on. Nothing begins
    /// any more.
    mutating func fail(_ error: EngineError) {
        if failure == nil { failure = error }
    }

    /// What is known of a batch; *failed* for the ticket of another engine or of an earlier opening.
    func state(of ticket: CommitTicket) -> CommitState {
        guard ticket.origin == origin else { return .failed(CommitTicket.isForeign) }
        if ticket.number <= syncedThrough { return .durable }
        if let failure { return .failed(failure) }
        return .pending
    }
}
