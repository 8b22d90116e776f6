import BalsaPlatform
import Glibc

/// Reads lines from a descriptor. A line that is longer than the limit is skipped, and told as nil.
struct LineReader {
    private let descriptor: Int32
    private let limit: Int
    private let wakeUp: Int32?
    private var buffer: [UInt8] = []
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
            if let end = buffer[position...].firstIndex(of: UInt8(ascii: "\n")) {
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
        let old = buffer.count
        let step = 64 << 10
        buffer.append(contentsOf: repeatElement(0, count: step))
        let count = buffer.withUnsafeMutableBytes { raw in
            var result = 0
            repeat {
                result = read(descriptor, raw.baseAddress.map { $0 + old }, step)
            } while result < 0 && errno == EINTR
            return result
        }
        buffer.removeLast(step - max(0, count))
        if count <= 0 { isAtEnd = true }
    }
}
