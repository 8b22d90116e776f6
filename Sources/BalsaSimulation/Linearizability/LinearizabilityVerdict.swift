import BalsaPlatform

/// What a check has found.
public enum LinearizabilityVerdict<Model: SequentialModel>: Sendable {
    /// Every operation can be given an instant between its call and its return such that the answers are those of the
    /// model.
    case linearizable
    /// There is no such order of the operations of one key.
    case notLinearizable(Contradiction<Model>)
    /// The budget was spent before the question was decided. This is never a pass.
    case unknown
}

/// Why a history is not linearizable, in operations that a reader can check by hand.
public struct Contradiction<Model: SequentialModel>: Sendable {
    /// The key whose operations contradict each other.
    public let key: Bytes
    /// The longest order that could be found for a part of the operations, each consistent with those before it.
    public let linearized: [HistoryOperation<Model>]
    /// The object's state after these.
    public let state: Model.State
    /// The answered operations that have to come next and cannot: the one that returned first, and all that had been
    /// called by then.
    public let blocked: [HistoryOperation<Model>]
}

extension Contradiction: CustomStringConvertible {
    /// The contradiction in a few lines, with the last of the operations that could be put in order.
    public var description: String {
        let shown = linearized.suffix(8)
        var lines = ["key \"\(key)\": no order of its operations explains their answers"]
        if shown.count < linearized.count { lines.append("  after \(linearized.count - shown.count) operations,") }
        for operation in shown { lines.append("  in order:   \(operation)") }
        lines.append("  state:      \(state)")
        for operation in blocked { lines.append("  impossible: \(operation)") }
        return lines.joined(separator: "\n")
    }
}

/// A verdict and what it cost.
public struct LinearizabilityReport<Model: SequentialModel>: Sendable {
    /// What was found.
    public let verdict: LinearizabilityVerdict<Model>
    /// How many steps of the model were tried. The same history and options give the same number everywhere.
    public let steps: Int
}
