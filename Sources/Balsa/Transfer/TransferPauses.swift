import BalsaRaft

/// How long a leader waits before it sends another checkpoint to a peer that has refused one.
///
/// A peer without space for a checkpoint refuses each attempt, and each costs the leader what it reads and sends until
/// then. So the pause doubles with each refusal in a row, from two shortest election timeouts up to 64 of the longest.
/// It ends when a checkpoint has arrived whole, and with the term: another leader's state may be another one.
struct TransferPauses {
    private struct Pause {
        let peer: MemberID
        var refusals: UInt64 = 0
        var until = Instant.zero
    }

    /// At most one for each peer.
    private var pauses: [Pause] = []
    /// The term that they are of.
    private var term: Term = 0

    /// Whether no checkpoint is sent to a peer now.
    func isPaused(_ peer: MemberID, in term: Term, at now: Instant) -> Bool {
        term == self.term && pauses.contains { $0.peer == peer && now < $0.until }
    }

    /// A peer has refused a checkpoint.
    mutating func refused(by peer: MemberID, in term: Term, at now: Instant, _ options: RaftOptions) {
        if term != self.term {
            self.term = term
            pauses.removeAll()
        }
        var pause = pauses.first { $0.peer == peer } ?? Pause(peer: peer)
        pause.refusals += 1
        let doubled = options.minElectionTimeout * (1 << min(pause.refusals, 62))
        pause.until = now + min(doubled, options.maxElectionTimeout * 64)
        pauses.removeAll { $0.peer == peer }
        pauses.append(pause)
    }

    /// A checkpoint has arrived at a peer, whole.
    mutating func arrived(at peer: MemberID) { pauses.removeAll { $0.peer == peer } }
}
