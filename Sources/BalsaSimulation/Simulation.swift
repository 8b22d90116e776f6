import BalsaPlatform
import BalsaRaft

/// Runs a group of members in a simulated world and judges what happens.
///
/// ```swift
/// let scenario = Scenario(seed: 42, members: 3, duration: .seconds(60))
/// let report = Simulation(scenario).run()
/// if let violation = report.violation { … }
/// ```
///
/// A run is a function of its scenario: it uses no clock, no threads and no randomness of the machine that it runs on, so
/// that every run can be repeated, elsewhere and later, event by event.
public struct Simulation {
    /// What is run.
    public let scenario: Scenario
    /// The errors that are planted in the members.
    public let bugs: PlantedBugs
    /// The invariants whose violation ends the run. One that is not among them is still checked, but for
    /// linearizability, whose search is left out: a violation is noted in ``RunReport/unenforced``, and the run goes
    /// on. What a checker would have noted behind such a violation is missing from its state, so that it may find more
    /// later that follows from that alone. No other checker is affected, unless it reads the same state:
    /// ``Invariant/equalReplies``, ``Invariant/exactlyOnce``, ``Invariant/stateMachineSafety`` and
    /// ``Invariant/certificate`` share the log as it was applied.
    public var enforced = InvariantSet.all
    /// How much the search for a linearization may cost.
    public var limits = LinearizabilityLimits(steps: 2_000_000, configurations: 200_000)

    /// Histories of more operations are not searched; the certificate decides them.
    public var mostSearched = 200_000

    /// A run of `scenario`, which must be one that ``Scenario/validate()`` accepts. Any other one is a programming
    /// error that stops the process: validate a scenario that comes from elsewhere.
    public init(_ scenario: Scenario, bugs: PlantedBugs = [], enforced: InvariantSet = .all) {
        do throws(ScenarioError) {
            try scenario.validate()
        } catch {
            preconditionFailure("the scenario cannot be run: \(error)")
        }
        self.scenario = scenario.withCore
        self.bugs = bugs
        self.enforced = enforced
    }

    /// Runs to the end, or to the first violation of an enforced invariant.
    ///
    /// - Parameter trace: is given a line of text for each event, if it is given. Reading along changes nothing.
    public func run(trace: ((String) -> Void)? = nil) -> RunReport {
        let world = World(scenario, bugs: bugs, traceLine: trace)
        world.enforced = enforced
        world.run()
        world.countRunning()
        var report = RunReport(seed: scenario.seed)
        judgeHistory(world, &report)
        report.violation = world.violation
        report.unenforced = world.unenforced
        report.traceHash = world.trace.value
        report.events = world.trace.count
        report.simulated = world.now
        report.counters.add(world.counters)
        report.counters.repliesRepeated += world.judges.requests.repeated
        report.counters.sessionsExpired += world.judges.requests.expired
        report.counters.requestsTooOld += world.judges.requests.tooOld
        report.counters.windowsExceeded += world.judges.requests.beyondWindow
        report.counters.optionsChanged += world.judges.requests.optionsChanged
        report.counters.optionConflicts += world.judges.requests.optionConflicts
        report.history = world.history
        return report
    }

    /// Judges what the clients saw: by the log, and by search.
    private func judgeHistory(_ world: World, _ report: inout RunReport) {
        world.judge {
            try Certificate(calls: world.calls, ledger: world.judges.requests).check(at: world.now)
        }
        guard world.violation == nil, enforced.contains(.linearizability) else { return }
        world.judge {
            let check = RegisterHistoryCheck(limits: limits, mostSearched: mostSearched)
            if try !check.check(world.history, at: world.now) { report.counters.undecided = 1 }
        }
    }
}
