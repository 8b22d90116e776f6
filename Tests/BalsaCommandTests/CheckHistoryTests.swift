import BalsaPlatform
import XCTest

@testable import BalsaCommand

/// The command `check-history`, without a process and without files.
final class CheckHistoryTests: XCTestCase {
    private struct Run {
        var status: Int32 = -1
        var lines: [String] = []
        var errors: [String] = []
    }

    private let files: [(path: String, text: Bytes)] = [
        (
            "good",
            "balsa-history 1\ncall 1 1 1 write \"k\" \"v\"\nreturn 2 1 1 ok\ncall 3 1 2 read \"k\"\nreturn 4 1 2 ok \"v\"\n"
        ),
        (
            "bad",
            "balsa-history 1\ncall 1 1 1 write \"k\" \"v\"\nreturn 2 1 1 ok\ncall 3 1 2 read \"k\"\nreturn 4 1 2 ok nil\n"
        ),
        ("rubbish", "balsa-history 1\nhello\n"),
        ("-odd", "balsa-history 1\n"),
        ("register", "INFO jepsen.util - 0 :invoke :read nil\nINFO jepsen.util - 0 :ok :read 3\n"),
        (
            "append",
            Bytes(
                "{:process 0, :type :invoke, :f :get, :key \"0\", :value nil}\n"
                    + "{:process 0, :type :ok, :f :get, :key \"0\", :value \"\"}\n"
            )
        ),
        (
            "balsa-unanswered",
            "balsa-history 1\ncall 1 1 1 write \"k\" \"v\"\nreturn 2 1 1 unknown\ncall 3 1 2 read \"k\"\n"
        ),
        ("balsa-failed", "balsa-history 1\ncall 1 1 1 write \"k\" \"v\"\nreturn 2 1 1 failed\n"),
        (
            "register-unanswered",
            Bytes(
                "INFO jepsen.util - 0 :invoke :write 3\nINFO jepsen.util - 0 :info :write :timed-out\n"
                    + "INFO jepsen.util - 1 :invoke :read nil\nINFO jepsen.util - 1 :fail :read :timed-out\n"
            )
        ),
        ("append-unanswered", "{:process 0, :type :invoke, :f :get, :key \"0\", :value nil}\n"),
    ]

    func testArguments_optionThatIsGivenTwice_isRefused() {
        for option in [["--model", "balsa"], ["--steps", "9"], ["--explain"]] {
            let result = run(option + option + ["good"])
            XCTAssertEqual(result.status, CheckHistory.ExitCode.trouble)
            XCTAssertEqual(result.errors, ["balsa check-history: \(option[0]) is given twice; see --help"])
        }
    }

    private func run(_ arguments: String...) -> Run { run(arguments) }

    private func run(_ arguments: [String]) -> Run {
        var result = Run()
        let command = CheckHistory(
            readFile: { [files] path throws(FileError) in
                guard let file = files.first(where: { $0.path == path }) else {
                    throw FileError(.open, path, .notFound)
                }
                return file.text
            },
            print: { result.lines.append($0) },
            printError: { result.errors.append($0) }
        )
        result.status = command.run(arguments: arguments)
        return result
    }

    func testEveryHistoryGetsALine() {
        let run = run("--model", "balsa", "good", "bad", "good")
        XCTAssertEqual(run.lines, ["good\tlinearizable", "bad\tnot-linearizable", "good\tlinearizable"])
        XCTAssertEqual(run.errors, [])
        XCTAssertEqual(run.status, 1)
    }

    func testAllGoodIsSuccess() {
        XCTAssertEqual(run("--model", "balsa", "good").status, 0)
        XCTAssertEqual(run("--model", "kv-append", "append").lines, ["append\tlinearizable"])
        XCTAssertEqual(run("--model", "register", "register").lines, ["register\tnot-linearizable"])
    }

    func testABudgetThatIsSpentHasAStatusOfItsOwn() {
        let unknown = run("--steps", "1", "--model", "balsa", "good")
        XCTAssertEqual(unknown.lines, ["good\tunknown"])
        XCTAssertEqual(unknown.errors, ["good: unknown: the budget of 1 steps was spent before it was decided"])
        XCTAssertEqual(unknown.status, 3)
        XCTAssertEqual(run("--model", "balsa", "--steps", "4", "good", "-odd").status, 2, "-odd is not an option")
    }

    /// Every order explains the answers of a history that has none: that shows nothing.
    func testHistory_withoutAnAnswer_isUnknownAndSaysWhy() {
        let histories = [
            ("balsa", "balsa-unanswered"), ("balsa", "balsa-failed"), ("balsa", "-odd"),
            ("register", "register-unanswered"), ("kv-append", "append-unanswered"),
        ]
        for (model, file) in histories {
            let found = run("--model", model, "--", file)
            XCTAssertEqual(found.lines, ["\(file)\tunknown"])
            XCTAssertEqual(
                found.errors,
                ["\(file): unknown: no operation was answered, so that there is nothing to check"]
            )
            XCTAssertEqual(found.status, 3, file)
        }
        XCTAssertEqual(run("--model", "balsa", "good", "balsa-failed").status, 3, "one is not known to be right")
        XCTAssertEqual(run("--model", "balsa", "bad", "balsa-failed").status, 1, "one is known to be wrong")
    }

    func testAFileThatCannotBeReadDoesNotKeepTheOthersFromBeingChecked() {
        let missing = run("--model", "balsa", "missing", "good")
        XCTAssertEqual(missing.lines, ["good\tlinearizable"])
        XCTAssertEqual(missing.errors.count, 1)
        XCTAssertTrue(missing.errors[0].contains("missing"), missing.errors[0])
        XCTAssertEqual(missing.status, 2)

        let rubbish = run("--model", "balsa", "rubbish", "bad")
        XCTAssertEqual(rubbish.lines, ["bad\tnot-linearizable"])
        XCTAssertEqual(rubbish.errors.count, 1)
        XCTAssertTrue(rubbish.errors[0].contains("rubbish: line 2:"), rubbish.errors[0])
        XCTAssertEqual(rubbish.status, 2)
    }

    func testAFileThatIsTooLong_isRefusedWithTheLimit() {
        var errors: [String] = []
        let command = CheckHistory(
            readFile: { path throws(FileError) in throw FileError(.read, path, FileError.Number(rawValue: 27)) },
            print: { XCTFail($0) },
            printError: { errors.append($0) }
        )
        XCTAssertEqual(command.run(arguments: ["--model", "balsa", "long"]), 2)
        XCTAssertEqual(errors, ["balsa check-history: long is longer than 1073741824 bytes"])
    }

    func testAHistoryOfAnotherModelCannotBeRead() {
        XCTAssertEqual(run("--model", "register", "good").status, 2)
        XCTAssertEqual(run("--model", "kv-append", "good").status, 2)
        XCTAssertEqual(run("--model", "balsa", "register").status, 2)
    }

    /// And `--help`, which each line advises to see.
    func testWrongArgumentsAreToldInOneLine() {
        XCTAssertEqual(run("--help").status, 0)
        let wrong: [[String]] = [
            [], ["good"], ["--model"], ["--model", "sing", "good"], ["--model", "balsa"],
            ["--model", "balsa", "--sing"],
            ["--steps", "0", "--model", "balsa", "good"], ["--steps", "x", "--model", "balsa", "good"],
        ]
        for arguments in wrong {
            var errors: [String] = []
            let command = CheckHistory(
                readFile: { path throws(FileError) in throw FileError(.open, path, .notFound) },
                print: { XCTFail("printed \($0)") },
                printError: { errors.append($0) }
            )
            XCTAssertEqual(command.run(arguments: arguments), 2, "\(arguments)")
            XCTAssertEqual(errors.count, 1, "\(arguments)")
        }
    }

    func testWhatFollowsTwoDashesIsAFile() {
        XCTAssertEqual(run("--model", "balsa", "--", "-odd").lines, ["-odd\tunknown"])
    }

    func testHelpIsPrintedAndIsSuccess() {
        let help = run("--help")
        XCTAssertEqual(help.status, 0)
        XCTAssertTrue(help.lines.joined().hasPrefix("usage: balsa check-history"))
        XCTAssertEqual(help.errors, [])
    }

    func testAnExplanationGoesToStandardError() {
        let run = run("--model", "balsa", "--explain", "bad")
        XCTAssertEqual(run.lines, ["bad\tnot-linearizable"])
        XCTAssertEqual(run.errors.count, 1)
        XCTAssertTrue(run.errors[0].contains("impossible: [3, 4] client 1: read -> nil"), run.errors[0])
    }
}
