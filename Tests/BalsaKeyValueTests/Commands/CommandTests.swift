import BalsaKeyValue
import BalsaPlatform
import XCTest

/// The bytes of commands.
final class CommandTests: XCTestCase {
    static let samples: [Command] = [
        Command.Operation.openSession, .closeSession, .put(key: "key", value: "value"), .put(key: "", value: ""),
        .delete(key: "key"), .deleteRange(from: "a", to: "b"), .deleteRange(from: "a", to: nil),
        .compareAndSet(key: "key", condition: .absent, then: .put("value")),
        .compareAndSet(key: "key", condition: .revision(.max), then: .put("")),
        .compareAndSet(key: "key", condition: .value("old"), then: .delete),
        .compareAndSet(key: "key", condition: .value(""), then: .put("new")),
        .append(key: "key", bytes: "more"), .add(key: "key", amount: .min), .add(key: "", amount: 1),
        .changeOptions(ReplicatedOptions(), expecting: 5),
        .put(key: Bytes([UInt8](repeating: 7, count: 200)), value: Bytes([UInt8](repeating: 9, count: 5_000))),
    ].enumerated().map { place, operation in
        Command(
            identity: RequestIdentity(session: SessionID(rawValue: 3 + UInt64(place)), number: .max - UInt64(place)),
            lowestOutstanding: UInt64(place),
            operation: operation
        )
    }

    func testEveryCommandIsReadBack() throws {
        for command in CommandTests.samples {
            let bytes = command.encoded()
            XCTAssertEqual(try Command(decoding: bytes), command)
            XCTAssertEqual(Command.identity(ofEncoded: bytes), command.identity)
            XCTAssertNil(try ReplicatedOptions().refusal(ofEncoded: bytes))
        }
    }

    func testAnOpenRangeIsWrittenOneWay() throws {
        let identity = RequestIdentity(session: .none, number: 1)
        let empty = Command(identity: identity, operation: .deleteRange(from: "a", to: ""))
        let open = Command(identity: identity, operation: .deleteRange(from: "a", to: nil))
        XCTAssertEqual(empty.encoded(), open.encoded())
    }

    func testWithoutALowestNumberItIsTheCommandsOwn() {
        let command = Command(identity: RequestIdentity(session: .none, number: 9), operation: .openSession)
        XCTAssertEqual(command.lowestOutstanding, 9)
    }

    func testEveryTruncationIsRefused() {
        for command in CommandTests.samples.dropLast() {
            let bytes = command.encoded()
            for count in 0..<bytes.count {
                let part = bytes.slice(0..<count)
                XCTAssertThrowsError(try Command(decoding: part), "\(command) cut to \(count)") { error in
                    guard case .malformed = error as? CommandError else { return XCTFail("\(error)") }
                }
                XCTAssertEqual(Command.identity(ofEncoded: part), count < 26 ? nil : command.identity)
            }
            XCTAssertThrowsError(try Command(decoding: Bytes([UInt8](bytes) + [0])), "a byte too many") {
                XCTAssertEqual($0 as? CommandError, .malformed(.init(.inconsistent, "command", at: bytes.count)))
            }
        }
    }

    /// A command has no checksum of its own, since its entry has one: a flipped bit is refused or gives another command, which
    /// is written as these bytes.
    func testEveryFlippedBitIsRefusedOrGivesAnotherCommand() {
        var (accepted, refused) = (0, 0)
        for command in CommandTests.samples.dropLast() {
            let bytes = [UInt8](command.encoded())
            for bit in 0..<bytes.count * 8 {
                var flipped = bytes
                flipped[bit / 8] ^= 1 << (bit % 8)
                do throws(CommandError) {
                    let other = try Command(decoding: Bytes(flipped))
                    accepted += 1
                    XCTAssertNotEqual(other, command)
                    XCTAssertEqual([UInt8](other.encoded()), flipped)
                } catch {
                    refused += 1
                }
            }
        }
        XCTAssertGreaterThan(accepted, 2_900)
        XCTAssertGreaterThan(refused, 880)
    }

    func testCommandsOfNewerReleasesAreToldFromGarbage() {
        let comparison = Command(
            identity: RequestIdentity(session: .none, number: 1),
            operation: .compareAndSet(key: "", condition: .absent, then: .delete)
        )
        let bytes = [UInt8](comparison.encoded())
        func error(_ place: Int, _ value: UInt8) -> CommandError? {
            var changed = bytes
            changed[place] = value
            do {
                _ = try Command(decoding: Bytes(changed))
                return nil
            } catch {
                return error
            }
        }
        XCTAssertEqual(error(0, 2), .unknown(version: 2, kind: 6))
        XCTAssertEqual(error(1, 10), .unknown(version: 1, kind: 10))
        XCTAssertEqual(error(1, 0), .unknown(version: 1, kind: 0))
        XCTAssertEqual(error(30, 4), .unknown(version: 1, kind: 6), "the condition")
        XCTAssertEqual(error(31, 3), .unknown(version: 1, kind: 6), "the change")
        XCTAssertThrowsError(try Command(decoding: "")) { error in
            guard case .malformed = error as? CommandError else { return XCTFail("\(error)") }
        }
    }
}
