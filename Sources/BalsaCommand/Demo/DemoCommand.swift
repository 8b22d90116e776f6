import BalsaPlatform
import BalsaRaft
import Foundation

/// `balsa demo`: members as processes on this machine, real input, the leader killed, and everything read back.
struct DemoCommand {
    static let help = """
        usage: balsa demo [FILE] [--members N] [--pairs N] [--kills N] [--keep DIR]

        Starts members as processes on loopback ports, loads them with 64 concurrent requests, kills the leader with SIGKILL
        meanwhile, and starts again whichever member ends. Then it reads every acknowledged pair on each member, counts their
        keys, and compares their digests. Exits with 0 only if no pair is lost, wrong or extra, and the leader was killed as
        often as asked.

          FILE         key<TAB>value a line; a line without a tab is a value under its line number (default: generated pairs)
          --members N  how many members, 1 to 7 (default 3)
          --pairs N    how many pairs to generate without a FILE (default 100000)
          --kills N    how often the leader is killed during the load, 0 to 100 (default 1, halfway)
          --keep DIR   use this directory for the members' files, and leave it; a later run with it adds its pairs to
                       those of the earlier ones, and reads back its own alone
        """

    static let concurrency = 64

    let signals: EndSignals

    /// How long the members may take to end in order after a signal, in seconds. A member gives requests under way 5
    /// seconds, and its output a second.
    static let patienceAfterSignal: UInt64 = 10

    /// What the command line says.
    struct Arguments: Equatable {
        var file: String?
        var members = 3
        var pairs = 100_000
        var kills = 1
        var keep: String?
    }

    /// Why a command line or a file is refused, in a sentence.
    struct Failure: Error, Equatable {
        let line: String
    }

    private static let options = ["--keep", "--kills", "--members", "--pairs"]

    /// Reads a command line.
    static func parse(_ arguments: [String]) throws(Failure) -> Arguments {
        var parsed = Arguments()
        var given = GivenOptions()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--") else {
                guard parsed.file == nil else { throw Failure(line: "only one FILE can be given") }
                parsed.file = argument
                continue
            }
            guard options.contains(argument) else {
                throw Failure(line: "unknown argument '\(argument)'; --help lists the arguments")
            }
            if let refusal = given.refusal(of: argument) { throw Failure(line: refusal) }
            guard let value = rest.popFirst() else { throw Failure(line: "\(argument) needs a value") }
            switch argument {
            case "--members":
                guard let count = Int(value), (1...7).contains(count) else {
                    throw Failure(line: "--members is a number from 1 to 7, not '\(value)'")
                }
                parsed.members = count
            case "--pairs":
                guard let count = Int(value), (1...10_000_000).contains(count) else {
                    throw Failure(line: "--pairs is a number from 1 to 10000000, not '\(value)'")
                }
                parsed.pairs = count
            case "--kills":
                guard let count = Int(value), (0...100).contains(count) else {
                    throw Failure(line: "--kills is a number from 0 to 100, not '\(value)'")
                }
                parsed.kills = count
            case "--keep": parsed.keep = value
            default: preconditionFailure("\(argument) is listed and not read")
            }
        }
        guard parsed.file == nil || !given.contains("--pairs") else {
            throw Failure(line: "--pairs does not go with a FILE, of which every line is loaded")
        }
        return parsed
    }

    /// Runs, and returns the exit status.
    func run(_ arguments: [String]) async -> Int32 {
        if arguments.contains("--help") || arguments.contains("-h") {
            printLine(DemoCommand.help)
            return 0
        }
        do {
            let parsed = try DemoCommand.parse(arguments)
            return try await run(parsed)
        } catch let error as Failure {
            printError("balsa demo: \(error.line)")
            return 2
        } catch {
            printError("balsa demo: \(error)")
            return 2
        }
    }

    private func run(_ arguments: Arguments) async throws -> Int32 {
        signals.onFirst { EndSignals.die(of: $0) }
        try signals.start()
        var input = DemoInput(generating: 0)
        if let path = arguments.file {
            input = DemoInput(file: try read(path))
        } else {
            input = DemoInput(generating: arguments.pairs)
        }
        for line in input.tooLong.prefix(10) { printError("balsa demo: line \(line) is left out: \(DemoInput.limits)") }
        guard !input.pairs.isEmpty else { throw Failure(line: "there is nothing to load") }

        let files = LinuxFileSystem()
        let directory = arguments.keep ?? temporaryDirectory
        try DemoCommand.createDirectory(directory, files)
        defer { if arguments.keep == nil { removeDirectory(directory) } }
        let kept = try KeptPorts.take(arguments.members, in: directory, files)
        let ports = kept.ports
        let peers = ports.enumerated().map { "\($0.offset + 1)=127.0.0.1:\($0.element)" }.joined(separator: ",")
        let lines = MemberLines()
        let executable = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let members = try ports.indices.map { place in
            let path = "\(directory)/member-\(place + 1)"
            try DemoCommand.createDirectory(path, files)
            return ChildMember(
                id: UInt64(place + 1),
                executable: executable,
                arguments: ["member", "--directory", path, "--member", "\(place + 1)", "--peers", peers]
            ) { member, text in
                // To kill a member by hand, look here for its process.
                if text.hasPrefix("state ") {
                    lines.show(member.id, pid: member.pid, state: String(text.dropFirst(6)), starts: member.starts)
                } else if !text.hasPrefix("open ") {
                    ProgressLine.note("member \(member.id): \(text)")
                }
            }
        }
        // The members' processes are ended, and nothing is left in a temporary directory.
        signals.onFirst { number in
            let thread = Thread {
                ChildMember.close(members, within: DemoCommand.patienceAfterSignal)
                if arguments.keep == nil { removeDirectory(directory) }
                EndSignals.die(of: number)
            }
            thread.start()
        }
        let sweeper = Task {
            while !Task.isCancelled {
                for member in members { member.expire() }
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
        defer { sweeper.cancel() }
        let run = DemoRun(members: members, ports: kept, lines: lines, input: input, kills: arguments.kills)
        return try await ChildMember.run(members) {
            let verdict = await run.run()
            // A demo that was ended has none.
            if signals.first != nil { await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in } }
            printLine(verdict.line)
            return verdict.isGood ? 0 : 1
        }
    }

    private func read(_ path: String) throws -> Bytes {
        let file: any File
        do throws(FileError) {
            file = try LinuxFileSystem().open(path, .read)
        } catch {
            // What the system says of a device or a pipe is for programmers.
            guard error.operation == .open, error.number == .invalid else { throw error }
            throw Failure(line: "\(path) is no regular file, which can be read as a whole")
        }
        defer { file.close() }
        let size = try file.size()
        guard size <= 1 << 30 else { throw Failure(line: "\(path) has \(size) bytes; a FILE has at most \(1 << 30)") }
        return try file.read(Int(size), at: 0)
    }

    private var temporaryDirectory: String {
        FileManager.default.temporaryDirectory.appendingPathComponent("balsa-demo-\(UUID().uuidString)").path
    }

    /// Makes a directory, and those that it lies in.
    static func createDirectory(_ path: String, _ files: any FileSystem) throws {
        var end = path.startIndex
        while end < path.endIndex {
            end = path[path.index(after: end)...].firstIndex(of: "/") ?? path.endIndex
            do throws(FileError) { try files.createDirectory(String(path[..<end])) } catch {
                guard error.number == .exists else { throw error }
                throw Failure(line: "\(error.path) exists and is not a directory; name another directory")
            }
        }
    }

    private func removeDirectory(_ path: String) {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            // What Foundation says of it is for programmers.
            printError("balsa demo: \(path) could not be removed")
        }
    }
}
