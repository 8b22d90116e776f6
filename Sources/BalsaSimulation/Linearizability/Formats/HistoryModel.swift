import BalsaPlatform

/// The kinds of recorded history that can be checked: a format and the model of what was recorded.
public enum HistoryModel: String, CaseIterable, Sendable {
    /// One register with read, write and compare-and-set, as ``RegisterLog``.
    case register
    /// Strings by key with put, append and get, as ``AppendLog``.
    case append = "kv-append"
    /// Registers by key, as ``RecordedHistory``.
    case balsa

    /// Reads a history and checks it.
    public func check(
        _ text: Bytes,
        limits: LinearizabilityLimits = LinearizabilityLimits()
    ) throws(HistoryFormatError) -> HistoryCheck {
        // The generic search is specialised here, in its own module, which makes it several times as fast.
        switch self {
        case .register:
            let operations = try RegisterLog.operations(of: text)
            return HistoryCheck(of: operations, by: RegisterModel(), limits)
        case .append:
            let operations = try AppendLog.operations(of: text)
            return HistoryCheck(of: operations, by: AppendModel(), limits)
        case .balsa:
            let operations = try RecordedHistory(decoding: text).registerOperations
            return HistoryCheck(of: operations, by: RegisterModel(), limits)
        }
    }
}

/// What the check of a recorded history has found, whatever its model.
public struct HistoryCheck: Sendable {
    /// The verdicts, by the words that the command prints.
    public enum Verdict: String, Sendable {
        /// There is an order that explains every answer, and there is an answer.
        case linearizable
        /// There is none.
        case notLinearizable = "not-linearizable"
        /// The history decides nothing, since it has no answer, or the budget was spent before it was decided.
        case unknown
    }

    /// What was found.
    public let verdict: Verdict
    /// The contradiction in words, where there is one.
    public let explanation: String?
    /// Why the verdict is *unknown*, in words; nil for the other verdicts.
    public let reason: String?
    /// How many steps of the model were tried.
    public let steps: Int

    /// Any history without an answer has an order that explains all of its answers: that shows nothing, and is never a
    /// pass.
    fileprivate init<Model>(
        of operations: [HistoryOperation<Model>],
        by model: Model,
        _ limits: LinearizabilityLimits
    ) {
        guard operations.contains(where: { $0.output != nil }) else {
            (verdict, explanation, steps) = (.unknown, nil, 0)
            reason = "no operation was answered, so that there is nothing to check"
            return
        }
        let report = LinearizabilityChecker(model: model, limits: limits).check(operations)
        steps = report.steps
        switch report.verdict {
        case .linearizable: (verdict, explanation, reason) = (.linearizable, nil, nil)
        case .notLinearizable(let contradiction):
            (verdict, explanation, reason) = (.notLinearizable, contradiction.description, nil)
        case .unknown:
            (verdict, explanation) = (.unknown, nil)
            reason = "the budget of \(limits.steps) steps was spent before it was decided"
        }
    }
}
