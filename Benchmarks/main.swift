import BalsaPlatform
import Glibc

/// Writes a line to standard error.
func printError(_ line: String) {
    var line = line + "\n"
    line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
}

/// Writes a line to standard output at once, so that a reader of a pipe sees it when it is said.
func printLine(_ line: String) {
    print(line)
    fflush(nil)
}

/// The folder for what is temporary.
func temporaryDirectory() -> String {
    guard let path = getenv("TMPDIR").map({ String(cString: $0) }), !path.isEmpty else { return "/tmp" }
    return path
}

/// Calls `body` with a folder of its own, which is removed at the end.
///
/// - Returns: the exit status.
func withFolder(
    below parent: String,
    _ body: (WorkFolder) async throws(BenchmarkError) -> Void
) async -> Int32 {
    do throws(BenchmarkError) {
        let folder = try WorkFolder(below: parent)
        do throws(BenchmarkError) {
            try await body(folder)
        } catch {
            printError("balsa-bench: \(error)")
            try folder.remove()
            return 1
        }
        try folder.remove()
        return 0
    } catch {
        printError("balsa-bench: \(error)")
        return 1
    }
}

/// Says why arguments cannot be used.
///
/// - Returns: the exit status.
func refuse(_ failure: OptionReader.Failure) -> Int32 {
    printError("balsa-bench: \(failure.line)")
    return 2
}

/// Runs what `balsa-bench storage` was asked.
func runStorage(_ words: [String]) async -> Int32 {
    let arguments: StorageArguments
    do throws(OptionReader.Failure) { arguments = try StorageArguments(words) } catch { return refuse(error) }
    guard !arguments.wantsHelp else {
        printLine(StorageArguments.help)
        return 0
    }
    return await withFolder(below: arguments.directory ?? temporaryDirectory()) { folder throws(BenchmarkError) in
        try StorageBenchmark(arguments, in: folder, print: printLine).run()
    }
}

/// Runs what `balsa-bench cluster` was asked.
func runCluster(_ words: [String]) async -> Int32 {
    let arguments: ClusterArguments
    do throws(OptionReader.Failure) { arguments = try ClusterArguments(words) } catch { return refuse(error) }
    guard !arguments.wantsHelp else {
        printLine(ClusterArguments.help)
        return 0
    }
    return await withFolder(below: arguments.directory ?? temporaryDirectory()) { folder throws(BenchmarkError) in
        try await ClusterBenchmark(arguments, in: folder, print: printLine).run()
    }
}

/// Runs what `balsa-bench restart` was asked.
func runRestart(_ words: [String]) async -> Int32 {
    let arguments: RestartArguments
    do throws(OptionReader.Failure) { arguments = try RestartArguments(words) } catch { return refuse(error) }
    guard !arguments.wantsHelp else {
        printLine(RestartArguments.help)
        return 0
    }
    return await withFolder(below: arguments.directory ?? temporaryDirectory()) { folder throws(BenchmarkError) in
        try await RestartBenchmark(arguments, in: folder, print: printLine).run()
    }
}

/// Runs what `balsa-bench space` was asked.
func runSpace(_ words: [String]) async -> Int32 {
    let arguments: SpaceArguments
    do throws(OptionReader.Failure) { arguments = try SpaceArguments(words) } catch { return refuse(error) }
    guard !arguments.wantsHelp else {
        printLine(SpaceArguments.help)
        return 0
    }
    return await withFolder(below: arguments.directory ?? temporaryDirectory()) { folder throws(BenchmarkError) in
        try await SpaceBenchmark(arguments, in: folder, print: printLine).run()
    }
}

/// Runs as a child of this program.
func runChild(_ words: [String], _ body: ([String]) async throws(BenchmarkError) -> Void) async -> Int32 {
    do throws(BenchmarkError) {
        try await body(words)
        return 0
    } catch {
        printError("balsa-bench: \(error)")
        return 1
    }
}

let usage = """
    usage: balsa-bench storage [options]
           balsa-bench cluster [options]
           balsa-bench restart [options]
           balsa-bench space [options]
           balsa-bench --smoke

    Measures this package on this machine.

      storage   the storage engine alone; balsa-bench storage --help says more
      cluster   three members over the loopback; balsa-bench cluster --help says more
      restart   how long a store is away after a crash; balsa-bench restart --help says more
      space     what a store writes, keeps and looks through, against bounds; balsa-bench space --help says more
      --smoke   runs everything on a few keys, compares every value that it reads, and takes seconds
      --version which release this is; balsa-bench storage --version says the same
      --help    this text

    Exit status: 0 when everything ran and every answer was right, 1 when not, 2 for arguments that cannot be used.
    """

// A child that has ended is told by the result of writing to it.
signal(SIGPIPE, SIG_IGN)

let words = Array(CommandLine.arguments.dropFirst(2))
if let command = CommandLine.arguments.dropFirst().first, words == ["--version"],
    ["cluster", "restart", "space", "storage"].contains(command)
{
    printLine("balsa-bench \(Release.version)")
    exit(0)
}
switch CommandLine.arguments.dropFirst().first {
case "storage": exit(await runStorage(words))
case "cluster": exit(await runCluster(words))
case "restart": exit(await runRestart(words))
case "space": exit(await runSpace(words))
case SpaceChild.command: exit(await runChild(words, SpaceChild.run))
case MemberProcess.command: exit(await runChild(words, MemberProcess.run))
case "--smoke":
    guard words.isEmpty else {
        printError("balsa-bench: --smoke takes no further arguments")
        exit(2)
    }
    exit(await withFolder(below: temporaryDirectory(), runSmoke))
case "--help", "-h", "help": printLine(usage)
case "--version": printLine("balsa-bench \(Release.version)")
case nil:
    printError(usage)
    exit(2)
case let unknown?:
    printError("balsa-bench: there is no command '\(unknown)'; 'balsa-bench --help' lists them")
    exit(2)
}
