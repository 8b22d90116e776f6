import Foundation
import XCTest

/// Holds the tests of the package against the rules for tests.
final class TestRulesTests: XCTestCase {
    private typealias Rule = ([SourceScanner.Token]) -> [Violation]

    /// The sources below `Tests`, by their path there.
    private static func sources() throws -> [(path: String, tokens: [SourceScanner.Token])] {
        var tests = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { tests.deleteLastPathComponent() }
        let paths = try FileManager.default.subpathsOfDirectory(atPath: tests.path)
        return try paths.filter { $0.hasSuffix(".swift") && !$0.contains("/.build/") }.sorted().map { path in
            let text = try String(contentsOf: tests.appendingPathComponent(path), encoding: .utf8)
            return (path, SourceScanner.tokens(of: text))
        }
    }

    /// Fails for what breaks a rule outside of the files that may, each of which has a reason.
    private func check(_ rule: Rule, except allowed: [String: String] = [:]) throws {
        let sources = try TestRulesTests.sources()
        XCTAssertGreaterThan(sources.count, 200, "the tests were found")
        for path in allowed.keys where !path.hasSuffix("/") {
            XCTAssertTrue(sources.contains { $0.path == path }, "\(path) is allowed something, and is not there")
        }
        for source in sources where !allowed.keys.contains(where: { source.path.hasPrefix($0) }) {
            for violation in rule(source.tokens) { XCTFail("Tests/\(source.path), \(violation)") }
        }
    }

    func testEveryExpectedErrorIsCompared() throws {
        try check(TestRules.bareThrows, except: TestRulesTests.withBareThrows)
    }

    func testNoTestWaitsForAFixedTime() throws {
        try check(TestRules.sleeps, except: TestRulesTests.withSleeps)
    }

    func testNoTestIsSkippedOutsideOfTheList() throws {
        try check(TestRules.skips, except: TestRulesTests.withSkips)
    }

    func testNoTestTakesARandomPort() throws {
        try check(TestRules.randomPorts)
    }

    // MARK: The rules themselves

    private func violations(_ rule: Rule, _ source: String) -> [Int] {
        rule(SourceScanner.tokens(of: source)).map(\.line)
    }

    func testBareThrows_withoutAClosureThatLooksAtTheError_areFound() {
        XCTAssertEqual(violations(TestRules.bareThrows, "XCTAssertThrowsError(try f(1))"), [1])
        XCTAssertEqual(violations(TestRules.bareThrows, "XCTAssertThrowsError(try f(), \"text\")\nlet a = 1"), [1])
        XCTAssertEqual(violations(TestRules.bareThrows, "\nXCTAssertThrowsError(try { f() }())"), [2])
        XCTAssertEqual(violations(TestRules.bareThrows, "XCTAssertThrowsError(try f()) { _ in }"), [1])
        XCTAssertEqual(violations(TestRules.bareThrows, "XCTAssertThrowsError(try f()) { error in check(error) }"), [])
        XCTAssertEqual(violations(TestRules.bareThrows, "XCTAssertThrowsError(\n  try f()\n) { check($0) }"), [])
        XCTAssertEqual(violations(TestRules.bareThrows, "// XCTAssertThrowsError(try f())"), [])
    }

    func testSleeps_ofAnyKind_areFound() {
        XCTAssertEqual(violations(TestRules.sleeps, "try await Task.sleep(for: .seconds(1))"), [1])
        XCTAssertEqual(violations(TestRules.sleeps, "usleep(5)\nsleep(1)\nThread.sleep(1)"), [1, 2, 3])
        XCTAssertEqual(violations(TestRules.sleeps, "func sleep() {}\nlet sleep = 1 // usleep(5)"), [])
    }

    func testSkips_ofAnyKind_areFound() {
        XCTAssertEqual(
            violations(TestRules.skips, "throw XCTSkip(\"no\")\ntry XCTSkipIf(a)\ntry XCTSkipUnless(b)"),
            [1, 2, 3]
        )
        XCTAssertEqual(violations(TestRules.skips, "let text = \"XCTSkip(1)\""), [])
    }

    func testRandomPorts_ofAnyKind_areFound() {
        XCTAssertEqual(violations(TestRules.randomPorts, "let a = 20_000 + UInt16.random(in: 0..<9)"), [1])
        XCTAssertEqual(violations(TestRules.randomPorts, "let a = try ReservedPorts(3)"), [])
    }
}

/// Where the rules do not hold, and why.
extension TestRulesTests {
    private static let lowerTargets = "the tests of the lower modules are converted by themselves"

    private static let withBareThrows = [
        "BalsaKeyValueTests/": lowerTargets,
        "BalsaLSMTests/": lowerTargets,
        "BalsaLogTests/": lowerTargets,
        "BalsaTransportTests/": lowerTargets,
        "BalsaWireTests/": lowerTargets,
        "BalsaTests/CheckpointFormatTests.swift": "it is converted with the formats",
        "BalsaTests/Identity/": "it is converted with the formats",
    ]

    private static let withSleeps = [
        "BalsaTests/Harness/Eventually.swift": "the interval at which a state is polled",
        "BalsaCommandTests/Eventually.swift": "the interval at which a state is polled",
        "BalsaCommandTests/Demo/": "the intervals at which states are polled",
        "BalsaProcessTests/Harness/Harness.swift": "the interval at which a state is polled",
        "BalsaProcessTests/Harness/Adds.swift": "the interval at which a member that is down is looked at again",
        "BalsaProcessTests/Harness/Load.swift": "a pause before a member that did not answer is asked again",
        "BalsaRaces/EngineRaces.swift": "the interval at which the pressure of the engine is polled",
        "BalsaRaces/PlantedRace.swift": "the interval at which the end of the threads is polled",
        "BalsaLSMTests/Engine/": lowerTargets,
        "BalsaRaftTests/": "its own `sleep` lets simulated time pass",
        "BalsaTransportTests/Linux/": lowerTargets,
    ]

    private static let withSkips = [
        "BalsaCommandTests/SignalTests.swift": "a system may let this user make no name space of processes",
        "BalsaProcessTests/Environment/HostDiskTests.swift": "it needs a user with privileges",
        "BalsaProcessTests/FullDiskTests.swift": "only a user who may mount file systems can run it",
        "BalsaRaftTests/": "the data of the conformance tests is not part of the package",
        "BalsaSimulationTests/Linearizability/": "the data of the conformance tests is not part of the package",
        "BalsaTransportTests/Linux/": lowerTargets,
    ]
}
