import BalsaPlatform
import Glibc

/// Writes lines to a descriptor, on a thread of its own, so that a caller never waits for a reader.
///
/// There are lines of two kinds. Those that were asked for are all written; to bound how many wait is for those who ask, who
/// are told when one was written. Of notices, for which nobody asked, a bounded number waits, and the oldest are dropped and
/// counted. A notice is not written later than a line that was given after it.
///
/// A write that fails for want of space, or since the device fails, is tried again after a pause, from the first byte
/// that was not written: space may come back, and a line that was cut is completed. Meanwhile lines wait as they do
/// for a reader. A descriptor to which nothing can ever be written again takes nothing more.
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
        /// Why the last write failed, if it may be tried again.
        var failure: FileError.Number?
        var finished: (@Sendable () -> Void)?
        /// Until when a write that fails is tried again; nil while the writer is not to finish.
        var giveUp: ContinuousClock.Instant?
        var thread: BackgroundThread?
    }

    /// How many notices wait at most.
    static let maxNotices = 1_000

    /// `write(2)`, or what a test puts in its place.
    typealias Call = @Sendable (Int32, UnsafeRawPointer?, Int) -> Int

    /// How long a write that has failed waits for the next try.
    private static let pause = (milliseconds: Int32(100), microseconds: UInt32(100_000))
    /// With these errors a descriptor never takes anything again.
    private static let final = [
        EPIPE, EBADF, ECONNRESET, ENOTCONN, EDESTADDRREQ, ENXIO, EISDIR, EINVAL, EFAULT,
    ]

    private let descriptor: Int32
    private let patienceAtEnd: Duration
    private let call: Call
    private let shared = Locked(Shared())

    /// A writer to `descriptor`, which stays the caller's, and open until the writer has finished.
    ///
    /// - Parameters:
    ///   - patienceAtEnd: how long a write that fails is tried again once the writer is to finish.
    ///   - call: writes bytes.
    init(
        _ descriptor: Int32,
        patienceAtEnd: Duration = .seconds(1),
        call: @escaping Call = { Glibc.write($0, $1, $2) }
    ) throws(BackgroundThread.StartError) {
        self.descriptor = descriptor
        self.patienceAtEnd = patienceAtEnd
        self.call = call
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

    /// Why the last write has failed; nil where it has not, or where its descriptor takes nothing more. Lines are lost
    /// if the writer has finished.
    var failure: FileError.Number? { shared.withLock { $0.failure } }

    /// Ends the writer when all that was given to it has been written, or never can be. It gives up after its patience
    /// where writes fail, but waits for a reader as long as there may be one. To be called once, with no line after it.
    ///
    /// - Parameter finished: called then, on the writer's thread, which does not touch the descriptor any more.
    func finish(_ finished: @escaping @Sendable () -> Void) {
        shared.withLock { shared in
            precondition(shared.finished == nil, "a writer finishes once")
            shared.finished = finished
            shared.giveUp = .now + patienceAtEnd
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

    /// Writes all bytes, however often a try fails.
    ///
    /// - Returns: false where the descriptor takes nothing more, or was given up.
    private func writeAll(_ bytes: [UInt8]) -> Bool {
        // That the other end is gone, or a file as long as it may be, is told by the call, and is no reason to end the
        // process.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        sigaddset(&signals, SIGXFSZ)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        var offset = 0
        while offset < bytes.count {
            let (count, number) = bytes.withUnsafeBytes { raw in
                let count = call(descriptor, raw.baseAddress.map { $0 + offset }, bytes.count - offset)
                // Nothing was taken, and nothing says why: another try would say as much.
                return (count, count < 0 ? errno : count == 0 ? EPIPE : 0)
            }
            if count > 0 {
                offset += count
                shared.withLock { $0.failure = nil }
            } else if number == EAGAIN || number == EWOULDBLOCK {
                // A pipe or a terminal that does not block: its reader is waited for as it is elsewhere.
                var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&entry, 1, LineWriter.pause.milliseconds)
            } else if number != EINTR {
                guard mayTryAgain(after: number) else { return false }
                usleep(LineWriter.pause.microseconds)
            }
        }
        return true
    }

    /// Notes that a write has failed.
    ///
    /// - Returns: whether it is worth another try.
    private func mayTryAgain(after number: Int32) -> Bool {
        shared.withLock { shared in
            shared.failure = nil
            guard !LineWriter.final.contains(number) else { return false }
            shared.failure = FileError.Number(rawValue: number)
            return shared.giveUp.map { ContinuousClock.now < $0 } ?? true
        }
    }
}
