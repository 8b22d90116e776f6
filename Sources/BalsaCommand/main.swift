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

let usage = """
    usage: balsa COMMAND …

    commands:
      demo            run members as processes, load them, kill the leader, and read everything back
      member          run one member of a store, driven by lines on standard input
      simulate        run members in a simulated world, with faults, and judge what happens
      check-history   say whether recorded histories are linearizable

    balsa COMMAND --help says more. balsa --version, and balsa COMMAND --version, say which release this is.
    """

let arguments = Array(CommandLine.arguments.dropFirst(2))
let commands = ["check-history", "demo", "member", "simulate"]
if let command = CommandLine.arguments.dropFirst().first, commands.contains(command), arguments == ["--version"] {
    printLine("balsa \(Release.version)")
    exit(0)
}
switch CommandLine.arguments.dropFirst().first {
case "simulate":
    exit(Simulate(files: LinuxFileSystem(), print: printLine, printError: printError).run(arguments: arguments))
case "check-history":
    exit(CheckHistory(files: LinuxFileSystem(), print: printLine, printError: printError).run(arguments: arguments))
case "member":
    signal(SIGPIPE, SIG_IGN)
    exit(await MemberCommand(signals: EndSignals()).run(arguments))
case "demo":
    signal(SIGPIPE, SIG_IGN)
    exit(await DemoCommand(signals: EndSignals()).run(arguments))
case "--help", "-h", "help":
    printLine(usage)
case "--version":
    printLine("balsa \(Release.version)")
case nil:
    printError(usage)
    exit(2)
case let unknown?:
    printError("balsa: there is no command '\(unknown)'; 'balsa --help' lists them")
    exit(2)
}
