import BalsaPlatform
import BalsaRaft
import BalsaWire

/// One life of a member: from an opening of its directory to the end of the process.
struct PeerLife: Equatable {
    let member: MemberID
    let nonce: UInt64

    init(_ introduction: Introduction) {
        member = introduction.from
        nonce = introduction.nonce
    }
}

/// What the connections of one transport have in common.
final class TransportContext: @unchecked Sendable {
    /// Which member this is.
    let member: MemberID
    let loop: EventLoop
    let options: TCPOptions
    let resolver = NameResolver()
    private let counted = Locked(TransportMetrics())

    // What follows belongs to the loop's thread.
    let terms: HandshakeTerms
    var random: RandomSource
    var receiver: (any TransportReceiver)?
    /// The peers' lives of which there are connections, with how many.
    private var lives: [(life: PeerLife, connections: Int)] = []
    private var troubles = TroubleReports()
    /// Where bytes arrive before a decoder has taken them; one for all connections, since the loop serves one at a time.
    let buffer: UnsafeMutableRawBufferPointer
    private static let bufferBytes = 64 << 10

    init(
        member: MemberID,
        loop: EventLoop,
        options: TCPOptions,
        terms: HandshakeTerms,
        random: RandomSource,
        receiver: sending any TransportReceiver
    ) {
        self.member = member
        self.loop = loop
        self.options = options
        self.terms = terms
        self.random = random
        self.receiver = receiver
        buffer = .allocate(byteCount: TransportContext.bufferBytes, alignment: 64)
    }

    /// Tells the receiver that a connection was closed because of what came over it, unless that was told a moment ago.
    func note(_ kind: ConnectionTrouble.Kind, of peer: MemberID = 0) {
        guard let trouble = troubles.note(kind, of: peer, at: loop.now) else { return }
        receiver?.troubled(trouble)
    }

    deinit { buffer.deallocate() }

    /// A connection with a peer is open, in this of its lives.
    func retain(_ life: PeerLife) {
        if let place = lives.firstIndex(where: { $0.life == life }) {
            lives[place].connections += 1
        } else {
            lives.append((life, 1))
        }
    }

    /// Such a connection has ended.
    func release(_ life: PeerLife) {
        guard let place = lives.firstIndex(where: { $0.life == life }) else {
            preconditionFailure("a connection ends that was never open")
        }
        lives[place].connections -= 1
        guard lives[place].connections == 0 else { return }
        lives.remove(at: place)
        receiver?.disconnected(life.member, nonce: life.nonce)
    }

    /// What was counted so far. From any thread.
    var metrics: TransportMetrics { counted.withLock { $0 } }

    /// Counts something. From any thread.
    func count(_ change: (inout TransportMetrics) -> Void) {
        counted.withLock { change(&$0) }
    }
}
