import BalsaPlatform
import Foundation
import XCTest

@testable import Balsa

/// What a host does to itself and to its store, one after the other.
enum HostStep: Codable, Equatable {
    /// Closes descriptors.
    case closeDescriptors([Int32])
    /// Writes a text to descriptors 0, 1 and 2, whatever they are.
    case print(String)
    /// Opens the store of a directory, with tiny limits.
    case open(String)
    /// Opens the store of a directory that must hold one.
    case openExisting(String)
    /// Puts pairs until one fails.
    case put(Int)
    /// Puts pairs until one fails, each with little time.
    case tryPut(Int)
    /// Reads the pairs that were put and reports how many are not as they were acknowledged.
    case check
    /// Closes the store and keeps the reference to it.
    case closeStore
    /// Reports what the descriptors are that lead below a path.
    case descriptors(String)
    case changeDirectory(String)
    case rename(String, String)
    case copy(String, String)
    case remove(String)
    /// Renames a copy of each segment of a directory over the segment.
    case replaceFiles(String)
    /// Waits until the state is *failed* and reports why.
    case awaitFailure
    /// Allows so many descriptors more than there are.
    case limitDescriptors(Int)
    /// Takes the descriptors of low numbers, so that the store's have higher ones.
    case takeLowDescriptors
    /// Allows a store no descriptor more, not even in place of one that is closed. As many are free as a store leaves
    /// to the rest of the process: the runtime of Swift needs some.
    case allowNoDescriptor
    /// Allows as many descriptors as there may be.
    case freeDescriptors
    /// Refuses `statx`, as filters of system calls do that do not know it.
    case refuseStatx
    /// Becomes another user, who may start so many threads more than there are.
    case limitThreads(Int)
    /// Reports how many descriptors are open.
    case countDescriptors
    /// Becomes another user.
    case become(UInt32)
    /// Waits until there is a file.
    case awaitFile(String)

    /// `RLIMIT_NPROC`, which the C library's module does not have.
    fileprivate static let limitOfThreads: UInt32 = 6
}

/// A process that hosts stores: this test program, started again with steps in its environment.
struct HostProcess {
    static let variable = "BALSA_TEST_HOST"
    private let process = Process()
    private let report: String

    /// Starts a host.
    ///
    /// - Parameters:
    ///   - steps: what it does.
    ///   - folder: a directory of the test, in which it reports and begins.
    init(_ steps: [HostStep], in folder: String) throws {
        report = folder + "/report-\(UUID().uuidString)"
        let job = HostJob(steps: steps, report: report)
        let text = String(data: try JSONEncoder().encode(job), encoding: .utf8) ?? ""
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["BalsaProcessTests.HostTests/testHost_withoutFaults_keepsItsPairs"]
        process.environment = ProcessInfo.processInfo.environment.merging([HostProcess.variable: text]) { $1 }
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    /// What it has reported so far.
    func lines() -> [String] {
        let text = (try? String(contentsOfFile: report, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").map(String.init)
    }

    /// Waits until it has reported a line that begins so.
    func awaitLine(_ prefix: String) async throws {
        try await eventually("the host says '\(prefix)': \(lines())") {
            lines().contains { $0.hasPrefix(prefix) } || !process.isRunning
        }
        guard lines().contains(where: { $0.hasPrefix(prefix) }) else { throw Failure("the host ended: \(lines())") }
    }

    /// Waits for its end, which must come after its last step.
    ///
    /// - Returns: what it reported.
    func end() async throws -> [String] {
        try await eventually("the host ends: \(lines())") { !process.isRunning }
        let lines = lines()
        guard lines.last == "end" else {
            throw Failure("the host ended with \(process.terminationStatus) before its last step: \(lines)")
        }
        return Array(lines.dropLast())
    }

    /// Ends it at once.
    func kill() async throws {
        Glibc.kill(process.processIdentifier, SIGKILL)
        try await eventually("the host is gone") { !process.isRunning }
    }

    /// Runs a host to its end.
    static func run(_ steps: [HostStep], in folder: String) async throws -> [String] {
        try await HostProcess(steps, in: folder).end()
    }
}

/// What a host is given.
struct HostJob: Codable {
    var steps: [HostStep]
    var report: String
}

/// The host's side.
final class Host {
    private let report: Int32
    /// The stores that were opened before, which the host still references.
    private var former: [ReplicatedStore] = []
    private var store: ReplicatedStore? {
        didSet { if let oldValue { former.append(oldValue) } }
    }
    private var acknowledged = Acknowledged()
    private var next = 0
    /// Descriptors of numbers below ``firstAboveLow``.
    private var low: [Int32] = []
    private static let firstAboveLow: Int32 = 64

    init(_ job: HostJob) {
        let file = open(job.report, O_WRONLY | O_CREAT | O_APPEND, 0o666)
        report = fcntl(file, F_DUPFD_CLOEXEC, 100)
        close(file)
    }

    func say(_ text: String) {
        let line = Array((text.replacingOccurrences(of: "\n", with: " ") + "\n").utf8)
        _ = line.withUnsafeBytes { write(report, $0.baseAddress, $0.count) }
    }

    func run(_ steps: [HostStep]) async {
        for step in steps {
            do { try await run(step) } catch { say("error: \(error)") }
        }
        say("end")
    }

    private func run(_ step: HostStep) async throws {
        switch step {
        case .closeDescriptors(let numbers): for number in numbers { close(number) }
        case .print(let text):
            for number in 0...2 as ClosedRange<Int32> {
                _ = Array(text.utf8).withUnsafeBytes { write(number, $0.baseAddress, $0.count) }
            }
        case .open(let directory):
            store = try await TestStores.open(directory)
            say("opened")
        case .openExisting(let directory):
            var options = TestStores.tiny
            options.mustExist = true
            store = try await TestStores.open(directory, options: options)
            say("opened")
        case .put(let count): await put(count, within: nil)
        case .tryPut(let count): await put(count, within: .milliseconds(300))
        case .check:
            guard let store else { return say("losses: no store") }
            say("losses: \(try await acknowledged.losses(store))")
        case .closeStore:
            await store?.close()
            say("closed")
        case .descriptors(let path): sayDescriptors(path)
        case .awaitFailure:
            guard let store else { return say("no store") }
            var reason: String?
            try await eventually("the store fails") {
                if case .failed(let text) = store.state { reason = text }
                return reason != nil
            }
            say("failed: \(reason ?? "")")
        case .awaitFile(let path):
            try await eventually("there is \(path)") { FileManager.default.fileExists(atPath: path) }
        default: try change(step)
        }
    }

    private func put(_ count: Int, within timeout: Duration?) async {
        guard let store else { return say("put: no store") }
        let error = await acknowledged.put(next..<next + count, on: store, timeout: timeout)
        next += count
        say("put: \(error.map { "\($0)" } ?? "\(count)")")
    }

    private func change(_ step: HostStep) throws {
        let files = FileManager.default
        switch step {
        case .changeDirectory(let path): try check(chdir(path), "chdir")
        case .replaceFiles(let directory):
            // A running store renames those that it prepares.
            let names = try FileManager.default.contentsOfDirectory(atPath: directory)
            for name in names where name.hasSuffix(".log") {
                try FileManager.default.copyItem(atPath: "\(directory)/\(name)", toPath: "copy-of-a-file")
                try check(rename("copy-of-a-file", "\(directory)/\(name)"), "rename")
            }
        case .rename(let source, let target): try check(rename(source, target), "rename")
        case .copy(let source, let target): try copy(source, to: target)
        case .remove(let path):
            // A running store may remove files meanwhile, and make new ones.
            for _ in 0..<1_000 where files.fileExists(atPath: path) { try? files.removeItem(atPath: path) }
            if files.fileExists(atPath: path) { throw Failure("\(path) cannot be removed") }
        case .limitDescriptors(let count):
            let used = try files.contentsOfDirectory(atPath: "/proc/self/fd").count - 1
            try limitDescriptors(to: rlim_t(used + count))
        case .takeLowDescriptors:
            while true {
                let descriptor = dup(report)
                try check(descriptor < 0 ? -1 : 0, "dup")
                guard descriptor < Host.firstAboveLow else {
                    close(descriptor)
                    break
                }
                low.append(descriptor)
            }
        case .allowNoDescriptor:
            // The store's own have numbers above the limit: one that is closed makes no room below.
            try limitDescriptors(to: rlim_t(Host.firstAboveLow))
            for descriptor in low where descriptor >= Host.firstAboveLow - Int32(StandardDescriptors.reserve) {
                close(descriptor)
            }
        case .refuseStatx: try SystemCallFilter.refuseStatx()
        case .freeDescriptors: try limitDescriptors(to: nil)
        case .limitThreads(let count):
            // A user of its own, so that no other process counts.
            let user = UInt32(1 << 20) + UInt32(getpid())
            if geteuid() == 0 { try check(setuid(user), "setuid") }
            let used = try files.contentsOfDirectory(atPath: "/proc/self/task").count
            var limit = rlimit(rlim_cur: rlim_t(used + count), rlim_max: rlim_t(used + count))
            try check(setrlimit(__rlimit_resource_t(HostStep.limitOfThreads), &limit), "setrlimit")
        case .countDescriptors:
            say("descriptors: \(try files.contentsOfDirectory(atPath: "/proc/self/fd").count)")
        case .become(let user):
            try check(setgid(user), "setgid")
            try check(setuid(user), "setuid")
        default: break
        }
    }

    /// Lets the process have so many descriptors, or as many as it may have.
    private func limitDescriptors(to count: rlim_t?) throws {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        try check(getrlimit(resource, &limit), "getrlimit")
        limit.rlim_cur = count ?? limit.rlim_max
        try check(setrlimit(resource, &limit), "setrlimit")
    }

    /// Copies a directory whose files a running store may remove meanwhile: until nothing vanished during one copy.
    private func copy(_ source: String, to target: String) throws {
        let files = FileManager.default
        let mostTries = 1_000
        for number in 1...mostTries {
            do {
                return try files.copyItem(atPath: source, toPath: target)
            } catch {
                let code = (error as? CocoaError)?.code
                guard code == .fileNoSuchFile || code == .fileReadNoSuchFile, number < mostTries else { throw error }
                if files.fileExists(atPath: target) { try files.removeItem(atPath: target) }
            }
        }
    }

    private func check(_ result: Int32, _ what: String) throws {
        guard result == 0 else { throw Failure("\(what): errno \(errno)") }
    }

    private func sayDescriptors(_ path: String) {
        let links = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []).compactMap { name in
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")).map { (name, $0) }
        }
        // The host's own libraries make descriptors without files, which get low numbers and are no matter of the
        // store.
        let below = links.filter { $0.1.hasPrefix(path) }
        let low = below.filter { (Int($0.0) ?? 0) <= 2 }.map { "\($0.0) \($0.1)" }.sorted()
        say("low descriptors: \(low)")
        say("files: \(below.count)")
    }
}

/// A filter of system calls (seccomp). The C library's module has none of its names.
private enum SystemCallFilter {
    /// A statement of a filter, as the system reads it.
    private struct Statement {
        var code: UInt16
        var ifTrue: UInt8 = 0
        var ifFalse: UInt8 = 0
        var operand: UInt32
    }

    private struct Program {
        var count: UInt16
        var statements: UnsafeMutablePointer<Statement>?
    }

    #if arch(x86_64)
        private static let (statx, seccomp): (UInt32, Int) = (332, 317)
    #else
        private static let (statx, seccomp): (UInt32, Int) = (291, 277)
    #endif

    /// Has all threads of this process get EPERM from `statx`, for good.
    static func refuseStatx() throws {
        typealias Call = @convention(c) (Int, Int, Int, UnsafeMutableRawPointer?, Int, Int) -> Int
        guard let symbol = dlsym(dlopen(nil, RTLD_NOW), "syscall") else { throw Failure("there is no syscall") }
        let call = unsafeBitCast(symbol, to: Call.self)
        var statements = [
            // The number of the call; a jump over the next statement if it is another one; EPERM; allowed.
            Statement(code: 0x20, operand: 0), Statement(code: 0x15, ifFalse: 1, operand: statx),
            Statement(code: 0x06, operand: 0x5_0000 | UInt32(EPERM)), Statement(code: 0x06, operand: 0x7fff_0000),
        ]
        // Without new privileges, which a user without any must promise first; and for all threads.
        let (noNewPrivileges, setFilter, allThreads) = (38, 1, 1)
        #if arch(x86_64)
            let prctl = 157
        #else
            let prctl = 167
        #endif
        guard call(prctl, noNewPrivileges, 1, nil, 0, 0) == 0 else { throw Failure("prctl: errno \(errno)") }
        let result = statements.withUnsafeMutableBufferPointer { buffer in
            var program = Program(count: UInt16(buffer.count), statements: buffer.baseAddress)
            return withUnsafeMutableBytes(of: &program) { call(seccomp, setFilter, allThreads, $0.baseAddress, 0, 0) }
        }
        guard result == 0 else { throw Failure("seccomp: errno \(errno)") }
    }
}
