import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

/// Frames of the kinds that are not messages of the core, as no honest member has sent them.
final class PeerFrameDamageTests: XCTestCase {
    private func assertFrameRefused(
        _ frame: [UInt8],
        _ reason: DecodingError.Reason,
        at offset: Int,
        _ message: String = "",
        line: UInt = #line
    ) {
        XCTAssertThrowsError(try PeerFrame(decoding: frame), message, line: line) { error in
            let error = error as? DecodingError
            XCTAssertEqual(error?.reason, reason, message, line: line)
            XCTAssertEqual(error?.offset, offset, message, line: line)
        }
    }

    func testEveryTruncationIsRefused() throws {
        for sent in PeerFrame.ownSamples {
            let frame = try sent.frame()
            for count in 0..<frame.count {
                assertFrameRefused(Array(frame[..<count]), .truncated, at: truncationPlace(count), "\(sent.content)")
            }
        }
    }

    /// Where a reader notices that only `count` bytes are there: at the field of the header that is cut off, or where the
    /// body ends.
    private func truncationPlace(_ count: Int) -> Int {
        count < 52 ? [0, 4, 6, 7, 8, 16, 24, 32, 40, 44, 48].last { $0 <= count } ?? 0 : count
    }

    func testEverySingleFlippedBitIsRefused() throws {
        for sent in PeerFrame.ownSamples {
            let frame = try sent.frame()
            for bit in 0..<8 * frame.count {
                var damaged = frame
                damaged[bit / 8] ^= 1 << (bit % 8)
                let fault = fault(ofFlippedBit: bit)
                assertFrameRefused(damaged, fault.reason, at: fault.offset, "bit \(bit) of \(sent.content)")
            }
        }
    }

    func testAByteBehindTheFrameIsRefused() throws {
        for sent in PeerFrame.ownSamples {
            let frame = try sent.frame()
            assertFrameRefused(frame + [0], .inconsistent, at: frame.count, "\(sent.content)")
        }
    }

    func testUnknownKindsAreRefused() {
        for kind in [0] + Array(UInt8(20)...255) {
            assertFrameRefused(RawFrame(kind: kind).bytes, .outOfBounds, at: 6, "kind \(kind)")
        }
    }

    func testDamageUnderNewChecksumsIsRefusedOrMeansWhatItWouldBeEncodedAs() throws {
        var random = RandomSource(seed: 5)
        let frames = try PeerFrame.ownSamples.map { try $0.frame() }
        var accepted = 0
        for _ in 0..<20_000 {
            var frame = random.pick(frames)
            for _ in 0..<random.draw(1...3) {
                frame[random.draw(0...frame.count - 1)] = random.chance(1, in: 2) ? 0 : UInt8(random.draw(0...255))
            }
            RawFrame.seal(&frame)
            guard let decoded = try? PeerFrame(decoding: frame) else { continue }
            accepted += 1
            XCTAssertEqual(try decoded.frame(), frame)
        }
        XCTAssertGreaterThan(accepted, 100, "the damage was too great to test anything")
    }

    func testRandomBodiesAreRefusedOrMeanWhatTheyWouldBeEncodedAs() {
        var random = RandomSource(seed: 6)
        var accepted = 0
        for _ in 0..<20_000 {
            var raw = RawFrame(kind: UInt8(random.draw(11...20)))
            raw.body = (0..<random.draw(0...70)).map { _ in random.chance(1, in: 2) ? 0 : UInt8(random.draw(0...3)) }
            guard let decoded = try? PeerFrame(decoding: raw.bytes) else { continue }
            accepted += 1
            XCTAssertEqual(try decoded.frame(), raw.bytes)
        }
        XCTAssertGreaterThan(accepted, 100, "the bodies were too wild to test anything")
    }

    // MARK: Fields

    func testFieldsThatAreCutOffAreRefusedUnderChecksumsThatFit() {
        for (kind, count) in [(UInt8(13), 52), (14, 25), (15, 8), (16, 17)] {
            for short in 0..<count {
                let raw = RawFrame(kind: kind, body: [UInt8](repeating: 1, count: short))
                XCTAssertThrowsError(try PeerFrame(decoding: raw.bytes), "kind \(kind), \(short) bytes") {
                    XCTAssertEqual(($0 as? DecodingError)?.reason, .truncated, "kind \(kind), \(short) bytes")
                }
            }
        }
    }

    func testAnAnswerLongerThanItsKindIsRefused() {
        let zeros = [UInt8](repeating: 0, count: 40)
        assertFrameRefused(RawFrame(kind: 14, body: zeros[..<24] + [1, 0]).bytes, .inconsistent, at: 52 + 25)
        assertFrameRefused(RawFrame(kind: 16, body: zeros[..<8] + [1] + zeros[..<9]).bytes, .inconsistent, at: 52 + 17)
    }

    func testCodesOutsideOfTheirRangeAreRefused() {
        let zeros = [UInt8](repeating: 0, count: 24)
        for code in [0] + Array(UInt8(4)...255) {
            assertFrameRefused(RawFrame(kind: 14, body: zeros + [code]).bytes, .outOfBounds, at: 52 + 24, "\(code)")
        }
        for code in [0] + Array(UInt8(9)...255) {
            let body = zeros[..<8] + [code] + zeros[..<8]
            assertFrameRefused(RawFrame(kind: 16, body: Array(body)).bytes, .outOfBounds, at: 52 + 8, "\(code)")
        }
    }

    func testALengthBeyondItsBoundIsRefusedWhereItStands() {
        let beyond = RawFrame.bytes(of: largestNumber + 1)
        let answer = RawFrame(kind: 14, body: [UInt8](repeating: 0, count: 16) + beyond + [1])
        assertFrameRefused(answer.bytes, .outOfBounds, at: 52 + 16)
        for offset in [16, 24, 32, 40] {
            for number in [largestNumber + 1, .max] {
                let frame = chunk { $0.replaceSubrange(offset..<offset + 8, with: RawFrame.bytes(of: number)) }
                assertFrameRefused(frame, .outOfBounds, at: 52 + offset, "\(number)")
            }
        }
    }

    // MARK: A first boot

    /// The body of a proposal with a changed table of members 1 and 2.
    private func proposal(_ change: (inout [UInt8]) -> Void = { _ in }) -> [UInt8] {
        var table: [UInt8] = [1, 0, 2, 0]
        for member in [UInt64(1), 2] {
            for number in [member, 0, member] { table += RawFrame.bytes(of: number) }
            table += [3, 0] + Array("a:1".utf8)
        }
        change(&table)
        let id = RawFrame.bytes(of: UInt64(8)) + RawFrame.bytes(of: UInt64(9))
        return RawFrame(kind: 17, body: [2] + id + table).bytes
    }

    func testATableOfDifferentMembersIsAccepted() throws {
        guard case .firstBoot(.proposal(let cluster)) = try PeerFrame(decoding: proposal()).content else {
            return XCTFail("it is something else")
        }
        XCTAssertEqual(cluster.id, UniqueID(high: 8, low: 9))
        XCTAssertEqual(cluster.table.members, [1, 2])
        XCTAssertEqual(cluster.table[2]?.address, "a:1")
    }

    func testATableThatNoMemberMakesIsRefused() {
        assertFrameRefused(proposal { $0[0] = 2 }, .version, at: 52 + 17, "a newer version")
        assertFrameRefused(proposal { $0[0] = 0 }, .outOfBounds, at: 52 + 17, "no version")
        assertFrameRefused(proposal { $0[2] = 32 }, .outOfBounds, at: 52 + 19, "too many members")
        assertFrameRefused(proposal { $0 = Array($0[..<2]) + [0, 0] }, .outOfBounds, at: 52 + 17, "no members")
        assertFrameRefused(proposal { $0[4] = 0 }, .outOfBounds, at: 52 + 17, "member 0")
        assertFrameRefused(proposal { $0[4] = 2 }, .inconsistent, at: 52 + 17, "a member twice")
        assertFrameRefused(proposal { $0[4] = 3 }, .inconsistent, at: 52 + 17, "members in another order")
        assertFrameRefused(proposal { $0[20] = 0 }, .outOfBounds, at: 52 + 17, "no incarnation")
        assertFrameRefused(proposal { $0[20] = 2 }, .inconsistent, at: 52 + 17, "an incarnation twice")
        assertFrameRefused(proposal { $0[29] = 2 }, .outOfBounds, at: 52 + 17 + 28, "a long address")
        assertFrameRefused(proposal { $0[30] = 0xff }, .outOfBounds, at: 52 + 17 + 30, "an address that is no text")
        assertFrameRefused(proposal { $0.append(0) }, .inconsistent, at: 52 + 17 + 4 + 58, "a byte more")
    }

    func testAMessageOfTheFirstBootWithoutMeaningIsRefused() {
        let ones = [UInt8](repeating: 1, count: 32)
        let zeros = [UInt8](repeating: 0, count: 16)
        for code in [0] + Array(UInt8(5)...255) {
            assertFrameRefused(RawFrame(kind: 17, body: [code] + ones).bytes, .outOfBounds, at: 52, "\(code)")
        }
        assertFrameRefused(RawFrame(kind: 17, body: [1] + zeros).bytes, .outOfBounds, at: 52 + 1, "no incarnation")
        assertFrameRefused(RawFrame(kind: 17, body: [3] + zeros + zeros).bytes, .outOfBounds, at: 52 + 1, "no cluster")
        assertFrameRefused(RawFrame(kind: 17, body: [3] + ones[..<16] + zeros).bytes, .outOfBounds, at: 52 + 17)
        assertFrameRefused(RawFrame(kind: 17, body: [1] + ones).bytes, .inconsistent, at: 52 + 17, "a byte more")
    }

    func testAMessageWithoutAnIDIsNotSent() {
        let some = UniqueID(high: 1, low: 1)
        let messages: [(FirstBootMessage, field: String, offset: Int)] = [
            (.hello(incarnation: .none), "incarnation", 53), (.noted(cluster: .none, incarnation: some), "cluster", 53),
            (.noted(cluster: some, incarnation: .none), "incarnation", 69),
            (.proposal(ClusterIdentity(id: .none, table: PeerFrame.table)), "cluster", 53),
        ]
        for (message, field, offset) in messages {
            assertRefused(.outOfBounds, field, at: offset) { try PeerFrame.sample(.firstBoot(message)).frame() }
        }
    }

    // MARK: A chunk and its stream

    /// The frame of bytes 10 to 13 of a stream of 20, with a changed body.
    private func chunk(_ change: (inout [UInt8]) -> Void = { _ in }) -> [UInt8] {
        let numbers: [UInt64] = [1, 2, 3, 4, 20, 10]
        var raw = RawFrame(kind: 13)
        raw.body = numbers.flatMap { RawFrame.bytes(of: $0) } + RawFrame.bytes(of: UInt32(5)) + [6, 7, 8, 9]
        change(&raw.body)
        return raw.bytes
    }

    func testAChunkWithinItsStreamIsAccepted() {
        XCTAssertNoThrow(try PeerFrame(decoding: chunk()))
        XCTAssertNoThrow(try PeerFrame(decoding: chunk { $0[40] = 16 }), "the end of the stream")
        XCTAssertNoThrow(try PeerFrame(decoding: chunk { $0[32] = 14 }), "the end of the stream")
        XCTAssertNoThrow(try PeerFrame(decoding: chunk { $0[40] = 0 }), "the beginning of the stream")
    }

    func testAChunkBeyondTheEndOfItsStreamIsRefused() {
        assertFrameRefused(chunk { $0[40] = 17 }, .inconsistent, at: 52 + 52, "one byte beyond")
        assertFrameRefused(chunk { $0[32] = 13 }, .inconsistent, at: 52 + 52, "one byte beyond")
        assertFrameRefused(chunk { $0.append(contentsOf: [UInt8](repeating: 0, count: 7)) }, .inconsistent, at: 52 + 52)
        assertFrameRefused(chunk { $0[40] = 20 }, .inconsistent, at: 52 + 52, "bytes behind the end")
        assertFrameRefused(chunk { $0[40] = 21 }, .inconsistent, at: 52 + 40, "an offset behind the end")
        assertFrameRefused(chunk { $0[32] = 0 }, .inconsistent, at: 52 + 40, "bytes of a stream that has none")
    }

    func testAnOffsetThatCannotBeCountedOnFromIsRefusedAndDoesNotTrap() {
        let highest = RawFrame.bytes(of: largestNumber)
        assertFrameRefused(
            chunk { $0.replaceSubrange(32..<48, with: highest + highest) },
            .inconsistent,
            at: 52 + 52
        )
    }

    func testAChunkWithoutBytesIsRefusedUnlessItsStreamHasNone() {
        assertFrameRefused(chunk { $0.removeLast(4) }, .inconsistent, at: 52 + 52)
        assertFrameRefused(
            chunk { $0 = Array($0[..<40]) + RawFrame.bytes(of: UInt64(20)) + $0[48..<52] },
            .inconsistent,
            at: 52 + 52,
            "at the end"
        )
        XCTAssertNoThrow(
            try PeerFrame(
                decoding: chunk {
                    ($0[32], $0[40]) = (0, 0)
                    $0.removeLast(4)
                }
            )
        )
    }

    func testAChunkOfACheckpointOfNothingIsRefused() {
        assertFrameRefused(chunk { $0[16] = 0 }, .outOfBounds, at: 52 + 16, "term")
        assertFrameRefused(chunk { $0[24] = 0 }, .outOfBounds, at: 52 + 24, "index")
    }

    // MARK: What is not sent

    private func assertNotSent(
        _ reason: DecodingError.Reason,
        line: UInt = #line,
        _ change: (inout CheckpointChunk) -> Void
    ) {
        var chunk = CheckpointChunk(
            transfer: TransferID(nonce: 1, number: 2),
            position: LogPosition(term: 3, index: 4),
            streamByteCount: 20,
            offset: 10,
            streamChecksum: 5,
            bytes: [6, 7, 8, 9]
        )
        XCTAssertNoThrow(try PeerFrame.sample(.checkpointChunk(chunk)).frame(), line: line)
        change(&chunk)
        XCTAssertThrowsError(try PeerFrame.sample(.checkpointChunk(chunk)).frame(), line: line) {
            XCTAssertEqual(($0 as? DecodingError)?.reason, reason, line: line)
        }
    }

    func testAChunkThatNoReceiverAcceptsIsNotSent() {
        assertNotSent(.inconsistent) { $0.offset = 17 }
        assertNotSent(.inconsistent) { $0.offset = 21 }
        assertNotSent(.inconsistent) { $0.bytes = Bytes() }
        assertNotSent(.inconsistent) { $0.streamByteCount = 0 }
        assertNotSent(.outOfBounds) { $0.offset = .max }
        assertNotSent(.outOfBounds) { $0.streamByteCount = .max }
        assertNotSent(.outOfBounds) { $0.position = .zero }
        assertNotSent(.outOfBounds) { $0.position.index = 0 }
        assertNotSent(.outOfBounds) { $0.position.term = largestNumber + 1 }
    }

    func testOtherFramesThatNoReceiverAcceptsAreNotSent() {
        let response = CheckpointChunkResponse(
            transfer: TransferID(nonce: 1, number: 2),
            receivedByteCount: largestNumber + 1,
            status: .receiving
        )
        XCTAssertThrowsError(try PeerFrame.sample(.checkpointChunkResponse(response)).frame()) {
            XCTAssertEqual($0 as? DecodingError, DecodingError(.outOfBounds, "chunk received byte count", at: 52 + 16))
        }
        let forward = PeerFrame.Content.forward(ForwardedCommand(number: 1, command: "x"))
        assertRefused(.outOfBounds, "frame term", at: 32) {
            try PeerFrame.sample(forward, term: largestNumber + 1).frame()
        }
        assertRefused(.outOfBounds, "frame group", at: 8) {
            try PeerFrame(group: 0, from: 1, to: 2, term: 1, content: forward).frame()
        }
        assertRefused(.outOfBounds, "frame sender", at: 16) {
            try PeerFrame(group: 1, from: 0, to: 2, term: 1, content: forward).frame()
        }
        assertRefused(.outOfBounds, "frame receiver", at: 24) {
            try PeerFrame(group: 1, from: 1, to: 0, term: 1, content: forward).frame()
        }
    }

    func testEntriesThatTheirMessageDoesNotAnnounceAreNotSent() {
        let batch = WireSamples.entries(after: .zero, payloads: [1])
        let stale = PeerFrame.sample(.message(.appendResponse(.stale), entries: batch))
        XCTAssertThrowsError(try stale.frame()) { XCTAssertEqual(($0 as? DecodingError)?.reason, .inconsistent) }
    }
}
