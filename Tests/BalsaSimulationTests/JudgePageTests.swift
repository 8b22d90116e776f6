import Foundation
import XCTest

@testable import BalsaSimulation

/// `Docs/Invariants.md` and `Docs/PlantedBugs.md` against the code: each name has its row, and no row is about nothing.
final class JudgePageTests: XCTestCase {
    /// The cells of the rows of the table in a page, without its head.
    private func rows(of page: String) throws -> [[String]] {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: package.appendingPathComponent("Docs/" + page), encoding: .utf8)
        return text.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { row in
            row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }

    /// The words between backquotes.
    private func names(in cell: String) -> [String] {
        cell.components(separatedBy: "`").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
    }

    func testEveryInvariantHasItsRow() throws {
        let rows = try rows(of: "Invariants.md")
        XCTAssertEqual(rows.map { names(in: $0[0]) }, Invariant.allCases.map { [$0.rawValue] })
        for row in rows {
            XCTAssertEqual(row.count, 3, row[0])
            XCTAssertTrue(["event", "sweep", "end"].contains { row[2].hasPrefix($0) }, "\(row[0]): \(row[2])")
        }
    }

    func testEveryPlantedBugHasItsRow() throws {
        let rows = try rows(of: "PlantedBugs.md")
        XCTAssertEqual(rows.map { names(in: $0[0]) }, PlantedBugs.names.map { [$0.name] })
    }

    func testEveryPlantedBugNamesInvariantsThatThereAre() throws {
        for row in try rows(of: "PlantedBugs.md") {
            XCTAssertEqual(row.count, 3, row[0])
            let found = names(in: row[2])
            XCTAssertFalse(found.isEmpty, row[0])
            for name in found { XCTAssertNotNil(Invariant(rawValue: name), "\(row[0]): \(name)") }
        }
    }

    func testTheNamesOfPlantedBugsAreDifferentErrors() {
        var all: PlantedBugs = []
        for (name, bug) in PlantedBugs.names {
            XCTAssertEqual(PlantedBugs(name: name), bug)
            XCTAssertTrue(all.isDisjoint(with: bug), name)
            XCTAssertNotEqual(bug.rawValue, 0, name)
            let places = [
                bug.raft.isEmpty, bug.log.isEmpty, bug.replica.isEmpty, bug.keyValue.isEmpty, bug.engine.isEmpty,
            ]
            XCTAssertEqual(places.filter { !$0 }.count, 1, "\(name) is in one place")
            all.formUnion(bug)
        }
        XCTAssertNil(PlantedBugs(name: "help"))
    }
}
