import BalsaPlatform
import BalsaRaft
import BalsaWire
import Glibc

/// The connection over which this member sends to one peer on one path, with the frames that wait for it.
///
/// It carries out what ``OutboundConnection`` decides. ``send(_:)`` may be called by any thread and touches the queue alone,
/// under its lock; everything else belongs to the loop's thread.
final class OutboundLink: ReadinessHandler, @unchecked Sendable {
    private struct Queue {
        var frames: OutboundQueue
        /// Whether frames are taken, rather than dropped at once.
        var isOpen = true
        /// Whether the loop will look at the queue anyway.
        var isAttended = false
        /// How many frames were dropped of which the receiver does not know.
        var dropped = 0
    }

    /// As much as one call gives the system. Of a small queue it is a part, so that others can be dropped meanwhile.
    private static let maxPieces = 64
    private var maxBytes: Int { min(1 << 20, context.options.maxQueuedBytes / 4) }
    /// How many such calls one link makes before the others have their turn.
    private static let maxRounds = 16

    let peer: MemberID
    let path: SendPath
    let address: NetworkAddress
    private let context: TransportContext
    private let queue: Locked<Queue>

    private var state: OutboundConnection
    private var inputs: [OutboundConnection.Input] = []
    private var isStepping = false
    private var addresses: [SocketAddress] = []
    private var registration: Selector.Registration?
    private var timer: EventLoop.Timer?
    private var answer = HandshakeReader()
    private var hello: Handshake?
    /// Of how many of the peers' lives connections had been opened when the hello was said.
    private var lifeCountAtHello: UInt64 = 0
    /// In which of its lives the peer welcomed this connection; nil while there is none that is open.
    private var life: PeerLife?
    /// Whether the system takes no more bytes, and will say when it does.
    private var isBlocked = false
    private var pieces: [Bytes] = []
    /// Why the last attempt failed or the connection was lost; nil while it is open, and before the first attempt has
    /// ended.
    private var trouble: String?
    /// Whether that attempt made no connection. Then the reason is out of date as soon as one is made.
    private var isUnreached = false

    init(_ peer: MemberID, _ path: SendPath, at address: NetworkAddress, _ context: TransportContext) {
        self.peer = peer
        self.path = path
        self.address = address
        self.context = context
        let options = context.options
        let frames = OutboundQueue(
            maxBytes: options.maxQueuedBytes,
            maxFrames: options.maxQueuedFrames,
            overflow: path == .control ? .dropsOldest : .refusesNewest
        )
        queue = Locked(Queue(frames: frames))
        state = OutboundConnection(timeouts: options.timeouts, backoff: options.backoff)
    }

    /// Puts a frame into the queue. From any thread.
    func send(_ frame: [Bytes]) {
        let (dropped, mustAttend) = queue.withLock { queue in
            let dropped = queue.isOpen ? queue.frames.append(frame) : 1
            queue.dropped += dropped
            defer { queue.isAttended = true }
            return (dropped, !queue.isAttended)
        }
        if dropped > 0 { context.count { $0.framesDropped += UInt64(dropped) } }
        guard mustAttend else { return }
        if context.loop.isCurrent {
            context.loop.runAtEndOfTurn { [self] in attend() }
        } else {
            context.loop.post { [self] in attend() }
        }
    }

    /// Gives what waits to the system, and tells what was dropped.
    private func attend() {
        let dropped = queue.withLock { queue in
            queue.isAttended = false
            defer { queue.dropped = 0 }
            return queue.dropped
        }
        if dropped > 0 { context.receiver?.unreachable(peer) }
        step(.open)
        if !isBlocked { flush() }
    }

    /// The peer has connected from its side, in the life of this nonce.
    func peerAppeared(nonce: UInt64) {
        // A machine that lost its power sends no farewell. Its next life is the first that is heard of it.
        if state.phase == .active, life?.nonce != nonce { fail("it was started again") }
        step(.peerAppeared)
    }

    /// Takes an input, now or, where one is being taken, right after it.
    func step(_ input: OutboundConnection.Input) {
        context.loop.checkThread()
        if input == .close, state.phase == .active { flush() }
        inputs.append(input)
        guard !isStepping else { return }
        isStepping = true
        defer { isStepping = false }
        var effects: [OutboundConnection.Effect] = []
        while !inputs.isEmpty {
            effects.removeAll(keepingCapacity: true)
            state.step(inputs.removeFirst(), at: context.loop.now, &context.random, into: &effects)
            for effect in effects { perform(effect) }
        }
    }

    private func perform(_ effect: OutboundConnection.Effect) {
        switch effect {
        case .resolve(let attempt): resolve(attempt)
        case .connect(let place): connect(to: addresses[place])
        case .sayHello:
            if isUnreached { trouble = nil }
            sayHello()
        case .beginSending:
            context.count { $0.connectionsMade += 1 }
            flush()
        case .disconnect: disconnect()
        case .acceptFrames: queue.withLock { $0.isOpen = true }
        case .refuseFrames:
            let dropped = queue.withLock { queue in
                queue.isOpen = false
                return queue.frames.removeAll()
            }
            context.count { $0.framesDropped += UInt64(dropped) }
        case .setDeadline(let deadline):
            if let timer { context.loop.cancel(timer) }
            timer = deadline.map { deadline in
                context.loop.schedule(at: deadline) { [self] in
                    timer = nil
                    noteDeadline()
                    step(.deadline)
                }
            }
        case .tellConnected:
            trouble = nil
            if path == .control { context.receiver?.connected(peer) }
        case .tellUnreachable: context.receiver?.unreachable(peer)
        case .tellRefused(let refusal):
            note(refusal.description)
            context.receiver?.refused(peer, refusal)
        }
    }

    /// The attempt or the connection has failed, for this reason.
    private func fail(_ reason: String) {
        note(reason)
        step(.failed)
    }

    /// Notes why an attempt ends, before it does.
    private func note(_ reason: String) {
        trouble = reason
        switch state.phase {
        case .resolving, .connecting: isUnreached = true
        case .idle, .handshaking, .active, .waiting, .closed: isUnreached = false
        }
    }

    /// Notes what has not come in time.
    private func noteDeadline() {
        let options = context.options
        switch state.phase {
        case .resolving: note("its name was not looked up within \(options.resolveTimeout)")
        case .connecting: note("no answer within \(options.connectTimeout)")
        case .handshaking: note("it did not say who it is within \(options.handshakeTimeout)")
        case .idle, .active, .waiting, .closed: break
        }
    }

    /// Says how the link stands.
    func describe(in connection: inout PeerConnection) {
        context.loop.checkThread()
        switch path {
        case .control:
            connection.control = state.phase.summary
            if let trouble { connection.trouble = trouble }
        case .bulk:
            connection.bulk = state.phase.summary
            if let trouble, connection.trouble == nil {
                connection.trouble = "the connection for checkpoints: \(trouble)"
            }
        }
        let (frames, bytes) = queue.withLock { ($0.frames.frameCount, $0.frames.byteCount) }
        connection.queuedFrames += frames
        connection.queuedBytes += bytes
    }

    // MARK: Connecting

    private func resolve(_ attempt: UInt64) {
        let loop = context.loop
        context.resolver.resolve(address, for: self) { [self] answer in
            loop.post { [self] in resolved(attempt, answer) }
        }
    }

    private func resolved(_ attempt: UInt64, _ answer: NameResolver.Answer) {
        var count = 0
        switch answer {
        case .success(let found):
            // A late answer must not change the list that a newer attempt goes through.
            if state.phase == .resolving { addresses = found }
            count = found.count
        case .failure(let error):
            context.count { $0.lastFailure = error }
            if state.phase == .resolving { note(error.sentence) }
        }
        step(.resolved(attempt: attempt, addressCount: count))
    }

    private func connect(to address: SocketAddress) {
        do throws(TransportError) {
            let descriptor = try Socket.make(address.family)
            Socket.prepare(descriptor, context.options.patience)
            let result = Socket.connect(descriptor, to: address)
            do throws(TransportError) {
                registration = try context.loop.selector.add(descriptor, for: .writable, self)
            } catch {
                Socket.close(descriptor)
                throw error
            }
            switch result {
            case .connected: step(.connected)
            case .underWay: break
            case .failed(let number): fail("\(number)")
            }
        } catch {
            context.count { $0.lastFailure = error }
            fail(error.sentence)
        }
    }

    private func sayHello() {
        guard let registration else { return }
        guard let receiver = context.receiver else { return fail("this member is being closed") }
        let hello = context.terms.hello(receiver.introduction(to: peer), path)
        self.hello = hello
        lifeCountAtHello = context.lifeCount
        answer = HandshakeReader()
        context.loop.selector.change(registration, to: .readable)
        if !Socket.sendAll(registration.descriptor, hello.encoded()) { fail("the connection was lost") }
    }

    private func disconnect() {
        isBlocked = false
        guard let registration else { return }
        self.registration = nil
        context.loop.selector.remove(registration)
        Socket.close(registration.descriptor)
        guard let life else { return }
        self.life = nil
        context.release(life)
    }

    // MARK: Readiness

    func handle(_ readiness: Readiness) {
        guard let registration else { return }
        switch state.phase {
        case .connecting:
            if let number = Socket.connectFailure(registration.descriptor) { return fail("\(number)") }
            step(.connected)
        case .handshaking:
            receiveAnswer(registration.descriptor)
        case .active:
            // The peer never says anything here, so that what can be read is the end, or a breach of the protocol.
            if readiness.containsAny(of: [.readable, .failed]), !isSilent(registration.descriptor) {
                fail("the connection was lost")
            } else if readiness.containsAny(of: .writable) {
                isBlocked = false
                flush()
            }
        case .idle, .resolving, .waiting, .closed: break
        }
    }

    private func isSilent(_ descriptor: Int32) -> Bool {
        Socket.receive(descriptor, into: UnsafeMutableRawBufferPointer(rebasing: context.buffer[..<1])) == .wouldBlock
    }

    private func receiveAnswer(_ descriptor: Int32) {
        guard let hello else { return }
        while true {
            let room = UnsafeMutableRawBufferPointer(rebasing: context.buffer[..<answer.wanted])
            switch Socket.receive(descriptor, into: room) {
            case .wouldBlock: return
            case .ended, .failed: return fail("it closed the connection before it said who it is")
            case .moved(let count):
                do throws(DecodingError) {
                    let part = UnsafeRawBufferPointer(rebasing: room[..<count])
                    guard let answer = try answer.receive(part) else { continue }
                    return judge(answer, to: hello)
                } catch  where error.reason == .version {
                    return fail("it speaks a newer handshake: upgrade this member")
                } catch {
                    context.count { $0.handshakesBroken += 1 }
                    return fail("what answers there is no member")
                }
            }
        }
    }

    /// Whoever connected judges by the same rules as whoever was connected to: each may find what the other cannot know.
    private func judge(_ answer: Handshake, to hello: Handshake) {
        guard let receiver = context.receiver else { return fail("this member is being closed") }
        if let refusal = context.terms.refusal(of: answer, to: hello) {
            guard refusal.isPassing else { return step(.refused(refusal)) }
            // The receiver learns which opening to show, and shows it in the next hello, which does not have to wait long.
            receiver.refused(peer, refusal)
            note(refusal.description)
            return step(.asked)
        }
        // The peer answered, ended and was started again before its answer was read. To judge that after the hello of the next
        // life would take it for another process. An answer to a hello that was said to the next life is no such thing.
        if context.hasLaterLife(than: answer.introduction, since: lifeCountAtHello) {
            return fail("it was started again")
        }
        // On a connection for the first boot alone it is the peer that tells the frames apart.
        if case .refuse(let refusal) = receiver.judge(answer.introduction) {
            let ours = HandshakeRefusal(.here, .identity(refusal))
            return ours.isPassing ? fail(ours.description) : step(.refused(ours))
        }
        life = context.retain(answer.introduction)
        if let agreement = context.terms.agreement(with: answer) { receiver.agreed(agreement, with: peer) }
        step(.welcomed)
    }

    // MARK: Sending

    /// Gives the system as much of the queue as it takes, within the bound of one turn.
    private func flush() {
        guard state.phase == .active, let registration else { return }
        for _ in 0..<OutboundLink.maxRounds {
            queue.withLock { [self] queue in
                queue.frames.gather(maxPieces: OutboundLink.maxPieces, maxBytes: maxBytes, into: &pieces)
            }
            defer { pieces.removeAll(keepingCapacity: true) }
            guard !pieces.isEmpty else { return watch(registration, forRoom: false) }
            var write = GatheredWrite(pieces)
            guard write.loadNext() else { return }
            var result = Socket.Transfer.failed
            _ = write.withVectors { vectors, count in
                result = Socket.send(registration.descriptor, vectors, count)
                return 0
            }
            switch result {
            case .moved(let count):
                let frames = queue.withLock { $0.frames.consume(count) }
                context.count {
                    $0.framesSent += UInt64(frames)
                    $0.bytesSent += UInt64(count)
                }
            case .wouldBlock:
                _ = queue.withLock { $0.frames.consume(0) }
                return watch(registration, forRoom: true)
            case .ended, .failed: return fail("the connection was lost")
            }
        }
        // More is left; the others first.
        context.loop.runAtEndOfTurn { [self] in attend() }
    }

    /// Asks to be told when there is room for bytes only while there is none: there nearly always is.
    private func watch(_ registration: Selector.Registration, forRoom isWanted: Bool) {
        isBlocked = isWanted
        context.loop.selector.change(registration, to: isWanted ? [.readable, .writable] : .readable)
    }
}
