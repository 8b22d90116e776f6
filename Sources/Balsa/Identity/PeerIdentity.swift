import BalsaRaft
import BalsaWire

/// Decides whom an established member listens to. A value, used where a connection begins.
///
/// What it must keep apart, and by what it does:
///
/// - another cluster, another addressee, an id that is used twice: by the ids in the introduction;
/// - a *wiped* directory: by its incarnation, which is not that of the table;
/// - a directory that was *rolled back*: by its boot counter, which is lower than the highest that was remembered. Opened
///   often enough, it counts beyond that; so it has to show the random number of the opening that is remembered. The last
///   eight come with each introduction. An older one is asked for: the peer is refused for now, and its next introduction
///   shows it. A directory that was set back has another number there, or none, however often it is opened;
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
    /// By which opening of this member's directory each peer was last heard to remember it.
    private var wanted: [(member: MemberID, boot: UInt64)] = []
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
        if let reason = reason(against: introduction) { return .refuse(refusal(reason, of: introduction)) }
        let peer = introduction.from
        let known = peers.first { $0.member == peer }
        // The planted error takes another directory for that of the member, and what it counts along with it.
        let isOther = cluster.table[peer]?.incarnation != introduction.incarnation
        if introduction.cluster == .none {
            // An opening that says so and is not the latest one cannot be that of the member: it has joined since. To
            // accept it would end the connections of the latest one.
            if let known, !isOther, let reason = reason(against: introduction, after: known) {
                return .refuse(refusal(reason, of: introduction))
            }
            return .firstBootOnly
        }
        remembers(peer, introduction.remembered)
        if let known, !isOther, let reason = reason(against: introduction, after: known) {
            return .refuse(refusal(reason, of: introduction))
        }
        if !isLive(peer, introduction.nonce) { live.append((peer, introduction.nonce)) }
        let opening = BootRecord.Peer(
            member: peer,
            boot: introduction.boot,
            nonce: introduction.nonce,
            known: known?.known
        )
        guard !opening.isSameOpening(as: known) else { return .accept(isNew: false) }
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
        func refuse(_ reason: IdentityRefusal.Reason) -> PeerVerdict {
            .refuse(IdentityRefusal(reason, of: introduction, by: member, in: .none))
        }
        guard introduction.from != member else { return refuse(.duplicateID) }
        guard introduction.to == member else { return refuse(.notAddressed) }
        return .firstBootOnly
    }

    /// Notes which opening of this member's directory a peer remembers: the one that the next introduction to it has to show.
    /// What a peer says wrongly it says rightly when it refuses that introduction.
    mutating func remembers(_ peer: MemberID, _ boot: UInt64) {
        // An address may lead to anybody. Only what a member of the table remembers is asked for, so that the list is
        // bounded.
        guard cluster.table[peer] != nil else { return }
        wanted.removeAll { $0.member == peer }
        if boot > 0 { wanted.append((peer, boot)) }
    }

    /// The opening of this member's directory that an introduction to a peer has to show; nil where none is known.
    func wanted(by peer: MemberID) -> UInt64? { wanted.first { $0.member == peer }?.boot }

    /// The latest opening of a peer's directory that was listened to, by its number; 0 for none.
    func remembered(_ peer: MemberID) -> UInt64 { peers.first { $0.member == peer }?.boot ?? 0 }

    /// Notes durably, with the caller's next write, that a peer that was accepted remembers this opening of this member's
    /// directory.
    ///
    /// - Returns: whether that was not known before.
    mutating func note(_ opening: Opening, isKnownTo peer: MemberID) -> Bool {
        guard let place = peers.firstIndex(where: { $0.member == peer }) else { return false }
        guard opening.boot > peers[place].known?.boot ?? 0 else { return false }
        peers[place].known = opening
        return true
    }

    /// Takes back what ``note(_:isKnownTo:)`` has noted of a peer, since it could not be written, so that it is noted
    /// again when the peer says it again.
    mutating func restoreKnown(of peer: MemberID, from before: [BootRecord.Peer]) {
        guard let place = peers.firstIndex(where: { $0.member == peer }) else { return }
        peers[place].known = before.first { $0.member == peer }?.known
    }

    /// Notes that the last connection of an opening of a peer has ended.
    mutating func disconnected(_ peer: MemberID, nonce: UInt64) {
        live.removeAll { $0.member == peer && $0.nonce == nonce }
    }

    private func isLive(_ peer: MemberID, _ nonce: UInt64) -> Bool {
        live.contains { $0.member == peer && $0.nonce == nonce }
    }

    private func refusal(_ reason: IdentityRefusal.Reason, of introduction: Introduction) -> IdentityRefusal {
        let known = remembered(introduction.from)
        return IdentityRefusal(reason, of: introduction, by: member, in: cluster.id, remembering: known)
    }

    /// Why a peer is not listened to, by who it says to be.
    private func reason(against introduction: Introduction) -> IdentityRefusal.Reason? {
        let peer = introduction.from
        guard introduction.cluster == .none || introduction.cluster == cluster.id else { return .otherCluster }
        guard peer != member else { return .duplicateID }
        guard introduction.to == member else { return .notAddressed }
        guard let row = cluster.table[peer] else { return .unknownMember }
        guard row.incarnation == introduction.incarnation || isIncarnationIgnored else {
            // While the member is heard whose directory it is, nothing was lost: another one was started under its id.
            return live.contains { $0.member == peer } ? .duplicateID : .wiped
        }
        guard (1...largestNumber).contains(introduction.boot), !introduction.nonces.contains(0),
            UInt64(introduction.nonces.count) == min(introduction.boot, UInt64(Introduction.maxNonces))
        else { return .malformed }
        // What the nonces say is not said twice.
        guard let proof = introduction.proof else { return nil }
        let isOlder = proof.boot <= introduction.boot - UInt64(introduction.nonces.count)
        return proof.boot >= 1 && isOlder ? nil : .malformed
    }

    /// Why an opening cannot be one that came after that which is remembered.
    private func reason(against introduction: Introduction, after known: BootRecord.Peer) -> IdentityRefusal.Reason? {
        // Of two openings that are not one behind the other the directory was set back in between. Where the first did not
        // end before the second began, two directories exist.
        let isApart: Bool
        if introduction.boot <= known.boot {
            isApart = introduction.boot < known.boot || introduction.nonce != known.nonce
        } else {
            // The opening that is remembered has to be one of its own.
            let later = introduction.boot - known.boot
            if later < UInt64(introduction.nonces.count) {
                isApart = introduction.nonces[Int(later)] != known.nonce
            } else {
                guard let proof = introduction.proof, proof.boot == known.boot else { return .unproven }
                guard proof.nonce != 0 else { return .forgotten }
                isApart = proof.nonce != known.nonce
            }
        }
        guard isApart else { return nil }
        let peer = introduction.from
        let isHeard = isLive(peer, known.nonce) || isLive(peer, introduction.nonce)
        // Its process was listened to, and another one counts on from the same directory.
        let isBack = earlier.contains { $0.member == peer && $0.nonce == introduction.nonce }
        return isHeard || isBack ? .cloned : .rolledBack
    }
}
