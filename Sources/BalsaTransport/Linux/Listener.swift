import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The socket to which others connect, and their connections.
///
/// Belongs to the loop's thread.
final class Listener: ReadinessHandler {
    /// How many connections are accepted before what exists has its turn.
    private static let maxAcceptsPerTurn = 64
    /// How long to accept nothing when the process is out of descriptors, in nanoseconds.
    private static let pauseNanoseconds: UInt64 = 100_000_000

    private let context: TransportContext
    private let descriptor: Int32
    private var registration: Selector.Registration?
    private var timer: EventLoop.Timer?
    /// Those that have not introduced themselves, oldest first, and those that were refused and are about to end.
    private var halfOpen: [InboundConnection] = []
    private var open: [InboundConnection] = []
    /// Whether a connection was closed, for want of descriptors, for the one that waits to be accepted.
    private var hasMadeWay = false
    /// Is told when a member has connected.
    private let memberAppeared: (PeerLife) -> Void

    /// A listener on a socket that listens.
    ///
    /// - Parameters:
    ///   - descriptor: the socket, which belongs to the listener from now on.
    ///   - context: the transport's.
    ///   - memberAppeared: is called when a member has connected.
    init(_ descriptor: Int32, _ context: TransportContext, memberAppeared: @escaping (PeerLife) -> Void) {
        self.descriptor = descriptor
        self.context = context
        self.memberAppeared = memberAppeared
        watch()
    }

    /// Closes the socket and all connections.
    func close() {
        if let timer { context.loop.cancel(timer) }
        timer = nil
        if let registration { context.loop.selector.remove(registration) }
        registration = nil
        Socket.close(descriptor)
        for connection in halfOpen + open { connection.close() }
        (halfOpen, open) = ([], [])
        note()
    }

    private func watch() {
        do throws(TransportError) {
            registration = try context.loop.selector.add(descriptor, for: .readable, self)
        } catch {
            context.count { $0.lastFailure = error }
            pause()
        }
    }

    /// Accepts nothing for a while. Without this the loop would run around: the socket stays ready.
    private func pause() {
        if let registration { context.loop.selector.remove(registration) }
        registration = nil
        timer = context.loop.schedule(at: context.loop.now &+ Listener.pauseNanoseconds) { [weak self] in
            guard let self else { return }
            timer = nil
            watch()
        }
    }

    func handle(_ readiness: Readiness) {
        for _ in 0..<Listener.maxAcceptsPerTurn {
            // The socket stays ready. What waits there is accepted when those before it have had their turn.
            if halfOpen.count >= context.options.maxHalfOpenConnections, !mayCloseOldestHalfOpen { return }
            switch Socket.accept(descriptor) {
            case .connection(let descriptor):
                hasMadeWay = false
                add(descriptor)
            case .lost: continue
            case .none:
                hasMadeWay = false
                return
            case .exhausted(let number):
                context.count {
                    $0.acceptsExhausted += 1
                    $0.lastFailure = TransportError(.system, "accept a connection", number: number)
                }
                context.note(.noDescriptor)
                // Of those that have not said who they are, the oldest has had the most time. Its descriptor may be
                // what a member needs that comes back. If another thread was faster, no second one has to go. One that
                // was only just accepted stays, for its hello may have arrived.
                guard !hasMadeWay, closeOldestHalfOpen() else { return pause() }
                hasMadeWay = true
            }
        }
    }

    private func add(_ descriptor: Int32) {
        defer { note() }
        context.count { $0.connectionsAccepted += 1 }
        if halfOpen.count >= context.options.maxHalfOpenConnections {
            // The oldest has had the most time to introduce itself. To refuse the new one instead would let those that
            // hold the places open keep the members out.
            _ = closeOldestHalfOpen()
            context.note(.crowdedOut)
        }
        guard halfOpen.count + open.count < context.options.maxInboundConnections else {
            context.count { $0.connectionsCrowdedOut += 1 }
            context.note(.crowdedOut)
            return Socket.close(descriptor)
        }
        do throws(TransportError) {
            let connection = try InboundConnection(descriptor, self, context)
            halfOpen.append(connection)
            // This turn does not count, since its poll has begun.
            awaitTurn(of: connection, after: 1 + context.loop.selector.pollsUntilAllAreHandled)
        } catch {
            context.count { $0.lastFailure = error }
            Socket.close(descriptor)
        }
    }

    /// Notes that a connection has had its turn once so many turns have ended.
    private func awaitTurn(of connection: InboundConnection, after turns: Int) {
        context.loop.runAtEndOfTurn { [weak self, weak connection] in
            guard let self, let connection else { return }
            if turns == 1 {
                connection.hasHadTurn = true
            } else {
                awaitTurn(of: connection, after: turns - 1)
            }
        }
    }

    /// Whether the connection that has not introduced itself for the longest time could have done so.
    private var mayCloseOldestHalfOpen: Bool { halfOpen.first?.hasHadTurn ?? false }

    /// Closes the connection that has not introduced itself for the longest time.
    ///
    /// - Returns: whether there was one that could have done so.
    private func closeOldestHalfOpen() -> Bool {
        guard mayCloseOldestHalfOpen else { return false }
        halfOpen.removeFirst().close()
        context.count { $0.connectionsCrowdedOut += 1 }
        note()
        return true
    }

    /// Takes note that a connection has introduced itself. An older one of the same member and path ends: its sender has
    /// only one, and so has lost it. All those of another of its lives end, too: its process is gone, or it is not the one that
    /// may be listened to.
    func opened(_ connection: InboundConnection, by peer: PeerLife, _ path: SendPath) {
        halfOpen.removeAll { $0 === connection }
        for older in open {
            guard let key = older.key, key.life.member == peer.member else { continue }
            if key.path == path || key.life != peer { older.close() }
        }
        open.removeAll { $0.key == nil }
        open.append(connection)
        note()
        memberAppeared(peer)
    }

    /// Closes a connection and forgets it.
    func remove(_ connection: InboundConnection) {
        connection.close()
        halfOpen.removeAll { $0 === connection }
        open.removeAll { $0 === connection }
        note()
    }

    /// Closes the connections of all that have introduced themselves, so that they do so anew.
    func closeOpen() {
        for connection in open { connection.close() }
        open = []
        note()
    }

    private func note() {
        context.count {
            $0.halfOpenConnections = halfOpen.count
            $0.inboundConnections = open.count
        }
    }
}
