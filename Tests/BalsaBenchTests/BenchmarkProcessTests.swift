import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaBench

/// `balsa-bench` as a process: what it says and its exit status.
final class BenchmarkProcessTests: BenchTestCase {
    private struct Result {
        var status: Int32
        var output: String
        var errors: String
    }

    /// Runs the program, which is built beside the tests.
    private func runProgram(_ arguments: String...) throws -> Result { try runProgram(arguments) }

    private func runProgram(_ arguments: [String]) throws -> Result {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            .deletingLastPathComponent().appendingPathComponent("balsa-bench")
        process.arguments = arguments
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = FileHandle.nullDevice
        try process.run()
        // What is printed here is shorter than what a pipe holds.
        let printed = output.fileHandleForReading.readDataToEndOfFile()
        let said = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus,
            output: String(decoding: printed, as: UTF8.self),
            errors: String(decoding: said, as: UTF8.self)
        )
    }

    private func assertRefused(_ result: Result, _ sentence: String, line: UInt = #line) {
        XCTAssertEqual(result.status, 2, line: line)
        XCTAssertEqual(result.output, "", line: line)
        XCTAssertEqual(result.errors, "balsa-bench: \(sentence)\n", line: line)
    }

    func testProgram_argumentsThatCannotBeUsed_areRefusedWithStatusTwo() throws {
        assertRefused(try runProgram("sing"), "there is no command 'sing'; 'balsa-bench --help' lists them")
        assertRefused(try runProgram("--smoke", "--num"), "--smoke takes no further arguments")
        assertRefused(
            try runProgram("storage", "--sing"),
            "there is no option '--sing'; 'balsa-bench storage --help' lists them"
        )
        assertRefused(try runProgram("cluster", "--members", "8"), "--members is a number from 1 to 7, not '8'")
        assertRefused(try runProgram("restart", "--keys"), "--keys needs a value")
        let none = try runProgram()
        XCTAssertEqual(none.status, 2)
        XCTAssertTrue(none.errors.hasPrefix("usage: balsa-bench "))
    }

    func testProgram_version_isPrintedAlsoBehindACommand() throws {
        for command in [[], ["cluster"], ["restart"], ["space"], ["storage"]] {
            let result = try runProgram(command + ["--version"])
            XCTAssertEqual(result.output, "balsa-bench \(Release.version)\n", "\(command)")
            XCTAssertEqual(result.errors, "")
            XCTAssertEqual(result.status, 0)
        }
    }

    func testProgram_help_listsEveryOptionWithStatusZero() throws {
        let options = [
            "storage": ["--num", "--value", "--cache", "--buffer", "--only", "--compressible", "--dir"],
            "cluster": [
                "--members", "--processes", "--clients", "--op", "--total", "--value", "--keyspace", "--spin", "--dir",
            ],
            "restart": ["--keys", "--value", "--dir"],
            "space": [
                "--state", "--seconds", "--deleted", "--versions", "--consumed", "--small", "--only", "--smoke",
                "--dir",
            ],
        ]
        for (command, options) in options {
            let help = try runProgram(command, "--help")
            XCTAssertEqual(help.status, 0)
            XCTAssertEqual(help.errors, "")
            for option in options { XCTAssertTrue(help.output.contains("\n  \(option) "), "\(command) \(option)") }
        }
    }

    func testProgram_folderThatCannotBeMade_endsWithStatusOneAndASentence() throws {
        let result = try runProgram("storage", "--num", "100", "--only", "readseq", "--dir", "/dev/null")
        XCTAssertEqual(result.status, 1)
        XCTAssertTrue(result.errors.hasPrefix("balsa-bench: the folder /dev/null/balsa-bench."), result.errors)
    }

    func testSpace_littleOfEachRow_measuresAllOfThem() throws {
        let folder = try makeFolder()
        let result = try runProgram("space", "--smoke", "--dir", folder.path)
        XCTAssertEqual(result.status, 0, result.errors)
        let lines = result.output.split(separator: "\n").filter { $0.first != " " }
        XCTAssertEqual(lines.count, 1 + 1 + 2 + 3 * 4 + 2, result.output)
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: folder.path), [], "what it made is removed")
    }

    func testSpace_figureAboveItsBound_endsTheRunWithASentence() throws {
        var arguments = SpaceArguments()
        var lines: [String] = []
        func report(_ figure: Double) throws {
            let benchmark = SpaceBenchmark(arguments, in: try makeFolder()) { lines.append($0) }
            try benchmark.report("row", figure, places: 1, atMost: 2, "ms")
        }
        try report(2)
        XCTAssertEqual(sentence { try report(2.5) }, "row is 2.5 ms, above the bound of 2.0")
        arguments.holdsBounds = false
        try report(2.5)
        XCTAssertEqual(lines.count, 3)
    }

    func testRestart_fewKeys_measuresTwoStoresAndChecksThem() throws {
        let folder = try makeFolder()
        let result = try runProgram("restart", "--keys", "50", "--value", "10", "--dir", folder.path)
        XCTAssertEqual(result.status, 0, result.errors)
        let lines = result.output.split(separator: "\n").map(String.init)
        XCTAssertEqual(lines.map { $0.prefix { $0 != " " } }, ["#", "written", "killed", "written", "closed"])
        XCTAssertTrue(lines[1].hasSuffix(", to be killed") && lines[3].hasSuffix(", to be closed"), result.output)
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: folder.path), [], "what it made is removed")
    }
}
