/// What a writer gets for a batch that went to the write-ahead log: a name by which it can ask whether the batch is
/// durable, or wait for that. Nothing has to be done with it.
public struct CommitTicket: Equatable, Sendable {
    /// The number of the batch. All batches up to it are durable when it is.
    public let number: SequenceNumber

    init(number: SequenceNumber) { self.number = number }
}

/// What is known of a batch in the write-ahead log.
public enum CommitState: Equatable, Sendable {
    /// It has reached the kernel and is not durable yet.
    case pending
    /// It survives a power loss.
    case durable
    /// A sync has failed, and whether the batch is durable is unknown until the engine has been opened anew.
    case failed(EngineError)
}
