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
            return HistoryCheck(LinearizabilityChecker(model: RegisterModel(), limits: limits).check(operations))
        case .append:
            let operations = try AppendLog.operations(of: text)
            return HistoryCheck(LinearizabilityChecker(model: AppendModel(), limits: limits).check(operations))
        case .balsa:
            let operations = try RecordedHistory(decoding: text).registerOperations
            return HistoryCheck(LinearizabilityChecker(model: RegisterModel(), limits: limits).check(operations))
        }
    }
}

/// What the check of a recorded history has found, whatever its model.
public struct HistoryCheck: Sendable {
    /// The verdicts, by the words that the command prints.
    public enum Verdict: String, Sendable {
        /// There is an order that explains every answer.
        case linearizable
        /// There is none.
        case notLinearizable = "not-linearizable"
        /// The budget was spent before it was decided.
        case unknown
    }

    /// What was found.
    public let verdict: Verdict
    /// The contradiction in words, where there is one.
    public let explanation: String?
    /// How many steps of the model were tried.
    public let steps: Int

    init<Model>(_ report: LinearizabilityReport<Model>) {
        steps = report.steps
        switch report.verdict {
        case .linearizable: (verdict, explanation) = (.linearizable, nil)
        case .notLinearizable(let contradiction): (verdict, explanation) = (.notLinearizable, contradiction.description)
        case .unknown: (verdict, explanation) = (.unknown, nil)
        }
    }
}
