import BalsaPlatform
import BalsaRaft
import BalsaWire

extension PeerFrame {
    /// A frame between members with numbers that differ in every byte, as `WireSamples` has them.
    static func sample(_ content: Content, term: Term = 7) -> PeerFrame {
        PeerFrame(
            group: 0x0102_0304_0506_0708,
            from: 0x1112_1314_1516_1718,
            to: 0x2122_2324_2526_2728,
            term: term,
            content: content
        )
    }

    /// The whole of a stream in one chunk.
    static func chunk(_ stream: Bytes) -> PeerFrame {
        sample(
            .checkpointChunk(
                CheckpointChunk(
                    transfer: TransferID(nonce: 5, number: 6),
                    position: LogPosition(term: 7, index: 900),
                    streamByteCount: UInt64(stream.count),
                    offset: 0,
                    streamChecksum: CRC32C.checksum(stream),
                    bytes: stream
                )
            )
        )
    }

    /// One frame of every kind and case.
    static let samples = WireSamples.all.map { PeerFrame($0) } + ownSamples

    /// The frames that are not messages of the core, with ordinary values and with the lowest and highest that may travel.
    static let ownSamples = chunks + chunkResponses + forwards + forwardResponses + firstBoots

    private static let transfers = [
        TransferID(nonce: 0x3132_3334_3536_3738, number: 0x4142_4344_4546_4748), TransferID(nonce: 0, number: 0),
        TransferID(nonce: .max, number: .max),
    ]

    private static let chunks: [PeerFrame] =
        [chunk(Bytes()), chunk("a"), chunk("a stream that is longer than what is stored without a slab")]
        + [
            CheckpointChunk(
                transfer: transfers[0],
                position: LogPosition(term: 1, index: 1),
                streamByteCount: 100,
                offset: 97,
                streamChecksum: 0x5152_5354,
                bytes: "end"
            ),
            CheckpointChunk(
                transfer: transfers[1],
                position: LogPosition(term: 6, index: 900),
                streamByteCount: 1 << 40,
                offset: 1 << 33,
                streamChecksum: 0,
                bytes: "a part in the middle of a long stream"
            ),
            CheckpointChunk(
                transfer: transfers[2],
                position: WireSamples.highest,
                streamByteCount: largestNumber,
                offset: largestNumber - 1,
                streamChecksum: .max,
                bytes: "z"
            ),
        ].map { sample(.checkpointChunk($0), term: largestNumber) }

    private static let chunkResponses: [PeerFrame] = [
        CheckpointChunkResponse(transfer: transfers[0], receivedByteCount: 97, status: .receiving),
        CheckpointChunkResponse(transfer: transfers[1], receivedByteCount: 0, status: .refused),
        CheckpointChunkResponse(transfer: transfers[2], receivedByteCount: largestNumber, status: .complete),
    ].map { sample(.checkpointChunkResponse($0)) }

    private static let forwards: [PeerFrame] = [
        ForwardedCommand(number: 0, command: Bytes()),
        ForwardedCommand(number: 0x3132_3334_3536_3738, command: "put"),
        ForwardedCommand(number: .max, command: "a command that is longer than what is stored without a slab"),
    ].map { sample(.forward($0)) }

    private static let forwardResponses: [PeerFrame] = [
        ForwardResponse(number: 0x3132_3334_3536_3738, refusal: .notLeader, leader: 0x4142_4344_4546_4748),
        ForwardResponse(number: 0, refusal: .notLeader, leader: 0),
        ForwardResponse(number: 1, refusal: .busy, leader: 3),
        ForwardResponse(number: 2, refusal: .tooLarge, leader: 3),
        ForwardResponse(number: 3, refusal: .closed, leader: 3),
        ForwardResponse(number: .max, refusal: .failed, leader: .max),
        ForwardResponse(number: 4, refusal: .upgradeRequired, leader: 3),
        ForwardResponse(number: 5, refusal: .damaged, leader: 3),
    ].map { sample(.forwardResponse($0)) }

    /// A table of as many members as there may be, with addresses of different lengths.
    static let table: MemberTable = {
        let rows = (1...UInt64(7)).map { member in
            MemberTable.Row(
                member: member == 7 ? .max : member,
                incarnation: UniqueID(high: member, low: .max - member),
                address: member == 1 ? "" : String(repeating: "ä", count: Int(member) * 3) + ":7001"
            )
        }
        do { return try MemberTable(rows) } catch { preconditionFailure("a table of 7: \(error)") }
    }()

    private static let firstBoots: [PeerFrame] = [
        FirstBootMessage.hello(incarnation: UniqueID(high: 0x3132_3334_3536_3738, low: 0x4142_4344_4546_4748)),
        .hello(incarnation: UniqueID(high: .max, low: .max)),
        .proposal(ClusterIdentity(id: UniqueID(high: 0, low: 1), table: table)),
        .noted(cluster: UniqueID(high: 1, low: 0), incarnation: UniqueID(high: 2, low: 3)),
        .established(ClusterIdentity(id: UniqueID(high: 4, low: 5), table: table)),
    ].map { sample(.firstBoot($0), term: 0) }

    /// The frame as a receiver sees it.
    func frame(options: WireOptions = WireOptions()) throws(DecodingError) -> [UInt8] {
        var frame: [UInt8] = []
        for piece in try encoded(options: options, version: 1) { frame += [UInt8](piece) }
        return frame
    }

    init(decoding frame: [UInt8]) throws(DecodingError) {
        try self.init(decoding: Bytes(frame), options: WireOptions())
    }
}
