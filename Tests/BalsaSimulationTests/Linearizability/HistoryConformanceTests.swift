import BalsaPlatform
import BalsaSimulation
import Glibc
import XCTest

/// Histories that other projects recorded, against the verdicts that are known of them.
final class HistoryConformanceTests: XCTestCase {
    private func text(_ path: String) throws -> Bytes {
        let file = try LinuxFileSystem().open(path, .read)
        defer { file.close() }
        return try file.read(Int(file.size()), at: 0)
    }

    func testRecordedHistoriesHaveTheirKnownVerdicts() throws {
        guard let folder = getenv("BALSA_CONFORMANCE").map({ String(cString: $0) }), !folder.isEmpty else {
            throw XCTSkip("BALSA_CONFORMANCE does not name the folder of the conformance data")
        }
        let histories = folder + "/histories/"
        let rows = String(try text(histories + "verdicts.tsv")).split(separator: "\n").dropFirst()
        XCTAssertGreaterThan(rows.count, 0, "verdicts.tsv names no history")
        for row in rows {
            let fields = row.split(separator: "\t").map { String($0) }
            guard fields.count == 3, let model = HistoryModel(rawValue: fields[1]) else {
                XCTFail("not a row of verdicts.tsv: \(row)")
                continue
            }
            let check = try model.check(try text(histories + fields[0]))
            XCTAssertEqual(check.verdict.rawValue, fields[2], fields[0])
        }
    }
}
