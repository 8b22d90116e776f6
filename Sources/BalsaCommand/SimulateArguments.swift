import BalsaRaft
import BalsaSimulation

/// What `balsa simulate` was asked.
struct SimulateArguments: Equatable {
    static let help = """
        usage: balsa simulate (--seed N | --seeds A..B | --scenario FILE | --catch-up PUTS) [options]

        Runs a group of members in a simulated world, with clients and faults, one run a seed, and judges what happens.
        Prints a line a run and a summary. A run is a function of its seed: it can be repeated, event by event.

          --seed N          run this seed
          --seeds A..B      run the seeds from A to B, both included
          --scenario FILE   run the scenario in this file
          --catch-up PUTS   keep a member down for so many puts, with a log of 16 MiB, and let it come back
          --members N       how many members, 1 to 7 (default 3)
          --duration TIME   how long clients and faults go on, in virtual time: 60s, 500ms (default 60s)
          --history FILE    write what the clients asked and were answered, for balsa check-history --model balsa
          --trace FILE      write a line for each event
          --record FILE     write the scenario
          --break NAME      plant an error in the members, to test the tester; --break help lists the names
          --shrink FILE     when a run fails, look for a small scenario that fails in the same way, and write it
          --help            this text

        With several seeds, --history, --trace and --record are written anew for each run, --shrink for each that fails.
        With --scenario, the file says how many members there are and how long the run takes.
        Exit status: 0 when every run passed, 1 when one failed, 2 for arguments or files that cannot be used.
        """

    var seeds: ClosedRange<UInt64> = 1...1
    var scenarioFile: String?
    var catchUp: UInt64?
    var members: UInt64 = 3
    var duration = TimeSpan.seconds(60)
    var historyFile: String?
    var traceFile: String?
    var recordFile: String?
    var shrinkFile: String?
    var breakName: String?
    var wantsHelp = false

    /// Why arguments cannot be used, in a line.
    struct Failure: Error, Equatable {
        let line: String
    }

    init(_ arguments: [String]) throws(Failure) {
        var rest = arguments[...]
        var hasRuns = false
        while let option = rest.popFirst() {
            if option == "--help" || option == "-h" {
                wantsHelp = true
                return
            }
            guard SimulateArguments.options.contains(option) else {
                throw Failure(line: "unknown argument '\(option)'")
            }
            guard let value = rest.popFirst() else { throw Failure(line: "\(option) needs a value") }
            if ["--seed", "--seeds", "--scenario", "--catch-up"].contains(option) {
                guard !hasRuns else {
                    throw Failure(line: "only one of --seed, --seeds, --scenario and --catch-up can be given")
                }
                hasRuns = true
            }
            try take(option, value)
        }
        guard hasRuns || breakName == "help" else {
            throw Failure(line: "one of --seed, --seeds, --scenario and --catch-up is needed")
        }
    }

    private static let options = [
        "--seed", "--seeds", "--scenario", "--catch-up", "--members", "--duration", "--history", "--trace", "--record",
        "--shrink",
        "--break",
    ]

    private mutating func take(_ option: String, _ value: String) throws(Failure) {
        switch option {
        case "--seed":
            guard let seed = UInt64(value) else { throw Failure(line: "--seed is a number, not '\(value)'") }
            seeds = seed...seed
        case "--seeds": seeds = try SimulateArguments.range(value)
        case "--scenario": scenarioFile = value
        case "--catch-up":
            guard let puts = UInt64(value), (1...1 << 32).contains(puts) else {
                throw Failure(line: "--catch-up is a number of puts, not '\(value)'")
            }
            catchUp = puts
        case "--members":
            guard let count = UInt64(value), (1...7).contains(count) else {
                throw Failure(line: "--members is a number from 1 to 7, not '\(value)'")
            }
            members = count
        case "--duration": duration = try SimulateArguments.duration(value)
        case "--history": historyFile = value
        case "--trace": traceFile = value
        case "--record": recordFile = value
        case "--shrink": shrinkFile = value
        default:
            guard value == "help" || PlantedBugs(name: value) != nil else {
                throw Failure(line: "there is no error to plant named '\(value)'; --break help lists them")
            }
            breakName = value
        }
    }

    private static func range(_ text: String) throws(Failure) -> ClosedRange<UInt64> {
        let failure = Failure(line: "--seeds is a range such as 1..300, not '\(text)'")
        guard let dots = text.range(of: "..") else { throw failure }
        guard let first = UInt64(text[..<dots.lowerBound]), let last = UInt64(text[dots.upperBound...]), first <= last
        else { throw failure }
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
