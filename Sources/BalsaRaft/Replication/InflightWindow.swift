/// The appends that are on their way to a peer, oldest first: a ring bounded in messages, and in bytes.
struct InflightWindow: Sendable {
    private struct Sent {
        var through: LogIndex
        var bytes: UInt64
    }

    private let maxMessages: Int
    private let maxBytes: UInt64

    // Grows to what is used, up to `maxMessages`; then slots are used again.
    private var ring: [Sent] = []
    private var oldest = 0
    private(set) var count = 0
    private(set) var bytes: UInt64 = 0

    init(maxMessages: Int, maxBytes: UInt64) {
        self.maxMessages = maxMessages
        self.maxBytes = maxBytes
    }

    /// Whether another append has to wait.
    var isFull: Bool { count == maxMessages || bytes >= maxBytes }

    /// How many bytes may still be sent. The last append may pass it, so that a large entry goes through a small window.
    var room: UInt64 { bytes >= maxBytes ? 0 : maxBytes - bytes }

    /// Notes an append.
    ///
    /// - Precondition: the window is not full, and `through` is above that of the append before.
    mutating func add(through: LogIndex, bytes size: UInt64) {
        precondition(!isFull, "the window is checked before an append is sent")
        let sent = Sent(through: through, bytes: size)
        if count == ring.count {
            // Full to the brim: unroll the ring once, then grow behind it.
            if oldest > 0 {
                ring = Array(ring[oldest...] + ring[..<oldest])
                oldest = 0
            }
            ring.append(sent)
        } else {
            ring[(oldest + count) % ring.count] = sent
        }
        count += 1
        bytes += size
    }

    /// Forgets the appends that lie wholly at or before `index`.
    mutating func release(through index: LogIndex) {
        while count > 0, ring[oldest].through <= index {
            bytes -= ring[oldest].bytes
            oldest = (oldest + 1) % ring.count
            count -= 1
        }
    }

    /// Forgets all of them.
    mutating func removeAll() {
        oldest = 0
        count = 0
        bytes = 0
    }
}
