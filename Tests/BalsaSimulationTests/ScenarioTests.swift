import BalsaRaft
import Foundation
import XCTest

@testable import BalsaSimulation

/// Scenarios as text: what is written can be read, what cannot be run is refused with its line, and the page tells all.
final class ScenarioTests: XCTestCase {
    private let header = "balsa-scenario 1\n"

    private func page() throws -> String {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: package.appendingPathComponent("Docs/ScenarioFormat.md"), encoding: .utf8)
    }

    /// The reason for which a text cannot be read.
    private func refusal(_ lines: String) -> String {
        do throws(ScenarioError) {
            _ = try Scenario(text: header + lines)
            return "accepted"
        } catch {
            return error.description
        }
    }

    // MARK: Round trips

    func testWhatIsDrawnCanBeWrittenAndReadBack() throws {
        for seed in 1...50 as ClosedRange<UInt64> {
            let scenario = Scenario(seed: seed, members: seed % 7 + 1, duration: .seconds(60))
            XCTAssertEqual(try Scenario(text: scenario.text), scenario, "seed \(seed)")
        }
    }

    func testTheSameSeedDrawsTheSameScenario() {
        let first = Scenario(seed: 11, members: 5, duration: .seconds(60))
        XCTAssertEqual(Scenario(seed: 11, members: 5, duration: .seconds(60)), first)
        XCTAssertNotEqual(Scenario(seed: 12, members: 5, duration: .seconds(60)).faults, first.faults)
    }

    func testDrawnFaultsAreInOrderAndTheCoreIsAQuorum() {
        for seed in 1...50 as ClosedRange<UInt64> {
            let scenario = Scenario(seed: seed, members: seed % 7 + 1, duration: .seconds(60))
            let times = scenario.faults.map(\.at)
            XCTAssertEqual(times, times.sorted(), "seed \(seed)")
            XCTAssertTrue(times.allSatisfy { $0 < scenario.duration }, "seed \(seed)")
            let core = scenario.memberIDs.filter { scenario.core & Scenario.bit($0) != 0 }
            XCTAssertGreaterThan(core.count * 2, Int(scenario.members), "seed \(seed)")
        }
    }

    func testEveryFieldOfAFaultSurvives() throws {
        var scenario = Scenario(seed: .max)
        for kind in Fault.Kind.allCases {
            var fault = Fault(at: TimeSpan(nanoseconds: 123_456_789), kind: kind)
            fault.member = 1
            fault.peer = 2
            fault.set = 6
            fault.lasts = TimeSpan(nanoseconds: 1)
            fault.rate = 1_000
            fault.salt = .max
            scenario.faults += [fault, Fault(at: .seconds(1), kind: kind)]
            scenario.faults[scenario.faults.count - 1].member = 3
        }
        let read = try Scenario(text: scenario.text)
        XCTAssertEqual(read.seed, .max)
        XCTAssertEqual(read.faults, scenario.faults)
    }

    func testTheDefaultsAreThoseOfAScenarioWithoutFaults() throws {
        XCTAssertEqual(
            try Scenario(text: header + "seed=9\ncore=6\n"),
            {
                var scenario = Scenario(seed: 9)
                scenario.core = 6
                return scenario
            }()
        )
    }

    func testCommentsAndEmptyLinesMeanNothing() throws {
        let text = header + "\n# seed=1\nseed=2\n\n# fault 1 kill member=9\ncore=6\n"
        XCTAssertEqual(try Scenario(text: text).seed, 2)
    }

    // MARK: Refusals

    func testAnotherHeaderIsRefused() {
        for text in ["", "\n", "balsa-scenario 2\n", "balsa-history 1\n", "seed=1\nbalsa-scenario 1\n"] {
            XCTAssertThrowsError(try Scenario(text: text), text) { error in
                XCTAssertTrue("\(error)".contains("balsa-scenario 1"), "\(error)")
            }
        }
    }

    func testALineThatIsNoneIsRefusedAndQuoted() {
        let lines = [
            "hello", "seed", "seed 1", "colour=3", "Seed=1", " seed=1", "=1", "fault", "faults 1 kill member=1",
            "members=", "fault 1", "fault soon kill member=1", "fault -1 kill member=1", "fault 1 earthquake member=1",
        ]
        for line in lines {
            let reason = refusal("core=6\n\(line)\n")
            XCTAssertTrue(reason.hasSuffix(": \(line)"), "\(line): \(reason)")
        }
    }

    func testAFieldOfAFaultThatIsNoneIsRefusedAndQuoted() {
        for field in ["member", "member=", "member=x", "member=-1", "colour=1", "salt=18446744073709551616"] {
            let reason = refusal("fault 1 kill \(field)\n")
            let quoted = field.hasPrefix("colour") ? "colour" : field
            XCTAssertTrue(reason.contains(quoted), "\(field): \(reason)")
            XCTAssertNotEqual(reason, "accepted", field)
        }
    }

    func testAValueOutsideOfItsBoundsIsRefusedWithTheBounds() {
        let lines = [
            ("members=0", "1 to 7"), ("members=8", "1 to 7"), ("members=three", "1 to 7"),
            ("clients=1025", "1 to 1024"), ("garbage=2", "0 to 1"), ("clock-drift=501", "0 to 500"),
            ("core=256", "0 to 255"),
            ("duration=3600000000001", "0 to 3600000000000"), ("seed=-1", "0 to 18446744073709551615"),
        ]
        for (line, bounds) in lines {
            let reason = refusal("\(line)\n")
            XCTAssertTrue(reason.contains(bounds) && reason.hasSuffix(": \(line)"), "\(line): \(reason)")
        }
    }

    func testAMemberThatThereIsNotIsRefused() {
        for line in ["fault 1 kill member=4", "fault 1 one-way member=1 peer=4"] {
            XCTAssertEqual(refusal("\(line)\n"), "there is no such member: \(line)")
        }
        XCTAssertEqual(refusal("core=14\nmembers=4\nfault 1 kill member=4\n"), "accepted")
        XCTAssertEqual(refusal("fault 1 kill member=4\ncore=14\nmembers=4\n"), "accepted", "the order of lines is free")
    }

    func testACoreThatIsNoMajorityOfTheMembersIsRefused() {
        for core in [2, 8, 17, 30] {
            XCTAssertTrue(refusal("core=\(core)\n").hasPrefix("core is a majority"), "\(core)")
        }
    }

    func testAFaultThatHitsNobodyOrNeverEndsIsRefused() {
        XCTAssertTrue(refusal("fault 1 kill\n").hasPrefix("which member?"))
        for field in ["lasts=18446744073709551615", "rate=18446744073709551615"] {
            XCTAssertTrue(refusal("fault 1 pause member=1 \(field)\n").hasPrefix("at and lasts"), field)
        }
    }

    func testLimitsThatContradictEachOtherAreRefusedWithTheRule() {
        XCTAssertTrue(refusal("smallest-segment=65536\n").contains("largestSegmentBytes"))
        XCTAssertTrue(refusal("sector-bytes=1000\n").contains("power of two"))
        XCTAssertTrue(refusal("max-frame=512\n").contains("maxFrameBytes"))
    }

    // MARK: The page

    func testTheExampleOfThePage() throws {
        let parts = try page().components(separatedBy: "```\n")
        let example = try XCTUnwrap(parts.last { $0.hasPrefix("balsa-scenario 1\n#") })
        let scenario = try Scenario(text: example)
        var expected = Scenario(seed: 7)
        expected.duration = .seconds(2)
        expected.core = Scenario.bit(2) | Scenario.bit(3)
        expected.clients = 2
        expected.keys = 1
        expected.garbageInTornSectors = 1
        var partition = Fault(at: .milliseconds(500), kind: .partition)
        partition.set = Scenario.bit(1)
        partition.lasts = .milliseconds(900)
        var powerLoss = Fault(at: .milliseconds(800), kind: .powerLoss)
        powerLoss.member = 2
        powerLoss.lasts = .milliseconds(20)
        powerLoss.salt = 99
        var loss = Fault(at: .seconds(1), kind: .loss)
        loss.lasts = .milliseconds(500)
        loss.rate = 100
        loss.salt = 5
        expected.faults = [partition, powerLoss, loss]
        XCTAssertEqual(scenario, expected)
    }

    /// The first column of the table rows behind a heading.
    private func names(behind heading: String) throws -> [String] {
        let section = try XCTUnwrap(try page().components(separatedBy: "## \(heading)\n").dropFirst().first)
        let text = try XCTUnwrap(section.components(separatedBy: "\n## ").first)
        return text.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { row in
            String(row.dropFirst(3).prefix { $0 != "`" })
        }
    }

    func testThePageHasEveryPropertyInItsOrder() throws {
        let lines = Scenario(seed: 1).text.split(separator: "\n").dropFirst()
        XCTAssertEqual(try names(behind: "Properties"), lines.map { String($0.prefix { $0 != "=" }) })
    }

    func testThePageHasEveryFieldAndEveryKindOfFaultInTheirOrder() throws {
        let fields = ["member", "peer", "set", "lasts", "rate", "salt"]
        XCTAssertEqual(try names(behind: "Faults"), fields + Fault.Kind.allCases.map(\.rawValue))
    }

    /// Every bound that the page names is the last value that is taken, and the next one is refused.
    func testTheBoundsOfThePageThatAreNumbers() throws {
        let bounds: [(String, UInt64, UInt64)] = [
            ("members", 1, 7), ("core", 0, 255), ("clients", 1, 1024), ("keys", 1, 1 << 20), ("garbage", 0, 1),
            ("clock-drift", 0, 500), ("writes-in-flight", 1, 64), ("value-bytes", 1, 1 << 20),
            ("inflight-messages", 1, 1 << 20), ("entries-kept", 0, 1 << 40), ("settling", 0, 3_600_000_000_000),
            ("max-append", 64, 64 << 20), ("log-bound", 1 << 10, 1 << 40), ("log-cache", 0, 1 << 40),
            ("load", 0, 1), ("operations", 0, 1 << 32), ("apply-page", 64, 64 << 20), ("chunk-bytes", 16, 1 << 20),
            ("memtable-bytes", 256, 1 << 30), ("block-bytes", 128, 32768), ("level-ratio", 2, 100),
            ("filter-bits", 0, 32), ("max-sessions", 8, 100_000), ("retained-revisions", 0, 1 << 40),
        ]
        for (name, lowest, highest) in bounds {
            for value in [lowest, highest] {
                XCTAssertFalse(refusal("\(name)=\(value)\n").contains(" to "), "\(name)=\(value)")
            }
            XCTAssertTrue(refusal("\(name)=\(highest + 1)\n").contains(" to "), name)
            if lowest > 0 { XCTAssertTrue(refusal("\(name)=\(lowest - 1)\n").contains(" to "), name) }
        }
    }
}
