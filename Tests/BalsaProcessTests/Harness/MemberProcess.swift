import BalsaPlatform
import BalsaRaft
import Foundation

/// `balsa member` as a process of its own, spoken to over its standard input and output.
final class MemberProcess: @unchecked Sendable {
    /// The words of an answer behind the request's name.
    typealias Answer = [String]

    private struct Shared {
        var pid: pid_t = 0
        var input: Int32 = -1
        /// The status of the last process that ended, as `waitpid` tells it.
        var status: Int32?
        var waiting: [UInt64: CheckedContinuation<Answer?, Never>] = [:]
        var lastRequest: UInt64 = 0
        var state = ""
        var notices: [String] = []
        var starts = 0
    }

    let id: MemberID
    let directory: String
    private let executable: String
    private let arguments: [String]
    private let shared = Locked(Shared())

    init(_ id: MemberID, executable: String, directory: String, arguments: [String]) {
        self.id = id
        self.executable = executable
        self.directory = directory
        self.arguments = ["member", "--directory", directory, "--member", "\(id)"] + arguments
    }

    /// The program and its arguments.
    var commandLine: [String] { [executable] + arguments }
    /// The process; 0 where none runs.
    var pid: pid_t { shared.withLock { $0.pid } }
    var isRunning: Bool { pid != 0 }
    /// What the member said last of its state.
    var state: String { shared.withLock { $0.state } }
    var isLeader: Bool { state == "leader" }
    /// What it has said of itself since it was started first, and what it wrote to standard error.
    var notices: [String] { shared.withLock { $0.notices } }
    /// Whether the process that ended last was ended by a signal, and by which.
    var signal: Int32? {
        shared.withLock { shared in
            guard let status = shared.status, status & 0x7f != 0 else { return nil }
            return status & 0x7f
        }
    }
    /// With what the process exited that ended last; nil where a signal ended it.
    var exitStatus: Int32? {
        shared.withLock { shared in
            guard let status = shared.status, status & 0x7f == 0 else { return nil }
            return status >> 8 & 0xff
        }
    }

    /// How many requests wait for an answer.
    var waitingCount: Int { shared.withLock { $0.waiting.count } }

    // MARK: The process

    /// Starts a process.
    func start() throws {
        guard !isRunning else { throw Failure("member \(id) is running already") }
        let (pid, source) = try MemberProcess.starting.withLock { _ in try spawn() }
        let thread = Thread { [self] in read(from: source, of: pid) }
        thread.start()
    }

    /// One process is started at a time: between the making of a pipe and the word that it is nobody else's, another one could
    /// get it, and would keep it open.
    private static let starting = Locked(())

    private func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0 else { throw Failure("there is no pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    /// Starts a process, and returns it with the descriptor from which its output is read.
    private func spawn() throws -> (pid: pid_t, output: Int32) {
        let (input, output) = (try pipe(), try pipe())
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input.read, 0)
        posix_spawn_file_actions_adddup2(&actions, output.write, 1)
        posix_spawn_file_actions_adddup2(&actions, output.write, 2)
        var words: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, executable, &actions, nil, &words, environ)
        Glibc.close(input.read)
        Glibc.close(output.write)
        guard result == 0 else {
            Glibc.close(input.write)
            Glibc.close(output.read)
            throw Failure("member \(id) cannot be started: error \(result)")
        }
        // Whoever asks a member that reads nothing is told so, and does not wait with it.
        _ = fcntl(input.write, F_SETFL, O_NONBLOCK)
        let started = pid
        shared.withLock { shared in
            shared.pid = started
            shared.input = input.write
            shared.status = nil
            shared.state = "starting"
            shared.starts += 1
        }
        return (pid, output.read)
    }

    private func read(from descriptor: Int32, of pid: pid_t) {
        var rest: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            rest += buffer[..<count]
            var lines = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            let last = lines.removeLast()
            for line in lines { received(String(decoding: line, as: UTF8.self)) }
            rest = Array(last)
        }
        if !rest.isEmpty { received(String(decoding: rest, as: UTF8.self)) }
        Glibc.close(descriptor)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let waiting = shared.withLock { shared in
            if shared.input >= 0 { Glibc.close(shared.input) }
            shared.input = -1
            shared.pid = 0
            shared.status = status
            shared.state = "down"
            defer { shared.waiting = [:] }
            return Array(shared.waiting.values)
        }
        for continuation in waiting { continuation.resume(returning: nil) }
    }

    private func received(_ line: String) {
        let words = line.split(separator: " ").map(String.init)
        guard let first = words.first, let number = UInt64(first) else {
            shared.withLock { shared in
                shared.notices.append(line)
                if line.hasPrefix("* state ") { shared.state = String(line.dropFirst(8)) }
            }
            return
        }
        let waiting = shared.withLock { $0.waiting.removeValue(forKey: number) }
        waiting?.resume(returning: Array(words.dropFirst()))
    }

    /// Sends the process a signal.
    func send(_ signal: Int32) {
        shared.withLock { shared in
            if shared.pid != 0 { _ = Glibc.kill(shared.pid, signal) }
        }
    }

    /// Ends the process with SIGKILL, and waits until it is gone.
    func kill() async throws {
        send(SIGKILL)
        try await ended()
    }

    /// Ends the process in order: its input ends.
    func close() async throws {
        shared.withLock { shared in
            if shared.input >= 0 { Glibc.close(shared.input) }
            shared.input = -1
        }
        try await ended()
    }

    /// Waits until no process runs.
    func ended() async throws {
        try await eventually("member \(id) has ended") { !isRunning }
    }

    /// How much memory the process has in use, and the most that it ever had, in bytes.
    func memory() throws -> (now: Int, peak: Int) {
        let text = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        func field(_ name: String) throws -> Int {
            guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name + ":") }),
                let number = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap({
                    Int($0)
                })
            else { throw Failure("member \(id) has no \(name)") }
            return number << 10
        }
        return (try field("VmRSS"), try field("VmHWM"))
    }

    // MARK: Requests

    /// Asks the member something. Words must not contain anything that would have to be encoded.
    ///
    /// - Returns: nil where the process ends before it answers, or does not answer in time.
    func request(_ words: String..., within limit: Duration = .seconds(10)) async -> Answer? {
        await withCheckedContinuation { continuation in
            let number = shared.withLock { shared -> UInt64? in
                guard shared.input >= 0 else { return nil }
                shared.lastRequest += 1
                let line = Array("\(shared.lastRequest) \(words.joined(separator: " "))\n".utf8)
                guard MemberProcess.write(line, to: shared.input) else {
                    // Perhaps half a line was written: nothing can follow it.
                    Glibc.close(shared.input)
                    shared.input = -1
                    return nil
                }
                shared.waiting[shared.lastRequest] = continuation
                return shared.lastRequest
            }
            guard let number else { return continuation.resume(returning: nil) }
            let milliseconds =
                Int(limit.components.seconds) * 1_000 + Int(limit.components.attoseconds / 1_000_000_000_000_000)
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { [weak self] in
                let late = self?.shared.withLock { $0.waiting.removeValue(forKey: number) }
                late?.resume(returning: nil)
            }
        }
    }

    /// Writes a line, and waits a little where the member does not read.
    private static func write(_ line: [UInt8], to descriptor: Int32) -> Bool {
        var rest = line[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard poll(&entry, 1, 5_000) > 0 else { return false }
            } else if errno != EINTR {
                return false
            }
        }
        return true
    }

    /// Puts a pair, once. Returns its revision; nil where it was not acknowledged.
    func put(_ key: String, _ value: String, within limit: Duration = .seconds(10)) async -> UInt64? {
        guard let words = await request("put", key, value, within: limit), words.count == 2, words[0] == "ok" else {
            return nil
        }
        return UInt64(words[1])
    }

    /// What a read found.
    struct Found: Equatable {
        /// 0 where the key has no value.
        var revision: UInt64
        var value: String
    }

    /// Reads a key with the verb `get` or `local`. Nil where that was not answered.
    func read(_ key: String, _ verb: String = "get", within limit: Duration = .seconds(10)) async -> Found? {
        guard let words = await request(verb, key, within: limit) else { return nil }
        if words == ["none"] { return Found(revision: 0, value: "") }
        guard words.count == 3, words[0] == "value", let revision = UInt64(words[1]) else { return nil }
        return Found(revision: revision, value: words[2])
    }

    /// The member's figures by name. Nil where it does not answer.
    func status(within limit: Duration = .seconds(5)) async -> [String: String]? {
        guard let words = await request("status", within: limit), words.first == "status" else { return nil }
        var figures: [String: String] = [:]
        for word in words.dropFirst() {
            let pair = word.split(separator: "=", maxSplits: 1)
            if pair.count == 2 { figures[String(pair[0])] = String(pair[1]) }
        }
        return figures
    }
}
