import BalsaRaft
import BalsaSimulation

/// What several runs amount to, in lines for a reader.
struct SimulationSummary {
    private(set) var runs = 0
    private(set) var failed = 0
    private var events: UInt64 = 0
    private var simulated = TimeSpan.zero
    private var counters = RunCounters()
    private var fewestAcknowledged = Int.max
    private var failures: [(invariant: String, seed: UInt64)] = []

    mutating func add(_ report: RunReport) {
        runs += 1
        events += report.events
        simulated = simulated + report.simulated
        counters.add(report.counters)
        fewestAcknowledged = min(fewestAcknowledged, report.counters.acknowledged)
        if let violation = report.violation {
            failed += 1
            failures.append((violation.invariant.rawValue, report.seed))
        }
    }

    /// A run in a line.
    static func line(_ report: RunReport) -> String {
        let counters = report.counters
        let hash = String(report.traceHash, radix: 16)
        let faults = Fault.Kind.allCases.filter { counters[$0] > 0 }.map { "\($0.rawValue)=\(counters[$0])" }
        return "seed \(report.seed) \(report.passed ? "ok" : "FAILED")"
            + " operations \(counters.acknowledged) acknowledged \(counters.refused) refused \(counters.unknown) unknown"
            + " faults \(faults.isEmpty ? "none" : faults.joined(separator: ","))"
            + " elections \(counters.electionsWon) won \(counters.electionsLost) lost"
            + " events \(report.events) hash " + String(repeating: "0", count: 16 - hash.utf8.count) + hash
    }

    /// The summary.
    func lines(nanoseconds: UInt64) -> [String] {
        let seconds = Double(max(nanoseconds, 1)) / 1e9
        let counts = counters.all.map { "\($0.name)=\($0.count)" }.joined(separator: " ")
        var lines = [
            "summary: \(runs) runs, \(failed) failed",
            "  \(rounded(Double(runs) / seconds * 60)) seeds a minute, \(rounded(Double(events) / seconds)) events and "
                + "\(rounded(Double(simulated.nanoseconds) / 1e9 / seconds)) simulated seconds a wall second",
            "  operations: \(counters.acknowledged) acknowledged, \(counters.refused) refused, "
                + "\(counters.unknown) unknown; fewest acknowledged in a run: \(runs == 0 ? 0 : fewestAcknowledged)",
            "  counted: \(counts)",
            "  histories undecided by search, certified by the log: \(counters.undecided)",
        ]
        if runs >= 100, !missing.isEmpty { lines.append("  never happened: \(missing.joined(separator: ", "))") }
        for failure in failures.prefix(20) { lines.append("  failed: seed \(failure.seed), \(failure.invariant)") }
        return lines
    }

    /// What never happened in any run.
    private var missing: [String] { counters.all.filter { $0.count == 0 }.map { $0.name } }

    /// What is asked of all runs together and does not hold, in lines.
    func complaints(requiresCounters: Bool, mostUndecided: Int?) -> [String] {
        var lines: [String] = []
        if runs > 0, failed == 0, counters.acknowledged == 0 {
            lines.append("operations: none was acknowledged in any run, so that nothing was checked")
        }
        if requiresCounters, !missing.isEmpty {
            lines.append("counters: never happened: \(missing.joined(separator: ", "))")
        }
        if let mostUndecided, counters.undecided > mostUndecided {
            lines.append("searches: \(counters.undecided) undecided, at most \(mostUndecided) allowed")
        }
        return lines
    }

    private func rounded(_ value: Double) -> String { String(Int(value.rounded())) }
}
