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

    /// Violations are reported by checkers alone, and there are at least as many cases of an invariant as places.
    func testEveryPlaceThatReportsAViolation_hasItsCase() throws {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let sources = package.appendingPathComponent("Sources/BalsaSimulation")
        var places: [String: Int] = [:]
        let files = try FileManager.default.subpathsOfDirectory(atPath: sources.path).filter { $0.hasSuffix(".swift") }
        for file in files {
            let text = try String(contentsOf: sources.appendingPathComponent(file), encoding: .utf8)
            for part in text.components(separatedBy: "throw Violation(").dropFirst() {
                XCTAssertTrue(file.hasPrefix("Judges/"), "\(file) reports a violation by itself")
                let argument = part.drop { $0.isWhitespace }
                // Two places have the invariant from elsewhere; they have cases by hand.
                guard argument.hasPrefix(".") else { continue }
                places[String(argument.dropFirst().prefix { $0.isLetter }), default: 0] += 1
            }
        }
        XCTAssertGreaterThan(places.count, 10, "the sources were read")
        for (name, count) in places {
            let found = cases.filter { String(describing: $0.invariant) == name }.count
            XCTAssertGreaterThanOrEqual(found, count, name)
        }
    }
}
