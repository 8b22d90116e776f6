import BalsaRaft

/// How the connections of a member stand at one moment.
public struct TransportStatus: Equatable, Sendable {
    /// The connections that this member sends over, by peer in ascending order.
    public var connections: [PeerConnection] = []
    /// What was counted since the transport was opened.
    public var metrics = TransportMetrics()

    /// No connections.
    public init() {}
}

/// The connections over which a member sends to one peer. What a peer sends comes over connections of that peer.
public struct PeerConnection: Equatable, Sendable {
    /// How a connection stands.
    public enum Phase: String, Equatable, Sendable {
        /// Nothing was to be sent over it yet.
        case idle
        /// Its name is looked up, it is being made, or both sides say who they are.
        case connecting
        /// Frames are sent.
        case connected
        /// The last attempt failed or the connection was lost; it is tried again soon.
        case waiting
        /// One of the sides refused the other. It is tried again, slowly.
        case refused
        /// It has been closed.
        case closed
    }

    /// The peer.
    public var peer: MemberID
    /// Where it is reached.
    public var address: NetworkAddress
    /// How the connection for everything but checkpoints stands.
    public var control = Phase.idle
    /// How the connection for checkpoints stands.
    public var bulk = Phase.idle
    /// Why the last attempt to connect failed, or the connection was lost, in words: that of `control`, or else that of
    /// `bulk`, which begins with *the connection for checkpoints*. nil where neither has one: a connection has none
    /// while it is open, and before its first attempt has ended.
    public var trouble: String?
    /// How many frames wait on both.
    public var queuedFrames = 0
    /// How long these frames are, in bytes.
    public var queuedBytes = 0

    /// The connections to a peer, which nobody has needed yet.
    public init(peer: MemberID, address: NetworkAddress) {
        self.peer = peer
        self.address = address
    }
}

extension OutboundConnection.Phase {
    /// The phase as an operator sees it.
    var summary: PeerConnection.Phase {
        switch self {
        case .idle: .idle
        case .resolving, .connecting, .handshaking: .connecting
        case .active: .connected
        case .waiting(wasRefused: false): .waiting
        case .waiting(wasRefused: true): .refused
        case .closed: .closed
        }
    }
}
