import BalsaPlatform
import BalsaRaft
import XCTest

@testable import BalsaCommand
@testable import BalsaSimulation

/// The command `simulate`, without a process and on a simulated disk.
final class SimulateTests: XCTestCase {
    private struct Run {
        var status: Int32 = -1
        var lines: [String] = []
        var errors: [String] = []
    }

    private let disk = SimulatedDisk()

    private func run(_ arguments: [String]) -> Run {
        var result = Run()
        let command = Simulate(
            files: disk.mount(),
            print: { result.lines.append($0) },
            printError: { result.errors.append($0) }
        )
        result.status = command.run(arguments: arguments)
        return result
    }

    private func run(_ arguments: String...) -> Run { run(arguments) }

    private func text(of path: String) -> String? { disk.contents(of: path).map { String(Bytes($0)) } }

    /// The hash at the end of the line of a run.
    private func hash(_ run: Run) -> String? { run.lines.first?.split(separator: " ").last.map(String.init) }

    func testWrapped_wordsOfAnyNumber_fitIntoLinesAndAreAllThere() {
        for count in [0, 1, 2, 40, 300] {
            let words = (0..<count).map { "word-\($0)=\($0)" }
            let lines = SimulationSummary.wrapped("counted:", words)
            XCTAssertTrue(lines[0].hasPrefix("  counted:"), lines[0])
            for line in lines { XCTAssertLessThanOrEqual(line.count, 80, line) }
            for line in lines.dropFirst() { XCTAssertTrue(line.hasPrefix("    word-"), line) }
            XCTAssertEqual(lines.joined().split(separator: " ").dropFirst().map(String.init), words)
        }
        let long = String(repeating: "x", count: 90)
        let wrapped = SimulationSummary.wrapped("counted:", ["a", long, "b"])
        XCTAssertEqual(wrapped, ["  counted: a", "    \(long)", "    b"])
    }

    private func parse(_ arguments: String...) throws -> SimulateArguments { try SimulateArguments(arguments) }

    // MARK: Arguments

    func testWrongArgumentsAreToldInOneLineAndNothingRuns() {
        let wrong: [([String], String)] = [
            ([], "--seed"), (["--members", "3"], "--seed"), (["17"], "17"), (["--sing", "1"], "--sing"),
            (["--seed"], "--seed needs a value"), (["--seed", "one"], "one"), (["--seed", "-1"], "-1"),
            (["--seeds", "5"], "'5'"), (["--seeds", "5..4"], "5..4"), (["--seeds", "..4"], "..4"),
            (["--seeds", "1.."], "1.."), (["--seeds", "1...3"], "1...3"), (["--seeds", "a..b"], "a..b"),
            (["--seed", "1", "--seeds", "1..2"], "only one"),
            (["--seed", "1", "--seed", "2"], "--seed is given twice"),
            (["--seed", "1", "--members", "3", "--members", "3"], "--members is given twice"),
            (["--seed", "1", "--require-counters", "--require-counters"], "--require-counters is given twice"),
            (["--seeds", "5..1"], "--seeds 5..1 ends before it begins"),
            (["--seed", "1", "--scenario", "file"], "only one"),
            (["--seed", "1", "--members", "0"], "1 to 7"), (["--seed", "1", "--members", "8"], "1 to 7"),
            (["--seed", "1", "--members", "three"], "1 to 7"),
            (["--seed", "1", "--duration", "60"], "'60'"), (["--seed", "1", "--duration", "0s"], "'0s'"),
            (["--seed", "1", "--duration", "0ms"], "'0ms'"), (["--seed", "1", "--duration", "3601s"], "3601s"),
            (["--seed", "1", "--duration", "3600001ms"], "3600001ms"), (["--seed", "1", "--duration", "1h"], "1h"),
            (["--seed", "1", "--duration", "s"], "'s'"), (["--seed", "1", "--duration", "-1s"], "-1s"),
            (["--seed", "1", "--duration", "99999999999999999999s"], "99999999999999999999s"),
            (["--seed", "1", "--break", "everything"], "everything"), (["--seed", "1", "--break"], "--break"),
            (["--seed", "1", "--history"], "--history"), (["--seed", "1", "extra"], "extra"),
            (["--seed", "1", "--only"], "--only needs a value"), (["--seed", "1", "--only", ""], "named ''"),
            (["--seed", "1", "--only", "liveness,everything"], "everything"),
            (["--seed", "1", "--only", "liveness,"], "named ''"),
            (["--seed", "1", "--jobs", "0"], "1 to 64"), (["--seed", "1", "--jobs", "65"], "1 to 64"),
            (["--seed", "1", "--max-undecided", "-1"], "--max-undecided is a number from 0"),
            (["--catch-up", "0"], "--catch-up is a number from 1"), (["--require-counters"], "--seed"),
            (["--planted", "everything"], "replay, rates or table"), (["--planted"], "--planted needs a value"),
            (["--planted", "rates"], "100 to 10000 seeds"),
            (["--planted", "rates", "--seeds", "1..99"], "100 to 10000 seeds"),
            (["--planted", "rates", "--seeds", "0..18446744073709551615", "--until-enough"], "100 to 10000 seeds"),
            (["--planted", "replay", "--record", "file"], "--record does not go"),
            (["--planted", "rates", "--seed", "1"], "--seed does not go"),
            (["--planted", "replay", "--seeds", "1..100"], "--seeds does not go with --planted replay"),
            (["--planted", "table", "--history", "file"], "--history does not go with --planted table"),
            (["--planted", "replay", "--only", "liveness"], "--only does not go"),
            (["--planted", "replay", "--records", "file"], "--records does not go"),
            (["--seed", "1", "--records", "file"], "--records and --until-enough go with"),
            (["--seed", "1", "--until-enough"], "--records and --until-enough go with"),
            (
                ["--planted", "rates", "--seeds", "1..100", "--records", "file", "--members", "5"],
                "--records is written"
            ),
            (["--scenario", "a", "--trace", "a"], "--scenario and --trace name the same file, a"),
            (["--scenario", "a", "--history", "a"], "--scenario and --history name the same file, a"),
            (["--scenario", "a", "--record", "a"], "--scenario and --record name the same file, a"),
            (["--scenario", "a", "--shrink", "a"], "--scenario and --shrink name the same file, a"),
            (["--seed", "1", "--history", "b", "--record", "b"], "--history and --record name the same file, b"),
            (["--seed", "1", "--trace", "b", "--shrink", "b"], "--trace and --shrink name the same file, b"),
        ]
        for (arguments, hint) in wrong {
            let run = run(arguments)
            XCTAssertEqual(run.status, 2, "\(arguments)")
            XCTAssertEqual(run.lines, [], "\(arguments)")
            XCTAssertEqual(run.errors.count, 1, "\(arguments)")
            let line = run.errors.first ?? ""
            XCTAssertTrue(line.hasPrefix("balsa simulate: ") && line.contains(hint), "\(arguments): \(line)")
            XCTAssertFalse(line.contains("\n"), line)
        }
    }

    func testRangesIncludeBothEnds() throws {
        XCTAssertEqual(try parse("--seeds", "1..3").seeds, 1...3)
        XCTAssertEqual(try parse("--seeds", "17..17").seeds, 17...17)
        XCTAssertEqual(try parse("--seeds", "0..18446744073709551615").seeds, 0...UInt64.max)
        XCTAssertEqual(try parse("--seed", "18446744073709551615").seeds, UInt64.max...UInt64.max)
    }

    func testTimesHaveAUnitAndBounds() throws {
        XCTAssertEqual(try parse("--seed", "1").duration, .seconds(60))
        XCTAssertEqual(try parse("--seed", "1", "--duration", "90s").duration, .seconds(90))
        XCTAssertEqual(try parse("--seed", "1", "--duration", "1ms").duration, .milliseconds(1))
        XCTAssertEqual(try parse("--seed", "1", "--duration", "3600s").duration, .seconds(3600))
        XCTAssertEqual(try parse("--seed", "1", "--duration", "3600000ms").duration, .seconds(3600))
    }

    func testEveryOptionIsTaken() throws {
        let parsed = try parse(
            "--scenario",
            "a",
            "--members",
            "7",
            "--history",
            "b",
            "--trace",
            "c",
            "--record",
            "d",
            "--shrink",
            "e",
            "--break",
            "vote-not-persisted",
            "--only",
            "liveness,one-vote-a-term",
            "--jobs",
            "3",
            "--require-counters",
            "--max-undecided",
            "4"
        )
        XCTAssertEqual(parsed.only, [.liveness, .oneVote])
        XCTAssertEqual(parsed.jobs, 3)
        XCTAssertTrue(parsed.requiresCounters)
        XCTAssertEqual(parsed.mostUndecided, 4)
        XCTAssertEqual(parsed.scenarioFile, "a")
        XCTAssertEqual(parsed.members, 7)
        XCTAssertEqual(parsed.historyFile, "b")
        XCTAssertEqual(parsed.traceFile, "c")
        XCTAssertEqual(parsed.recordFile, "d")
        XCTAssertEqual(parsed.shrinkFile, "e")
        XCTAssertEqual(parsed.breakName, "vote-not-persisted")
    }

    func testHelpIsPrintedAndIsSuccess() {
        for arguments in [["--help"], ["-h"], ["--seed", "1", "--help"]] {
            let run = run(arguments)
            XCTAssertEqual(run.status, 0)
            XCTAssertEqual(run.errors, [])
            XCTAssertTrue(run.lines.joined().hasPrefix("usage: balsa simulate"))
        }
        for option in SimulateArguments.options + ["--require-counters", "--until-enough", "--help"] {
            XCTAssertTrue(SimulateArguments.help.contains("\n  \(option) "), option)
        }
        // The kinds of fault that the lines of a run count, each with what goes wrong.
        for kind in Fault.Kind.allCases {
            let help = SimulateArguments.help.components(separatedBy: "\n")
            let lines = help.filter { $0.hasPrefix("  \(kind.rawValue) ") }
            XCTAssertEqual(lines.map { $0.hasSuffix(" \(kind.explanation)") }, [true], kind.rawValue)
            XCTAssertGreaterThan(kind.explanation.count, 10, kind.rawValue)
            for line in lines { XCTAssertLessThanOrEqual(line.count, 80, line) }
        }
    }

    func testTheErrorsThatCanBePlantedAreListed() {
        let run = run("--seed", "1", "--break", "help")
        XCTAssertEqual(run.status, 0)
        XCTAssertEqual(run.lines, PlantedBugs.catalogue.map(\.name))
        let invariants = self.run("--only", "help")
        XCTAssertEqual(invariants.status, 0)
        XCTAssertEqual(invariants.lines, Invariant.allCases.map(\.word))
    }

    // MARK: Runs

    func testARunPrintsItsLineAndASummary() {
        let run = run("--seeds", "3..4", "--duration", "1s")
        XCTAssertEqual(run.status, 0, "\(run.lines)")
        XCTAssertEqual(run.errors, [])
        XCTAssertTrue(run.lines[0].hasPrefix("seed 3 ok operations "), run.lines[0])
        let seeds = run.lines.filter { $0.hasPrefix("seed ") }
        XCTAssertEqual(seeds.map { $0.prefix(21) }, ["seed 3 ok operations ", "seed 4 ok operations "])
        XCTAssertEqual(run.lines.count { $0 == "summary: 2 runs, 0 failed" }, 1)
        XCTAssertEqual(hash(run)?.count, 16)
        for line in run.lines { XCTAssertLessThanOrEqual(line.count, 80, line) }
        for kind in Fault.Kind.allCases {
            XCTAssertTrue(run.lines.contains { $0.contains(" \(kind.rawValue)=") }, "\(kind) is counted")
        }
    }

    func testARunIsAFunctionOfItsArguments() {
        let first = run("--seed", "5", "--duration", "1s", "--members", "5")
        XCTAssertEqual(first.status, 0)
        XCTAssertEqual(run("--seed", "5", "--duration", "1000ms", "--members", "5").lines[0], first.lines[0])
        XCTAssertNotEqual(hash(run("--seed", "6", "--duration", "1s", "--members", "5")), hash(first))
        XCTAssertNotEqual(hash(run("--seed", "5", "--duration", "1s", "--members", "3")), hash(first))
    }

    func testTheHistoryThatIsWrittenIsLinearizable() throws {
        XCTAssertEqual(run("--seed", "1", "--duration", "2s", "--history", "history").status, 0)
        let history = try XCTUnwrap(text(of: "history"))
        XCTAssertTrue(history.hasPrefix("balsa-history 1\n"))
        XCTAssertGreaterThan(history.split(separator: "\n").filter { $0.contains(" ok") }.count, 20)
        var lines: [String] = []
        let check = CheckHistory(files: disk.mount(), print: { lines.append($0) }, printError: { XCTFail($0) })
        XCTAssertEqual(check.run(arguments: ["--model", "balsa", "history"]), 0)
        XCTAssertEqual(lines, ["history\tlinearizable"])
    }

    func testARecordedScenarioRunsTheSameAgain() throws {
        let first = run("--seed", "11", "--duration", "2s", "--record", "scenario")
        let expected = Scenario(seed: 11, members: 3, duration: .seconds(2))
        XCTAssertEqual(try Scenario(text: try XCTUnwrap(text(of: "scenario"))), expected)
        let again = run("--scenario", "scenario")
        XCTAssertEqual(again.lines.first, first.lines.first)
        XCTAssertEqual(again.status, 0)
    }

    func testTracingChangesNothingAndFilesAreReplaced() throws {
        let plain = run("--seed", "2", "--duration", "500ms")
        try disk.mount().open("trace", .create).write("what was there before", at: 0)
        let traced = run("--seed", "2", "--duration", "500ms", "--trace", "trace")
        XCTAssertEqual(traced.lines[0], plain.lines[0])
        let trace = try XCTUnwrap(text(of: "trace"))
        XCTAssertFalse(trace.contains("before"))
        XCTAssertGreaterThan(trace.split(separator: "\n").count, 100)
        XCTAssertTrue(trace.hasSuffix("\n"))
    }

    func testAScenarioThatCannotBeReadIsToldInOneLine() throws {
        try disk.mount().open("bad", .create).write("balsa-scenario 1\nmembers=9\n", at: 0)
        let bad = run("--scenario", "bad")
        XCTAssertEqual(bad.status, 2)
        XCTAssertEqual(bad.errors, ["balsa simulate: bad: members is 1 to 7: members=9"])
        try disk.mount().open("long", .create).setSize((64 << 20) + 1)
        let long = run("--scenario", "long")
        XCTAssertEqual(long.status, 2)
        XCTAssertEqual(long.errors, ["balsa simulate: long has 67108865 bytes; a scenario has at most 67108864"])
        let missing = run("--scenario", "missing")
        XCTAssertEqual(missing.status, 2)
        XCTAssertEqual(missing.errors.count, 1)
        XCTAssertTrue(missing.errors[0].contains("missing"), missing.errors[0])
    }

    func testAFileThatCannotBeWrittenIsToldInOneLine() {
        for option in ["--history", "--trace", "--record"] {
            let run = run("--seed", "1", "--duration", "1ms", option, "no/such/folder")
            XCTAssertEqual(run.status, 2, option)
            XCTAssertEqual(run.errors.count, 1, option)
            XCTAssertTrue(run.errors[0].contains("no/such/folder"), run.errors[0])
        }
    }

    // MARK: The summary

    func testTheSummaryCountsRunsAndNamesWhatNeverHappened() {
        var summary = SimulationSummary()
        XCTAssertEqual(summary.lines(nanoseconds: 1).first, "summary: 0 runs, 0 failed")
        let report = Simulation(Scenario(seed: 1, members: 1, duration: .milliseconds(1))).run()
        for _ in 0..<99 { summary.add(report) }
        XCTAssertFalse(summary.lines(nanoseconds: 1).contains { $0.contains("never happened") }, "too few to tell")
        summary.add(report)
        let lines = summary.lines(nanoseconds: 60_000_000_000)
        XCTAssertEqual(lines[0], "summary: 100 runs, 0 failed")
        XCTAssertTrue(lines[1].hasPrefix("  100 seeds a minute"), lines[1])
        let start = lines.firstIndex { $0.hasPrefix("  never happened: ") } ?? lines.endIndex
        let never = lines[start...].joined()
        XCTAssertTrue(never.contains("torn-tails-cut") && never.contains("partition"), never)
    }
}
