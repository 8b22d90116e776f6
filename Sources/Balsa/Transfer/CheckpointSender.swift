import BalsaPlatform
import BalsaRaft
import BalsaWire

/// A checkpoint on its way to a peer, chunk by chunk.
///
/// At most two chunks are on their way, so that the memory it takes is that of two chunks, whatever the size of the state,
/// and so that appends to the same and to other peers pass it on a connection of their own. What is not acknowledged in
/// time is sent again from the last acknowledged byte; where the peer makes no progress for long, the transfer is given up.
struct CheckpointSender {
    /// The most chunks that are on their way.
    static let window = 2

    let transfer: TransferID
    let peer: MemberID
    let source: any CheckpointSource
    /// The list of files, with which the stream begins.
    private let list: Bytes
    let streamByteCount: UInt64

    private struct Chunk {
        var offset: UInt64
        var end: UInt64
        /// The checksum of the stream through the end of the chunk.
        var checksum: UInt32
    }

    /// What was sent and is not acknowledged.
    private var underWay: [Chunk] = []
    /// How much of the stream was acknowledged, and its checksum.
    private(set) var acknowledged: UInt64 = 0
    private var acknowledgedChecksum: UInt32 = 0
    /// When the chunks that are on their way are sent again.
    private(set) var resendAt = Instant.never
    /// When the transfer is given up.
    private(set) var giveUpAt: Instant
    /// Whether the peer has everything.
    var isComplete: Bool { acknowledged == streamByteCount }
    /// Whether the peer's last word was that it has nothing.
    private var hasNothing = false
    /// How many chunks were sent again.
    private(set) var chunksRepeated = 0

    init(
        _ source: any CheckpointSource,
        of cluster: UniqueID,
        to peer: MemberID,
        transfer: TransferID,
        giveUpAt: Instant
    ) throws(DecodingError) {
        self.source = source
        self.peer = peer
        self.transfer = transfer
        self.giveUpAt = giveUpAt
        let files = CheckpointList(cluster: cluster, stamp: source.state.stamp, files: source.files)
        list = try files.encoded()
        guard let total = files.streamByteCount(list: list.count) else {
            throw DecodingError(.outOfBounds, "stream bytes", at: 0)
        }
        streamByteCount = total
    }

    private var next: UInt64 { underWay.last?.end ?? acknowledged }

    /// The chunk to send now; nil where the window is full or all is sent.
    mutating func nextChunk(
        of chunkByteCount: Int,
        at now: Instant,
        resendAfter: TimeSpan
    ) throws(StateMachineError) -> CheckpointChunk? {
        guard underWay.count < CheckpointSender.window, next < streamByteCount else { return nil }
        let offset = next
        let count = Int(min(UInt64(chunkByteCount), streamByteCount - offset))
        let bytes = try read(offset, count)
        let checksum = bytes.withUnsafeBytes {
            CRC32C.extend(underWay.last?.checksum ?? acknowledgedChecksum, with: $0)
        }
        underWay.append(Chunk(offset: offset, end: offset + UInt64(count), checksum: checksum))
        resendAt = now + resendAfter
        return CheckpointChunk(
            transfer: transfer,
            position: source.state.position,
            streamByteCount: streamByteCount,
            offset: offset,
            streamChecksum: checksum,
            bytes: bytes
        )
    }

    /// The bytes of the stream from `offset` on: at most `count` of them fit into a chunk, and they may span files.
    private func read(_ offset: UInt64, _ count: Int) throws(StateMachineError) -> Bytes {
        let slab = Slab.make(capacity: count)
        var position = offset
        var begin = UInt64(list.count)
        if position < begin {
            let end = min(begin, offset + UInt64(count))
            list.slice(Int(position)..<Int(end)).withUnsafeBytes { slab.append($0) }
            position = end
        }
        for (number, file) in source.files.enumerated() where slab.count < count {
            let end = begin + file.byteCount
            if position < end, position >= begin {
                let wanted = min(count - slab.count, Int(end - position))
                let bytes = try source.read(file: number, offset: position - begin, count: wanted)
                guard bytes.count == wanted else {
                    throw StateMachineError("\(file.name) of a checkpoint is shorter than it was")
                }
                bytes.withUnsafeBytes { slab.append($0) }
                position += UInt64(wanted)
            }
            begin = end
        }
        return Bytes(slab: slab, offset: 0, count: slab.count)
    }

    /// Notes how much the peer has. One that has nothing, and had something, was started again: unless an acknowledgement
    /// says otherwise before chunks are sent again, all of it is.
    mutating func received(through offset: UInt64, giveUpAt: Instant) {
        hasNothing = offset == 0 && acknowledged > 0
        guard offset > acknowledged, let slot = underWay.firstIndex(where: { $0.end == offset }) else { return }
        acknowledged = offset
        acknowledgedChecksum = underWay[slot].checksum
        underWay.removeFirst(slot + 1)
        self.giveUpAt = giveUpAt
        if underWay.isEmpty { resendAt = .never }
    }

    /// Whether something has to be sent again: what is on its way then is taken for lost.
    mutating func expire(at now: Instant) -> Bool {
        guard now >= resendAt, !underWay.isEmpty else { return false }
        chunksRepeated += underWay.count
        underWay.removeAll()
        if hasNothing {
            hasNothing = false
            acknowledged = 0
            acknowledgedChecksum = 0
        }
        resendAt = .never
        return true
    }
}
