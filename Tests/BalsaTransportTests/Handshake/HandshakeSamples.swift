import BalsaPlatform
import BalsaRaft

@testable import BalsaTransport

extension MemberIdentity {
    /// A member of the tests' cluster, in its first life unless told otherwise.
    static func sample(_ member: MemberID, boot: UInt64 = 1, nonce: UInt64? = nil) -> MemberIdentity {
        MemberIdentity(
            cluster: ClusterID(rawValue: 0xc1),
            member: member,
            incarnation: Incarnation(rawValue: 0x1000 + UInt128(member)),
            bootCounter: boot,
            nonce: nonce ?? 100 * member + boot
        )
    }
}

extension HandshakePolicy {
    /// The policy of a member among `members`, whose incarnations it knows.
    static func sample(_ own: MemberIdentity, members: [MemberID]) -> HandshakePolicy {
        HandshakePolicy(
            own: own,
            peers: members.filter { $0 != own.member }.map {
                Peer($0, incarnation: MemberIdentity.sample($0).incarnation)
            }
        )
    }
}

extension [UInt8] {
    /// The same bytes with one bit changed.
    func flipping(bit: Int) -> [UInt8] {
        var bytes = self
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        return bytes
    }
}
