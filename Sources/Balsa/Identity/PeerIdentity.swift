import BalsaRaft
import BalsaWire

/// Decides whom an established member listens to. A value, used where a connection begins.
///
/// What it must keep apart, and by what it does:
///
/// - another cluster, another addressee, an id that is used twice: by the ids in the introduction;
/// - a *wiped* directory: by its incarnation, which is not that of the table;
/// - a directory that was *rolled back*: by its boot counter, which is lower than the highest that was remembered. Opened
///   often enough, it would count beyond that; so its last openings have to be the remembered ones, too;
/// - a *cloned* directory: by the nonce of its opening, when the counter is that of another one, or when an opening comes
///   back after a later one.
///
/// What it cannot see: a directory that was set back to an image which was made in its last opening that any peer has
/// listened to. It has lost promises, and no opening. Nor can a peer say anything of openings in which it never heard of the
/// member. Of a copy that was made so, it listens to the copy, which looks like the next opening, and refuses the member
/// from its next connection on. All of that is for who restores directories to know: never from an image, unless all
/// members are.
struct PeerIdentity: Sendable {
    let member: MemberID
    let cluster: ClusterIdentity
    /// The latest opening of each peer that was accepted, by ascending id.
    private(set) var peers: [BootRecord.Peer]
    /// The peers of which a connection is open, with the nonce of the opening.
    private var live: [(member: MemberID, nonce: UInt64)] = []
    /// The nonce of the opening that was accepted before the latest one, of peers that have had two.
    private var earlier: [(member: MemberID, nonce: UInt64)] = []
    /// An error that the simulator plants to test its judges.
    let isIncarnationIgnored: Bool

    init(
        member: MemberID,
        cluster: ClusterIdentity,
        peers: [BootRecord.Peer],
        isIncarnationIgnored: Bool = false
    ) {
        self.member = member
        self.cluster = cluster
        self.peers = peers
        self.isIncarnationIgnored = isIncarnationIgnored
    }

    /// Decides about a connection that begins. One that is accepted counts as open until ``disconnected(_:nonce:)``.
    mutating func connect(_ introduction: Introduction) -> PeerVerdict {
        if let refusal = refusal(of: introduction) { return .refuse(refusal) }
        let peer = introduction.from
        if introduction.cluster == .none { return .firstBootOnly }
        let known = peers.first { $0.member == peer }
        // The planted error takes another directory for that of the member, and what it counts along with it.
        let isOther = cluster.table[peer]?.incarnation != introduction.incarnation
        if let known, !isOther, let refusal = refusal(of: introduction, after: known) { return .refuse(refusal) }
        if !isLive(peer, introduction.nonce) { live.append((peer, introduction.nonce)) }
        let opening = BootRecord.Peer(member: peer, boot: introduction.boot, nonce: introduction.nonce)
        guard opening != known else { return .accept(isNew: false) }
        if let known {
            earlier.removeAll { $0.member == peer }
            earlier.append((peer, known.nonce))
        }
        peers.removeAll { $0.member == peer }
        peers.insert(opening, at: peers.firstIndex { $0.member > peer } ?? peers.count)
        return .accept(isNew: true)
    }

    /// Decides about a connection to a member that belongs to no cluster yet: it listens to messages of the first boot alone,
    /// whoever sends them, and what they say decides.
    static func verdict(of introduction: Introduction, before member: MemberID) -> PeerVerdict {
        guard introduction.from != member else { return .refuse(.duplicateID(member)) }
        guard introduction.to == member else {
            return .refuse(.notAddressed(introduction.to, introduction.from, member))
        }
        return .firstBootOnly
    }

    /// Notes that the last connection of an opening of a peer has ended.
    mutating func disconnected(_ peer: MemberID, nonce: UInt64) {
        live.removeAll { $0.member == peer && $0.nonce == nonce }
    }

    private func isLive(_ peer: MemberID, _ nonce: UInt64) -> Bool {
        live.contains { $0.member == peer && $0.nonce == nonce }
    }

    /// Why a peer is not listened to, by who it says to be.
    private func refusal(of introduction: Introduction) -> IdentityRefusal? {
        let peer = introduction.from
        guard introduction.cluster == .none || introduction.cluster == cluster.id else {
            return .otherCluster(peer, introduction.cluster, cluster.id)
        }
        guard peer != member else { return .duplicateID(member) }
        guard introduction.to == member else { return .notAddressed(introduction.to, peer, member) }
        guard let row = cluster.table[peer] else { return .unknownMember(peer, cluster.id) }
        guard row.incarnation == introduction.incarnation || isIncarnationIgnored else {
            return .wiped(peer, cluster.id)
        }
        guard (1...largestNumber).contains(introduction.boot), !introduction.nonces.contains(0),
            UInt64(introduction.nonces.count) == min(introduction.boot, UInt64(Introduction.maxNonces))
        else { return .malformed(peer) }
        return nil
    }

    /// Why an opening cannot be one that came after that which is remembered.
    private func refusal(of introduction: Introduction, after known: BootRecord.Peer) -> IdentityRefusal? {
        let peer = introduction.from
        guard introduction.boot >= known.boot else {
            // Its process was listened to and is still there, and another one counts on from the same directory.
            let isHeard = earlier.contains { $0.member == peer && $0.nonce == introduction.nonce }
            return isHeard || isLive(peer, introduction.nonce) ? .cloned(peer) : .rolledBack(peer)
        }
        let later = introduction.boot - known.boot
        guard later > 0 else {
            guard introduction.nonce != known.nonce else { return nil }
            // Two openings of one number. While the first is still heard, two directories exist; after it has gone, one that
            // was set back by an opening is the same.
            return isLive(peer, known.nonce) ? .cloned(peer) : .rolledBack(peer)
        }
        // The opening that is remembered has to be one of its own, as far as it looks back.
        guard later < UInt64(introduction.nonces.count) else { return nil }
        return introduction.nonces[Int(later)] == known.nonce ? nil : .rolledBack(peer)
    }
}
