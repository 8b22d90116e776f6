import BalsaPlatform
import XCTest

@testable import BalsaKeyValue

/// The bytes of the system state.
final class ReplicatedStateTests: XCTestCase {
    /// A state with samples, a mark, and sessions with and without replies.
    static func sample(entries: UInt64 = 12) -> ReplicatedState {
        var limits = ReplicatedOptions()
        limits.maxSessions = 3
        limits.retainedRevisions = 8
        limits.retainedNanoseconds = 60
        limits.retentionSampleNanoseconds = 20
        var state = ReplicatedState(cluster: UniqueID(high: 5, low: 6), options: limits)
        for index in 1...entries {
            state.advance(to: index, term: 1 + index / 4, stamp: index * 10)
            if index % 3 == 1 {
                state.sessions.open(index: index, stamp: state.position.stamp)
            } else {
                // The two entries behind the one that opened a session belong to it.
                let session = SessionID(rawValue: index % 3 == 2 ? index - 1 : index - 2)
                let request = RequestIdentity(session: session, number: index)
                _ = state.sessions.admit(request, lowest: 2, index: index, stamp: state.position.stamp)
                let reply = CommandReply(.applied, revision: index, number: index % 2 == 0 ? -1 : nil)
                state.sessions.store(reply, to: request)
                state.digest.add(reply, index: index)
            }
        }
        return state
    }

    func testAStateIsReadBack() throws {
        for entries in 1...12 as ClosedRange<UInt64> {
            let state = ReplicatedStateTests.sample(entries: entries)
            let bytes = try state.encoded()
            let decoded = try ReplicatedState(decoding: bytes)
            XCTAssertEqual(decoded.cluster, state.cluster)
            XCTAssertEqual(decoded.options, state.options)
            XCTAssertEqual(decoded.position, state.position)
            XCTAssertEqual(decoded.digest, state.digest)
            XCTAssertEqual(decoded.retention, state.retention)
            XCTAssertEqual(decoded.sessions.count, state.sessions.count)
            XCTAssertEqual(decoded.sessions.replyCount, state.sessions.replyCount)
            XCTAssertEqual(try decoded.encoded(), bytes)
        }
    }

    func testEveryTruncationIsRefused() throws {
        let bytes = try ReplicatedStateTests.sample().encoded()
        for count in 0..<bytes.count {
            let fault: (reason: BalsaPlatform.DecodingError.Reason, field: String, place: Int) =
                switch count {
                case ..<4: (.truncated, "magic", 0)
                case ..<6: (.truncated, "version", 4)
                case ..<(ReplicatedState.headerByteCount + 12): (.truncated, "state", count)
                default: (.checksum, "checksum", count - 4)
                }
            assertRefused(fault.reason, fault.field, at: fault.place, "cut to \(count)") {
                try ReplicatedState(decoding: bytes.slice(0..<count))
            }
        }
        assertRefused(.checksum, "checksum", at: bytes.count - 3, "a byte too many") {
            try ReplicatedState(decoding: Bytes([UInt8](bytes) + [0]))
        }
    }

    func testEveryFlippedBitIsRefused() throws {
        let bytes = [UInt8](try ReplicatedStateTests.sample().encoded())
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << (bit % 8)
            let fault: (reason: BalsaPlatform.DecodingError.Reason, place: Int) =
                switch bit {
                case ..<32: (.magic, 0)
                case 32: (.outOfBounds, 4)
                case ..<48: (.version, 4)
                default: (.checksum, bytes.count - 4)
                }
            assertRefused(fault.reason, at: fault.place, "bit \(bit)") {
                try ReplicatedState(decoding: Bytes(flipped))
            }
        }
    }

    /// Bytes that are wrong under a right checksum, as only a bug could write them or a peer could make them up.
    func testEveryFlippedBitUnderARightChecksumIsRefusedOrGivesAnotherState() throws {
        var (accepted, refused) = (0, 0)
        let bytes = [UInt8](try ReplicatedStateTests.sample().encoded())
        for bit in 0..<(bytes.count - 4) * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << (bit % 8)
            let checksum = flipped[..<(bytes.count - 4)].withUnsafeBytes { CRC32C.checksum($0) }
            withUnsafeBytes(of: checksum.littleEndian) { flipped.replaceSubrange((bytes.count - 4)..., with: $0) }
            do throws(BalsaPlatform.DecodingError) {
                let state = try ReplicatedState(decoding: Bytes(flipped))
                accepted += 1
                XCTAssertEqual([UInt8](try state.encoded()), flipped, "bit \(bit)")
            } catch {
                refused += 1
                XCTAssertNotEqual(error.reason, .checksum, "bit \(bit): \(error)")
            }
        }
        XCTAssertGreaterThan(accepted, 800)
        XCTAssertGreaterThan(refused, 2_400)
    }

    func testTheLargestStateFitsIntoASeal() throws {
        let limits = ReplicatedOptions()
        let bound = try XCTUnwrap(limits.stateByteCountBound)
        XCTAssertLessThanOrEqual(bound, ReplicatedState.maxEncodedBytes)
    }

    func testTheBoundIsReachedAndNotPassed() throws {
        let state = ReplicatedStateTests.sample()
        let bound = try XCTUnwrap(state.options.stateByteCountBound)
        XCTAssertLessThanOrEqual(try state.encoded().count, bound)
    }
}
