import Foundation
import XCTest

@testable import BalsaRaft

/// The cases of quorum arithmetic that other projects agree on, read from the folder that `BALSA_CONFORMANCE` names.
final class QuorumConformanceTests: XCTestCase {
    func testQuorumsDecideAsInTheSharedCases() throws {
        guard let folder = ProcessInfo.processInfo.environment["BALSA_CONFORMANCE"], !folder.isEmpty else {
            throw XCTSkip("BALSA_CONFORMANCE does not name the folder of the conformance data")
        }
        let quorum = URL(fileURLWithPath: folder).appendingPathComponent("quorum")
        let names = try FileManager.default.contentsOfDirectory(atPath: quorum.path).sorted()
        XCTAssertFalse(names.isEmpty, "there are no cases of quorum arithmetic")
        for name in names {
            let text = try String(contentsOf: quorum.appendingPathComponent(name), encoding: .utf8)
            let script = try QuorumScript(text)
            XCTAssertFalse(script.cases.isEmpty, "\(name) has no case")
            for one in script.cases { try run(one, in: name) }
        }
    }

    func testAFileOfTheFormatIsReadAsItIsMeant() throws {
        let script = try QuorumScript(
            """
            # a comment
            committed cfg=(1, 2) \\
              cfgj=(2,3) idx=(12,_, 5)
            ----
                 idx
            x>    12    (id=1)
            0

            vote
            ----
            ----
            chart

            VoteWon
            ----
            ----
            vote cfg=(1) cfgj=zero votes=(n)
            ----
            VoteLost
            """
        )
        XCTAssertEqual(script.cases.map(\.command), ["committed", "vote", "vote"])
        XCTAssertEqual(script.cases[0].voters, [1, 2, 3])
        XCTAssertEqual([1, 2, 3].map(script.cases[0].value(of:)), ["12", nil, "5"])
        XCTAssertEqual(script.cases.map { $0.expected.last }, ["0", "VoteWon", "VoteLost"])
        XCTAssertEqual(script.cases.map(\.outgoing), [[2, 3], nil, []])
        let faults = [
            ("elect cfg=(1)\n----\nfine\n", "line 1: no such command: elect"),
            ("vote cfg=(1) idx=(1)\n----\nfine\n", "line 1: no such argument: idx"),
        ]
        for (text, reason) in faults {
            XCTAssertThrowsError(try QuorumScript(text)) {
                XCTAssertEqual(($0 as? QuorumScriptError)?.description, reason)
            }
        }
    }

    private func run(_ one: QuorumCase, in name: String) throws {
        let place = "\(name), line \(one.line)"
        guard let expected = one.expected.last else { return XCTFail("\(place) expects nothing") }
        guard one.values.count == one.voters.count else {
            return XCTAssertTrue(expected.hasPrefix("error:"), "\(place): values and voters do not fit together")
        }
        for (left, right) in halves(of: one) {
            let configuration = try Configuration(incoming: left, outgoing: right)
            if one.command == "vote" {
                XCTAssertEqual(try vote(one, configuration), expected, place)
            } else {
                let result = try commit(one, configuration)
                let isFitting = result == "∞" ? expected.hasSuffix("∞") : result == expected
                XCTAssertTrue(isFitting, "\(place): \(result) instead of \(expected)")
            }
        }
    }

    /// The halves as they are given and swapped; a majority alone must decide as it does joint with nothing or with itself.
    private func halves(of one: QuorumCase) -> [([MemberID], [MemberID])] {
        guard let outgoing = one.outgoing else {
            return [(one.incoming, []), ([], one.incoming), (one.incoming, one.incoming)]
        }
        return [(one.incoming, outgoing), (outgoing, one.incoming)]
    }

    private func vote(_ one: QuorumCase, _ configuration: Configuration) throws -> String {
        for value in one.values where !["y", "n", "_"].contains(value) {
            throw QuorumScriptError(description: "line \(one.line): not a vote: \(value)")
        }
        return switch configuration.result({ voter in one.value(of: voter).map { $0 == "y" } }) {
        case .pending: "VotePending"
        case .won: "VoteWon"
        case .lost: "VoteLost"
        }
    }

    private func commit(_ one: QuorumCase, _ configuration: Configuration) throws -> String {
        for value in one.values where value != "_" && UInt64(value) == nil {
            throw QuorumScriptError(description: "line \(one.line): not an index: \(value)")
        }
        let reached = { (voter: MemberID) in one.value(of: voter).flatMap { UInt64($0) } ?? 0 }
        let index = configuration.reached(reached)
        // A member that is behind what is committed may fall further behind without changing it.
        for voter in one.voters where reached(voter) < index {
            XCTAssertEqual(configuration.reached { $0 == voter ? 0 : reached($0) }, index)
        }
        return index == .max ? "∞" : String(index)
    }
}
