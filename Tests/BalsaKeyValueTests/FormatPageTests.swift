import BalsaPlatform
import Foundation
import XCTest

@testable import BalsaKeyValue

/// The format pages in `Docs` against the code: their examples are decoded, and written again byte for byte.
final class FormatPageTests: XCTestCase {
    /// The bytes of the examples in a page: what stands between "```hex" and "```".
    private func examples(_ page: String) throws -> [Bytes] {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: package.appendingPathComponent("Docs/" + page), encoding: .utf8)
        return try text.components(separatedBy: "```hex\n").dropFirst().map { part in
            let block = try XCTUnwrap(part.components(separatedBy: "```").first)
            return Bytes(try block.split(whereSeparator: \.isWhitespace).map { try XCTUnwrap(UInt8($0, radix: 16)) })
        }
    }

    func testTheCommandAndTheReplyOfTheCommandPage() throws {
        let examples = try examples("CommandFormat.md")
        XCTAssertEqual(examples.count, 2)
        let command = Command(
            identity: RequestIdentity(session: SessionID(rawValue: 5), number: 3),
            lowestOutstanding: 2,
            operation: .compareAndSet(key: "lock", condition: .absent, then: .put("me"))
        )
        XCTAssertEqual(try Command(decoding: examples[0]), command)
        XCTAssertEqual(command.encoded(), examples[0])
        let reply = CommandReply(.conditionFailed, revision: 9, number: 7)
        XCTAssertEqual(try CommandReply(decoding: examples[1]), reply)
        XCTAssertEqual(reply.encoded(), examples[1])
    }

    func testTheStateOfTheSystemStatePage() throws {
        let examples = try examples("SystemStateFormat.md")
        XCTAssertEqual(examples.count, 1)
        let second: UInt64 = 1_000_000_000
        var state = ReplicatedState(cluster: UniqueID(high: 0x5555, low: 0x6666))
        state.advance(to: 1, term: 1, stamp: second)
        state.change(ReplicatedOptions())
        state.advance(to: 2, term: 2, stamp: second)
        state.sessions.open(index: 2, stamp: second)
        state.advance(to: 3, term: 2, stamp: 2 * second)
        let request = RequestIdentity(session: SessionID(rawValue: 2), number: 1)
        XCTAssertEqual(state.sessions.admit(request, lowest: 1, index: 3, stamp: 2 * second), .execute)
        state.sessions.store(CommandReply(.applied, revision: 3, number: 5), to: request)
        state.digest = MutationDigest(value: 0x1122_3344_5566_7788)
        XCTAssertEqual(try state.encoded(), examples[0])

        let decoded = try ReplicatedState(decoding: examples[0])
        XCTAssertEqual(decoded.position, KeyValuePosition(index: 3, term: 2, stamp: 2 * second))
        XCTAssertEqual(decoded.sessions.count, 1)
        XCTAssertEqual(try decoded.encoded(), examples[0])
    }
}
