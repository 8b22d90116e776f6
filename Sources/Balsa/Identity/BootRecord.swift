import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The file BOOT of a member: the openings of its directory, and what it has seen of the others' openings.
///
/// A directory that was set back to an earlier image has forgotten openings that others remember. What they remember has to
/// outlive their processes, so it stands here and not in memory alone: an opening of a peer is noted durably before anything
/// that the peer says in it is listened to. `Docs/IdentityFormat.md` has the layout.
///
/// A peer asks for the opening that it remembers, and the member shows the random number of that opening. So the record
/// keeps the last ``maxNonces`` openings, and for each peer the latest one that the peer is known to remember, however long
/// ago that was.
struct BootRecord: Equatable, Sendable {
    /// The latest opening of a peer that this member has listened to.
    struct Peer: Equatable, Sendable {
        var member: MemberID
        /// How often its directory had been opened.
        var boot: UInt64
        /// The random number of that opening.
        var nonce: UInt64
        /// The latest opening of this member's own directory that the peer has said it remembers; nil before it has.
        var known: Opening?

        /// Whether it is of the same opening of the peer.
        func isSameOpening(as other: Peer?) -> Bool {
            member == other?.member && boot == other?.boot && nonce == other?.nonce
        }
    }

    static let magic: UInt32 = 0x424c_5442  // "BTLB" on disk
    static let version: UInt16 = 1
    /// How many openings the record reaches back, the present one included.
    static let maxNonces = 4_096
    /// How many peers it holds: those that the cluster has had, not only those that it has.
    static let maxPeers = 1_024
    /// The length of a record of no openings and no peers.
    static let fixedByteCount = 68
    private static let peerByteCount = 40
    static let maxByteCount = fixedByteCount + 8 * maxNonces + peerByteCount * maxPeers

    /// The incarnation of the directory that it belongs to.
    var incarnation: UniqueID
    /// How often the directory was opened.
    var counter: UInt64
    /// The latest opening whose mark VOTE, ROOT and the log have, durably; nil before the member's replica was opened.
    var marked: Opening?
    /// Grows with each write of the file, and is not 0. The log says which one was durable: an older copy is refused.
    var revision: UInt64
    /// The random numbers of the last openings, latest first: as many as there were, at most ``maxNonces``.
    var nonces: [UInt64]
    /// The peers that were listened to, by ascending id.
    var peers: [Peer] = []

    /// Of a directory that was never opened.
    init(incarnation: UniqueID) {
        self.incarnation = incarnation
        counter = 0
        revision = 1
        nonces = []
    }

    /// Notes that the directory is opened once more.
    mutating func bump(nonce: UInt64) {
        precondition(nonce != 0, "0 stands for no opening")
        // It is bounded where it is read, so that counting on cannot overflow.
        counter += 1
        nonces = Array(([nonce] + nonces).prefix(BootRecord.maxNonces))
    }

    /// An opening of this member's directory; nil where the record does not reach back to it, or there was none.
    func opening(_ boot: UInt64) -> Opening? {
        if boot >= 1, boot <= counter, counter - boot < UInt64(nonces.count) {
            return Opening(boot: boot, nonce: nonces[Int(counter - boot)])
        }
        for peer in peers { if let known = peer.known, known.boot == boot { return known } }
        return nil
    }

    func encoded() throws(DecodingError) -> Bytes {
        let byteCount = BootRecord.fixedByteCount + 8 * nonces.count + BootRecord.peerByteCount * peers.count
        var writer = ByteWriter(capacity: byteCount, limit: BootRecord.maxByteCount)
        try writer.uint32(BootRecord.magic, "magic")
        try writer.uint16(BootRecord.version, "version")
        try writer.uint16(0, "reserved")
        try writer.uint32(UInt32(byteCount), "byte count")
        try writer.uint32(UInt32(peers.count), "peers")
        try writer.uniqueID(incarnation, "incarnation")
        try writer.uint64(counter, "counter")
        try writer.uint64(marked?.boot ?? 0, "marked counter")
        try writer.uint64(marked?.nonce ?? 0, "marked nonce")
        try writer.uint64(revision, "revision")
        for nonce in nonces { try writer.uint64(nonce, "nonce") }
        for peer in peers {
            try writer.uint64(peer.member, "peer")
            try writer.uint64(peer.boot, "peer counter")
            try writer.uint64(peer.nonce, "peer nonce")
            try writer.uint64(peer.known?.boot ?? 0, "known counter")
            try writer.uint64(peer.known?.nonce ?? 0, "known nonce")
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
        guard try Int(reader.uint32("byte count")) == bytes.count else {
            throw DecodingError(.inconsistent, "byte count", at: 8)
        }
        let peerCount = try reader.uint32("peers")
        guard peerCount <= BootRecord.maxPeers else { throw DecodingError(.outOfBounds, "peers", at: 12) }
        incarnation = try reader.someUniqueID("incarnation")
        counter = try reader.uint64("counter")
        guard counter >= 1, counter <= largestNumber else { throw DecodingError(.outOfBounds, "counter", at: 32) }
        marked = try BootRecord.opening(from: &reader, "marked counter", "marked nonce", atMost: counter)
        revision = try reader.uint64("revision")
        guard (1...largestNumber).contains(revision) else { throw DecodingError(.outOfBounds, "revision", at: 56) }
        // As many as there were openings, as far as the record reaches back.
        let count = Int(min(counter, UInt64(BootRecord.maxNonces)))
        guard reader.remaining >= 8 * count else { throw DecodingError(.truncated, "nonce", at: bytes.count) }
        nonces = []
        for _ in 0..<count {
            let at = reader.offset
            let nonce = try reader.uint64("nonce")
            guard nonce != 0 else { throw DecodingError(.outOfBounds, "nonce", at: at) }
            nonces.append(nonce)
        }
        guard agrees(with: marked) else { throw DecodingError(.inconsistent, "marked nonce", at: 48) }
        for _ in 0..<peerCount {
            let at = reader.offset
            let peer = try BootRecord.peer(from: &reader, counter: counter)
            guard peer.member > peers.last?.member ?? 0, peer.boot >= 1, peer.boot <= largestNumber, peer.nonce != 0
            else {
                throw DecodingError(.outOfBounds, "peer", at: at)
            }
            peers.append(peer)
        }
        guard reader.remaining == 4 else { throw DecodingError(.inconsistent, "peers", at: 12) }
    }

    /// Whether an opening of this directory that the record names elsewhere is the one in its list, if that reaches
    /// back to it.
    private func agrees(with opening: Opening?) -> Bool {
        guard let opening, counter - opening.boot < UInt64(nonces.count) else { return true }
        return nonces[Int(counter - opening.boot)] == opening.nonce
    }

    private static func peer(from reader: inout ByteReader, counter: UInt64) throws(DecodingError) -> Peer {
        let member = try reader.uint64("peer")
        let boot = try reader.uint64("peer counter")
        let nonce = try reader.uint64("peer nonce")
        let known = try opening(from: &reader, "known counter", "known nonce", atMost: counter)
        return Peer(member: member, boot: boot, nonce: nonce, known: known)
    }

    /// An opening of this member's directory; nil where both numbers are 0.
    private static func opening(
        from reader: inout ByteReader,
        _ counterField: StaticString,
        _ nonceField: StaticString,
        atMost counter: UInt64
    ) throws(DecodingError) -> Opening? {
        let at = reader.offset
        let opening = Opening(boot: try reader.uint64(counterField), nonce: try reader.uint64(nonceField))
        if opening.boot == 0, opening.nonce == 0 { return nil }
        guard opening.boot >= 1, opening.boot <= counter, opening.nonce != 0 else {
            throw DecodingError(.outOfBounds, counterField, at: at)
        }
        return opening
    }
}
