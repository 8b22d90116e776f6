import BalsaPlatform
import Glibc

/// Reads lines from a descriptor. A line that is longer than the limit is skipped, and told as nil.
struct LineReader {
    private let descriptor: Int32
    private let limit: Int
    private let wakeUp: Int32?
    private var buffer: [UInt8] = []
    /// What a read fills.
    private var chunk = [UInt8](repeating: 0, count: 64 << 10)
    private var position = 0
    private var isSkipping = false
    private var isAtEnd = false

    /// A reader of `descriptor`, which stays the caller's.
    ///
    /// - Parameters:
    ///   - descriptor: where the lines come from.
    ///   - limit: how long a line may be.
    ///   - wakeUp: a descriptor that ends the lines, and the wait for them, when there is something to read from it.
    init(_ descriptor: Int32, limit: Int, wakeUp: Int32? = nil) {
        self.descriptor = descriptor
        self.limit = limit
        self.wakeUp = wakeUp
    }

    /// What ``next()`` finds.
    enum Line {
        case line(ArraySlice<UInt8>)
        case tooLong
        case end
    }

    /// The next line, without its end. Waits for it.
    mutating func next() -> Line {
        while true {
            if let end = nextNewline {
                let line = buffer[position..<end]
                position = end + 1
                if isSkipping {
                    isSkipping = false
                    return .tooLong
                }
                return .line(line)
            }
            if isAtEnd {
                guard position < buffer.count, !isSkipping else { return .end }
                defer { position = buffer.count }
                return .line(buffer[position...])
            }
            buffer.removeFirst(position)
            position = 0
            if buffer.count > limit {
                isSkipping = true
                buffer.removeAll(keepingCapacity: true)
            }
            guard isWanted() else {
                buffer = []
                position = 0
                isAtEnd = true
                return .end
            }
            fill()
        }
    }

    /// The index of the first newline from `position` on.
    private var nextNewline: Int? {
        buffer.withUnsafeBytes { raw in
            guard let base = raw.baseAddress else { return nil }
            guard let found = memchr(base + position, Int32(UInt8(ascii: "\n")), raw.count - position) else {
                return nil
            }
            return base.distance(to: UnsafeRawPointer(found))
        }
    }

    /// Waits until there is something to read.
    ///
    /// - Returns: whether it is still wanted.
    private func isWanted() -> Bool {
        guard let wakeUp else { return true }
        var entries = [
            pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0),
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        ]
        // What cannot be watched is for the reading to tell.
        while poll(&entries, nfds_t(entries.count), -1) < 0, errno == EINTR {}
        return entries[0].revents == 0
    }

    private mutating func fill() {
        let count = chunk.withUnsafeMutableBytes { raw in
            var result = 0
            repeat {
                result = read(descriptor, raw.baseAddress, raw.count)
            } while result < 0 && errno == EINTR
            return result
        }
        guard count > 0 else {
            isAtEnd = true
            return
        }
        chunk.withUnsafeBytes { buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
    }
}
