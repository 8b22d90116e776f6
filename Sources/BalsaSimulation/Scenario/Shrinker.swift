import BalsaRaft

/// Looks for a small scenario that fails in the same way as a large one.
///
/// It leaves out faults, in halves first and one by one in the end (delta debugging, Zeller 1999), then shortens the run
/// and takes away clients, as long as the same invariant breaks. What it returns is smaller, not smallest. It tries a
/// bounded number of runs, and draws nothing, so that the same scenario always gives the same result.
public struct Shrinker {
    /// How many runs are tried at most.
    public static let mostRuns = 2000

    private var scenario: Scenario
    private let invariant: Invariant
    private let run: (Scenario) -> Violation?
    private let mostRuns: Int
    private var runs = 0

    /// - Parameters:
    ///   - scenario: one that fails.
    ///   - bugs: the errors with which it fails.
    ///   - enforced: the invariants that were enforced.
    ///   - invariant: what it violates.
    public init(_ scenario: Scenario, bugs: PlantedBugs, enforced: InvariantSet = .all, invariant: Invariant) {
        self.init(scenario, invariant: invariant) { candidate in
            Simulation(candidate, bugs: bugs, enforced: enforced).run().violation
        }
    }

    /// - Parameter run: says what a scenario violates.
    init(
        _ scenario: Scenario,
        invariant: Invariant,
        mostRuns: Int = Shrinker.mostRuns,
        run: @escaping (Scenario) -> Violation?
    ) {
        self.scenario = scenario
        self.invariant = invariant
        self.mostRuns = mostRuns
        self.run = run
    }

    /// Shrinks the scenario. One that does not fail in that way is returned as it is.
    ///
    /// - Parameter progress: is told in a line what has been reached.
    public func shrink(progress: (String) -> Void = { _ in }) -> Scenario {
        var copy = self
        copy.shortenToFailure()
        copy.removeFaults(progress)
        copy.shortenToFailure()
        copy.removeClients()
        copy.removeFaults(progress)
        copy.shortenToFailure()
        return copy.scenario
    }

    /// How a candidate fails; nil where it does not fail in the same way, or where the runs are used up.
    private mutating func failure(of candidate: Scenario) -> Violation? {
        guard runs < mostRuns else { return nil }
        runs += 1
        let violation = run(candidate)
        return violation?.invariant == invariant ? violation : nil
    }

    private mutating func take(_ candidate: Scenario) -> Bool {
        guard failure(of: candidate) != nil else { return false }
        scenario = candidate
        return true
    }

    /// Ends the run soon after the failure. A liveness failure needs its time, and keeps it.
    private mutating func shortenToFailure() {
        guard invariant != .liveness, let failure = failure(of: scenario), failure.at < scenario.duration else {
            return
        }
        var candidate = scenario
        candidate.duration = failure.at + .milliseconds(1)
        candidate.faults.removeAll { $0.at > failure.at }
        _ = take(candidate)
    }

    private mutating func removeFaults(_ progress: (String) -> Void) {
        var size = max(1, scenario.faults.count / 2)
        while true {
            var start = 0
            while start < scenario.faults.count {
                var candidate = scenario
                candidate.faults.removeSubrange(start..<min(start + size, scenario.faults.count))
                if !take(candidate) { start += size }
            }
            progress("\(scenario.faults.count) faults left, \(scenario.duration)")
            guard size > 1 else { return }
            size /= 2
        }
    }

    private mutating func removeClients() {
        while scenario.clients > 1 {
            var candidate = scenario
            candidate.clients -= 1
            guard take(candidate) else { return }
        }
    }
}
