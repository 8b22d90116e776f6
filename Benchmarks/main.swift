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
func withFolder(below parent: String, _ body: (WorkFolder) throws(BenchmarkError) -> Void) -> Int32 {
    do throws(BenchmarkError) {
        let folder = try WorkFolder(below: parent)
        do throws(BenchmarkError) {
            try body(folder)
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

/// Runs what `balsa-bench storage` was asked.
func runStorage(_ words: [String]) -> Int32 {
    let arguments: StorageArguments
    do throws(StorageArguments.Failure) {
        arguments = try StorageArguments(words)
    } catch {
        printError("balsa-bench: \(error.line)")
        return 2
    }
    guard !arguments.wantsHelp else {
        printLine(StorageArguments.help)
        return 0
    }
    return withFolder(below: arguments.directory ?? temporaryDirectory()) { folder throws(BenchmarkError) in
        try StorageBenchmark(arguments, in: folder, print: printLine).run()
    }
}

let usage = """
    usage: balsa-bench storage [options]
           balsa-bench --smoke

    Measures this package on this machine.

      storage   the storage engine alone; balsa-bench storage --help says more
      --smoke   runs everything on a few keys, compares every byte that it reads, and takes seconds
      --help    this text

    Exit status: 0 when everything ran and every answer was right, 1 when not, 2 for arguments that cannot be used.
    """

let words = Array(CommandLine.arguments.dropFirst(2))
switch CommandLine.arguments.dropFirst().first {
case "storage": exit(runStorage(words))
case "--smoke":
    guard words.isEmpty else {
        printError("balsa-bench: --smoke takes no further arguments")
        exit(2)
    }
    exit(withFolder(below: temporaryDirectory(), runSmoke))
case "--help", "-h", "help": printLine(usage)
case nil:
    printError(usage)
    exit(2)
case let unknown?:
    printError("balsa-bench: there is no command '\(unknown)'; 'balsa-bench --help' lists them")
    exit(2)
}
