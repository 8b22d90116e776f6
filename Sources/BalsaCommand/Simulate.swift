import BalsaPlatform
import BalsaRaft
import BalsaSimulation
import Glibc

/// `balsa simulate`: runs scenarios and prints what happened. ``PlantedRuns`` compares planted errors with their
/// catalogue.
struct Simulate {
    let files: any FileSystem
    let print: (String) -> Void
    let printError: (String) -> Void

    /// Runs, and returns the exit status.
    func run(arguments: [String]) -> Int32 {
        let parsed: SimulateArguments
        do throws(SimulateArguments.Failure) {
            parsed = try SimulateArguments(arguments)
        } catch {
            printError("balsa simulate: \(error.line)")
            return 2
        }
        if parsed.wantsHelp {
            print(SimulateArguments.help)
            return 0
        }
        if parsed.breakName == "help" {
            for error in PlantedBugs.catalogue { print(error.name) }
            return 0
        }
        if parsed.wantsInvariants {
            for invariant in Invariant.allCases { print(invariant.word) }
            return 0
        }
        do {
            if let planted = parsed.planted { return try compare(planted, parsed) }
            return try runAll(parsed)
        } catch let error as FileError {
            printError("balsa simulate: \(error)")
        } catch let error as SimulateArguments.Failure {
            printError("balsa simulate: \(error.line)")
        } catch let error as ScenarioError {
            printError("balsa simulate: \(parsed.scenarioFile ?? "scenario"): \(error)")
        } catch {
            printError("balsa simulate: \(error)")
        }
        return 2
    }

    /// Runs the planted errors against their catalogue.
    private func compare(_ planted: SimulateArguments.Planted, _ arguments: SimulateArguments) throws -> Int32 {
        let errors = PlantedBugs.catalogue.filter { arguments.breakName ?? $0.name == $0.name }
        let planter = PlantedRuns(runs: ParallelRuns(threads: threads(arguments)), print: print)
        switch planted {
        case .table:
            print(String(PlantedBugs.table.dropLast()))
            return 0
        case .replay:
            if let path = arguments.recordFile { try recordScenarios(of: errors, path) }
            return try planter.replay(errors, PlantedRecord.all)
        case .rates:
            let tried = errors.map { error in
                var error = error
                if arguments.hasMembers { error.setting.members = arguments.members }
                if arguments.hasDuration { error.setting.duration = arguments.duration }
                return error
            }
            try check(tried, arguments.seeds)
            let (status, records) = try planter.rates(tried, arguments.seeds, untilEnough: arguments.untilEnough)
            guard let path = arguments.recordsFile else { return status }
            // In the order of the catalogue; what was not measured stays as it is.
            let kept = PlantedRecord.all.filter { record in !errors.contains { $0.name == record.name } }
            let all = PlantedBugs.catalogue.flatMap { error in (records + kept).filter { $0.name == error.name } }
            try write(PlantedRuns.source(all), to: path)
            let missing = errors.flatMap { error in
                error.invariants.filter { invariant in
                    !records.contains { $0.name == error.name && $0.invariant == invariant }
                }.map { "\(error.name) \($0.word)" }
            }
            guard missing.isEmpty else {
                printError("balsa simulate: found too rarely to be recorded: \(missing.joined(separator: ", "))")
                return 1
            }
            if status != 0 {
                printError("balsa simulate: lines with WRONG fell below what was recorded before")
            }
            return status
        }
    }

    /// Writes the scenarios of the recorded seeds of a planted error: one as `path`, several with their seeds behind
    /// it.
    private func recordScenarios(of errors: [PlantedBug], _ path: String) throws {
        for error in errors {
            let seeds = Set(error.records.map(\.seed)).sorted()
            for seed in seeds {
                try write(error.scenario(seed: seed).text, to: seeds.count == 1 ? path : "\(path).\(seed)")
            }
        }
    }

    /// Refuses runs that a planted error cannot have, such as a majority without a member where there are but two.
    private func check(_ errors: [PlantedBug], _ seeds: ClosedRange<UInt64>) throws(SimulateArguments.Failure) {
        for error in errors {
            do throws(ScenarioError) { try error.scenario(seed: seeds.lowerBound).validate() } catch {
                throw SimulateArguments.Failure(line: "\(error)")
            }
        }
    }

    private func threads(_ arguments: SimulateArguments) -> Int {
        arguments.traceFile == nil ? arguments.jobs ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) : 1
    }

    private func runAll(_ arguments: SimulateArguments) throws -> Int32 {
        let outputs = [arguments.historyFile, arguments.traceFile, arguments.recordFile, arguments.shrinkFile]
        for path in outputs.compactMap({ $0 }) {
            for seed in [arguments.seeds.lowerBound, arguments.seeds.upperBound] {
                try OutputFile.check(name(path, seed, arguments), files)
            }
        }
        let bugs = arguments.breakName.flatMap { PlantedBugs(name: $0) } ?? []
        let enforced = arguments.only.map { InvariantSet($0) } ?? .all
        let clock = MonotonicClock()
        let start = clock.nanoseconds()
        var summary = SimulationSummary()
        var scenario: @Sendable (UInt64) -> Scenario = { number in
            Scenario(
                seed: arguments.seeds.lowerBound + number,
                members: arguments.members,
                duration: arguments.duration
            )
        }
        if let path = arguments.scenarioFile {
            let read = try Scenario(text: try read(path))
            scenario = { _ in read }
        } else if let puts = arguments.catchUp {
            scenario = { _ in Scenario.catchUp(puts: puts) }
        }
        let last = arguments.seeds.upperBound - arguments.seeds.lowerBound
        if arguments.traceFile != nil {
            for number in 0...last {
                let simulation = Simulation(scenario(number), bugs: bugs, enforced: enforced)
                guard try take(try trace(simulation, arguments), of: simulation, arguments, &summary) else { break }
            }
        } else {
            try ParallelRuns(threads: last == 0 ? 1 : threads(arguments)).run(last: last) { [scenario] number in
                Simulation(scenario(number), bugs: bugs, enforced: enforced).run()
            } take: { number, report in
                let simulation = Simulation(scenario(number), bugs: bugs, enforced: enforced)
                return try take(report, of: simulation, arguments, &summary)
            }
        }
        if !bugs.isEmpty, summary.failed > 0, UInt64(summary.runs) <= last {
            let count = last == .max ? "18446744073709551616" : "\(last + 1)"
            let place = "after \(summary.runs) of \(count) seeds"
            print("stopped at the first seed that failed, \(place): an error is planted")
        }
        for line in summary.lines(nanoseconds: clock.nanoseconds() - start) { print(line) }
        let complaints = summary.complaints(
            requiresCounters: arguments.requiresCounters,
            mostUndecided: arguments.mostUndecided
        )
        for line in complaints { print("FAILED \(line)") }
        return summary.failed == 0 && complaints.isEmpty ? 0 : 1
    }

    private func trace(_ simulation: Simulation, _ arguments: SimulateArguments) throws -> RunReport {
        guard let path = arguments.traceFile else { return simulation.run() }
        let output = try LineFile(path: name(path, simulation.scenario.seed, arguments), files: files)
        let report = simulation.run { output.write($0) }
        try output.finish()
        return report
    }

    /// The file of one run: with its seed, where there are several.
    private func name(_ path: String, _ seed: UInt64, _ arguments: SimulateArguments) -> String {
        arguments.seeds.lowerBound == arguments.seeds.upperBound ? path : "\(path).\(seed)"
    }

    /// Writes and prints what is known of a run.
    ///
    /// - Returns: whether there is to be another one: with an error planted, one run that finds it is all that is asked
    ///   for.
    private func take(
        _ report: RunReport,
        of simulation: Simulation,
        _ arguments: SimulateArguments,
        _ summary: inout SimulationSummary
    ) throws -> Bool {
        let scenario = simulation.scenario
        if let path = arguments.recordFile { try write(scenario.text, to: name(path, scenario.seed, arguments)) }
        if let path = arguments.historyFile {
            try write(report.history.encoded(), to: name(path, scenario.seed, arguments))
        }
        summary.add(report)
        for line in SimulationSummary.lines(report) { print(line) }
        for violation in report.unenforced { print("not enforced: \(violation)") }
        guard let violation = report.violation else { return true }
        print("FAILED \(violation)")
        print("replay: \(replay(scenario, arguments))")
        if let path = arguments.shrinkFile {
            let shrinker = Shrinker(
                scenario,
                bugs: simulation.bugs,
                enforced: simulation.enforced,
                invariant: violation.invariant
            )
            let shrunk = shrinker.shrink { printError($0) }
            let file = name(path, scenario.seed, arguments)
            try write(shrunk.text, to: file)
            print(
                "shrunk to \(shrunk.faults.count) faults in \(shrunk.duration): "
                    + "swift run -c release balsa simulate --scenario \(file)\(checking(arguments))"
            )
        }
        return simulation.bugs.isEmpty
    }

    private func replay(_ scenario: Scenario, _ arguments: SimulateArguments) -> String {
        let what: String
        if let path = arguments.scenarioFile {
            what = "--scenario \(path)"
        } else if let puts = arguments.catchUp {
            what = "--catch-up \(puts)"
        } else {
            let milliseconds = arguments.duration.nanoseconds / 1_000_000
            what = "--seed \(scenario.seed) --members \(scenario.members) --duration \(milliseconds)ms"
        }
        return "swift run -c release balsa simulate \(what)\(checking(arguments))"
    }

    /// The options that say what is planted and what is enforced.
    private func checking(_ arguments: SimulateArguments) -> String {
        (arguments.breakName.map { " --break \($0)" } ?? "")
            + (arguments.only.map { " --only \($0.map(\.word).joined(separator: ","))" } ?? "")
    }

    private func read(_ path: String) throws -> String {
        let file = try files.open(path, .read)
        defer { file.close() }
        let size = try file.size()
        guard size <= 64 << 20 else {
            throw SimulateArguments.Failure(line: "\(path) has \(size) bytes; a scenario has at most \(64 << 20)")
        }
        return String(try file.read(Int(size), at: 0))
    }

    private func write(_ text: String, to path: String) throws { try write(Bytes(text), to: path) }

    private func write(_ bytes: Bytes, to path: String) throws {
        let file = try OutputFile.open(path, files)
        defer { file.close() }
        try file.write(bytes, at: 0)
    }
}

/// A file that lines are written to, gathered into large writes.
private final class LineFile {
    private let file: any File
    private var pending: [UInt8] = []
    private var offset: UInt64 = 0
    private var failure: FileError?

    init(path: String, files: any FileSystem) throws(FileError) {
        file = try OutputFile.open(path, files)
    }

    func write(_ line: String) {
        pending.append(contentsOf: line.utf8)
        pending.append(UInt8(ascii: "\n"))
        if pending.count >= 1 << 20 { flush() }
    }

    private func flush() {
        guard failure == nil, !pending.isEmpty else { return }
        do throws(FileError) {
            try file.write(Bytes(pending), at: offset)
            offset += UInt64(pending.count)
        } catch {
            failure = error
        }
        pending.removeAll(keepingCapacity: true)
    }

    /// Writes the rest. Throws what went wrong on the way.
    func finish() throws(FileError) {
        flush()
        file.close()
        if let failure { throw failure }
    }
}
