import BalsaPlatform
import BalsaRaft
import BalsaWire

/// Envelopes of every kind, with ordinary values and with the lowest and highest that may travel.
enum WireSamples {
    static let maximum = UInt64.max
    static let highest = LogPosition(term: largestNumber, index: largestNumber)

    /// An envelope of `body` between members with numbers that differ in every byte.
    static func envelope(_ body: Message.Body, group: GroupID = 0x0102_0304_0506_0708, term: Term = 7) -> Envelope {
        let message = Message(from: 0x1112_1314_1516_1718, to: 0x2122_2324_2526_2728, term: term, body: body)
        return Envelope(group: group, message: message)
    }

    /// Entries with payloads of these lengths, in terms that rise by one an entry.
    static func entries(
        group: GroupID = 0x0102_0304_0506_0708,
        after previous: LogPosition,
        payloads: [Int]
    ) -> EntryBatch {
        var builder = EntryBatch.Builder(group: group, previous: previous, capacityBytes: 256)
        for (number, count) in payloads.enumerated() {
            let payload = Bytes((0..<count).map { UInt8(truncatingIfNeeded: 31 &* $0 &+ number) })
            builder.append(
                term: previous.term + 1 + UInt64(number),
                stamp: 1_000 + UInt64(number),
                kind: count == 0 ? .noOp : .command,
                payload: payload
            )
        }
        return builder.finish()
    }

    /// An append of all entries of `batch`.
    static func append(_ batch: EntryBatch, commit: LogIndex = 3, term: Term? = nil) -> Envelope {
        let range = EntryRange(first: batch.firstIndex, last: batch.last)
        let append = Append(previous: batch.previous, entries: range, commit: commit)
        var envelope = envelope(.append(append), group: batch.group, term: term ?? batch.last.term)
        envelope.entries = batch
        return envelope
    }

    /// One envelope or more of every kind and case, all of them small.
    static let all: [Envelope] =
        votes + appends + answers + reads + requests + [
            envelope(.snapshot(SnapshotOffer(position: LogPosition(term: 6, index: 900)))),
            envelope(.snapshot(SnapshotOffer(position: highest))),
        ]

    private static let votes = [
        envelope(.preVoteRequest(VoteRequest(last: .zero, campaign: 0)), term: 0),
        envelope(.preVoteRequest(VoteRequest(last: LogPosition(term: 6, index: 41), campaign: 12))),
        envelope(.preVoteResponse(VoteResponse(isGranted: true, campaign: 12))),
        envelope(.preVoteResponse(VoteResponse(isGranted: false, campaign: maximum))),
        envelope(.voteRequest(VoteRequest(last: highest, campaign: maximum)), group: maximum, term: largestNumber),
        envelope(.voteResponse(VoteResponse(isGranted: true, campaign: 1)), group: 1, term: 1),
        envelope(.voteResponse(VoteResponse(isGranted: false, campaign: 0))),
        envelope(.voteRequest(VoteRequest(last: highest, campaign: 3, flags: VoteRequest.transferFlag))),
        envelope(.timeoutNow(LogPosition(term: 6, index: 41))),
        envelope(.timeoutNow(highest)),
    ]

    private static let appends = [
        envelope(.append(Append(previous: .zero, entries: nil, commit: 0)), term: 1),
        envelope(.append(Append(previous: highest, entries: nil, commit: largestNumber)), term: largestNumber),
        envelope(
            .append(Append(previous: .zero, entries: nil, commit: 0, round: maximum, sentAt: .never)),
            term: 1
        ),
        append(entries(after: .zero, payloads: [0]), commit: 0),
        append(entries(after: LogPosition(term: 2, index: 9), payloads: [5])),
        append(entries(after: LogPosition(term: 2, index: 9), payloads: [0, 1, 40])),
        append(entries(after: LogPosition(term: largestNumber - 1, index: largestNumber - 1), payloads: [3])),
    ]

    private static let answers = [
        envelope(.appendResponse(.accepted(through: 0))),
        envelope(.appendResponse(.accepted(through: largestNumber))),
        envelope(.appendResponse(.rejected(previous: 12, hint: LogPosition(term: 3, index: 8)))),
        envelope(.appendResponse(.rejected(previous: largestNumber, hint: highest))),
        envelope(.appendResponse(.stale)),
        envelope(.appendResponse(full(.accepted(through: 9)))),
        envelope(.appendResponse(full(.rejected(previous: 12, hint: .zero)))),
        envelope(.appendResponse(full(.stale))),
        envelope(.heartbeat(Heartbeat(round: 0, sentAt: .zero, commit: 0))),
        envelope(.heartbeat(Heartbeat(round: maximum, sentAt: .never, commit: largestNumber))),
        envelope(.heartbeatResponse(HeartbeatResponse(round: 5, sentAt: Instant(nanoseconds: 6)))),
        envelope(.heartbeatResponse(HeartbeatResponse(round: maximum, sentAt: .never))),
    ]

    /// An answer in which no field is left out.
    private static func full(_ answer: AppendAnswer) -> AppendResponse {
        var response = AppendResponse(answer)
        response.round = 0x3132_3334_3536_3738
        response.sentAt = Instant(nanoseconds: 0x4142_4344_4546_4748)
        response.syncTime = TimeSpan(nanoseconds: 0x5152_5354_5556_5758)
        response.digest = StateDigest(index: largestNumber, value: maximum)
        response.receivedIndex = 0x2122_2324_2526_2728
        return response
    }

    private static let requests = [
        envelope(.checkpointRequest(CheckpointRequest(.diverged, atLeast: 0))),
        envelope(.checkpointRequest(CheckpointRequest(.diverged, atLeast: largestNumber))),
        envelope(.notice(.acknowledgedEntriesLost(through: highest)), term: largestNumber),
        envelope(.notice(.diverged(StateDigest(index: 4_096, value: 0)))),
        envelope(.notice(.agreed(StateDigest(index: 8_192, value: maximum)))),
    ]

    private static let reads = [
        envelope(.readRequest(ReadID(member: 1, nonce: 2, number: 3))),
        envelope(.readRequest(ReadID(member: maximum, nonce: maximum, number: maximum))),
        envelope(.readResponse(ReadID(member: 1, nonce: 2, number: 3), .index(0))),
        envelope(.readResponse(ReadID(member: 0, nonce: 0, number: 0), .index(largestNumber))),
        envelope(.readResponse(ReadID(member: 1, nonce: 2, number: 3), .refused)),
    ]
}

/// A wire frame laid out by hand from what `Docs/WireFormat.md` says, so that a test can say what no encoder would.
struct RawFrame {
    var magic: [UInt8] = Array("BALW".utf8)
    var version: UInt16 = 1
    var kind: UInt8 = 6
    var flags: UInt8 = 0
    var group: UInt64 = 1
    var from: UInt64 = 2
    var to: UInt64 = 3
    var term: UInt64 = 4
    var body: [UInt8] = [3] + [UInt8](repeating: 0, count: 48)
    /// What the header says of the body's length, if not the truth.
    var claimedBodyByteCount: UInt32?

    /// The frame with checksums that fit.
    var bytes: [UInt8] {
        var frame = magic + RawFrame.bytes(of: version) + [kind, flags]
        for number in [group, from, to, term] { frame += RawFrame.bytes(of: number) }
        frame += RawFrame.bytes(of: claimedBodyByteCount ?? UInt32(body.count))
        frame += [UInt8](repeating: 0, count: 8) + body
        RawFrame.seal(&frame)
        return frame
    }

    /// Replaces the checksums of a frame by those that fit what it holds.
    static func seal(_ frame: inout [UInt8]) {
        frame.replaceSubrange(44..<48, with: bytes(of: checksum(frame[52...])))
        frame.replaceSubrange(48..<52, with: bytes(of: checksum(frame[..<48])))
    }

    /// The little-endian bytes of a number.
    static func bytes<Number: FixedWidthInteger>(of number: Number) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { [UInt8]($0) }
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.withUnsafeBytes { CRC32C.extendByTable(0, with: $0) }
    }
}

extension Envelope {
    /// The envelope's frame as a receiver sees it.
    func frame(options: WireOptions = WireOptions()) throws(DecodingError) -> [UInt8] {
        var frame: [UInt8] = []
        for piece in try encoded(options: options, version: 1) { frame += [UInt8](piece) }
        return frame
    }

    init(decoding frame: [UInt8]) throws(DecodingError) {
        try self.init(decoding: Bytes(frame), options: WireOptions())
    }
}
