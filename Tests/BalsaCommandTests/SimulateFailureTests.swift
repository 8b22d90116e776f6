import BalsaPlatform
import BalsaRaft
import XCTest

@testable import BalsaCommand
@testable import BalsaSimulation

/// What `balsa simulate` prints, writes and returns where a run fails, or where what is asked of all runs does not
/// hold.
final class SimulateFailureTests: XCTestCase {
    private struct Run {
        var status: Int32 = -1
        var lines: [String] = []
        var errors: [String] = []

        func line(_ prefix: String) -> String? { lines.first { $0.hasPrefix(prefix) } }
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

    /// The arguments of a command that is printed behind a word.
    private func arguments(_ line: String?) throws -> [String] {
        let command = try XCTUnwrap(line?.components(separatedBy: "swift run -c release balsa simulate ").last)
        return command.split(separator: " ").map(String.init)
    }

    /// An error that the first seeds find in a run of 700 ms.
    private let errorName = "local-read-as-linearizable"

    private func plantedBug(_ bug: PlantedBugs? = nil, finds invariant: Invariant = .certificate) throws -> PlantedBug {
        let known = try XCTUnwrap(PlantedBugs(name: errorName))
        var planted = PlantedBug(errorName, bug ?? known, "", invariant)
        planted.setting.duration = .milliseconds(700)
        return planted
    }

    /// A seed that finds it, both in the setting of a planted error and in a run of the command, which draws other
    /// faults.
    private func findingSeed() throws -> UInt64 {
        let error = try plantedBug()
        let seed = (1...40 as ClosedRange<UInt64>).first { seed in
            Simulation(error.scenario(seed: seed), bugs: error.bug).run().violation?.invariant == .certificate
                && run("--seed", "\(seed)", "--duration", "700ms", "--break", errorName).line("FAILED ")?
                    .hasPrefix("FAILED certificate at ") == true
        }
        return try XCTUnwrap(seed, "no seed of 40 finds the error")
    }

    // MARK: A run that fails

    func testRun_fails_printsViolationAndAReplayThatFailsAgain() throws {
        let seed = try findingSeed()
        let first = run("--seed", "\(seed)", "--duration", "700ms", "--break", errorName, "--shrink", "shrunk")
        XCTAssertEqual(first.status, 1)
        XCTAssertTrue(first.lines[0].hasPrefix("seed \(seed) FAILED operations "), first.lines[0])
        let failed = try XCTUnwrap(first.line("FAILED "))
        XCTAssertTrue(failed.hasPrefix("FAILED certificate at "), failed)
        XCTAssertNotNil(first.line("summary: 1 runs, 1 failed"))

        let again = run(try arguments(first.line("replay: ")))
        XCTAssertEqual(again.status, 1)
        XCTAssertEqual(again.lines[0], first.lines[0])
        XCTAssertEqual(again.line("FAILED "), failed)

        let line = try XCTUnwrap(first.line("shrunk to "))
        let shrunk = run(try arguments(line))
        XCTAssertEqual(shrunk.status, 1)
        XCTAssertTrue(try XCTUnwrap(shrunk.line("FAILED ")).hasPrefix("FAILED certificate at "))
        XCTAssertEqual(run(try arguments(shrunk.line("replay: "))).line("FAILED "), shrunk.line("FAILED "))
        XCTAssertEqual(run("--scenario", "shrunk").status, 0, "passes without the error")
    }

    func testSeeds_withAnErrorPlanted_stopAtTheFirstThatFails() throws {
        let seed = try findingSeed()
        let range = "\(seed)..\(seed + 5)"
        let found = run("--seeds", range, "--duration", "700ms", "--break", errorName, "--jobs", "2")
        XCTAssertEqual(found.status, 1)
        XCTAssertNotNil(found.line("summary: 1 runs, 1 failed"), "\(found.lines)")
        XCTAssertEqual(
            found.line("stopped "),
            "stopped at the first seed that failed, after 1 of 6 seeds: an error is planted"
        )
        // There is nothing to say where the last seed is the one.
        let last = run("--seed", "\(seed)", "--duration", "700ms", "--break", errorName)
        XCTAssertNotNil(last.line("summary: 1 runs, 1 failed"), "\(last.lines)")
        XCTAssertNil(last.line("stopped "))
    }

    func testSeeds_allThatThereAre_areCounted() throws {
        let found = run("--seeds", "0..\(UInt64.max)", "--duration", "700ms", "--break", errorName, "--jobs", "2")
        XCTAssertEqual(found.status, 1)
        let line = try XCTUnwrap(found.line("stopped "))
        XCTAssertTrue(line.hasSuffix(" of 18446744073709551616 seeds: an error is planted"), line)
    }

    func testOnly_anotherInvariant_passesAndNamesWhatIsNotEnforced() throws {
        let seed = try findingSeed()
        let passed = run("--seed", "\(seed)", "--duration", "700ms", "--break", errorName, "--only", "one-vote-a-term")
        XCTAssertEqual(passed.status, 0)
        XCTAssertTrue(try XCTUnwrap(passed.line("not enforced: ")).contains("certificate at "))
        let found = run("--seed", "\(seed)", "--duration", "700ms", "--break", errorName, "--only", "certificate")
        XCTAssertEqual(found.status, 1)
        XCTAssertTrue(try XCTUnwrap(found.line("replay: ")).hasSuffix(" --break \(errorName) --only certificate"))
    }

    // MARK: What is asked of all runs

    func testRequireCounters_someAreZero_failsAndNamesThem() throws {
        let without = run("--seed", "1", "--duration", "500ms")
        XCTAssertEqual(without.status, 0)
        let with = run("--seed", "1", "--duration", "500ms", "--require-counters")
        XCTAssertEqual(with.status, 1)
        let line = try XCTUnwrap(with.line("FAILED counters: never happened: "))
        XCTAssertTrue(line.contains("torn-tails-cut") && line.contains("partition"), line)
    }

    func testComplaints_nothingWasAcknowledged_areHeldAgainstTheRuns() {
        var report = Simulation(Scenario(seed: 1, members: 1, duration: .milliseconds(1))).run()
        report.counters.acknowledged = 0
        var summary = SimulationSummary()
        XCTAssertEqual(summary.complaints(requiresCounters: false, mostUndecided: nil), [], "nothing has run")
        summary.add(report)
        XCTAssertEqual(
            summary.complaints(requiresCounters: false, mostUndecided: nil),
            ["operations: none was acknowledged in any run, so that nothing was checked"]
        )
        report.counters.acknowledged = 1
        summary.add(report)
        XCTAssertEqual(summary.complaints(requiresCounters: false, mostUndecided: nil), [])
    }

    func testComplaints_undecidedSearches_areHeldAgainstTheBound() {
        var report = Simulation(Scenario(seed: 1, members: 1, duration: .milliseconds(1))).run()
        report.counters.undecided = 1
        report.counters.acknowledged = 1
        var summary = SimulationSummary()
        for _ in 0..<3 { summary.add(report) }
        XCTAssertEqual(summary.complaints(requiresCounters: false, mostUndecided: 3), [])
        XCTAssertEqual(summary.complaints(requiresCounters: false, mostUndecided: nil), [])
        XCTAssertEqual(
            summary.complaints(requiresCounters: false, mostUndecided: 2),
            ["searches: 3 undecided, at most 2 allowed"]
        )
    }

    // MARK: Files and threads

    func testHistory_severalSeeds_isOneFileARun() throws {
        XCTAssertEqual(run("--seeds", "4..6", "--duration", "1s", "--history", "h", "--record", "r").status, 0)
        for seed in 4...6 as ClosedRange<UInt64> {
            let text = try XCTUnwrap(disk.contents(of: "r.\(seed)").map { String(Bytes($0)) })
            XCTAssertEqual(try Scenario(text: text).seed, seed)
            XCTAssertEqual(run("--seed", "\(seed)", "--duration", "1s", "--history", "single").status, 0)
            XCTAssertEqual(disk.contents(of: "h.\(seed)"), disk.contents(of: "single"))
        }
        XCTAssertNil(disk.contents(of: "h"))
    }

    func testJobs_several_printTheSameInTheSameOrder() {
        let arguments = ["--seeds", "1..7", "--duration", "500ms"]
        let one = run(arguments + ["--jobs", "1"])
        let three = run(arguments + ["--jobs", "3"])
        XCTAssertEqual(three.lines.filter { $0.hasPrefix("seed ") }, one.lines.filter { $0.hasPrefix("seed ") })
        XCTAssertEqual(one.lines.filter { $0.hasPrefix("seed ") }.count, 7)
    }

    func testParallelRuns_manyJobs_areTakenInOrderUntilItIsEnough() throws {
        for threads in [1, 2, 5] {
            var taken: [UInt64] = []
            try ParallelRuns(threads: threads).run(last: 99) {
                $0 * $0
            } take: { number, result in
                XCTAssertEqual(result, number * number)
                taken.append(number)
                return true
            }
            XCTAssertEqual(taken, Array(0...99))
            taken = []
            try ParallelRuns(threads: threads).run(last: .max) {
                $0
            } take: { number, _ in
                taken.append(number)
                return number < 41
            }
            XCTAssertEqual(taken, Array(0...41))
        }
    }

    // MARK: Planted errors

    private func replay(_ errors: [PlantedBug], _ records: [PlantedRecord]) throws -> Run {
        var result = Run()
        let runs = PlantedRuns(runs: ParallelRuns(threads: 1)) { result.lines.append($0) }
        result.status = try runs.replay(errors, records)
        return result
    }

    func testReplay_recordedSeed_isOk() throws {
        let record = PlantedRecord(errorName, .certificate, leastHits: 1, seed: try findingSeed())
        let result = try replay([try plantedBug()], [record])
        XCTAssertEqual(result.status, 0, "\(result.lines)")
        XCTAssertTrue(
            result.lines[0].hasPrefix("planted \(errorName) seed \(record.seed) certificate violated certificate at "),
            result.lines[0]
        )
        XCTAssertTrue(result.lines[0].hasSuffix(" ok"), result.lines[0])
        XCTAssertEqual(result.lines.last, "recorded seeds: 1 ok, 0 wrong")
    }

    func testReplay_recordOfAnotherInvariant_isWrong() throws {
        let record = PlantedRecord(errorName, .liveness, leastHits: 1, seed: try findingSeed())
        let result = try replay([try plantedBug()], [record])
        XCTAssertEqual(result.status, 1)
        XCTAssertTrue(result.lines[0].hasSuffix(" WRONG: the catalogue names certificate"), result.lines[0])
        XCTAssertEqual(result.lines[1], "planted \(errorName) certificate WRONG: no seed is recorded")
    }

    func testReplay_errorIsFoundByAnotherInvariant_isWrong() throws {
        let record = PlantedRecord(errorName, .oneVote, leastHits: 1, seed: try findingSeed())
        let result = try replay([try plantedBug(finds: .oneVote)], [record])
        XCTAssertEqual(result.status, 1)
        XCTAssertTrue(result.lines[0].contains(" violated certificate at "), result.lines[0])
        XCTAssertTrue(
            result.lines[0].hasSuffix(" WRONG: found by another invariant than one-vote-a-term"),
            result.lines[0]
        )
    }

    func testReplay_errorIsNotFound_isWrong() throws {
        let result = try replay([try plantedBug([])], [PlantedRecord(errorName, .certificate, leastHits: 1, seed: 1)])
        XCTAssertEqual(result.status, 1)
        XCTAssertTrue(
            result.lines[0].hasSuffix(" violated nothing WRONG: the error is not found"),
            result.lines[0]
        )
    }

    func testReplay_onlyBesideTheOtherInvariantOrWithoutTheError_isWrong() throws {
        let error = try plantedBug()
        let record = PlantedRecord(errorName, .certificate, leastHits: 1, seed: 1)
        let found = Violation(.certificate, "found", at: .zero)
        let other = Violation(.liveness, "found", at: .zero)
        XCTAssertNil(PlantedRuns.mistake(of: .init(first: found, alone: found), error, record))
        XCTAssertEqual(
            PlantedRuns.mistake(of: .init(first: found), error, record),
            "by itself certificate does not find it"
        )
        XCTAssertEqual(
            PlantedRuns.mistake(of: .init(first: found, alone: other), error, record),
            "by itself certificate does not find it"
        )
        XCTAssertEqual(
            PlantedRuns.mistake(of: .init(first: found, alone: found, sound: other), error, record),
            "fails without the error: \(other)"
        )
    }

    func testRecord_ofAReplay_isTheScenarioOfItsSeed() throws {
        let name = "first-boot-votes-early"
        XCTAssertEqual(run("--planted", "replay", "--break", name, "--record", "r").status, 0)
        let error = try XCTUnwrap(PlantedBugs.catalogue.first { $0.name == name })
        let seed = try XCTUnwrap(error.records.first).seed
        let text = try XCTUnwrap(disk.contents(of: "r").map { String(Bytes($0)) })
        XCTAssertEqual(text, error.scenario(seed: seed).text)
        XCTAssertEqual(run("--scenario", "r", "--break", name).status, 1)
    }

    func testRecords_source_isTheFileOfThePackage() throws {
        let path = "Sources/BalsaSimulation/Scenario/PlantedRecord+All.swift"
        let root = #filePath.components(separatedBy: "/Tests/")[0]
        XCTAssertEqual(
            PlantedRuns.source(PlantedRecord.all),
            try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8)
        )
    }

    func testHits_ofSeeds_areComparedWithTheLeastOfAHundred() {
        XCTAssertTrue(PlantedRuns.isEnough(10, of: 100, least: 10))
        XCTAssertFalse(PlantedRuns.isEnough(9, of: 100, least: 10))
        XCTAssertTrue(PlantedRuns.isEnough(20, of: 200, least: 10))
        XCTAssertFalse(PlantedRuns.isEnough(19, of: 200, least: 10))
        XCTAssertFalse(PlantedRuns.isEnough(0, of: 100, least: 0), "an error that is never found")
    }

    func testRates_ofRunsThatCannotBe_areRefused() {
        for arguments in [["--members", "2", "--break", "withhold-without-check-quorum"]] {
            let result = run(["--planted", "rates", "--seeds", "1..100"] + arguments)
            XCTAssertEqual(result.status, 2)
            XCTAssertEqual(result.lines, [])
            XCTAssertTrue(result.errors.first?.contains("core is a majority") ?? false, "\(result.errors)")
        }
        for error in PlantedBugs.catalogue {
            var error = error
            error.setting.duration = .seconds(3600)
            XCTAssertNoThrow(try error.scenario(seed: 1).validate(), error.name)
        }
    }

    func testReplay_nothingRecorded_isWrong() throws {
        XCTAssertEqual(try replay([try plantedBug()], []).status, 1)
        XCTAssertEqual(try replay([], []).status, 1)
    }

    func testRates_belowTheLeast_areWrong() throws {
        // An error that is none is found never; the least hits are those of the catalogue.
        var error = PlantedBug(errorName, [], "", .certificate, setting: .init(members: 1, seconds: 1))
        error.setting.duration = .milliseconds(20)
        var lines: [String] = []
        let runs = PlantedRuns(runs: ParallelRuns(threads: 2)) { lines.append($0) }
        let (status, records) = try runs.rates([error], 1...100)
        XCTAssertEqual(status, 1)
        XCTAssertEqual(records, [])
        XCTAssertTrue(lines[0].hasPrefix("planted \(errorName) certificate finds 0 of 100, at least "), lines[0])
        XCTAssertTrue(lines[0].hasSuffix(" of 100 WRONG; violated first: nothing 100"), lines[0])
    }

    func testTable_isPrintedAsThePageHasIt() {
        let result = run("--planted", "table")
        XCTAssertEqual(result.status, 0)
        XCTAssertEqual(result.lines.joined(separator: "\n") + "\n", PlantedBugs.table)
    }
}
