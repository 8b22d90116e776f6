import BalsaPlatform
import BalsaRaft
import BalsaWire

@testable import BalsaTransport

extension UniqueID {
    /// The cluster of the tests.
    static let sampleCluster = UniqueID(high: 0xc1, low: 0xc2)
}

extension Introduction {
    /// A member of the tests' cluster, in its first opening unless told otherwise. The nonces of its openings are counted from
    /// `origin`.
    static func sample(_ member: MemberID, to peer: MemberID = 1, boot: UInt64 = 1, origin: UInt64 = 0) -> Introduction
    {
        Introduction(
            cluster: .sampleCluster,
            from: member,
            to: peer,
            incarnation: UniqueID(high: 0x1000 + member, low: 0x2000 + member),
            boot: boot,
            nonces: (0..<min(boot, 8)).map { origin + 100 * member + boot - $0 }
        )
    }

    /// The same, said to another peer.
    func said(to peer: MemberID) -> Introduction {
        var introduction = self
        introduction.to = peer
        return introduction
    }

    /// What a connection begins with.
    func hello(_ path: SendPath = .control) -> Handshake { HandshakeTerms().hello(self, path) }
}

extension [UInt8] {
    /// The same bytes with one bit changed.
    func flipping(bit: Int) -> [UInt8] {
        var bytes = self
        bytes[bit / 8] ^= 1 << UInt8(bit % 8)
        return bytes
    }
}
