import BalsaKeyValue
import BalsaPlatform
import XCTest

/// The bytes of replies.
final class CommandReplyTests: XCTestCase {
    private let samples = [
        CommandReply(.applied, revision: 1), CommandReply(.sessionOpened, revision: .max),
        CommandReply(.conditionFailed, revision: 2, number: 0), CommandReply(.applied, revision: 3, number: .min),
        CommandReply(.windowExceeded, revision: 0, number: -1),
    ]

    func testEveryReplyIsReadBackAndShort() throws {
        for outcome in 1...11 as ClosedRange<UInt8> {
            let reply = CommandReply(.init(rawValue: outcome), revision: 7, number: 8)
            XCTAssertEqual(try CommandReply(decoding: reply.encoded()), reply)
        }
        for reply in samples {
            XCTAssertEqual(try CommandReply(decoding: reply.encoded()), reply)
            XCTAssertLessThanOrEqual(reply.encoded().count, CommandReply.maxEncodedBytes)
        }
    }

    func testTruncationsAndUnknownBytesAreRefused() {
        for reply in samples {
            let bytes = reply.encoded()
            for count in 0..<bytes.count {
                XCTAssertThrowsError(try CommandReply(decoding: bytes.slice(0..<count)))
            }
            XCTAssertThrowsError(try CommandReply(decoding: Bytes([UInt8](bytes) + [0])))
        }
        XCTAssertThrowsError(try CommandReply(decoding: CommandReply(.init(rawValue: 0), revision: 1).encoded()))
        XCTAssertThrowsError(try CommandReply(decoding: CommandReply(.init(rawValue: 12), revision: 1).encoded()))
    }

    func testEveryFlippedBitIsRefusedOrGivesAnotherReply() {
        for reply in samples {
            let bytes = [UInt8](reply.encoded())
            for bit in 0..<bytes.count * 8 {
                var flipped = bytes
                flipped[bit / 8] ^= 1 << (bit % 8)
                guard let other = try? CommandReply(decoding: Bytes(flipped)) else { continue }
                XCTAssertNotEqual(other, reply)
                XCTAssertEqual([UInt8](other.encoded()), flipped)
            }
        }
    }

    func testOutcomesHaveNames() {
        XCTAssertEqual(CommandReply.Outcome.applied.description, "applied")
        XCTAssertEqual(CommandReply.Outcome.windowExceeded.description, "window exceeded")
        XCTAssertEqual(CommandReply.Outcome(rawValue: 200).description, "outcome 200")
    }
}
