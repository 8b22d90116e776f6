import BalsaRaft
import BalsaTransport
import BalsaWire

/// Decides which refusals an operator hears of.
///
/// A refused connection is tried again every second or so, on both paths; one report is enough until the peer is
/// connected.
struct RefusalReports {
    /// How many refusals are remembered.
    static let maxReported = 64

    private var reported: [(peer: MemberID, refusal: HandshakeRefusal)] = []

    /// Whether to report this refusal between the member and `peer`.
    ///
    /// A peer that was refused as a copy, for example, has failed of that, and answers that it has failed. The first
    /// report says what to do; to open the peer again, as the second one advises, would be wrong.
    mutating func isNews(_ refusal: HandshakeRefusal, of peer: MemberID) -> Bool {
        guard !refusal.isPassing else { return false }
        if refusal.ofThisMember?.reason == .unavailable, hasRefused(peer) {
            return false
        }
        guard !reported.contains(where: { $0.peer == peer && $0.refusal == refusal }) else { return false }
        if reported.count == RefusalReports.maxReported { reported.removeFirst() }
        reported.append((peer, refusal))
        return true
    }

    /// For what a peer fails that is refused: its directory is not the one that it was.
    private static let fatal: [IdentityRefusal.Reason] = [.duplicateID, .wiped, .rolledBack, .cloned]

    /// Whether it was reported that this member refused the peer for what it fails of.
    private func hasRefused(_ peer: MemberID) -> Bool {
        reported.contains {
            guard $0.peer == peer, $0.refusal.side == .here, case .identity(let refusal) = $0.refusal.reason else {
                return false
            }
            return RefusalReports.fatal.contains(refusal.reason)
        }
    }

    /// The peer is connected: what is refused from now on is news.
    mutating func forget(_ peer: MemberID) { reported.removeAll { $0.peer == peer } }
}
