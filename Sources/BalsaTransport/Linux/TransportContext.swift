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
    /// A peer's life of which there are connections.
    private struct OpenLife {
        let life: PeerLife
        let incarnation: UniqueID
        let boot: UInt64
        /// The how manieth it was of which a connection was opened.
        let place: UInt64
        var connections = 1
    }

    private var lives: [OpenLife] = []
    /// Of how many lives connections have been opened so far; one that came back counts again.
    private(set) var lifeCount: UInt64 = 0
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

    /// A connection with a peer is open, in the life in which it introduced itself so.
    ///
    /// - Returns: the life, to be released when the connection has ended.
    func retain(_ introduction: Introduction) -> PeerLife {
        let life = PeerLife(introduction)
        if let place = lives.firstIndex(where: { $0.life == life }) {
            lives[place].connections += 1
            return life
        }
        lifeCount += 1
        lives.append(
            OpenLife(life: life, incarnation: introduction.incarnation, boot: introduction.boot, place: lifeCount)
        )
        return life
    }

    /// Whether a later life of the same directory was heard of since so many lives had been, and is still open.
    func hasLaterLife(than introduction: Introduction, since count: UInt64) -> Bool {
        lives.contains {
            $0.place > count && $0.life.member == introduction.from && $0.incarnation == introduction.incarnation
                && $0.boot > introduction.boot
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
