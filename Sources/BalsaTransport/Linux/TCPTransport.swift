import BalsaPlatform
import BalsaRaft
import BalsaWire

/// Carries frames over TCP.
///
/// Each member makes two connections to each peer, one a path, and sends over those alone; over the connections that the
/// peers made it only receives. So two members that connect to each other at the same moment never have to agree which of
/// two connections stays, and who lost one is also who makes it anew.
///
/// ```swift
/// var options = TCPOptions(listen: try NetworkAddress("10.0.0.1:7001"))
/// options.security = .insecureNetwork
/// let transport = try TCPTransport(options, member: 1, loop: loop, random: random, receiver: receiver)
/// transport.setPeers([.init(2, at: try NetworkAddress("10.0.0.2:7001"))])
/// ```
///
/// It lives until ``close()``, also where nobody holds it.
public final class TCPTransport: Transport, @unchecked Sendable {
    /// A member to send to.
    public struct Peer: Equatable, Sendable {
        /// The member.
        public let member: MemberID
        /// Where it listens.
        public let address: NetworkAddress

        /// The member at that address.
        public init(_ member: MemberID, at address: NetworkAddress) {
            self.member = member
            self.address = address
        }
    }

    private struct Links {
        var all: [OutboundLink] = []
        var isClosed = false
    }

    /// The port on which it listens.
    public let port: UInt16
    private let context: TransportContext
    private let links = Locked(Links())
    /// Belongs to the loop's thread.
    private var listener: Listener?

    /// Opens a transport: from now on others can connect. May wait for the system to look up the name to listen on.
    ///
    /// - Parameters:
    ///   - options: how it behaves.
    ///   - member: which member this is.
    ///   - loop: the loop that serves it. It must not be stopped before the transport is closed.
    ///   - bound: the port, where the caller has taken it with the same options before.
    ///   - random: the source of chance for the waits between attempts.
    ///   - receiver: says who this member is and to whom it listens, and is told what arrives, on the loop's thread; it is
    ///     kept until the transport is closed.
    /// - Throws: ``TransportError``: *insecure* where others than this machine could connect and the options do not say that
    ///   this is wanted; *invalid* for options that cannot work; *address* or *system* where it cannot be listened there.
    public init(
        _ options: TCPOptions,
        member: MemberID,
        loop: EventLoop,
        on bound: BoundPort? = nil,
        random: RandomSource,
        receiver: sending any TransportReceiver
    ) throws(TransportError) {
        let descriptor: Int32
        if let bound { descriptor = bound.take() } else { descriptor = try BoundPort(options).take() }
        do throws(TransportError) {
            try Socket.listen(
                descriptor,
                named: options.listen,
                backlog: Int32(clamping: options.maxInboundConnections)
            )
            port = try SocketAddress.bound(descriptor).port
        } catch {
            Socket.close(descriptor)
            throw error
        }
        context = TransportContext(
            member: member,
            loop: loop,
            options: options,
            terms: HandshakeTerms(),
            random: random,
            receiver: receiver
        )
        // The listener keeps the transport until that is closed: a port that others can reach is not forgotten by accident.
        let isRunning = loop.post { [self] in
            // It can have been closed on the loop's thread before this job had its turn. Nobody would close the listener then.
            guard !links.withLock({ $0.isClosed }) else { return Socket.close(descriptor) }
            listener = Listener(descriptor, context) { [self] in appeared($0) }
        }
        guard isRunning else {
            Socket.close(descriptor)
            throw TransportError(.invalid, "the loop has been stopped")
        }
    }

    /// Where others are to reach this member.
    public var advertised: NetworkAddress {
        context.options.advertise ?? NetworkAddress(host: context.options.listen.host, port: port)
    }

    /// What was counted so far.
    public var metrics: TransportMetrics { context.metrics }

    /// How the connections stand, as ``Transport/status`` says. On the loop's thread.
    public var status: TransportStatus {
        var status = TransportStatus()
        for link in links.withLock({ $0.all }) {
            let place: Int
            if let found = status.connections.firstIndex(where: { $0.peer == link.peer }) {
                place = found
            } else {
                place = status.connections.count
                status.connections.append(PeerConnection(peer: link.peer, address: link.address))
            }
            link.describe(in: &status.connections[place])
        }
        status.connections.sort { $0.peer < $1.peer }
        status.metrics = metrics
        return status
    }

    /// Connects to these peers, and no more to others. A peer whose address has not changed keeps its connections.
    public func setPeers(_ peers: [Peer]) {
        let (added, removed) = links.withLock { links -> ([OutboundLink], [OutboundLink]) in
            guard !links.isClosed else { return ([], []) }
            let stays = { (link: OutboundLink) in peers.contains(Peer(link.peer, at: link.address)) }
            let removed = links.all.filter { !stays($0) }
            links.all.removeAll { !stays($0) }
            var added: [OutboundLink] = []
            for peer in peers where !(links.all + added).contains(where: { $0.peer == peer.member }) {
                added.append(OutboundLink(peer.member, .control, at: peer.address, context))
                added.append(OutboundLink(peer.member, .bulk, at: peer.address, context))
            }
            links.all += added
            return (added, removed)
        }
        onLoop {
            for link in removed { link.step(.close) }
            // A bulk connection is made when something is to be sent over it, which may be never.
            for link in added where link.path == .control { link.step(.open) }
        }
    }

    /// Ends all connections and makes them anew, as ``Transport/introduceAnew()`` says. From any thread; only on the loop's own
    /// is it sure that what is sent afterwards goes over the new ones.
    public func introduceAnew() {
        onLoop { [self] in
            let all = links.withLock { $0.all }
            for link in all { link.step(.renew) }
            listener?.closeOpen()
        }
    }

    /// Ends all connections and makes none any more, as ``Transport/withdraw()`` says. From any thread. ``setPeers(_:)`` makes
    /// connections again.
    public func withdraw() {
        setPeers([])
        onLoop { [self] in listener?.closeOpen() }
    }

    /// Sends a frame, as ``Transport/send(_:to:_:)`` says. From any thread.
    ///
    /// The frames that wait for a peer are bounded by ``TCPOptions/maxQueuedBytes`` and ``TCPOptions/maxQueuedFrames`` on
    /// each path. On the control path the oldest are dropped for new ones; on the bulk path, new ones are. While an attempt
    /// to connect has failed and the next has not begun, all are.
    public func send(_ frame: [Bytes], to peer: MemberID, _ path: SendPath) {
        let link = links.withLock { links in links.all.first { $0.peer == peer && $0.path == path } }
        if let link { return link.send(frame) }
        context.count { $0.framesDropped += 1 }
        context.loop.post { [context] in context.receiver?.unreachable(peer) }
    }

    /// Ends all connections, as ``Transport/close()`` says. From any thread; only on the loop's own is it sure that the
    /// receiver is not told anything afterwards. May be called again.
    public func close() {
        let all = links.withLock { links -> [OutboundLink] in
            links.isClosed = true
            defer { links.all = [] }
            return links.all
        }
        context.resolver.close()
        onLoop { [self] in
            for link in all { link.step(.close) }
            listener?.close()
            listener = nil
            context.receiver = nil
        }
    }

    /// Runs `job` on the loop's thread: now, where that is this one.
    private func onLoop(_ job: @escaping @Sendable () -> Void) {
        if context.loop.isCurrent { job() } else { context.loop.post(job) }
    }

    private func appeared(_ peer: PeerLife) {
        let found = links.withLock { links in links.all.filter { $0.peer == peer.member } }
        for link in found { link.peerAppeared(nonce: peer.nonce) }
    }
}
