import BalsaPlatform
import Glibc

/// The signals that ask a program to end: SIGTERM, SIGINT and SIGHUP.
///
/// The first one is told to the program, which ends in order. The second one ends it at once. They are handled, and so
/// they also reach the first process of a container, for which the system drops signals that nobody handles. A signal
/// that the parent had the program ignore, as `nohup` does, stays ignored.
final class EndSignals: Sendable {
    /// The signals cannot be handled.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let numbers = [SIGTERM, SIGINT, SIGHUP]
    /// Where the handler writes the number of a signal. Set before there is a handler.
    nonisolated(unsafe) fileprivate static var pipe: Int32 = -1

    private struct Shared {
        var first: Int32?
        var told: (@Sendable (Int32) -> Void)?
    }

    private let shared = Locked(Shared())

    /// Handles the signals from now on. To be called once in a process.
    func start() throws(Failure) {
        var ends: [Int32] = [-1, -1]
        guard StandardDescriptors.fill(), Glibc.pipe(&ends) == 0 else {
            throw Failure(description: "there is no pipe for signals: \(FileError.Number(rawValue: errno).sentence)")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        // A handler must not wait, and a pipe that is full has told the first signals.
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        let source = ends[0]
        EndSignals.pipe = ends[1]
        do throws(BackgroundThread.StartError) {
            let thread = try BackgroundThread { [self] in
                var number: UInt8 = 0
                if read(source, &number, 1) == 1 { received(Int32(number)) }
                return .again
            }
            // It waits until the process ends.
            _ = Unmanaged.passRetained(thread)
        } catch {
            throw Failure(description: "signals cannot be waited for: \(error)")
        }
        for number in EndSignals.numbers {
            var action = sigaction()
            guard sigaction(number, nil, &action) == 0 else { continue }
            let handler = action.__sigaction_handler.sa_handler.map { unsafeBitCast($0, to: Int.self) }
            let ignored = unsafeBitCast(SIG_IGN, to: Int.self)
            guard handler != ignored else { continue }
            action = sigaction()
            action.__sigaction_handler.sa_handler = handleEndSignal
            action.sa_flags = SA_RESTART
            sigaction(number, &action, nil)
        }
    }

    /// The signal that came first; nil while none has come.
    var first: Int32? { shared.withLock { $0.first } }

    /// Has `told` called when the first signal comes, on the thread that waits for the next one; at once, on this
    /// thread, where it has come already. It must not wait, and takes the place of what was to be called before.
    func onFirst(_ told: @escaping @Sendable (Int32) -> Void) {
        let first = shared.withLock { shared in
            if shared.first == nil { shared.told = told }
            return shared.first
        }
        if let first { told(first) }
    }

    /// What a user calls a signal.
    static func name(of number: Int32) -> String {
        switch number {
        case SIGTERM: "SIGTERM"
        case SIGINT: "SIGINT"
        case SIGHUP: "SIGHUP"
        default: "signal \(number)"
        }
    }

    /// Ends the process as the signal does where nobody handles it.
    static func die(of number: Int32) -> Never {
        signal(number, SIG_DFL)
        // Threads of the concurrency runtime hold signals back, and so do those that they make.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, number)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        raise(number)
        // The first process of a container outlives it. Shells report a signal so.
        _exit(128 + number)
    }

    private func received(_ number: Int32) {
        let (told, isSecond) = shared.withLock { shared in
            let isSecond = shared.first != nil
            shared.first = shared.first ?? number
            return (shared.told, isSecond)
        }
        if isSecond { EndSignals.die(of: number) }
        told?(number)
    }
}

/// Runs between two instructions of any thread: it may only do what a handler may.
private func handleEndSignal(_ number: Int32) {
    let before = errno
    var byte = UInt8(truncatingIfNeeded: number)
    _ = write(EndSignals.pipe, &byte, 1)
    errno = before
}
