/// What a writer gets for a batch that went to the write-ahead log: a name by which it can ask whether the batch is
/// durable, or wait for that. Nothing has to be done with it.
public struct CommitTicket: Equatable, Sendable {
    /// The number of the batch. All batches up to it are durable when it is.
    public let number: SequenceNumber
    /// Which opening of which log gave it.
    let origin: UInt64

    init(number: SequenceNumber, origin: UInt64) {
        self.number = number
        self.origin = origin
    }

    /// What an engine says of a ticket that it has not given since it was opened. The batch of the same number, if
    /// there is one, is another batch.
    static let isForeign = EngineError(
        .invalid,
        "the ticket is not from this engine, or from before it was opened again: read the batch's keys instead"
    )
}

/// What is known of a batch in the write-ahead log.
public enum CommitState: Equatable, Sendable {
    /// It has reached the kernel and is not durable yet.
    case pending
    /// It survives a power loss.
    case durable
    /// A sync has failed, and whether the batch is durable is unknown until the engine has been opened again; or, with
    /// *invalid*, the engine has not given the ticket since it was opened.
    case failed(EngineError)
}
