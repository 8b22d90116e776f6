import BalsaWire

/// How a ``TCPTransport`` behaves.
public struct TCPOptions: Sendable {
    /// Where to listen.
    public var listen: NetworkAddress
    /// Where others reach this member, if that is not where it listens. Only passed on.
    public var advertise: NetworkAddress?
    /// What protects the connections. Unless told otherwise, only this machine may connect.
    public var security = NetworkSecurity.loopbackOnly
    /// How long the frames are that this member sends of its own accord, which ``maxQueuedBytes`` has to fit. What
    /// others send is taken up to the maximum of the format.
    public var wire = WireOptions()
    /// How long a connection may exist before both sides have said who they are.
    public var handshakeTimeout: Duration = .seconds(5)
    /// How long the system may try to connect to one address.
    public var connectTimeout: Duration = .seconds(5)
    /// How long a name may be looked up.
    public var resolveTimeout: Duration = .seconds(30)
    /// How long to wait after the first failure to connect.
    public var minimumBackoff: Duration = .milliseconds(20)
    /// How long to wait after many failures, or after a refusal.
    public var maximumBackoff: Duration = .seconds(1)
    /// How long sent bytes may stay unacknowledged before the connection counts as lost.
    public var userTimeout: Duration = .seconds(10)
    /// After how much silence the system asks whether the other side is still there.
    public var keepalive: Duration = .seconds(5)
    /// How much may wait for one peer on one path, in bytes; 32 MiB. Two frames of the greatest length have to fit: one
    /// that the system has taken in part, and one that is new. A queue that is empty takes a frame of any length.
    public var maxQueuedBytes = 32 << 20
    /// How many frames may wait for one peer on one path.
    public var maxQueuedFrames = 16_384
    /// How many connections of others there may be in all.
    public var maxInboundConnections = 256
    /// How many of those may not have introduced themselves yet. The oldest has to go for a new one.
    public var maxHalfOpenConnections = 64

    /// The default behaviour.
    ///
    /// - Parameter listen: where to listen; port 0 for one that the system chooses.
    public init(listen: NetworkAddress) {
        self.listen = listen
    }

    /// Throws the name of the first option that cannot work, with its bound and its value.
    func check() throws(TransportError) {
        func check(_ name: String, _ value: some Any, _ holds: Bool, _ bound: String) throws(TransportError) {
            guard !holds else { return }
            throw TransportError(.invalid, "\(name) must be \(bound), not \(value)")
        }
        let frames = 2 * min(max(wire.maxFrameBytes, 0), 1 << 30)
        try check(
            "maxQueuedBytes",
            maxQueuedBytes,
            maxQueuedBytes >= frames,
            "at least two of wire.maxFrameBytes, \(frames)"
        )
        try check("maxQueuedFrames", maxQueuedFrames, maxQueuedFrames >= 1, "at least 1")
        try check("maxHalfOpenConnections", maxHalfOpenConnections, maxHalfOpenConnections >= 1, "at least 1")
        try check(
            "maxInboundConnections",
            maxInboundConnections,
            maxInboundConnections > maxHalfOpenConnections,
            "above maxHalfOpenConnections, \(maxHalfOpenConnections)"
        )
        try check("minimumBackoff", minimumBackoff, minimumBackoff > .zero, "above 0")
        try check(
            "minimumBackoff",
            minimumBackoff,
            minimumBackoff <= maximumBackoff,
            "at most maximumBackoff, \(maximumBackoff)"
        )
        let hour = Duration.seconds(3_600)
        for (name, time) in [
            ("handshakeTimeout", handshakeTimeout), ("connectTimeout", connectTimeout),
            ("resolveTimeout", resolveTimeout), ("userTimeout", userTimeout), ("keepalive", keepalive),
            ("maximumBackoff", maximumBackoff),
        ] {
            try check(name, time, .zero < time && time <= hour, "above 0 and at most \(hour)")
        }
    }

    var timeouts: OutboundConnection.Timeouts {
        OutboundConnection.Timeouts(
            resolve: resolveTimeout.wholeNanoseconds,
            connect: connectTimeout.wholeNanoseconds,
            handshake: handshakeTimeout.wholeNanoseconds
        )
    }

    var backoff: Backoff {
        // A duration may be above 0 and shorter than a nanosecond.
        let minimum = max(1, minimumBackoff.wholeNanoseconds)
        return Backoff(minimum: minimum, maximum: max(minimum, maximumBackoff.wholeNanoseconds))
    }

    var patience: Socket.Patience {
        Socket.Patience(
            keepaliveSeconds: max(1, Int32(keepalive.wholeNanoseconds / 1_000_000_000)),
            userTimeoutMilliseconds: max(1, Int32(userTimeout.wholeNanoseconds / 1_000_000))
        )
    }
}
