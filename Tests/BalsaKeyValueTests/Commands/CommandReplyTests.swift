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
                let place = [0, 1, 2, 3, 11].last { $0 <= count } ?? 0
                assertRefused(.truncated, at: place, "\(reply) cut to \(count)") {
                    try CommandReply(decoding: bytes.slice(0..<count))
                }
            }
            assertRefused(.inconsistent, "reply", at: bytes.count) {
                try CommandReply(decoding: Bytes([UInt8](bytes) + [0]))
            }
        }
        for outcome in [0, 13] as [UInt8] {
            assertRefused(.outOfBounds, "outcome", at: 1) {
                try CommandReply(decoding: CommandReply(.init(rawValue: outcome), revision: 1).encoded())
            }
        }
    }

    func testEveryFlippedBitIsRefusedOrGivesAnotherReply() {
        var (accepted, refused) = (0, 0)
        for reply in samples {
            let bytes = [UInt8](reply.encoded())
            for bit in 0..<bytes.count * 8 {
                var flipped = bytes
                flipped[bit / 8] ^= 1 << (bit % 8)
                do throws(BalsaPlatform.DecodingError) {
                    let other = try CommandReply(decoding: Bytes(flipped))
                    accepted += 1
                    XCTAssertNotEqual(other, reply)
                    XCTAssertEqual([UInt8](other.encoded()), flipped)
                } catch {
                    refused += 1
                }
            }
        }
        // The revision and the number may have any value; the version, most of the outcome and the flags may not.
        XCTAssertGreaterThanOrEqual(accepted, 528)
        XCTAssertGreaterThanOrEqual(refused, 104)
    }

    func testOutcomesHaveNames() {
        XCTAssertEqual(CommandReply.Outcome.applied.description, "applied")
        XCTAssertEqual(CommandReply.Outcome.windowExceeded.description, "window exceeded")
        XCTAssertEqual(CommandReply.Outcome(rawValue: 200).description, "outcome 200")
    }
}
