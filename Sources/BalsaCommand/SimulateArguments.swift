import BalsaRaft
import BalsaSimulation

/// What `balsa simulate` was asked.
struct SimulateArguments: Equatable {
    static let help = """
        usage: balsa simulate (--seed N | --seeds A..B | --scenario FILE | --catch-up PUTS) [options]
               balsa simulate --planted (replay | table | rates --seeds A..B) [options]

        Runs a group of members in a simulated world, with clients and faults, one run a seed, and checks what happens.
        Prints a few lines a run and a summary. A run is a function of its seed: it can be repeated, event by event.

          --seed N            run this seed
          --seeds A..B        run the seeds from A to B, both included
          --scenario FILE     run the scenario in this file
          --catch-up PUTS     keep a member down for so many puts, with a log of 16 MiB, and let it come back
          --members N         how many members, 1 to 7 (default 3)
          --duration TIME     how long clients and faults go on, in virtual time: 60s, 500ms (default 60s)
          --jobs N            how many runs at once, 1 to 64 (default: one a processor); the output is the same
          --history FILE      write what the clients asked and were answered, for balsa check-history --model balsa
          --trace FILE        write a line for each event, which makes --jobs 1
          --record FILE       write the scenario
          --break NAME        plant an error in the members, to test the checkers; --break help lists the names.
                              Stops at the first seed that fails
          --only NAME[,NAME]  enforce these invariants alone: a run goes on past a violation of the others;
                              --only help lists the names
          --shrink FILE       when a run fails, look for a small scenario that fails in the same way, and write it
          --require-counters  fail where something that is counted never happened in any of the runs
          --max-undecided N   fail where more than N histories were too hard for the search
          --planted replay    run the recorded seed of each planted error: the invariant that the catalogue names must
                              be violated, and none without the error. With --break, of this error; --record then
                              writes its scenario, for --scenario
          --planted rates     count in how many of 100 to 10000 seeds each planted error is found by its
                              invariant; with --break, of this error; --members and --duration try other runs than
                              those of the catalogue
          --planted table     print the catalogue of planted errors, as Docs/PlantedBugs.md has it
          --until-enough      with --planted rates: go on to the next error as soon as there are as many hits as the
                              catalogue asks for
          --records FILE      with --planted rates: write what was measured as the source of the records
          --help              this text

        With several seeds, the files of --history, --trace, --record and --shrink are one a run: FILE.7 for seed 7.
        With --scenario, the file says how many members there are and how long the run takes.
        The kinds of fault in the lines of a run, with how often each happened; Docs/ScenarioFormat.md says more:

        \(Fault.Kind.allCases.map { faultLine($0) }.joined(separator: "\n"))

        Docs/Invariants.md says what each invariant means, Docs/PlantedBugs.md what each planted error breaks.
        Exit status: 0 when every run passed and all that was asked for holds; 1 when a run failed, when nothing was
        acknowledged in any of them, or when a planted error is not found as the catalogue says; 2 for arguments or files that
        cannot be used.
        """

    private static func faultLine(_ kind: Fault.Kind) -> String {
        "  \(kind.rawValue)\(String(repeating: " ", count: max(1, 22 - kind.rawValue.count)))\(kind.explanation)"
    }

    /// What `--planted` is to do.
    enum Planted: String {
        case replay, rates, table
    }

    var seeds: ClosedRange<UInt64> = 1...1
    var scenarioFile: String?
    var catchUp: UInt64?
    var members: UInt64 = 3
    var duration = TimeSpan.seconds(60)
    var jobs: Int?
    var historyFile: String?
    var traceFile: String?
    var recordFile: String?
    var shrinkFile: String?
    var breakName: String?
    var only: [Invariant]?
    var requiresCounters = false
    var untilEnough = false
    var mostUndecided: Int?
    var planted: Planted?
    var recordsFile: String?
    /// Whether these replace those of the catalogue.
    private(set) var hasMembers = false
    private(set) var hasDuration = false
    var wantsHelp = false
    var wantsInvariants = false

    /// Why arguments cannot be used, in a line.
    struct Failure: Error, Equatable {
        let line: String
    }

    init(_ arguments: [String]) throws(Failure) {
        var rest = arguments[...]
        var given = GivenOptions()
        while let option = rest.popFirst() {
            if option == "--help" || option == "-h" {
                wantsHelp = true
                return
            }
            if let refusal = given.refusal(of: option) { throw Failure(line: refusal) }
            if option == "--require-counters" || option == "--until-enough" {
                if option == "--require-counters" { requiresCounters = true } else { untilEnough = true }
                continue
            }
            guard SimulateArguments.options.contains(option) else {
                throw Failure(line: "unknown argument '\(option)'; --help lists the arguments")
            }
            guard let value = rest.popFirst() else { throw Failure(line: "\(option) needs a value") }
            try take(option, value)
        }
        guard breakName != "help", !wantsInvariants else { return }
        try check(given.names)
        try checkFiles()
    }

    private static let runs = ["--seed", "--seeds", "--scenario", "--catch-up"]

    static let options =
        runs + [
            "--members", "--duration", "--jobs", "--history", "--trace", "--record", "--shrink", "--break", "--only",
            "--max-undecided", "--planted", "--records",
        ]

    /// Which options go with which.
    private mutating func check(_ given: [String]) throws(Failure) {
        let runs = given.filter { SimulateArguments.runs.contains($0) }
        guard runs.count <= 1 else {
            throw Failure(line: "only one of --seed, --seeds, --scenario and --catch-up can be given")
        }
        guard let planted else {
            guard recordsFile == nil, !untilEnough else {
                throw Failure(line: "--records and --until-enough go with --planted rates")
            }
            guard runs.count == 1 else {
                throw Failure(line: "one of --seed, --seeds, --scenario, --catch-up and --planted is needed")
            }
            return
        }
        // The catalogue says how many members, how long, and which invariants.
        let allowed =
            ["--planted", "--jobs", "--break"]
            + (planted == .rates ? ["--seeds", "--records", "--members", "--duration", "--until-enough"] : [])
            + (planted == .replay && breakName != nil ? ["--record"] : [])
        if let other = given.first(where: { !allowed.contains($0) }) {
            throw Failure(line: "\(other) does not go with --planted \(planted.rawValue)")
        }
        guard planted != .rates || (runs == ["--seeds"] && (99...9_999).contains(seeds.upperBound - seeds.lowerBound))
        else {
            throw Failure(line: "--planted rates needs --seeds with 100 to 10000 seeds, such as 1..100")
        }
        guard recordsFile == nil || given.allSatisfy({ !["--members", "--duration", "--until-enough"].contains($0) })
        else {
            throw Failure(line: "--records is written for the runs that the catalogue says")
        }
        hasMembers = given.contains("--members")
        hasDuration = given.contains("--duration")
    }

    /// Refuses two options that name one path: one file would replace the other, or the scenario that is read.
    private func checkFiles() throws(Failure) {
        let named = [
            ("--scenario", scenarioFile), ("--history", historyFile), ("--trace", traceFile), ("--record", recordFile),
            ("--shrink", shrinkFile),
        ]
        for (place, first) in named.enumerated() {
            guard let path = first.1 else { continue }
            for second in named[(place + 1)...] where second.1 == path {
                throw Failure(line: "\(first.0) and \(second.0) name the same file, \(path)")
            }
        }
    }

    private mutating func take(_ option: String, _ value: String) throws(Failure) {
        switch option {
        case "--seed":
            guard let seed = UInt64(value) else { throw Failure(line: "--seed is a number, not '\(value)'") }
            seeds = seed...seed
        case "--seeds": seeds = try SimulateArguments.range(value)
        case "--scenario": scenarioFile = value
        case "--catch-up":
            catchUp = try SimulateArguments.number(option, value, 1...1 << 32)
        case "--members": members = try SimulateArguments.number(option, value, 1...7)
        case "--duration": duration = try SimulateArguments.duration(value)
        case "--jobs": jobs = Int(try SimulateArguments.number(option, value, 1...64))
        case "--history": historyFile = value
        case "--trace": traceFile = value
        case "--record": recordFile = value
        case "--records": recordsFile = value
        case "--shrink": shrinkFile = value
        case "--only": try takeOnly(value)
        case "--max-undecided":
            mostUndecided = Int(try SimulateArguments.number(option, value, 0...1_000_000))
        case "--planted":
            guard let known = Planted(rawValue: value) else {
                throw Failure(line: "--planted is replay, rates or table, not '\(value)'")
            }
            planted = known
        default:
            guard value == "help" || PlantedBugs(name: value) != nil else {
                throw Failure(line: "there is no error to plant named '\(value)'; --break help lists them")
            }
            breakName = value
        }
    }

    private mutating func takeOnly(_ value: String) throws(Failure) {
        guard value != "help" else {
            wantsInvariants = true
            return
        }
        var invariants: [Invariant] = []
        for word in value.split(separator: ",", omittingEmptySubsequences: false) {
            guard let invariant = Invariant(word: String(word)) else {
                throw Failure(line: "there is no invariant named '\(word)'; --only help lists them")
            }
            invariants.append(invariant)
        }
        only = invariants
    }

    private static func number(
        _ option: String,
        _ text: String,
        _ bounds: ClosedRange<UInt64>
    ) throws(Failure) -> UInt64 {
        guard let number = UInt64(text), bounds.contains(number) else {
            throw Failure(
                line: "\(option) is a number from \(bounds.lowerBound) to \(bounds.upperBound), not '\(text)'"
            )
        }
        return number
    }

    private static func range(_ text: String) throws(Failure) -> ClosedRange<UInt64> {
        let failure = Failure(line: "--seeds is a range such as 1..300, not '\(text)'")
        guard let dots = text.range(of: "..") else { throw failure }
        guard let first = UInt64(text[..<dots.lowerBound]), let last = UInt64(text[dots.upperBound...])
        else { throw failure }
        guard first <= last else { throw Failure(line: "--seeds \(text) ends before it begins") }
        return first...last
    }

    private static func duration(_ text: String) throws(Failure) -> TimeSpan {
        let failure = Failure(line: "--duration is a time from 1ms to 3600s such as 60s or 500ms, not '\(text)'")
        let unit: UInt64 = text.hasSuffix("ms") ? 1_000_000 : 1_000_000_000
        guard text.hasSuffix("s"), let count = UInt64(text.dropLast(unit == 1_000_000 ? 2 : 1)) else { throw failure }
        guard count >= 1, count <= 3_600_000_000_000 / unit else { throw failure }
        return TimeSpan(nanoseconds: count * unit)
    }
}

extension String {
    /// Where `part` first stands in the text.
    fileprivate func range(of part: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(part) { return start..<index(start, offsetBy: part.count) }
            start = index(after: start)
        }
        return nil
    }
}
