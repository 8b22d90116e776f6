import BalsaPlatform
import BalsaRaft
import BalsaWire

/// What a group agrees on: a state that commands change, one after the other, in the order of the log.
///
/// Every member applies the same commands to the same state, so an apply must be a function of the state, the command,
/// its position and its stamp alone: no clock, no chance, nothing of this machine. One owner calls, one call at a time.
///
/// An error that a caller caused is part of the reply. An error that is thrown says that this member cannot go on: it
/// stops, and nothing is answered, because to skip a command would let the members drift apart.
public protocol StateMachine: AnyObject {
    /// Applies committed entries in order, without gaps, beginning behind what is applied already.
    ///
    /// - Parameters:
    ///   - entries: the entries; those that are not commands change nothing.
    ///   - reply: to be called once for each *command*, in order, with its index and what its caller is told.
    /// - Throws: ``StateMachineError`` where a command cannot be applied here, as one of a newer release cannot.
    func apply(_ entries: EntryBatch, reply: (LogIndex, Bytes) -> Void) throws(StateMachineError)

    /// Answers a question about the state, which it leaves as it is.
    ///
    /// - Throws: ``StateMachineError`` where the question cannot be understood.
    func answer(_ query: Bytes) throws(StateMachineError) -> Bytes

    /// The whole state, as ``restore(_:)`` takes it.
    func checkpoint() -> Bytes

    /// Puts a checkpoint in the place of the state.
    ///
    /// - Throws: ``StateMachineError`` where it cannot be read; the state is then undefined and the member stops.
    func restore(_ checkpoint: Bytes) throws(StateMachineError)

    /// A number that is equal on two members exactly when their states are, as far as 64 bits can tell.
    var digest: UInt64 { get }
}

/// Why a state machine cannot go on, or cannot answer.
public struct StateMachineError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The reason in a sentence.
    public let description: String

    /// An error with its reason.
    public init(_ description: String) { self.description = description }
}
