import BalsaPlatform
import Glibc

/// Writes lines to a descriptor, on a thread of its own, so that whoever has something to say never waits for a reader.
///
/// There are lines of two kinds. Those that were asked for are all written; to bound how many wait is for those who ask, who
/// are told when one was written. Of notices, for which nobody asked, a bounded number waits, and the oldest are dropped and
/// counted. A notice is not written later than a line that was given after it.
///
/// It lives until ``finish(_:)``, also where nobody holds it.
final class LineWriter: @unchecked Sendable {
    private typealias Line = (bytes: [UInt8], written: @Sendable () -> Void)

    private struct Shared {
        var notices: [[UInt8]] = []
        var droppedNotices = 0
        var lines: [Line] = []
        /// Whether the other end is gone, or was given up.
        var isBroken = false
        var finished: (@Sendable () -> Void)?
        var thread: BackgroundThread?
    }

    /// How many notices wait at most.
    static let maxNotices = 1_000

    private let descriptor: Int32
    private let shared = Locked(Shared())

    /// A writer to `descriptor`, which stays the caller's, and open until the writer has finished.
    init(_ descriptor: Int32) throws(BackgroundThread.StartError) {
        self.descriptor = descriptor
        let thread = try BackgroundThread { [self] in writeNext() }
        shared.withLock { $0.thread = thread }
        thread.wake()
    }

    /// Writes a line.
    ///
    /// - Parameters:
    ///   - line: the line, without its end.
    ///   - written: called when it has been written, or never can be, on this thread or the writer's.
    func write(_ line: [UInt8], _ written: @escaping @Sendable () -> Void = {}) {
        let isTaken = shared.withLock { shared in
            guard !shared.isBroken, let thread = shared.thread else { return false }
            shared.lines.append((line, written))
            thread.wake()
            return true
        }
        if !isTaken { written() }
    }

    /// Writes a line that may be dropped.
    func note(_ line: [UInt8]) {
        shared.withLock { shared in
            guard !shared.isBroken, let thread = shared.thread else { return }
            if shared.notices.count == LineWriter.maxNotices {
                shared.notices.removeFirst()
                shared.droppedNotices += 1
            }
            shared.notices.append(line)
            thread.wake()
        }
    }

    /// Ends the writer when all that was given to it has been written, or never can be. To be called once, with no line after it.
    ///
    /// - Parameter finished: called then, on the writer's thread, which does not touch the descriptor any more.
    func finish(_ finished: @escaping @Sendable () -> Void) {
        shared.withLock { shared in
            precondition(shared.finished == nil, "a writer finishes once")
            shared.finished = finished
            shared.thread?.wake()
        }
    }

    // MARK: On the writer's thread

    private func writeNext() -> BackgroundThread.Next {
        let (text, lines) = shared.withLock { shared -> ([UInt8], [Line]) in
            var text: [UInt8] = []
            if shared.droppedNotices > 0 {
                shared.notices.insert(Array("* dropped \(shared.droppedNotices)".utf8), at: 0)
            }
            for line in shared.notices + shared.lines.map(\.bytes) {
                text += line
                text.append(UInt8(ascii: "\n"))
            }
            let lines = shared.lines
            (shared.notices, shared.droppedNotices, shared.lines) = ([], 0, [])
            return (shared.isBroken ? [] : text, lines)
        }
        if !text.isEmpty, !writeAll(text) { shared.withLock { $0.isBroken = true } }
        for line in lines { line.written() }
        if !text.isEmpty || !lines.isEmpty { return .again }
        end()
        return .wait
    }

    /// Ends the thread, if that is wanted. Nothing waits.
    private func end() {
        let (finished, thread) = shared.withLock { shared -> ((@Sendable () -> Void)?, BackgroundThread?) in
            guard let finished = shared.finished, shared.thread != nil, shared.lines.isEmpty, shared.notices.isEmpty
            else {
                return (nil, nil)
            }
            defer { shared.thread = nil }
            return (finished, shared.thread)
        }
        // Nobody is to wait for a reader in order to end the thread; so it lets go of itself.
        thread?.stop()
        finished?()
    }

    private func writeAll(_ bytes: [UInt8]) -> Bool {
        // That the other end is gone is told by the call, and is no reason to end the process.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            offset += count
        }
        return true
    }
}
