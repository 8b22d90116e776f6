import BalsaPlatform
import BalsaRaft

/// What the connections of one transport have in common.
final class TransportContext: @unchecked Sendable {
    let loop: EventLoop
    let options: TCPOptions
    let resolver = NameResolver()
    private let counted = Locked(TransportMetrics())

    // What follows belongs to the loop's thread.
    var policy: HandshakePolicy
    var random: RandomSource
    var receiver: (any TransportReceiver)?
    /// Where bytes arrive before a decoder has taken them; one for all connections, since the loop serves one at a time.
    let buffer: UnsafeMutableRawBufferPointer
    private static let bufferBytes = 64 << 10

    init(
        loop: EventLoop,
        options: TCPOptions,
        policy: HandshakePolicy,
        random: RandomSource,
        receiver: sending any TransportReceiver
    ) {
        self.loop = loop
        self.options = options
        self.policy = policy
        self.random = random
        self.receiver = receiver
        buffer = .allocate(byteCount: TransportContext.bufferBytes, alignment: 64)
    }

    deinit { buffer.deallocate() }

    /// What was counted so far. From any thread.
    var metrics: TransportMetrics { counted.withLock { $0 } }

    /// Counts something. From any thread.
    func count(_ change: (inout TransportMetrics) -> Void) {
        counted.withLock { change(&$0) }
    }
}
