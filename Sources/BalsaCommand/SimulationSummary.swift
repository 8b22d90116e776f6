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

    /// A run in lines that fit a terminal of 80 columns: the first one has its verdict and its hash.
    static func lines(_ report: RunReport) -> [String] {
        let counters = report.counters
        let hash = String(report.traceHash, radix: 16)
        let faults = Fault.Kind.allCases.filter { counters[$0] > 0 }.map { "\($0.rawValue)=\(counters[$0])" }
        let first =
            "seed \(report.seed) \(report.passed ? "ok" : "FAILED") operations \(counters.acknowledged) events "
            + "\(report.events) hash " + String(repeating: "0", count: 16 - hash.utf8.count) + hash
        let counts = [
            "\(counters.refused) refused,", "\(counters.unknown) unknown,", "\(counters.electionsWon) elections won,",
            "\(counters.electionsLost) lost",
        ]
        return [first] + wrapped("", counts) + wrapped("faults", faults.isEmpty ? ["none"] : faults)
    }

    /// Words in lines of at most 80 columns that begin with two spaces, the first one after a title. A word that is
    /// longer by itself has its own line.
    static func wrapped(_ title: String, _ words: [String]) -> [String] {
        var lines: [String] = []
        var line = title.isEmpty ? " " : "  " + title
        for word in words {
            if line.count + 1 + word.count > maxColumns, line.contains(where: { $0 != " " }) {
                lines.append(line)
                line = "   "
            }
            line += " " + word
        }
        return lines + [line]
    }

    private static let maxColumns = 80

    /// The summary.
    func lines(nanoseconds: UInt64) -> [String] {
        let seconds = Double(max(nanoseconds, 1)) / 1e9
        var lines = [
            "summary: \(runs) runs, \(failed) failed",
            "  \(rounded(Double(runs) / seconds * 60)) seeds a minute",
            "  \(rounded(Double(events) / seconds)) events a second, "
                + "\(rounded(Double(simulated.nanoseconds) / 1e9 / seconds)) simulated seconds a second",
            "  operations: \(counters.acknowledged) acknowledged, \(counters.refused) refused, "
                + "\(counters.unknown) unknown",
            "  fewest acknowledged in a run: \(runs == 0 ? 0 : fewestAcknowledged)",
        ]
        lines += SimulationSummary.wrapped("counted:", counters.all.map { "\($0.name)=\($0.count)" })
        lines.append("  histories undecided by search, certified by the log: \(counters.undecided)")
        if runs >= 100, !missing.isEmpty { lines += SimulationSummary.wrapped("never happened:", missing) }
        for failure in failures.prefix(20) { lines.append("  failed: seed \(failure.seed), \(failure.invariant)") }
        return lines
    }

    /// What happens in one run of a hundred, so that no few runs are asked for it: exchanged files are nearly always
    /// noticed. ExchangedFilesTests goes through those that leave a member intact.
    private static let rare = ["files-intact"]

    /// What never happened in any run.
    private var missing: [String] { counters.all.filter { $0.count == 0 }.map { $0.name } }

    /// What is asked of all runs together and does not hold, in lines.
    func complaints(requiresCounters: Bool, mostUndecided: Int?) -> [String] {
        var lines: [String] = []
        if runs > 0, failed == 0, counters.acknowledged == 0 {
            lines.append("operations: none was acknowledged in any run, so that nothing was checked")
        }
        let missing = missing.filter { !SimulationSummary.rare.contains($0) }
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
