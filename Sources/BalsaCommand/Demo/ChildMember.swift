import BalsaPlatform
import BalsaRaft
import Foundation

/// A member that runs as a child process of the demo, and is started again whenever it ends.
final class ChildMember: @unchecked Sendable {
    /// What a member answered: the words behind the request's name; nil where it ended or kept silent.
    typealias Answer = [ArraySlice<UInt8>]?

    /// A process cannot be started.
    struct Failure: Error, CustomStringConvertible {
        let description: String

        /// - Parameter error: what Foundation says, which is for programmers: only the number of the system is taken
        ///   from it.
        fileprivate init(starting path: String, _ error: any Error) {
            var reason = "the system does not say why"
            var status = stat()
            if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
                // The system lets anybody that may enter it pass.
                reason = "\(FileError.Number(rawValue: EISDIR))"
            } else if access(path, X_OK) != 0 {
                reason = "\(FileError.Number(rawValue: errno))"
            } else if (error as NSError).domain == NSPOSIXErrorDomain {
                reason = "\(FileError.Number(rawValue: Int32((error as NSError).code)))"
            }
            description = "start \(path): \(reason)"
        }
    }

    private struct Waiting {
        var continuation: CheckedContinuation<Answer, Never>
        var deadline: UInt64
    }

    private struct Shared {
        var process: Process?
        var input: LineWriter?
        /// Ends the input and closes its descriptor.
        var finishInput: (@Sendable () -> Void)?
        var waiting: [UInt64: Waiting] = [:]
        var lastRequest: UInt64 = 0
        var isClosing = false
        var state = "starting"
        /// How often a process was started. What an earlier one said last is read late, and says nothing of this one.
        var starts = 0

        /// Takes the input away, and returns what ends it.
        mutating func takeInput() -> (@Sendable () -> Void)? {
            defer { (input, finishInput) = (nil, nil) }
            return finishInput
        }
    }

    /// The state of a process that was killed and has not ended.
    private static let killed = "killed"

    let id: MemberID
    private let arguments: [String]
    private let executable: URL
    private let shared = Locked(Shared())
    private let clock = MonotonicClock()
    /// Told of everything that the member says of itself.
    let notice: @Sendable (ChildMember, String) -> Void

    init(
        id: MemberID,
        executable: URL,
        arguments: [String],
        notice: @escaping @Sendable (ChildMember, String) -> Void
    ) {
        self.id = id
        self.executable = executable
        self.arguments = arguments
        self.notice = notice
    }

    /// What the member said last of its state.
    var state: String { shared.withLock { $0.state } }
    /// Its process; 0 where none runs.
    var pid: Int32 { shared.withLock { $0.process?.processIdentifier ?? 0 } }
    /// How often a process was started.
    var starts: Int { shared.withLock { $0.starts } }

    /// Starts a process; none once it is being closed.
    func start() throws {
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.terminationHandler = { [weak self] ended in self?.ended(ended) }
        let handle = input.fileHandleForWriting
        // A thread of its own waits for a process that reads nothing, because it was stopped for example.
        let writer = try LineWriter(handle.fileDescriptor)
        let finish = { @Sendable in writer.finish { try? handle.close() } }
        // Before it runs: it may end before anything else happens here.
        let start = shared.withLock { shared -> Int? in
            guard !shared.isClosing else { return nil }
            shared.process = process
            shared.state = "starting"
            shared.starts += 1
            return shared.starts
        }
        guard let start else { return finish() }
        do {
            try process.run()
        } catch {
            shared.withLock { $0.process = nil }
            finish()
            throw Failure(starting: executable.path, error)
        }
        let isWanted = shared.withLock { shared in
            guard shared.process === process, !shared.isClosing else { return false }
            shared.input = writer
            shared.finishInput = finish
            return true
        }
        if !isWanted { finish() }
        let reader = Thread { [weak self] in
            var lines = LineReader(output.fileHandleForReading.fileDescriptor, limit: 8 << 20)
            while case .line(let line) = lines.next() { self?.received(line, of: start) }
            // Keeps the descriptor until the last byte was read.
            withExtendedLifetime(output) {}
        }
        reader.stackSize = 1 << 20
        reader.start()
    }

    private func received(_ line: ArraySlice<UInt8>, of start: Int) {
        let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: true)
        guard let first = words.first else { return }
        if first.elementsEqual("*".utf8) {
            let text = String(decoding: line.dropFirst(2), as: UTF8.self)
            let isPresent = shared.withLock { shared in
                guard shared.starts == start, shared.process != nil else { return false }
                // What a killed process said before is received after the kill, and is not true any more.
                if text.hasPrefix("state "), shared.state != ChildMember.killed {
                    shared.state = String(text.dropFirst(6))
                }
                return true
            }
            if isPresent { notice(self, text) }
            return
        }
        guard let number = UInt64(String(decoding: first, as: UTF8.self)) else { return }
        let waiting = shared.withLock { $0.waiting.removeValue(forKey: number) }
        waiting?.continuation.resume(returning: Array(words.dropFirst()))
    }

    private func ended(_ process: Process) {
        let (waiting, finish, mustRestart) = shared.withLock { shared -> ([Waiting], (@Sendable () -> Void)?, Bool) in
            guard shared.process === process else { return ([], nil, false) }
            shared.process = nil
            shared.state = "down"
            defer { shared.waiting = [:] }
            return (Array(shared.waiting.values), shared.takeInput(), !shared.isClosing)
        }
        finish?()
        for each in waiting { each.continuation.resume(returning: nil) }
        guard mustRestart else { return }
        notice(
            self,
            "ended (\(process.terminationReason == .uncaughtSignal ? "signal" : "status") "
                + "\(process.terminationStatus)); it is started again"
        )
        startAgain(after: 0.2)
    }

    private func startAgain(after seconds: Double) {
        DispatchQueue.global().asyncAfter(deadline: .now() + seconds) { [self] in
            guard !shared.withLock({ $0.isClosing }) else { return }
            do {
                try start()
            } catch {
                notice(self, "cannot be started: \(error); that is tried again")
                startAgain(after: 1)
            }
        }
    }

    /// Asks the member something. Returns nil where its process ends before it answers, or where it keeps silent.
    func request(_ verb: String, _ arguments: Bytes..., within seconds: UInt64 = 15) async -> Answer {
        var line: [UInt8] = []
        return await withCheckedContinuation { continuation in
            let deadline = clock.nanoseconds() + seconds * 1_000_000_000
            let (input, number) = shared.withLock { shared -> (LineWriter?, UInt64) in
                guard let input = shared.input else { return (nil, 0) }
                shared.lastRequest += 1
                shared.waiting[shared.lastRequest] = Waiting(continuation: continuation, deadline: deadline)
                return (input, shared.lastRequest)
            }
            guard let input else {
                continuation.resume(returning: nil)
                return
            }
            line += Array("\(number) \(verb)".utf8)
            for argument in arguments {
                line.append(UInt8(ascii: " "))
                argument.withUnsafeBytes { PercentEncoding.append($0, to: &line) }
            }
            input.write(line)
        }
    }

    /// Gives up requests that were not answered in time.
    func expire() {
        let now = clock.nanoseconds()
        let late = shared.withLock { shared -> [Waiting] in
            let late = shared.waiting.filter { $0.value.deadline <= now }
            for key in late.keys { shared.waiting[key] = nil }
            return Array(late.values)
        }
        for each in late { each.continuation.resume(returning: nil) }
    }

    /// Ends the process with SIGKILL, once.
    ///
    /// - Parameter state: what the member must have said last of its state; nil for anything.
    /// - Returns: the process that was signalled by this call; 0 if none was, because none runs, it is in another
    ///   state, or an earlier call has killed it.
    @discardableResult
    func killProcess(ifStateIs state: String? = nil) -> Int32 {
        shared.withLock { shared in
            guard shared.state != ChildMember.killed, state == nil || shared.state == state,
                let pid = shared.process?.processIdentifier, pid > 0, kill(pid, SIGKILL) == 0
            else { return 0 }
            // It leads no more from now on. That it has ended is received a moment later.
            shared.state = ChildMember.killed
            return pid
        }
    }

    /// Ends the process in order, and starts none again. One that does not end in time is ended with SIGKILL.
    func close(within seconds: UInt64 = 10) { ChildMember.close([self], within: seconds) }

    /// Ends processes in order, and starts none again. Those that do not end in time are ended with SIGKILL.
    ///
    /// All are asked to end before any is waited for: a member whose peers are gone has no majority, and waits for its
    /// requests as long as it may.
    static func close(_ members: [ChildMember], within seconds: UInt64 = 10) {
        let processes = members.map { $0.beginClosing() }
        let clock = MonotonicClock()
        let deadline = clock.nanoseconds() + seconds * 1_000_000_000
        for (member, process) in zip(members, processes) {
            if let process { member.waitForEnd(of: process, until: deadline) }
        }
    }

    /// Ends the input of the process, and starts none again. Returns the process, where one runs.
    private func beginClosing() -> Process? {
        let (process, finish) = shared.withLock { shared in
            shared.isClosing = true
            return (shared.process, shared.takeInput())
        }
        finish?()
        return process
    }

    private func waitForEnd(of process: Process, until deadline: UInt64) {
        while process.isRunning, clock.nanoseconds() < deadline { usleep(5_000) }
        if process.isRunning {
            notice(self, "does not end, and is ended with SIGKILL")
            kill(process.processIdentifier, SIGKILL)
        }
        process.waitUntilExit()
    }

    /// Starts members, runs `body`, and closes them, whatever happens meanwhile.
    static func run<Result>(_ members: [ChildMember], _ body: () async throws -> Result) async throws -> Result {
        defer { close(members) }
        for member in members { try member.start() }
        return try await body()
    }
}
