/// What one object would do if operations came one after the other: the specification that a history is held against.
///
/// The model of a single key is enough where no operation spans keys, since a history is linearizable exactly when its
/// part of every key is (Herlihy and Wing 1990, locality). Every key begins at ``initialState``.
public protocol SequentialModel: Sendable {
    /// The object's state. Equality must be exact, since it decides which continuations are explored.
    associatedtype State: Equatable & Sendable
    /// What a client asks.
    associatedtype Input: Equatable & Sendable
    /// What a client is answered.
    associatedtype Output: Sendable

    /// The state before the first operation.
    var initialState: State { get }

    /// The state after an operation, or nil where the operation cannot have given this output in this state.
    ///
    /// An output of nil stands for any output. The result must depend on the arguments alone.
    func step(_ state: State, _ input: Input, _ output: Output?) -> State?

    /// A number that equal states have in common and that different states rarely share, the same in every process.
    func digest(of state: State) -> UInt64

    /// Whether an operation with this output leaves every state as it is in which it is possible, as a read does.
    ///
    /// Optional; to say so of what may change *some* state would be wrong, to say it of nothing is only slow.
    func leavesStateAlone(_ input: Input, _ output: Output?) -> Bool

    /// Removes operations of one key that cannot change the verdict, such as unknown writes of values never seen.
    ///
    /// Optional; every operation of unknown outcome stays open to the end of the history and may double the work.
    func removeIrrelevant(from operations: inout [HistoryOperation<Self>])

    /// Replaces operations of one key by such as are easier to search, without changing the verdict.
    ///
    /// Optional; no operation may be added, removed or moved, and no call may change its time. It serves to say more of
    /// unknown operations: when one must have happened, or that two are as good as equal.
    func simplify(_ operations: inout [HistoryOperation<Self>])
}

extension SequentialModel {
    /// Makes no promise.
    public func leavesStateAlone(_ input: Input, _ output: Output?) -> Bool { false }

    /// Removes nothing.
    public func removeIrrelevant(from operations: inout [HistoryOperation<Self>]) {}

    /// Replaces nothing.
    public func simplify(_ operations: inout [HistoryOperation<Self>]) {}
}
