import BalsaRaft

/// Decides by search whether the clients' history could have come from one register a key.
struct RegisterHistoryCheck {
    /// How much the search may cost.
    var limits: LinearizabilityLimits
    /// Histories of more operations are not searched.
    var mostSearched = Int.max

    /// Throws where no order of the operations explains the answers.
    ///
    /// - Returns: whether the history was decided; false where it is too long or too hard.
    func check(_ history: RecordedHistory, at now: TimeSpan) throws(Violation) -> Bool {
        guard history.operations.count <= mostSearched else { return false }
        let checker = LinearizabilityChecker(model: RegisterModel(), limits: limits)
        switch checker.check(history.registerOperations).verdict {
        case .linearizable: return true
        case .unknown: return false
        case .notLinearizable(let contradiction):
            throw Violation(.linearizability, contradiction.description, at: now)
        }
    }
}
