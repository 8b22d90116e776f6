import BalsaPlatform
import BalsaRaft

/// With what a member begins a connection to a peer: who it is, and for whom it takes the other end.
///
/// A member that belongs to no cluster yet says so with ``UniqueID/none``; it then has only messages of the first boot to
/// send.
public struct Introduction: Equatable, Sendable {
    /// How many openings ``nonces`` reaches back, the present one included.
    public static let maxNonces = 8

    /// The cluster that the sender belongs to, ``UniqueID/none`` before it belongs to any.
    public var cluster: UniqueID
    /// Who begins the connection.
    public var from: MemberID
    /// Whom it means to reach.
    public var to: MemberID
    /// The life of the sender's directory.
    public var incarnation: UniqueID
    /// How often the sender's directory was opened, this time included.
    public var boot: UInt64
    /// The random number of the present opening, and behind it those of the ones before, latest first: 1 to
    /// ``maxNonces``, none of them 0. By them a directory that was set back is still known after it has been opened again
    /// as often as it once was.
    public var nonces: [UInt64]
    /// The latest opening of the receiver's directory that the sender has listened to, by its number; 0 where it has listened
    /// to none. The receiver has to show that it still knows that opening: see ``proof``.
    public var remembered: UInt64
    /// What the sender shows of an opening of its own that is older than ``nonces``, because the receiver was heard to remember
    /// it: its number and random number. The random number is 0 where the sender's record does not reach back that far.
    /// Nil where there is nothing to show.
    public var proof: Opening?

    /// An introduction.
    public init(
        cluster: UniqueID,
        from: MemberID,
        to: MemberID,
        incarnation: UniqueID,
        boot: UInt64,
        nonces: [UInt64],
        remembered: UInt64 = 0,
        proof: Opening? = nil
    ) {
        self.cluster = cluster
        self.from = from
        self.to = to
        self.incarnation = incarnation
        self.boot = boot
        self.nonces = nonces
        self.remembered = remembered
        self.proof = proof
    }

    /// The random number of the present opening; 0 where there is none, which no honest member sends.
    public var nonce: UInt64 { nonces.first ?? 0 }
}
