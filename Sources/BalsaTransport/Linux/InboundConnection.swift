import BalsaPlatform
import BalsaRaft
import BalsaWire

/// A connection that somebody else made: it says who it is, and then is only received from.
///
/// Belongs to the loop's thread.
final class InboundConnection: ReadinessHandler {
    private enum Phase {
        /// The hello has not been read to its end.
        case greeting
        /// Of this member and path. All frames are taken, or those of a first boot alone.
        case open(PeerLife, SendPath, isFirstBootOnly: Bool)
        /// The refusal is on its way; it would be lost if the connection were closed before the other side has read it.
        case refused
        case closed
    }

    /// How often one connection is read from before the others have their turn.
    private static let maxReadsPerTurn = 4

    private let context: TransportContext
    private unowned let listener: Listener
    private var registration: Selector.Registration?
    private var timer: EventLoop.Timer?
    private var phase = Phase.greeting
    private var greeting = HandshakeReader()
    private var decoder: FrameDecoder
    private var frames: [Bytes] = []
    /// Whether what had arrived when it was accepted has been read. Only then it may be closed to make way for another.
    var hasHadTurn = false

    /// Whose connection it is, and for what, once that is known.
    var key: (life: PeerLife, path: SendPath)? {
        guard case .open(let life, let path, _) = phase else { return nil }
        return (life, path)
    }

    /// A connection of which nothing is known yet.
    ///
    /// - Parameters:
    ///   - descriptor: its socket, which belongs to the connection unless this throws.
    ///   - listener: where it came from.
    ///   - context: the transport's.
    init(_ descriptor: Int32, _ listener: Listener, _ context: TransportContext) throws(TransportError) {
        self.context = context
        self.listener = listener
        decoder = FrameDecoder(options: .formatMaximum)
        Socket.prepare(descriptor, context.options.patience)
        registration = try context.loop.selector.add(descriptor, for: .readable, self)
        let deadline = context.loop.now &+ context.options.handshakeTimeout.wholeNanoseconds
        timer = context.loop.schedule(at: deadline) { [weak self] in self?.expire() }
    }

    /// Closes the connection.
    func close() {
        if case .closed = phase { return }
        let ended = phase
        phase = .closed
        if let timer { context.loop.cancel(timer) }
        timer = nil
        frames = []
        if let registration {
            self.registration = nil
            context.loop.selector.remove(registration)
            Socket.close(registration.descriptor)
        }
        if case .open(let life, _, _) = ended { context.release(life) }
    }

    private func expire() {
        timer = nil
        if case .greeting = phase {
            context.count { $0.handshakesLate += 1 }
            context.note(.lateHello)
        }
        listener.remove(self)
    }

    func handle(_ readiness: Readiness) {
        guard let registration else { return }
        switch phase {
        case .greeting: receiveHello(registration.descriptor)
        case .open(let life, _, let isFirstBootOnly):
            receiveFrames(registration.descriptor, from: life.member, isFirstBootOnly)
        case .refused: awaitEnd(registration.descriptor)
        case .closed: break
        }
    }

    // MARK: Handshake

    private func receiveHello(_ descriptor: Int32) {
        let room = UnsafeMutableRawBufferPointer(rebasing: context.buffer[..<greeting.wanted])
        switch Socket.receive(descriptor, into: room) {
        case .wouldBlock: return
        case .ended, .failed: listener.remove(self)
        case .moved(let count):
            do throws(DecodingError) {
                let part = UnsafeRawBufferPointer(rebasing: room[..<count])
                if let hello = try greeting.receive(part) { judge(hello, descriptor) }
            } catch  where error.reason == .version {
                refuseNewerVersion(descriptor)
            } catch {
                context.count { $0.handshakesBroken += 1 }
                context.note(.noHello)
                listener.remove(self)
            }
        }
    }

    private func judge(_ hello: Handshake, _ descriptor: Int32) {
        guard let receiver = context.receiver else { return listener.remove(self) }
        let peer = hello.introduction.from
        let own = receiver.introduction(to: peer)
        var isFirstBootOnly = false
        var reason = context.terms.refusal(of: hello, own: own)
        if reason == nil {
            switch receiver.judge(hello.introduction) {
            case .accept: break
            case .firstBootOnly: isFirstBootOnly = true
            case .refuse(let refusal): reason = .identity(refusal)
            }
        }
        // Asked for again: the answer shows what the hello has asked for, and says what is remembered now.
        let answer = context.terms.answer(to: hello, receiver.introduction(to: peer), reason).encoded()
        if let reason {
            refuse(with: answer, descriptor)
            let refusal = HandshakeRefusal(.here, reason)
            if !refusal.isPassing { receiver.refused(peer, refusal) }
            return
        }
        // From here on the receiver counts on being told when the peer is gone.
        let life = context.retain(hello.introduction)
        if let agreement = context.terms.agreement(with: hello) { receiver.agreed(agreement, with: peer) }
        phase = .open(life, hello.path, isFirstBootOnly: isFirstBootOnly)
        guard Socket.sendAll(descriptor, answer) else { return listener.remove(self) }
        if let timer { context.loop.cancel(timer) }
        timer = nil
        listener.opened(self, by: life, hello.path)
    }

    /// Answers a hello of a newer format, of which nothing but the version can be read, in this release's own format.
    private func refuseNewerVersion(_ descriptor: Int32) {
        guard let own = context.receiver?.introduction(to: context.member) else { return listener.remove(self) }
        var answer = context.terms.hello(own, .control)
        answer.kind = .refusal
        answer.refusalCode = HandshakeRefusal.Reason.protocolRange.code
        refuse(with: answer.encoded(), descriptor)
    }

    private func refuse(with answer: Bytes, _ descriptor: Int32) {
        context.count { $0.handshakesRefused += 1 }
        phase = .refused
        guard Socket.sendAll(descriptor, answer) else { return listener.remove(self) }
        Socket.endSending(descriptor)
    }

    private func awaitEnd(_ descriptor: Int32) {
        if Socket.receive(descriptor, into: context.buffer).isFinal { listener.remove(self) }
    }

    // MARK: Frames

    private func receiveFrames(_ descriptor: Int32, from peer: MemberID, _ isFirstBootOnly: Bool) {
        for _ in 0..<InboundConnection.maxReadsPerTurn {
            let result = Socket.receive(descriptor, into: context.buffer)
            guard case .moved(let count) = result else {
                if result.isFinal { listener.remove(self) }
                return
            }
            let part = UnsafeRawBufferPointer(rebasing: context.buffer[..<count])
            let isSound = decode(part)
            guard deliver(countedBytes: count, from: peer, isFirstBootOnly) else { return }
            guard isSound else {
                context.count { $0.streamsBroken += 1 }
                context.note(.brokenFrame, of: peer)
                return listener.remove(self)
            }
            // The system had no more than that, which spares the call that would say so.
            if count < context.buffer.count { return }
        }
    }

    /// Cuts bytes into frames.
    ///
    /// - Returns: false where nobody knows any more where the next frame begins.
    private func decode(_ bytes: UnsafeRawBufferPointer) -> Bool {
        do throws(DecodingError) {
            try decoder.receive(bytes, into: &frames)
            return true
        } catch {
            return false
        }
    }

    /// Hands the frames to the receiver.
    ///
    /// - Returns: whether the connection is still open, which the receiver may have ended.
    private func deliver(countedBytes: Int, from peer: MemberID, _ isFirstBootOnly: Bool) -> Bool {
        let arrived = frames
        frames.removeAll(keepingCapacity: true)
        context.count {
            $0.framesReceived += UInt64(arrived.count)
            $0.bytesReceived += UInt64(countedBytes)
        }
        for frame in arrived {
            // Who is listened to was decided by the handshake, and holds for nobody else.
            let sender = PeerFrame.sender(of: frame)
            if sender != peer {
                context.count { $0.framesMislabelled += 1 }
                context.receiver?.mislabelled(by: peer, as: sender)
            } else if isFirstBootOnly {
                context.receiver?.receivedFirstBoot(frame, from: peer)
            } else {
                context.receiver?.received(frame, from: peer)
            }
            if case .closed = phase { return false }
        }
        return true
    }
}

extension Socket.Transfer {
    /// Whether nothing more will come.
    fileprivate var isFinal: Bool { self == .ended || self == .failed }
}
