import Foundation
import XCTest

@testable import BalsaSimulation

/// `Docs/Invariants.md` and `Docs/PlantedBugs.md` against the code: each name has its row, and no row is about nothing.
final class JudgePageTests: XCTestCase {
    private func text(of page: String) throws -> String {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: package.appendingPathComponent("Docs/" + page), encoding: .utf8)
    }

    /// The cells of the rows of the table in a page, without its head.
    private func rows(of page: String) throws -> [[String]] {
        try text(of: page).split(separator: "\n").filter { $0.hasPrefix("| `") }.map { row in
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

    func testPlantedBugPage_table_isThatOfTheCatalogue() throws {
        let page = try text(of: "PlantedBugs.md")
        XCTAssertTrue(page.contains(PlantedBugs.table), "the table should be:\n\(PlantedBugs.table)")
        XCTAssertEqual(try rows(of: "PlantedBugs.md").count, PlantedBugs.catalogue.count, "there is another row")
    }

    func testCatalogue_eachError_namesOneInvariantOrTwoWithTheReason() {
        for error in PlantedBugs.catalogue {
            XCTAssertTrue((1...2).contains(error.invariants.count), error.name)
            XCTAssertEqual(error.reason != nil, error.invariants.count == 2, error.name)
            XCTAssertEqual(error.records.map(\.invariant), error.invariants, "records of \(error.name)")
        }
        let named = PlantedBugs.catalogue.reduce(0) { $0 + $1.invariants.count }
        XCTAssertEqual(PlantedRecord.all.count, named, "a record is of no error")
    }

    func testRecords_leastHits_areNeverZero() {
        for record in PlantedRecord.all { XCTAssertGreaterThanOrEqual(record.leastHits, 1, "\(record)") }
    }

    func testCatalogue_eachError_isADifferentOneInOneLocation() {
        var all: PlantedBugs = []
        for error in PlantedBugs.catalogue {
            let bug = error.bug
            XCTAssertEqual(PlantedBugs(name: error.name), bug)
            XCTAssertTrue(all.isDisjoint(with: bug), error.name)
            XCTAssertNotEqual(bug.rawValue, 0, error.name)
            let locations = [
                ("core", bug.raft.isEmpty), ("log", bug.log.isEmpty), ("replica", bug.replica.isEmpty),
                ("key-value machine", bug.keyValue.isEmpty), ("engine", bug.engine.isEmpty),
            ]
            XCTAssertEqual(locations.filter { !$0.1 }.map(\.0), [error.location], error.name)
            all.formUnion(bug)
        }
        XCTAssertEqual(all.rawValue.nonzeroBitCount, PlantedBugs.catalogue.count)
        XCTAssertNil(PlantedBugs(name: "help"))
    }
}
