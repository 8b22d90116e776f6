import BalsaRaft

/// Looks for a small scenario that fails in the same way as a large one.
///
/// It leaves out faults, in halves first and one by one in the end (delta debugging, Zeller 1999), then shortens the run
/// and takes away clients, as long as the same invariant breaks. What it returns is smaller, not smallest.
public struct Shrinker {
    private var scenario: Scenario
    private let bugs: PlantedBugs
    private let invariant: Invariant

    /// - Parameters:
    ///   - scenario: one that fails.
    ///   - bugs: the errors with which it fails.
    ///   - invariant: what it violates.
    public init(_ scenario: Scenario, bugs: PlantedBugs, invariant: Invariant) {
        self.scenario = scenario
        self.bugs = bugs
        self.invariant = invariant
    }

    /// Shrinks the scenario.
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

    private func failure(of candidate: Scenario) -> Violation? {
        let violation = Simulation(candidate, bugs: bugs).run().violation
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
