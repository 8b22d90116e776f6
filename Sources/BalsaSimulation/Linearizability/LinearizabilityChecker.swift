/// Decides whether a concurrent history could have come from an object that does one operation at a time.
///
/// The search is that of Wing and Gong (1993) with the memory of Lowe (2017): operations are put in order one by one,
/// and a combination of *which operations are in order* and *the state they lead to* is never explored twice. The
/// question is NP-complete; time grows about linearly with the length of a history and exponentially with how many
/// operations are open at once, of which those of unknown outcome never end.
///
/// The history is cut into one part a key, and all parts are searched in turns of growing length. So a contradiction in
/// one key is found although another key would take for ever, and the first one ends the check. Work is measured in
/// steps of the model and not in seconds, which makes the verdict the same on every machine.
///
/// ```swift
/// let report = LinearizabilityChecker(model: RegisterModel()).check(operations)
/// ```
public struct LinearizabilityChecker<Model: SequentialModel>: Sendable {
    /// The specification.
    public let model: Model
    /// The limits of the search.
    public let limits: LinearizabilityLimits

    /// A checker for histories of objects that behave as `model`.
    public init(model: Model, limits: LinearizabilityLimits = LinearizabilityLimits()) {
        self.model = model
        self.limits = limits
    }

    /// Checks a history, whose operations may be in any order.
    public func check(_ operations: [HistoryOperation<Model>]) -> LinearizabilityReport<Model> {
        var searches = parts(of: operations)
        var (steps, configurations) = (0, 0)
        var slice = 4_096
        while !searches.isEmpty {
            var unfinished: [LinearizationSearch<Model>] = []
            for index in searches.indices {
                let before = (steps: searches[index].steps, configurations: searches[index].configurations)
                let outcome = searches[index].run(
                    steps: min(slice, limits.steps - steps),
                    remembering: limits.configurations - configurations + before.configurations
                )
                steps += searches[index].steps - before.steps
                configurations += searches[index].configurations - before.configurations
                switch outcome {
                case .linearizable:
                    configurations -= searches[index].configurations
                case .contradiction(let contradiction):
                    return LinearizabilityReport(verdict: .notLinearizable(contradiction), steps: steps)
                case nil:
                    unfinished.append(searches[index])
                }
            }
            guard unfinished.isEmpty || steps < limits.steps else {
                return LinearizabilityReport(verdict: .unknown, steps: steps)
            }
            searches = unfinished
            slice *= 4
        }
        return LinearizabilityReport(verdict: .linearizable, steps: steps)
    }

    /// A search for each key, those with the fewest operations first.
    private func parts(of operations: [HistoryOperation<Model>]) -> [LinearizationSearch<Model>] {
        let order = operations.indices.sorted { left, right in
            let (a, b) = (operations[left], operations[right])
            return a.key == b.key ? (a.called, left) < (b.called, right) : a.key < b.key
        }
        var parts: [[HistoryOperation<Model>]] = []
        for index in order {
            if let last = parts.last, last[0].key == operations[index].key {
                parts[parts.count - 1].append(operations[index])
            } else {
                parts.append([operations[index]])
            }
        }
        for index in parts.indices { model.removeIrrelevant(from: &parts[index]) }
        // The parts are in the order of their keys, which settles ties, since no sort promises to keep them.
        let cheapestFirst = parts.indices.sorted { (parts[$0].count, $0) < (parts[$1].count, $1) }
        return cheapestFirst.compactMap { index in
            parts[index].isEmpty ? nil : LinearizationSearch(model: model, operations: parts[index])
        }
    }
}

/// How much a check may cost.
public struct LinearizabilityLimits: Sendable {
    /// How many steps of the model may be tried, over all keys, before the verdict is *unknown*.
    public var steps: Int
    /// How many configurations may be remembered, over all keys. When they are used up the search goes on without
    /// remembering more, slower but as exact.
    public var configurations: Int

    /// The given limits.
    ///
    /// - Precondition: neither is negative.
    public init(steps: Int = 50_000_000, configurations: Int = 4_000_000) {
        precondition(steps >= 0 && configurations >= 0, "a limit cannot be negative")
        self.steps = steps
        self.configurations = configurations
    }
}
