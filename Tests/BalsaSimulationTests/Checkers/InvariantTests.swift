import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaRaft
import BalsaWire
import Foundation
import XCTest

@testable import Balsa
@testable import BalsaSimulation

/// Each place that reports a violation, with the smallest history that contradicts its invariant, and the closest one that
/// does not.
struct InvariantCase {
    let invariant: Invariant
    let place: String
    let contradiction: () throws -> Void
    let legal: () throws -> Void

    init(
        _ invariant: Invariant,
        _ place: String,
        _ contradiction: @escaping () throws -> Void,
        legal: @escaping () throws -> Void
    ) {
        self.invariant = invariant
        self.place = place
        self.contradiction = contradiction
        self.legal = legal
    }
}

final class InvariantTests: XCTestCase {
    private let cases =
        InvariantCase.ofElections + InvariantCase.ofLogs + InvariantCase.ofStates + InvariantCase.ofMembers
        + InvariantCase.ofDigests
        + InvariantCase.ofClients + InvariantCase.ofIdentity + InvariantCase.ofLiveness

    func testContradiction_isReportedAsExactlyItsInvariant() throws {
        for each in cases {
            XCTAssertThrowsError(try each.contradiction(), "\(each.invariant.rawValue): \(each.place)") { error in
                let name = "\(each.invariant.rawValue): \(each.place): \(error)"
                XCTAssertEqual((error as? Violation)?.invariant, each.invariant, name)
                XCTAssertFalse((error as? Violation)?.detail.isEmpty ?? true, name)
            }
        }
    }

    func testClosestLegalHistory_isReportedAsNothing() {
        for each in cases {
            XCTAssertNoThrow(try each.legal(), "\(each.invariant.rawValue): \(each.place)")
        }
    }

    func testEveryInvariant_hasItsCases() {
        for invariant in Invariant.allCases {
            XCTAssertTrue(cases.contains { $0.invariant == invariant }, invariant.rawValue)
        }
    }

    private func sources() throws -> [(file: String, text: String)] {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let sources = package.appendingPathComponent("Sources/BalsaSimulation")
        let files = try FileManager.default.subpathsOfDirectory(atPath: sources.path).filter { $0.hasSuffix(".swift") }
        return try files.map { ($0, try String(contentsOf: sources.appendingPathComponent($0), encoding: .utf8)) }
    }

    /// Violations are reported by checkers alone, and each line that reports one is reached by a case.
    func testEveryPlaceThatReportsAViolation_hasItsCase() throws {
        var places: Set<String> = []
        for (file, text) in try sources() {
            let name = (file as NSString).lastPathComponent
            for (number, line) in text.components(separatedBy: "\n").enumerated()
            where line.contains("throw Violation(") {
                XCTAssertTrue(file.hasPrefix("Judges/"), "\(file) reports a violation by itself")
                places.insert("\(name):\(number + 1)")
            }
        }
        XCTAssertGreaterThan(places.count, 30, "the sources were read")
        var reached: Set<String> = []
        for each in cases {
            do {
                try each.contradiction()
            } catch let violation as Violation {
                reached.insert(violation.source)
            }
        }
        XCTAssertEqual(places.subtracting(reached), [], "no contradiction reaches these lines")
    }

    /// A checker that nothing calls finds nothing.
    func testEveryChecker_isCalledByTheSimulation() throws {
        let sources = try sources()
        let callers = sources.filter { $0.file.hasPrefix("World/") || $0.file == "Simulation.swift" }.map(\.text)
            .joined()
        let roots = [
            "Judges": "judges", "IdentityCheck": "judges.identity", "ProcessCheck": "judges.processes",
            "DigestCheck": "digests",
        ]
        // It is called with what the others are given, too.
        let judges = sources.filter { $0.file == "Judges/Judges.swift" }.map(\.text).joined()
        var found = 0
        for (file, text) in sources where file.hasPrefix("Judges/") {
            let type = String((file as NSString).lastPathComponent.prefix { $0.isLetter })
            let functions =
                text.components(separatedBy: "\n    func ") + text.components(separatedBy: "\n    mutating func ")
                + text.components(separatedBy: "\n    static func ")
            for part in functions where !part.hasPrefix("import") {
                let head = part.prefix { $0 != "{" }
                guard roots[type] != nil || head.contains("throws(Violation)") else { continue }
                let name = String(part.prefix { $0.isLetter })
                guard !["import"].contains(name) else { continue }
                found += 1
                let callers = type == "DigestCheck" ? callers + judges : callers
                let isCalled =
                    roots[type].map { callers.contains("\($0).\(name)(") || callers.contains("\(type).\(name)(") }
                    ?? (callers.contains(type) && callers.contains(".\(name)("))
                XCTAssertTrue(isCalled, "\(type).\(name) is called by nothing")
            }
        }
        XCTAssertGreaterThan(found, 25, "the sources were read")
    }
}
