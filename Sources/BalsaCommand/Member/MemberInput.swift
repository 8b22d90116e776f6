import BalsaPlatform
import Glibc

/// The lines that a member is asked by, read by a thread of their own.
///
/// What was read is bounded: as long as too many lines wait for an answer, or for the answer to be taken, no more are read.
final class MemberInput: @unchecked Sendable {
    /// How much may wait.
    struct Bounds: Sendable {
        /// How many lines.
        var lines = 1_024
        /// How many bytes these lines have, of which one more may go beyond it.
        var bytes = 64 << 20
        /// How long one line may be.
        var bytesOfLine = 8 << 20
    }

    /// There was no thread or no descriptor for it.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private struct UnderWay {
        var lines = 0
        var bytes = 0

        func hasRoom(_ bounds: Bounds) -> Bool { lines < bounds.lines && bytes < bounds.bytes }
    }

    /// The lines; nil for one that is too long. Each is to be ``answered(_:)``.
    let lines: AsyncStream<[UInt8]?>
    let bounds: Bounds
    private let underWay: Locked<UnderWay>
    private let thread: BackgroundThread
    private let continuation: AsyncStream<[UInt8]?>.Continuation
    private let wakeUp: (read: Int32, write: Int32)

    /// An input from `descriptor`, which stays the caller's, and open until the input is stopped.
    init(_ descriptor: Int32, _ bounds: Bounds = Bounds()) throws(Failure) {
        var ends: [Int32] = [-1, -1]
        guard StandardDescriptors.fill(), pipe(&ends) == 0 else {
            let reason = FileError.Number(rawValue: errno).sentence
            throw Failure(description: "there is no pipe to wake the thread that reads: \(reason)")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let (stream, continuation) = AsyncStream<[UInt8]?>.makeStream()
        let underWay = Locked(UnderWay())
        let reader = UncheckedReader(LineReader(descriptor, limit: bounds.bytesOfLine, wakeUp: ends[0]))
        let begin = { @Sendable (count: Int) in
            underWay.withLock { underWay in
                underWay.lines += 1
                underWay.bytes += count
            }
        }
        do throws(BackgroundThread.StartError) {
            thread = try BackgroundThread {
                guard underWay.withLock({ $0.hasRoom(bounds) }) else { return .wait }
                switch reader.next() {
                case .line(let line):
                    begin(line.count)
                    continuation.yield(Array(line))
                case .tooLong:
                    begin(0)
                    continuation.yield(nil)
                case .end:
                    continuation.finish()
                    return .wait
                }
                return .again
            }
        } catch {
            for end in ends { close(end) }
            throw Failure(description: "\(error)")
        }
        (lines, self.continuation) = (stream, continuation)
        (self.bounds, self.underWay, wakeUp) = (bounds, underWay, (ends[0], ends[1]))
    }

    /// How many lines wait for an answer.
    var countUnderWay: Int { underWay.withLock { $0.lines } }

    /// A line has been answered, and the answer was taken.
    func answered(_ line: [UInt8]?) {
        let mustWake = underWay.withLock { underWay in
            let hadRoom = underWay.hasRoom(bounds)
            underWay.lines -= 1
            underWay.bytes -= line?.count ?? 0
            return !hadRoom && underWay.hasRoom(bounds)
        }
        if mustWake { thread.wake() }
    }

    /// Ends the lines without waiting. May be called again, and by any thread.
    func end() {
        // The only failure is a pipe that is full, which wakes as well.
        _ = write(wakeUp.write, [UInt8(0)], 1)
        continuation.finish()
    }

    /// Ends the lines, and returns when none is read any more. It does not wait for the other end to write or to close. May be
    /// called again.
    func stop() {
        end()
        thread.stop()
    }

    deinit {
        stop()
        close(wakeUp.read)
        close(wakeUp.write)
    }
}

/// A reader that one thread uses.
private final class UncheckedReader: @unchecked Sendable {
    private var reader: LineReader

    init(_ reader: LineReader) { self.reader = reader }

    func next() -> LineReader.Line { reader.next() }
}
