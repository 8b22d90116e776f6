import BalsaPlatform
import BalsaRaft
import BalsaWire
import XCTest

final class EnvelopeTests: XCTestCase {
    private func address(_ bytes: Bytes) -> UInt { bytes.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } }

    func testEveryKindComesBackAsItWas() throws {
        for envelope in WireSamples.all {
            let frame = try envelope.frame()
            let decoded = try Envelope(decoding: frame)
            XCTAssertEqual(decoded, envelope, "\(envelope.message.body)")
            XCTAssertEqual(try decoded.frame(), frame, "\(envelope.message.body)")
        }
    }

    func testTheSamplesHoldEveryKindThatHasABody() throws {
        let kinds = try WireSamples.all.map { try $0.frame()[6] }
        for kind in [UInt8](1...12) + [18, 19] { XCTAssertTrue(kinds.contains(kind), "kind \(kind)") }
    }

    func testALargeAppendComesBackAsItWas() throws {
        let batch = WireSamples.entries(after: .zero, payloads: [0, 100_000, 17, 65_536])
        let envelope = WireSamples.append(batch)
        XCTAssertEqual(try Envelope(decoding: try envelope.frame()), envelope)
    }

    func testEntriesAreSentFromTheMemoryInWhichTheyLie() throws {
        let batch = WireSamples.entries(after: LogPosition(term: 1, index: 1), payloads: [100, 200, 300])
        let middle = batch.slice(from: 3, through: 3)
        let pieces = try WireSamples.append(middle).encoded(options: WireOptions(), version: 1)
        XCTAssertEqual(pieces.count, 2)
        XCTAssertEqual(pieces[0].count, 52 + 56)
        XCTAssertEqual(pieces[1], middle.bytes)
        XCTAssertEqual(address(pieces[1]), address(batch.bytes) + UInt(56 + 100))
    }

    func testAMessageWithoutAttachmentIsOnePiece() throws {
        let stale = WireSamples.envelope(.appendResponse(.stale))
        XCTAssertEqual(try stale.encoded(options: WireOptions(), version: 1).map(\.count), [101])
    }

    func testEncoding_versionThatThisReleaseDoesNotSpeak_isRefused() throws {
        let stale = WireSamples.envelope(.appendResponse(.stale))
        XCTAssertEqual(Array(try stale.frame()[4..<6]), [1, 0], "the version that was agreed on")
        for version in [UInt16(0), 2, .max] {
            XCTAssertThrowsError(try stale.encoded(options: WireOptions(), version: version)) {
                XCTAssertEqual($0 as? DecodingError, DecodingError(.version, "frame version", at: 4))
            }
        }
    }

    func testDecodedEntriesLieInTheFrame() throws {
        let batch = WireSamples.entries(after: LogPosition(term: 1, index: 1), payloads: [100, 200])
        let frame = Bytes(try WireSamples.append(batch).frame())
        let decoded = try Envelope(decoding: frame, options: WireOptions())
        let entries = try XCTUnwrap(decoded.entries)
        XCTAssertEqual(address(entries.bytes), address(frame) + 52 + 56)
        XCTAssertEqual(address(entries.payload(at: 2)), address(frame) + 52 + 56 + 56)
    }

    func testTheCoreIsToldTermKindAndSizeOfEveryEntry() throws {
        let batch = WireSamples.entries(after: LogPosition(term: 4, index: 9), payloads: [0, 5])
        let decoded = try Envelope(decoding: try WireSamples.append(batch).frame())
        XCTAssertEqual(
            decoded.entryMetadata,
            [EntryMetadata(term: 5, kind: 1, byteCount: 56), EntryMetadata(term: 6, kind: 2, byteCount: 61)]
        )
        XCTAssertEqual(WireSamples.envelope(.appendResponse(.stale)).entryMetadata, [])
    }

    func testAFrameMayBeAsLongAsItsLimitAndNoLonger() throws {
        let envelope = WireSamples.append(WireSamples.entries(after: .zero, payloads: [1_000]))
        let frame = try envelope.frame()
        var options = WireOptions()
        options.maxFrameBytes = frame.count
        XCTAssertEqual(try envelope.frame(options: options), frame)
        XCTAssertEqual(try Envelope(decoding: Bytes(frame), options: options), envelope)
        options.maxFrameBytes = frame.count - 1
        let expected = DecodingError(.outOfBounds, "frame body byte count", at: 40)
        XCTAssertThrowsError(try envelope.frame(options: options)) { XCTAssertEqual($0 as? DecodingError, expected) }
        XCTAssertThrowsError(try Envelope(decoding: Bytes(frame), options: options)) {
            XCTAssertEqual($0 as? DecodingError, expected)
        }
    }

    func testTheDefaultsTakeTheLargestEntriesThatTheyName() throws {
        let fields = 52 + 56
        let batch = WireSamples.entries(after: .zero, payloads: [(4 << 20) - 56])
        XCTAssertEqual(batch.byteCount, 4 << 20)
        XCTAssertEqual(try WireSamples.append(batch).frame().count, fields + (4 << 20))
    }

    func testNumbersThatNoReceiverAcceptsAreNotSent() {
        let beyond = largestNumber + 1
        let bodies: [Message.Body] = [
            .preVoteRequest(VoteRequest(last: LogPosition(term: beyond, index: 1), campaign: 1)),
            .voteRequest(VoteRequest(last: LogPosition(term: 1, index: beyond), campaign: 1)),
            .append(Append(previous: .zero, entries: nil, commit: beyond)),
            .append(Append(previous: LogPosition(term: 1, index: beyond), entries: nil, commit: 0)),
            .appendResponse(.accepted(through: beyond)),
            .appendResponse(.rejected(previous: beyond, hint: .zero)),
            .appendResponse(.rejected(previous: 1, hint: LogPosition(term: beyond, index: 1))),
            .voteRequest(VoteRequest(last: .zero, campaign: 1, flags: 2)),
            .preVoteRequest(VoteRequest(last: .zero, campaign: 1, flags: VoteRequest.transferFlag)),
            .timeoutNow(LogPosition(term: 1, index: beyond)),
            .timeoutNow(.zero),
            .checkpointRequest(CheckpointRequest(.diverged, atLeast: beyond)),
            .notice(.acknowledgedEntriesLost(through: LogPosition(term: 1, index: beyond))),
            .notice(.diverged(StateDigest(index: beyond, value: 1))),
            .notice(.diverged(StateDigest(index: 0, value: 1))),
            .notice(.agreed(StateDigest(index: 0, value: 1))),
            .heartbeat(Heartbeat(round: 1, sentAt: .zero, commit: .max)),
            .readResponse(ReadID(member: 1, nonce: 1, number: 1), .index(beyond)),
            .snapshot(SnapshotOffer(position: LogPosition(term: 1, index: beyond))),
        ]
        for body in bodies {
            XCTAssertThrowsError(try WireSamples.envelope(body).frame(), "\(body)") {
                XCTAssertEqual(($0 as? DecodingError)?.reason, .outOfBounds)
            }
        }
        assertRefused(.outOfBounds, "frame term", at: 32) {
            try WireSamples.envelope(.appendResponse(.stale), term: beyond).frame()
        }
        assertRefused(.outOfBounds, "frame group", at: 8) {
            try WireSamples.envelope(.appendResponse(.stale), group: 0).frame()
        }
    }

    func testAnEnvelopeCarriesWhatItsMessageAnnouncesAndNothingElse() {
        let batch = WireSamples.entries(after: LogPosition(term: 2, index: 9), payloads: [1, 2])
        let other = WireSamples.entries(after: LogPosition(term: 2, index: 10), payloads: [1, 2])
        var envelopes = [Envelope](repeating: WireSamples.append(batch), count: 3)
        envelopes[0].entries = nil
        envelopes[1].entries = other
        envelopes[2].entries = batch.prefix(maxBytes: 1)
        var stale = WireSamples.envelope(.appendResponse(.stale))
        stale.entries = batch
        envelopes.append(stale)
        var snapshot = WireSamples.envelope(.snapshot(SnapshotOffer(position: batch.last)))
        snapshot.entries = batch
        envelopes.append(snapshot)
        var probe = WireSamples.envelope(.append(Append(previous: batch.previous, entries: nil, commit: 0)))
        probe.entries = batch
        envelopes.append(probe)
        var elsewhere = WireSamples.append(batch)
        elsewhere.group = 5
        envelopes.append(elsewhere)
        for (number, envelope) in envelopes.enumerated() {
            XCTAssertThrowsError(try envelope.frame(), "case \(number)") {
                XCTAssertEqual(($0 as? DecodingError)?.reason, .inconsistent)
            }
        }
    }
}
