import BalsaPlatform

// The search keeps a partial order that is consistent so far, extends it by an operation that may come next, and takes
// the last choice back where nothing can. What may come next are the operations called before the first return of one
// that is not yet in the order. Success is when every *answered* operation has its place; those of unknown outcome need
// none.
//
// Five rules cut branches without changing the verdict. Let a shortest order be one with as few unknown operations as
// possible; if there is any order there is a shortest one.
//
// 1. An answered operation that may come next and that, with its answer, can never change a state comes next. Whatever
//    order completes the present one, moving that operation to its front changes nothing for the others, so there is no
//    alternative to try. That it leaves the *present* state as it is would not be enough: a deletion of nothing, put in
//    now, would be missing later when there is something to delete.
// 2. An unknown operation that leaves the state as it is is never put in: without it the order is shorter.
// 3. An unknown operation whose effect the very next operation wipes out is not put in, for the same reason.
// 4. Of unknown operations with equal inputs the one called first is put in first: exchanging two keeps an order valid.
// 5. A configuration is not explored if one was that has the same answered operations and the same state and used fewer
//    unknown operations, all of them among those used here, or the same ones.
//
// Rules 2 and 3 hold for every shortest order. Rule 4 picks one of those that differ by exchanges, and rule 1 moves
// operations in it, which breaks neither. Along such an order rule 5 cuts nothing either: fewer unknown operations
// would make it no shortest one, and whoever met the same configuration first would have found the same completion.

/// The search for an order of the operations of one key. It can be paused and continued.
struct LinearizationSearch<Model: SequentialModel> {
    /// How a search ends.
    enum Outcome {
        case linearizable
        case contradiction(Contradiction<Model>)
    }

    private struct Choice {
        let operation: Int
        let stateBefore: Model.State
        /// Whether rule 1 left no alternative.
        let isForced: Bool
    }

    /// What is being looked for from a configuration, one after the other. Unknown operations come last because few of
    /// them are ever needed, while all of them can be tried everywhere.
    private enum Phase {
        case settling
        case choosingAnswered
        case choosingUnknown
    }

    /// What the search does about an operation.
    private enum Role {
        /// It returned and never changes a state; rule 1.
        case passive
        case answered
        case unknown
    }

    private let model: Model
    /// The operations as they were recorded, for the report.
    private let recorded: [HistoryOperation<Model>]
    /// The operations in the order of their calls, simplified one for one.
    private let operations: [HistoryOperation<Model>]
    private let roles: [Role]
    private let answeredTotal: Int
    /// For each operation of unknown outcome, the last one before it with the same input, if any; rule 4.
    private let earlierTwin: [Int?]

    private var events: EventList
    private var linearized: LinearizedSet
    private var seen = ConfigurationTable<Model.State>()
    private var state: Model.State
    private var choices: [Choice] = []
    private var longest: LongestOrder<Model.State>
    /// The node that is looked at next.
    private var cursor: Int
    private var phase = Phase.settling

    /// How many steps of the model were tried.
    private(set) var steps = 0

    /// How many configurations are remembered.
    var configurations: Int { seen.count }

    /// A search over operations of one key, in the order of their calls.
    init(model: Model, operations recorded: [HistoryOperation<Model>]) {
        var operations = recorded
        model.simplify(&operations)
        precondition(operations.count == recorded.count, "operations are simplified one for one")
        self.model = model
        self.recorded = recorded
        self.operations = operations
        roles = operations.map { operation in
            if operation.returned == nil { return .unknown }
            return model.leavesStateAlone(operation.input, operation.output) ? .passive : .answered
        }
        let isAnswered = roles.map { $0 != .unknown }
        answeredTotal = isAnswered.count { $0 }
        earlierTwin = LinearizationSearch.twins(in: operations)
        events = EventList(times: operations.map { ($0.called, $0.returned) })
        linearized = LinearizedSet(isAnswered: isAnswered)
        state = model.initialState
        longest = LongestOrder(state: model.initialState)
        cursor = events.first
    }

    /// Searches on for at most `allowance` steps.
    ///
    /// - Parameter capacity: how many configurations may be remembered.
    /// - Returns: nil where the question is not decided yet.
    mutating func run(steps allowance: Int, remembering capacity: Int) -> Outcome? {
        let end = steps + allowance
        while linearized.answeredCount < answeredTotal {
            switch events.event(at: cursor) {
            case .call(let operation):
                // Steps are taken here only, and the cursor has not moved yet, so that a pause loses nothing.
                guard steps < end else { return nil }
                switch (phase, roles[operation]) {
                case (.settling, .passive): settle(operation)
                case (.choosingAnswered, .answered), (.choosingUnknown, .unknown): choose(operation)
                default: cursor = events.node(after: cursor)
                }
            case .return, .end:
                guard finishPhase(remembering: capacity) || takeBack() else {
                    return .contradiction(contradiction())
                }
            }
        }
        return .linearizable
    }

    /// Goes on to the next phase, having looked at everything that may come next.
    ///
    /// - Returns: false where there is none, or where the configuration is known to lead nowhere.
    private mutating func finishPhase(remembering capacity: Int) -> Bool {
        cursor = events.first
        switch phase {
        case .settling:
            phase = .choosingAnswered
            let hash = linearized.answeredHash ^ RandomSource.mix(model.digest(of: state))
            // Long chains are work as well: so many comparisons weigh as much as a step.
            let before = seen.comparisons / comparisonsPerStep
            let isNew = seen.insert(linearized, state, hash: hash, capacity: capacity)
            steps += seen.comparisons / comparisonsPerStep - before
            return isNew
        case .choosingAnswered:
            phase = .choosingUnknown
            return true
        case .choosingUnknown:
            noteOrder()
            return false
        }
    }

    /// Puts a passive operation in order if it is possible (rule 1).
    private mutating func settle(_ operation: Int) {
        steps += 1
        if model.step(state, operations[operation].input, operations[operation].output) != nil {
            extend(by: operation, to: state, isForced: true)
        }
        // Operations before this one need no second look, because the state is the same.
        cursor = events.node(after: cursor)
    }

    /// Puts an operation in order if it may come next and no rule forbids it.
    private mutating func choose(_ operation: Int) {
        let candidate = operations[operation]
        cursor = events.node(after: cursor)
        if let twin = earlierTwin[operation], !linearized.contains(twin) { return }
        steps += 1
        guard let next = model.step(state, candidate.input, candidate.output) else { return }
        if roles[operation] == .unknown, next == state { return }
        if let last = choices.last, roles[last.operation] == .unknown {
            steps += 1
            if model.step(last.stateBefore, candidate.input, candidate.output) == .some(next) { return }
        }
        extend(by: operation, to: next, isForced: false)
        phase = .settling
        cursor = events.first
    }

    /// Remembers the present order if it is the longest.
    private mutating func noteOrder() {
        guard linearized.answeredCount > longest.answeredCount else { return }
        let unshared = choices[longest.sharedCount...].map(\.operation)
        longest.replace(by: unshared, answeredCount: linearized.answeredCount, state: state)
    }

    private mutating func extend(by operation: Int, to next: Model.State, isForced: Bool) {
        choices.append(Choice(operation: operation, stateBefore: state, isForced: isForced))
        linearized.insert(operation)
        events.lift(operation)
        state = next
    }

    /// Undoes the last choice that had alternatives, and makes the search go on behind it.
    ///
    /// - Returns: false where there is none.
    private mutating func takeBack() -> Bool {
        while let choice = choices.popLast() {
            events.unlift(choice.operation)
            linearized.remove(choice.operation)
            state = choice.stateBefore
            longest.shorten(to: choices.count)
            if !choice.isForced {
                cursor = events.node(after: events.call(of: choice.operation))
                phase = roles[choice.operation] == .unknown ? .choosingUnknown : .choosingAnswered
                return true
            }
        }
        return false
    }

    /// What stands in the way of the longest order that was found.
    private func contradiction() -> Contradiction<Model> {
        var isInOrder = [Bool](repeating: false, count: operations.count)
        for operation in longest.order { isInOrder[operation] = true }
        var missing: [HistoryOperation<Model>] = []
        for (index, operation) in recorded.enumerated() where !isInOrder[index] && roles[index] != .unknown {
            missing.append(operation)
        }
        let firstReturn = missing.lazy.compactMap(\.returned).min() ?? .max
        return Contradiction(
            key: recorded[0].key,
            linearized: longest.order.map { recorded[$0] },
            state: longest.state,
            blocked: missing.filter { $0.called <= firstReturn }
        )
    }

    /// How many comparisons in the memory count as a step.
    private var comparisonsPerStep: Int { 16 }

    /// How far back an equal input is looked for. A bound keeps the preparation linear; a twin that is missed costs
    /// time and nothing else.
    private static var twinDistance: Int { 256 }

    private static func twins(in operations: [HistoryOperation<Model>]) -> [Int?] {
        var result: [Int?] = []
        var unknown: [Int] = []
        for (index, operation) in operations.enumerated() {
            guard operation.returned == nil else {
                result.append(nil)
                continue
            }
            result.append(unknown.suffix(twinDistance).last { operations[$0].input == operation.input })
            unknown.append(index)
        }
        return result
    }
}
