/// What a transport has counted since it was opened, or sees now.
public struct TransportMetrics: Equatable, Sendable {
    /// Frames that the system has taken to send.
    public internal(set) var framesSent: UInt64 = 0
    /// The bytes of frames that the system has taken to send.
    public internal(set) var bytesSent: UInt64 = 0
    /// Frames that were dropped, because their queue was full or their connection lost.
    public internal(set) var framesDropped: UInt64 = 0
    /// Frames that were handed to the receiver.
    public internal(set) var framesReceived: UInt64 = 0
    /// Frames of members that were dropped because they named another sender.
    public internal(set) var framesMislabelled: UInt64 = 0
    /// Bytes that arrived behind a handshake.
    public internal(set) var bytesReceived: UInt64 = 0
    /// Connections that this member made and that were accepted.
    public internal(set) var connectionsMade: UInt64 = 0
    /// Connections of others that were taken from the system.
    public internal(set) var connectionsAccepted: UInt64 = 0
    /// How often no connection of others could be taken, because the process or the system had no descriptor or memory left.
    /// The listener tries again after a pause.
    public internal(set) var acceptsExhausted: UInt64 = 0
    /// Hellos of others that were refused.
    public internal(set) var handshakesRefused: UInt64 = 0
    /// Connections of others that were closed because what they said first was no hello.
    public internal(set) var handshakesBroken: UInt64 = 0
    /// Connections of others that were closed because no hello came in time.
    public internal(set) var handshakesLate: UInt64 = 0
    /// Connections of others that were closed to make room for newer ones, or for which there was no room.
    public internal(set) var connectionsCrowdedOut: UInt64 = 0
    /// Connections of members that were closed because a frame could not be cut out of their bytes.
    public internal(set) var streamsBroken: UInt64 = 0
    /// How many connections of others have not said hello yet, now.
    public internal(set) var halfOpenConnections = 0
    /// How many connections of members are being received from, now.
    public internal(set) var inboundConnections = 0
    /// Why the last name could not be looked up, or the last socket not be made or taken.
    public internal(set) var lastFailure: TransportError?

    /// Nothing was counted.
    public init() {}
}
