import BalsaPlatform
import BalsaRaft
import BalsaWire

/// Carries wire frames between members.
///
/// A transport promises little, as a network does: a frame arrives once and unharmed, or not at all, and frames of one path
/// to one peer arrive in the order in which they were sent, except for those that are missing. Whatever consensus needs
/// beyond that, it does itself. The connections of ``TCPTransport`` are one implementation, the network of the simulator
/// is another.
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

    /// Ends all connections and lets go of the receiver. Does not wait; frames on their way may be lost.
    func close()
}

/// Is told what arrives, and how the peers stand. All calls come from one thread, one after the other, and must not wait.
public protocol TransportReceiver: AnyObject {
    /// A frame arrived, whole and with a sound header.
    ///
    /// - Parameters:
    ///   - frame: the frame. Its body has not been decoded.
    ///   - peer: who sent it, by the handshake of the connection. A frame that names another sender is to be dropped.
    func received(_ frame: Bytes, from peer: MemberID)

    /// Frames for a peer were dropped, or no connection to it could be made.
    func unreachable(_ peer: MemberID)

    /// A connection between this member and a peer was refused by one of them. It is tried again, slowly.
    func refused(_ peer: MemberID, _ refusal: HandshakeRefusal)

    /// The control connection to a peer is open: what is sent from now on is likely to arrive.
    func connected(_ peer: MemberID)
}
