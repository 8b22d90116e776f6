import BalsaPlatform
import XCTest

@testable import Balsa

/// The tables of states, events and slow operations in `Docs/Store.md` have a row for each case of the code, and no
/// other.
final class StoreStatePageTests: XCTestCase {
    /// The rows of the table with this heading, each as its cells.
    private func rows(_ heading: String) throws -> [[String]] {
        let page = try PageClaims.page("Docs/Store.md")
        let parts = page.components(separatedBy: "| \(heading) |\n|")
        XCTAssertEqual(parts.count, 2, "one table has this heading: \(heading)")
        return try XCTUnwrap(parts.last).components(separatedBy: "\n\n")[0].components(separatedBy: "\n").dropFirst()
            .map {
                $0.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            }
    }

    /// The names in the first cells of the rows, of which a cell may have several.
    private func names(_ heading: String) throws -> [String] {
        try rows(heading).flatMap { $0[0].components(separatedBy: ", ") }
    }

    /// The cases of an enumeration in words, in the order of the source.
    private func cases(of name: String, in path: String) throws -> [String] {
        let source = try PageClaims.page(path)
        let body = try XCTUnwrap(source.components(separatedBy: "enum \(name):").last).components(separatedBy: "\n}")[0]
        return body.components(separatedBy: "\n").compactMap { line in
            guard line.hasPrefix("    case ") else { return nil }
            return words(String(line.dropFirst("    case ".count).prefix { $0.isLetter }))
        }
    }

    /// `firstBootWaits` as *first boot waits*.
    private func words(_ name: String) -> String {
        name.reduce(into: "") { $0 += $1.isUppercase ? " " + $1.lowercased() : String($1) }
    }

    func testStates_eachCase_hasARow() throws {
        let cases = try cases(of: "StoreState", in: "Sources/Balsa/Store/StoreEvent.swift")
        XCTAssertEqual(cases.count, 6)
        XCTAssertEqual(try names("state | what it means"), cases)
    }

    func testEvents_eachCase_hasARow() throws {
        let cases = try cases(of: "StoreEvent", in: "Sources/Balsa/Store/StoreEvent.swift")
        XCTAssertEqual(cases.count, 17)
        XCTAssertEqual(try names("event | when"), cases)
    }

    /// Besides the kinds, the thresholds of the page are the defaults.
    func testSlowOperations_eachKind_hasARowWithItsThreshold() throws {
        let rows = try rows("slow | threshold | parts")
        XCTAssertEqual(rows.map { $0[0] }, SlowOperation.Kind.allCases.map(\.description))
        let thresholds = SlowThresholds()
        let expected: [Duration] = [
            thresholds.logWrite, thresholds.apply, thresholds.turn, thresholds.call, thresholds.call,
        ]
        let told = rows.map { row -> Duration? in
            let words = row[1].components(separatedBy: " ")
            guard words.count == 2, let count = Int(words[0]) else { return nil }
            return words[1] == "ms" ? .milliseconds(count) : words[1] == "s" ? .seconds(count) : nil
        }
        XCTAssertEqual(told, expected)
    }
}
