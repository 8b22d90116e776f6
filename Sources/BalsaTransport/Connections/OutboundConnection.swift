import BalsaPlatform

/// The life of an outgoing connection, over and over: a value that says what to do, and does nothing.
///
/// ```
///   idle ──open──▶ resolving ──▶ connecting ──▶ handshaking ──▶ active
///                      ▲               │               │            │
///                      │               ▼               ▼            ▼
///                      └─deadline── waiting ◀── failure, refusal or loss
/// ```
///
/// Every attempt has a number. What comes late from an earlier one, such as the addresses of a slow name server, is told
/// apart by it.
struct OutboundConnection {
    /// Where it stands.
    enum Phase: Equatable {
        /// Nobody has needed it yet.
        case idle
        /// The peer's name is being looked up.
        case resolving
        /// The system is connecting to the address at this place in the list.
        case connecting(Int)
        /// The hello was said, and no answer has come.
        case handshaking
        /// Frames can be sent.
        case active
        /// The last attempt failed, and the next comes when the deadline does.
        case waiting(wasRefused: Bool)
        /// For good.
        case closed
    }

    /// What can happen to it.
    enum Input: Equatable {
        /// Something is to be sent.
        case open
        /// The peer's name stands for so many addresses; 0 where it could not be looked up.
        case resolved(attempt: UInt64, addressCount: Int)
        /// The system has connected.
        case connected
        /// The peer has answered with a welcome.
        case welcomed
        /// One of the sides refused.
        case refused(HandshakeRefusal)
        /// The peer asks for something that the next hello says.
        case asked
        /// The system could not connect, or has lost the connection, or the peer does not keep to the protocol.
        case failed
        /// The moment of the last deadline has come.
        case deadline
        /// The peer has just connected from its side, so it must be there.
        case peerAppeared
        /// This member introduces itself anew.
        case renew
        /// No more is to be sent, ever.
        case close
    }

    /// What is to be done.
    enum Effect: Equatable {
        /// Look the peer's name up, and report under this number.
        case resolve(attempt: UInt64)
        /// Connect to the address at this place in the list.
        case connect(Int)
        /// Say hello.
        case sayHello
        /// Send what waits.
        case beginSending
        /// Close the socket, if there is one.
        case disconnect
        /// Drop what waits, and take nothing more until the next attempt.
        case refuseFrames
        /// Take frames.
        case acceptFrames
        /// Give ``Input/deadline`` at this moment, in nanoseconds, in place of the one before; nil for no deadline.
        case setDeadline(UInt64?)
        /// Tell the receiver.
        case tellConnected
        /// Tell the receiver.
        case tellUnreachable
        /// Tell the receiver.
        case tellRefused(HandshakeRefusal)
    }

    /// How long each part of an attempt may take, in nanoseconds.
    struct Timeouts: Equatable {
        var resolve: UInt64
        var connect: UInt64
        var handshake: UInt64
    }

    private(set) var phase = Phase.idle
    private let timeouts: Timeouts
    private var backoff: Backoff
    private var attempt: UInt64 = 0
    private var addressCount = 0
    private var activeSince: UInt64 = 0
    /// Whether the peer has asked for something since it last welcomed this member.
    private var wasAsked = false

    init(timeouts: Timeouts, backoff: Backoff) {
        self.timeouts = timeouts
        self.backoff = backoff
    }

    /// Takes an input and appends what is to be done, in order. What does not fit the phase is late, and ignored.
    mutating func step(
        _ input: Input,
        at now: UInt64,
        _ random: inout RandomSource,
        into effects: inout [Effect]
    ) {
        switch (phase, input) {
        case (.closed, _): return
        case (_, .close):
            phase = .closed
            effects += [.setDeadline(nil), .disconnect, .refuseFrames]
        case (.idle, .renew): return
        case (_, .renew):
            // Neither a failure nor a refusal of the peer's: there is nothing to wait for.
            effects += [.disconnect, .refuseFrames]
            begin(at: now, into: &effects)
        case (.idle, .open), (.waiting, .deadline), (.waiting(wasRefused: false), .peerAppeared):
            begin(at: now, into: &effects)
        case (.resolving, .resolved(attempt: attempt, addressCount: let count)) where count > 0:
            addressCount = count
            connect(to: 0, at: now, into: &effects)
        case (.resolving, .resolved(attempt: attempt, addressCount: _)), (.resolving, .deadline):
            fail(at: now, &random, into: &effects)
        case (.connecting, .connected):
            phase = .handshaking
            effects += [.setDeadline(now &+ timeouts.handshake), .sayHello]
        case (.connecting(let place), .failed), (.connecting(let place), .deadline):
            guard place + 1 < addressCount else { return fail(at: now, &random, into: &effects) }
            effects.append(.disconnect)
            connect(to: place + 1, at: now, into: &effects)
        case (.handshaking, .welcomed):
            phase = .active
            activeSince = now
            wasAsked = false
            effects += [.setDeadline(nil), .tellConnected, .beginSending]
        case (.handshaking, .refused(let refusal)):
            phase = .waiting(wasRefused: true)
            effects += [
                .disconnect, .refuseFrames, .tellRefused(refusal), .tellUnreachable,
                .setDeadline(now &+ backoff.longest(&random)),
            ]
        case (.handshaking, .asked):
            // The peer is there and waits for the answer. Once: a peer that asks again and again is not to be answered
            // as fast as the network allows.
            if !wasAsked { backoff.reset() }
            wasAsked = true
            fail(at: now, &random, into: &effects)
        case (.handshaking, .failed), (.handshaking, .deadline), (.active, .failed):
            fail(at: now, &random, into: &effects)
        default: return
        }
    }

    private mutating func begin(at now: UInt64, into effects: inout [Effect]) {
        phase = .resolving
        attempt += 1
        effects += [.acceptFrames, .setDeadline(now &+ timeouts.resolve), .resolve(attempt: attempt)]
    }

    private mutating func connect(to place: Int, at now: UInt64, into effects: inout [Effect]) {
        phase = .connecting(place)
        effects += [.setDeadline(now &+ timeouts.connect), .connect(place)]
    }

    private mutating func fail(at now: UInt64, _ random: inout RandomSource, into effects: inout [Effect]) {
        // Only a connection that lasted shows that all is well again. One that is made and lost at once, over and over, is
        // not to be made as fast as the network allows.
        if phase == .active, now &- activeSince >= backoff.maximum { backoff.reset() }
        phase = .waiting(wasRefused: false)
        effects += [
            .disconnect, .refuseFrames, .tellUnreachable, .setDeadline(now &+ backoff.next(&random)),
        ]
    }
}
