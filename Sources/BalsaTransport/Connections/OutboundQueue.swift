import BalsaPlatform

/// The frames that wait for one connection, bounded in number and in bytes.
///
/// ```
///   consume ← │ offered │ waiting … │ ← append
///   (the system has them) ↑ dropped from here on overflow
/// ```
///
/// While the system is offered frames it may take any of them, and half a frame would make everything behind it
/// unreadable. So none of those is dropped until it has said how much it took, and the one that it took in part stays.
struct OutboundQueue {
    /// Which frame goes when there is no room for another.
    enum Overflow: Equatable {
        /// The one that has waited longest: what consensus says anew is worth more than what it said before.
        case dropsOldest
        /// The new one: of a stream, whatever follows a gap is lost as well.
        case refusesNewest
    }

    private struct Frame {
        let pieces: [Bytes]
        let byteCount: Int
    }

    let maxBytes: Int
    let maxFrames: Int
    let overflow: Overflow

    /// The frames, oldest first; those before `first` have gone.
    private var frames: [Frame?] = []
    private var first = 0
    /// How many of the frames, from the first on, cannot be dropped.
    private var offeredCount = 0
    /// How many bytes of the first frame the system has taken.
    private var taken = 0

    /// The bytes of all frames in the queue.
    private(set) var byteCount = 0

    /// The number of frames in the queue.
    var frameCount: Int { frames.count - first }

    /// Whether there is nothing to send.
    var isEmpty: Bool { frameCount == 0 }

    init(maxBytes: Int, maxFrames: Int, overflow: Overflow) {
        precondition(maxBytes > 0 && maxFrames > 0, "a queue without room sends nothing")
        self.maxBytes = maxBytes
        self.maxFrames = maxFrames
        self.overflow = overflow
    }

    /// Puts a frame behind the others.
    ///
    /// - Returns: how many frames were dropped, the new one counted.
    mutating func append(_ pieces: [Bytes]) -> Int {
        var size = 0
        for piece in pieces { size += piece.count }
        guard size > 0 else { return 0 }
        var dropped = 0
        while !hasRoom(size), overflow == .dropsOldest, offeredCount < frameCount {
            dropOldest()
            dropped += 1
        }
        guard hasRoom(size) else { return dropped + 1 }
        frames.append(Frame(pieces: pieces, byteCount: size))
        byteCount += size
        return dropped
    }

    private func hasRoom(_ size: Int) -> Bool {
        // A frame that is longer than the bound, as an entry of another leader may be, goes when nothing else waits.
        isEmpty || (frameCount < maxFrames && size <= maxBytes - byteCount)
    }

    /// Drops the oldest of the frames that may be.
    private mutating func dropOldest() {
        // The few that were offered move up by one, into the place of the one that goes.
        let place = first + offeredCount
        let dropped = frames[place]
        for place in stride(from: place, to: first, by: -1) { frames[place] = frames[place - 1] }
        frames[first] = dropped
        removeFirst()
    }

    /// Takes the first frame out.
    private mutating func removeFirst() {
        byteCount -= frames[first]?.byteCount ?? 0
        frames[first] = nil
        first += 1
        // Each element is moved at most once for each that went, so that the cost of a frame stays constant.
        if first == frames.count {
            frames.removeAll(keepingCapacity: true)
            first = 0
        } else if first >= 64, first * 2 >= frames.count {
            frames.removeFirst(first)
            first = 0
        }
    }

    /// Replaces `pieces` by the next bytes for the system, in their order. Their frames stay until ``consume(_:)``, which has
    /// to follow.
    ///
    /// - Parameters:
    ///   - maxPieces: how many pieces at most.
    ///   - maxBytes: how many bytes at most, but for the last piece, which may pass it.
    mutating func gather(maxPieces: Int, maxBytes: Int, into pieces: inout [Bytes]) {
        pieces.removeAll(keepingCapacity: true)
        offeredCount = 0
        var skip = taken
        var size = 0
        while pieces.count < maxPieces, size < maxBytes, offeredCount < frameCount {
            let frame = frames[first + offeredCount]
            offeredCount += 1
            for piece in frame?.pieces ?? [] where !piece.isEmpty {
                if skip >= piece.count {
                    skip -= piece.count
                    continue
                }
                guard pieces.count < maxPieces, size < maxBytes else { return }
                pieces.append(skip == 0 ? piece : piece.slice(skip..<piece.count))
                size += piece.count - skip
                skip = 0
            }
        }
    }

    /// Notes how many of the bytes that it was offered the system has taken, which may be none.
    ///
    /// - Returns: how many frames are gone now.
    mutating func consume(_ count: Int) -> Int {
        taken += count
        var done = 0
        while done < offeredCount, let frame = frames[first], taken >= frame.byteCount {
            taken -= frame.byteCount
            removeFirst()
            done += 1
            if isEmpty { break }
        }
        precondition(taken == 0 || done < offeredCount, "the system took more than it was offered")
        offeredCount = taken > 0 ? 1 : 0
        return done
    }

    /// Empties the queue, because its connection is lost.
    ///
    /// - Returns: how many frames were dropped.
    mutating func removeAll() -> Int {
        let dropped = frameCount
        frames = []
        (first, offeredCount, taken, byteCount) = (0, 0, 0, 0)
        return dropped
    }
}
