import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

final class PeerFrameTests: XCTestCase {
    private func address(_ bytes: Bytes) -> UInt { bytes.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } }

    func testEveryKindComesBackAsItWas() throws {
        for sent in PeerFrame.samples {
            let frame = try sent.frame()
            let decoded = try PeerFrame(decoding: frame)
            XCTAssertEqual(decoded, sent, "\(sent.content)")
            XCTAssertEqual(try decoded.frame(), frame, "\(sent.content)")
        }
    }

    func testTheSamplesHoldEveryKindThatThereIs() throws {
        let kinds = try PeerFrame.samples.map { try $0.frame()[6] }
        for kind in UInt8(1)...19 { XCTAssertTrue(kinds.contains(kind), "kind \(kind)") }
    }

    func testAMessageOfTheCoreIsTheSameFrameInBothViews() throws {
        for envelope in WireSamples.all {
            let frame = PeerFrame(envelope)
            XCTAssertEqual(frame.envelope, envelope)
            XCTAssertEqual(try frame.frame(), try envelope.frame())
            XCTAssertEqual(try PeerFrame(decoding: try envelope.frame()).envelope, envelope)
        }
    }

    func testWhatIsNotOfTheCoreIsNoEnvelope() {
        for frame in PeerFrame.ownSamples { XCTAssertNil(frame.envelope, "\(frame.content)") }
    }

    func testChunksAndNothingElseGoOverTheBulkConnection() throws {
        for frame in PeerFrame.samples {
            XCTAssertEqual(frame.isBulk, try frame.frame()[6] == 13, "\(frame.content)")
        }
    }

    // MARK: The layout, by hand from the page

    private func raw(_ kind: UInt8, _ fields: [[UInt8]]) -> [UInt8] {
        RawFrame(kind: kind, body: fields.flatMap { $0 }).bytes
    }

    private func sent(_ content: PeerFrame.Content) -> PeerFrame {
        PeerFrame(group: 1, from: 2, to: 3, term: 4, content: content)
    }

    private func bytes(_ number: UInt64) -> [UInt8] { RawFrame.bytes(of: number) }

    private func assertLaidOut(_ content: PeerFrame.Content, as frame: [UInt8], line: UInt = #line) {
        XCTAssertEqual(try PeerFrame(decoding: frame), sent(content), line: line)
        XCTAssertEqual(try sent(content).frame(), frame, line: line)
    }

    func testAChunkIsLaidOutAsThePageSays() {
        let chunk = CheckpointChunk(
            transfer: TransferID(nonce: 0x11, number: 0x12),
            position: LogPosition(term: 0x13, index: 0x14),
            streamByteCount: 0x16,
            offset: 0x15,
            streamChecksum: 0x1718_191a,
            bytes: "x"
        )
        let numbers: [UInt64] = [0x11, 0x12, 0x13, 0x14, 0x16, 0x15]
        let fields = numbers.map { bytes($0) } + [RawFrame.bytes(of: UInt32(0x1718_191a)), [0x78]]
        assertLaidOut(.checkpointChunk(chunk), as: raw(13, fields))
    }

    func testTheAnswerToAChunkIsLaidOutAsThePageSays() {
        let statuses: [(CheckpointChunkResponse.Status, UInt8)] = [(.receiving, 1), (.complete, 2), (.refused, 3)]
        for (status, code) in statuses {
            let transfer = TransferID(nonce: 0x11, number: 0x12)
            let response = CheckpointChunkResponse(transfer: transfer, receivedByteCount: 0x13, status: status)
            let frame = raw(14, [bytes(0x11), bytes(0x12), bytes(0x13), [code]])
            assertLaidOut(.checkpointChunkResponse(response), as: frame)
        }
    }

    func testAForwardedCommandIsLaidOutAsThePageSays() {
        let forwarded = ForwardedCommand(number: 0x11, command: "xyz")
        assertLaidOut(.forward(forwarded), as: raw(15, [bytes(0x11), Array("xyz".utf8)]))
    }

    func testTheRefusalOfACommandIsLaidOutAsThePageSays() {
        let refusals: [(ForwardResponse.Refusal, UInt8)] = [
            (.notLeader, 1), (.busy, 2), (.tooLarge, 3), (.closed, 4), (.failed, 5),
            (.invalid, 6), (.upgradeRequired, 7),
        ]
        for (refusal, code) in refusals {
            let response = ForwardResponse(number: 0x11, refusal: refusal, leader: 0x12)
            assertLaidOut(.forwardResponse(response), as: raw(16, [bytes(0x11), [code], bytes(0x12)]))
        }
    }

    // MARK: Memory

    private let long = Bytes([UInt8](repeating: 9, count: 1_000))

    func testAChunkIsSentFromTheMemoryInWhichItLies() throws {
        let pieces = try PeerFrame.chunk(long).encoded(options: WireOptions(), version: 1)
        XCTAssertEqual(pieces.map(\.count), [52 + 52, 1_000])
        XCTAssertEqual(address(pieces[1]), address(long))
    }

    func testACommandIsSentFromTheMemoryInWhichItLies() throws {
        let forward = PeerFrame.sample(.forward(ForwardedCommand(number: 1, command: long)))
        let pieces = try forward.encoded(options: WireOptions(), version: 1)
        XCTAssertEqual(pieces.map(\.count), [52 + 8, 1_000])
        XCTAssertEqual(address(pieces[1]), address(long))
    }

    func testAFrameOfFieldsAloneIsOnePiece() throws {
        for frame in [PeerFrame.chunk(Bytes()), .sample(.forward(ForwardedCommand(number: 1, command: Bytes())))] {
            XCTAssertEqual(try frame.encoded(options: WireOptions(), version: 1).count, 1)
        }
    }

    func testTheBytesOfADecodedChunkLieInTheFrame() throws {
        let frame = Bytes(try PeerFrame.chunk(long).frame())
        guard case .checkpointChunk(let chunk) = try PeerFrame(decoding: frame, options: WireOptions()).content else {
            return XCTFail("a chunk became something else")
        }
        XCTAssertEqual(address(chunk.bytes), address(frame) + 52 + 52)
    }

    func testADecodedCommandLiesInTheFrame() throws {
        let frame = Bytes(try PeerFrame.sample(.forward(ForwardedCommand(number: 1, command: long))).frame())
        guard case .forward(let forwarded) = try PeerFrame(decoding: frame, options: WireOptions()).content else {
            return XCTFail("a command became something else")
        }
        XCTAssertEqual(address(forwarded.command), address(frame) + 52 + 8)
    }

    // MARK: Limits

    func testEveryKindMayBeAsLongAsTheLimitAndNoLonger() throws {
        for sent in PeerFrame.samples {
            let frame = try sent.frame()
            var options = WireOptions()
            options.maxFrameBytes = frame.count
            XCTAssertEqual(try PeerFrame(decoding: Bytes(try sent.frame(options: options)), options: options), sent)
            options.maxFrameBytes = frame.count - 1
            let expected = DecodingError(.outOfBounds, "frame body byte count", at: 40)
            XCTAssertThrowsError(try sent.frame(options: options), "\(sent.content)") {
                XCTAssertEqual($0 as? DecodingError, expected)
            }
            XCTAssertThrowsError(try PeerFrame(decoding: Bytes(frame), options: options), "\(sent.content)") {
                XCTAssertEqual($0 as? DecodingError, expected)
            }
        }
    }

    func testTheRoomForFieldsIsEnoughForAChunkAndForACommand() throws {
        let options = WireOptions()
        let most = Bytes([UInt8](repeating: 1, count: options.maxFrameBytes - WireOptions.roomForFields))
        XCTAssertNoThrow(try PeerFrame.chunk(most).encoded(options: options, version: 1))
        let forward = PeerFrame.sample(.forward(ForwardedCommand(number: 1, command: most)))
        XCTAssertNoThrow(try forward.encoded(options: options, version: 1))
    }

    func testACommandThatFitsIntoAnAppendCanBeForwarded() throws {
        let batch = WireSamples.entries(after: .zero, payloads: [10_000])
        var options = WireOptions()
        options.maxFrameBytes = try WireSamples.append(batch).frame().count
        let forward = PeerFrame.sample(.forward(ForwardedCommand(number: 1, command: batch.payload(at: 1))))
        XCTAssertNoThrow(try forward.encoded(options: options, version: 1))
    }
}
