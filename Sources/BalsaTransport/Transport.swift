import BalsaPlatform
import BalsaRaft
import BalsaWire

/// Carries wire frames between members.
///
/// A transport promises little, as a network does: a frame arrives once and unharmed, or not at all, and frames of one path
/// to one peer arrive in the order in which they were sent, except for those that are missing. Whatever consensus needs
/// beyond that, it does itself. The connections of ``TCPTransport`` are the only implementation.
public protocol Transport: AnyObject {
    /// Sends a frame, given in pieces that follow each other, to a peer.
    ///
    /// Never waits. What cannot be kept until the network takes it is dropped, and the receiver is told
    /// ``TransportReceiver/unreachable(_:)`` later, never from within this call.
    ///
    /// - Parameters:
    ///   - frame: one whole frame.
    ///   - peer: to whom.
    ///   - path: over which connection.
    func send(_ frame: [Bytes], to peer: MemberID, _ path: SendPath)

    /// Ends all connections and makes them anew, each side introducing itself as it does now. To be called when the member
    /// introduces itself differently, or judges others differently, than before. Frames on their way are lost.
    func introduceAnew()

    /// Ends all connections and makes none any more. Who connects is still answered: a member that has failed says so.
    func withdraw()

    /// How the connections stand, for an operator. Called on the thread of the receiver's calls.
    var status: TransportStatus { get }

    /// Ends all connections and lets go of the receiver. Does not wait; frames on their way may be lost.
    func close()
}

extension Transport {
    /// Nothing to tell.
    public var status: TransportStatus { TransportStatus() }
}

/// Says who this member is and to whom it listens, and is told what arrives and how the peers stand.
///
/// All calls come from one thread, one after the other, and must not wait, with the one exception of ``judge(_:)``.
public protocol TransportReceiver: AnyObject {
    // MARK: Who is who

    /// How this member introduces itself to a peer now. Asked at each connection, on either side of it.
    func introduction(to peer: MemberID) -> Introduction

    /// Decides about a connection by the way in which the other side introduces itself: whoever of the two has made it.
    ///
    /// An opening of a peer that is new has to be remembered durably before the peer is listened to. So this may wait for a
    /// file to be synced, on the transport's thread: once each time that a peer is started. It must not end or begin
    /// connections itself.
    ///
    /// - Returns: after *accept* the frames of the connection are given to ``received(_:from:)``, after *first boot only* to
    ///   ``receivedFirstBoot(_:from:)``; a refusal is told to the peer.
    func judge(_ introduction: Introduction) -> PeerVerdict

    /// What this member and a peer agree on. This member has accepted the peer's introduction; the peer may still
    /// refuse this member's, where it began the connection. Told before any frame of the connection, and before
    /// ``connected(_:)``; what is sent to the peer from then on is written in that version.
    func agreed(_ agreement: WireAgreement, with peer: MemberID)

    /// The last connection to or from a peer that was not refused is gone, in the life of this nonce.
    func disconnected(_ peer: MemberID, nonce: UInt64)

    // MARK: What arrives

    /// A frame arrived, whole and with a sound header, which names as its sender the peer of the connection.
    ///
    /// - Parameters:
    ///   - frame: the frame. Its body has not been decoded.
    ///   - peer: who sent it.
    func received(_ frame: Bytes, from peer: MemberID)

    /// A frame arrived over a connection on which nothing but messages of the first boot may be listened to.
    func receivedFirstBoot(_ frame: Bytes, from peer: MemberID)

    /// A frame of a peer's connection was dropped, since its header names another sender. No honest member sends such a one.
    func mislabelled(by peer: MemberID, as sender: MemberID)

    // MARK: How the peers stand

    /// Frames for a peer were dropped, or no connection to it could be made.
    func unreachable(_ peer: MemberID)

    /// A connection between this member and a peer was refused by one of them. Whoever made it tries again, slowly.
    func refused(_ peer: MemberID, _ refusal: HandshakeRefusal)

    /// The control connection to a peer is open: what is sent from now on is likely to arrive.
    func connected(_ peer: MemberID)

    /// A connection that somebody made to this member was closed because of what came over it, or did not come. Does nothing
    /// unless it is implemented.
    func troubled(_ trouble: ConnectionTrouble)
}

extension TransportReceiver {
    /// Does nothing.
    public func troubled(_ trouble: ConnectionTrouble) {}
}
