import BalsaPlatform
import BalsaRaft
import BalsaSimulation

/// `balsa simulate`: runs scenarios and prints what happened.
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
            for (name, _) in PlantedBugs.names { print(name) }
            return 0
        }
        do {
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

    private func runAll(_ arguments: SimulateArguments) throws -> Int32 {
        let outputs = [arguments.historyFile, arguments.traceFile, arguments.recordFile, arguments.shrinkFile]
        for path in outputs.compactMap({ $0 }) { try OutputFile.check(path, files) }
        let bugs = arguments.breakName.flatMap { PlantedBugs(name: $0) } ?? []
        let clock = MonotonicClock()
        let start = clock.nanoseconds()
        var summary = SimulationSummary()
        if let path = arguments.scenarioFile {
            let scenario = try Scenario(text: try read(path))
            try run(scenario, bugs, arguments, &summary)
        } else if let puts = arguments.catchUp {
            try run(Scenario.catchUp(puts: puts), bugs, arguments, &summary)
        } else {
            for seed in arguments.seeds {
                let scenario = Scenario(seed: seed, members: arguments.members, duration: arguments.duration)
                try run(scenario, bugs, arguments, &summary)
                // With an error planted, one run that finds it is all that is asked for.
                if summary.failed > 0, !bugs.isEmpty { break }
            }
        }
        for line in summary.lines(nanoseconds: clock.nanoseconds() - start) { print(line) }
        return summary.failed == 0 ? 0 : 1
    }

    private func run(
        _ scenario: Scenario,
        _ bugs: PlantedBugs,
        _ arguments: SimulateArguments,
        _ summary: inout SimulationSummary
    ) throws {
        if let path = arguments.recordFile { try write(scenario.text, to: path) }
        let output = try arguments.traceFile.map { try LineFile(path: $0, files: files) }
        let report = Simulation(scenario, bugs: bugs).run(trace: output.map { file in { file.write($0) } })
        try output?.finish()
        if let path = arguments.historyFile { try write(report.history.encoded(), to: path) }
        summary.add(report)
        print(SimulationSummary.line(report))
        guard let violation = report.violation else { return }
        print("FAILED \(violation)")
        print("replay: \(replay(scenario, arguments))")
        guard let path = arguments.shrinkFile else { return }
        let shrunk = Shrinker(scenario, bugs: bugs, invariant: violation.invariant).shrink { printError($0) }
        try write(shrunk.text, to: path)
        print(
            "shrunk to \(shrunk.faults.count) faults in \(shrunk.duration): balsa simulate --scenario \(path)"
                + (arguments.breakName.map { " --break \($0)" } ?? "")
        )
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
        return "swift run -c release balsa simulate \(what)" + (arguments.breakName.map { " --break \($0)" } ?? "")
    }

    private func read(_ path: String) throws -> String {
        let file = try files.open(path, .read)
        defer { file.close() }
        let size = try file.size()
        guard size <= 64 << 20 else { throw SimulateArguments.Failure(line: "\(path) is too large for a scenario") }
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
