import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

/// Holds `Docs/WireFormat.md` against the code, so that the page cannot grow old unnoticed.
final class WireFormatPageTests: XCTestCase {
    private func page() throws -> [String] {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("Docs/WireFormat.md"), encoding: .utf8)
        return text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// The bytes of the page's only block of hexadecimal lines, each of which begins with its offset.
    private func example() throws -> [UInt8] {
        var bytes: [UInt8] = []
        for line in try page().drop(while: { $0 != "```hex" }).dropFirst().prefix(while: { $0 != "```" }) {
            let words = line.split(separator: " ")
            XCTAssertEqual(words.first.flatMap { Int($0, radix: 16) }, bytes.count, line)
            for word in words.dropFirst() { bytes.append(try XCTUnwrap(UInt8(word, radix: 16), line)) }
        }
        return bytes
    }

    func testTheRefusals_ofAForwardedCommand_areThoseOfThePage() throws {
        let names: [(ForwardResponse.Refusal, String)] = [
            (.notLeader, "notLeader"), (.busy, "busy"), (.tooLarge, "tooLarge"), (.closed, "closed"),
            (.failed, "failed"), (.invalid, "invalid"), (.upgradeRequired, "upgradeRequired"),
            (.damaged, "damaged"),
        ]
        let rows = try XCTUnwrap(try tables(titled: ["refusal", "name"]).first)
        XCTAssertEqual(rows.map { [$0[0], $0[1]] }, names.map { ["\($0.0.rawValue)", $0.1] })
        XCTAssertNil(ForwardResponse.Refusal(rawValue: 0))
        XCTAssertNil(ForwardResponse.Refusal(rawValue: UInt8(rows.count + 1)))
    }

    /// The cells of all rows of tables whose first two columns have these titles, table by table.
    private func tables(titled titles: [String]) throws -> [[[String]]] {
        var tables: [[[String]]] = []
        var isInside = false
        for line in try page() {
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast()
                .map { $0.trimmingCharacters(in: .whitespaces) }
            if Array(cells.prefix(2)) == titles {
                tables.append([])
                isInside = true
            } else if cells.isEmpty {
                isInside = false
            } else if isInside, cells[0] != "---" {
                tables[tables.count - 1].append(cells)
            }
        }
        return tables
    }

    private func expected() -> Envelope {
        var builder = EntryBatch.Builder(group: 1, previous: LogPosition(term: 6, index: 41), capacityBytes: 61)
        builder.append(term: 7, stamp: 5_000_000_000, kind: .command, payload: "hello")
        let entries = builder.finish()
        let range = EntryRange(first: 42, last: LogPosition(term: 7, index: 42))
        let append = Append(
            previous: LogPosition(term: 6, index: 41),
            entries: range,
            commit: 40,
            round: 9,
            sentAt: Instant(nanoseconds: 12_000_000)
        )
        return Envelope(group: 1, message: Message(from: 2, to: 3, term: 7, body: .append(append)), entries: entries)
    }

    func testTheExampleIsDecodedToWhatThePageSays() throws {
        let example = try example()
        XCTAssertEqual(example.count, 169)
        let envelope = try Envelope(decoding: example)
        XCTAssertEqual(envelope, expected())
        XCTAssertEqual(envelope.entries?.payload(at: 42), "hello")
    }

    func testWhatThePageSaysIsEncodedToTheExample() throws {
        XCTAssertEqual(try expected().frame(), try example())
    }

    func testTheExplanationGoesThroughEveryByteOfTheExample() throws {
        let tables = try tables(titled: ["offset", "bytes"])
        XCTAssertEqual(tables.count, 1)
        var explained: [UInt8] = []
        for row in try XCTUnwrap(tables.first) {
            XCTAssertEqual(Int(row[0].dropFirst(2), radix: 16), explained.count, row[2])
            for word in row[1].split(whereSeparator: { " `".contains($0) }) {
                explained.append(try XCTUnwrap(UInt8(word, radix: 16), row[2]))
            }
        }
        XCTAssertEqual(explained, try example())
    }

    func testFieldsFollowEachOtherWithoutGaps() throws {
        let tables = try tables(titled: ["offset", "size"])
        XCTAssertEqual(tables.count, 26, "the header, 21 bodies, and four of the first boot")
        for table in tables {
            var end = 0
            for row in table {
                XCTAssertEqual(Int(row[0]), end, row[2])
                if row[1] != "to the end" { end += try XCTUnwrap(Int(row[1]), row[2]) }
            }
        }
    }

    func testFieldsHaveTheLengthsThatThePageNames() throws {
        let kinds = try XCTUnwrap(try tables(titled: ["kind", "message"]).first)
        XCTAssertEqual(kinds.map { $0[0] }, (1...19).map { String($0) })
        for sent in PeerFrame.samples {
            let frame = try sent.frame()
            let row = kinds[Int(frame[6]) - 1]
            let said = description(of: sent.content)
            XCTAssertTrue(said.text.hasPrefix(row[1] + "("), row[1])
            let lengths = row[2].split(whereSeparator: { !$0.isNumber }).map { Int($0) }
            XCTAssertTrue(lengths.contains(frame.count - 52 - said.attachedByteCount), said.text)
            if said.attachedByteCount > 0 { XCTAssertNotEqual(row[3], "", row[1]) }
        }
    }

    /// What a frame says, beginning with the name that the page has for it, and how much stands behind the fields.
    private func description(of content: PeerFrame.Content) -> (text: String, attachedByteCount: Int) {
        switch content {
        case .message(let body, let entries): ("\(body)", entries?.byteCount ?? 0)
        case .checkpointChunk(let chunk): ("\(content)", chunk.bytes.count)
        case .forward(let forwarded): ("\(content)", forwarded.command.count)
        case .checkpointChunkResponse, .forwardResponse: ("\(content)", 0)
        case .firstBoot(.proposal(let cluster)), .firstBoot(.established(let cluster)):
            ("\(content)", cluster.table.encoded.count)
        case .firstBoot: ("\(content)", 0)
        }
    }
}
