import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The file BOOT of a member: how often its directory was opened, and what it has seen of the others' openings.
///
/// A directory that was set back to an earlier image has forgotten openings that others remember. What they remember has to
/// outlive them, so it stands here and not in memory alone: an opening of a peer is noted durably before anything that the
/// peer says in it is listened to. `Docs/IdentityFormat.md` has the layout.
struct BootRecord: Equatable, Sendable {
    /// The latest opening of a peer that this member has listened to.
    struct Peer: Equatable, Sendable {
        var member: MemberID
        /// How often its directory had been opened.
        var boot: UInt64
        /// The random number of that opening.
        var nonce: UInt64
    }

    static let magic: UInt32 = 0x424c_5442  // "BTLB" on disk
    static let version: UInt16 = 1
    static let fixedByteCount = 8 + 16 + 8 + 8 * Introduction.maxNonces + 4 + 4
    static let maxByteCount = fixedByteCount + 24 * Configuration.maxVoters

    /// The incarnation of the directory that it belongs to.
    var incarnation: UniqueID
    /// How often the directory was opened.
    var counter: UInt64
    /// The random numbers of the last openings, latest first.
    var nonces: [UInt64]
    /// The peers that were listened to, by ascending id.
    var peers: [Peer] = []

    /// Of a directory that was never opened.
    init(incarnation: UniqueID) {
        self.incarnation = incarnation
        counter = 0
        nonces = []
    }

    /// Notes that the directory is opened once more.
    mutating func bump(nonce: UInt64) {
        precondition(nonce != 0, "0 stands for no opening")
        // It is bounded where it is read, so that counting on cannot overflow.
        counter += 1
        nonces = Array(([nonce] + nonces).prefix(Introduction.maxNonces))
    }

    func encoded() throws(DecodingError) -> Bytes {
        var writer = ByteWriter(capacity: BootRecord.maxByteCount, limit: BootRecord.maxByteCount)
        try writer.uint32(BootRecord.magic, "magic")
        try writer.uint16(BootRecord.version, "version")
        try writer.uint16(0, "reserved")
        try writer.uniqueID(incarnation, "incarnation")
        try writer.uint64(counter, "counter")
        for place in 0..<Introduction.maxNonces {
            try writer.uint64(place < nonces.count ? nonces[place] : 0, "nonce")
        }
        try writer.uint32(UInt32(peers.count), "peers")
        for peer in peers {
            try writer.uint64(peer.member, "peer")
            try writer.uint64(peer.boot, "peer counter")
            try writer.uint64(peer.nonce, "peer nonce")
        }
        try writer.uint32(writer.checksum(of: 0..<writer.count), "checksum")
        return Bytes(writer.array)
    }

    init(decoding bytes: Bytes) throws(DecodingError) {
        self = try bytes.withReader { reader throws(DecodingError) in try BootRecord(from: &reader, of: bytes) }
    }

    private init(from reader: inout ByteReader, of bytes: Bytes) throws(DecodingError) {
        guard try reader.uint32("magic") == BootRecord.magic else { throw DecodingError(.magic, "magic", at: 0) }
        let version = try reader.uint16("version")
        guard version <= BootRecord.version else { throw DecodingError(.version, "version", at: 4) }
        guard version > 0 else { throw DecodingError(.outOfBounds, "version", at: 4) }
        guard bytes.count >= BootRecord.fixedByteCount else {
            throw DecodingError(.truncated, "checksum", at: bytes.count)
        }
        let end = bytes.count - 4
        let stored = try bytes.slice(end..<bytes.count).withReader { reader throws(DecodingError) in
            try reader.uint32("checksum")
        }
        guard reader.checksum(of: 0..<end) == stored else { throw DecodingError(.checksum, "checksum", at: end) }
        guard try reader.uint16("reserved") == 0 else { throw DecodingError(.outOfBounds, "reserved", at: 6) }
        incarnation = try reader.someUniqueID("incarnation")
        counter = try reader.uint64("counter")
        guard counter >= 1, counter <= largestNumber else { throw DecodingError(.outOfBounds, "counter", at: 24) }
        var all: [UInt64] = []
        for _ in 0..<Introduction.maxNonces { all.append(try reader.uint64("nonce")) }
        // As many as there were openings, and behind them nothing.
        let count = Int(min(counter, UInt64(Introduction.maxNonces)))
        guard all[..<count].allSatisfy({ $0 != 0 }), all[count...].allSatisfy({ $0 == 0 }) else {
            throw DecodingError(.inconsistent, "nonce", at: 32)
        }
        nonces = Array(all[..<count])
        let peerCount = try reader.uint32("peers")
        guard peerCount <= Configuration.maxVoters else { throw DecodingError(.outOfBounds, "peers", at: 96) }
        for _ in 0..<peerCount {
            let at = reader.offset
            let member = try reader.uint64("peer")
            let boot = try reader.uint64("peer counter")
            let peer = Peer(member: member, boot: boot, nonce: try reader.uint64("peer nonce"))
            guard member > peers.last?.member ?? 0, boot >= 1, boot <= largestNumber, peer.nonce != 0 else {
                throw DecodingError(.outOfBounds, "peer", at: at)
            }
            peers.append(peer)
        }
        guard reader.remaining == 4 else { throw DecodingError(.inconsistent, "peers", at: 96) }
    }
}
