import Glibc

/// This program once more as a child, which is asked by lines and answers each with one.
///
/// Belongs to one task. A child whose parent ends finds the end of its input, and ends as well.
final class ChildProcess {
    let pid: pid_t
    private var input: Int32
    private let output: Int32
    private var received: [UInt8] = []

    /// Starts a child with these arguments.
    init(_ arguments: [String]) throws(BenchmarkError) {
        let (childInput, input) = try ChildProcess.makePipe()
        let (output, childOutput) = try ChildProcess.makePipe()
        defer {
            close(childInput)
            close(childOutput)
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, childInput, 0)
        posix_spawn_file_actions_adddup2(&actions, childOutput, 1)
        var words = (["balsa-bench"] + arguments).map { strdup($0) } + [nil]
        var environment = ChildProcess.environment.map { strdup($0) } + [nil]
        defer { for word in words + environment { free(word) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, "/proc/self/exe", &actions, nil, &words, &environment)
        guard result == 0 else {
            close(input)
            close(output)
            throw BenchmarkError("a child cannot be started: \(String(cString: strerror(result)))")
        }
        self.pid = pid
        self.input = input
        self.output = output
    }

    deinit {
        endInput()
        close(output)
    }

    /// What of the environment a child needs to find libraries and folders.
    private static var environment: [String] {
        ["LD_LIBRARY_PATH", "PATH", "HOME", "TMPDIR"].compactMap { (name: String) -> String? in
            getenv(name).map { "\(name)=\(String(cString: $0))" }
        }
    }

    /// A pipe whose ends no child inherits by chance.
    private static func makePipe() throws(BenchmarkError) -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw BenchmarkError("a pipe cannot be made") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    /// Asks the child something and waits for the answer.
    ///
    /// - Throws: where the child could not do it, or has ended.
    func request(_ line: String) throws(BenchmarkError) -> String {
        var rest = Array((line + "\n").utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw ended }
            rest = rest.dropFirst(count)
        }
        let answer = try nextLine()
        if answer.hasPrefix("ok ") { return String(answer.dropFirst(3)) }
        guard answer.hasPrefix("failed ") else { throw BenchmarkError("a child said '\(answer)'") }
        throw BenchmarkError(String(answer.dropFirst(7)))
    }

    private func nextLine() throws(BenchmarkError) -> String {
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                defer { received.removeFirst(end + 1) }
                return String(decoding: received[..<end], as: UTF8.self)
            }
            var part = [UInt8](repeating: 0, count: 4_096)
            let count = read(output, &part, part.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw ended }
            received += part[..<count]
        }
    }

    private var ended: BenchmarkError { BenchmarkError("the child \(pid) has ended; it says why on standard error") }

    /// Tells the child to end in order.
    func endInput() {
        guard input >= 0 else { return }
        close(input)
        input = -1
    }

    /// Ends the child as a crash would.
    func kill() { Glibc.kill(pid, SIGKILL) }

    /// Waits for the child's end.
    ///
    /// - Parameter isKilled: whether it was killed, and need not have ended well.
    func awaitEnd(isKilled: Bool = false) throws(BenchmarkError) {
        endInput()
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { throw BenchmarkError("the child \(pid) cannot be waited for") }
        }
        guard isKilled || status == 0 else { throw ended }
    }
}
