import BalsaPlatform
import BalsaSimulation

/// The command `check-history`: checks recorded histories for linearizability, one line a file.
///
/// It reads files and writes lines through closures, so that it can be tested without a process.
struct CheckHistory {
    /// What the command tells its caller.
    enum ExitCode {
        /// Every history is linearizable.
        static let linearizable: Int32 = 0
        /// A history is not linearizable.
        static let notLinearizable: Int32 = 1
        /// An argument is wrong, or a file could not be read.
        static let trouble: Int32 = 2
        /// No history is known to be wrong, and of one it is not known that it is right.
        static let unknown: Int32 = 3
    }

    /// How to use the command.
    static let help = """
        usage: balsa check-history --model register|kv-append|balsa [--steps N] [--explain] FILE…

        Checks recorded histories for linearizability and prints one line a file:
        its path, a tab, and linearizable, not-linearizable or unknown. Standard error
        says why a history is unknown: no operation was answered, or the steps were spent.

          --model register    one register: a log of :read, :write and :cas
          --model kv-append   strings by key: maps of :get, :put and :append
          --model balsa       registers by key, as Docs/HistoryFormat.md describes
          --steps N           give up with unknown after N steps of the model
                              (\(LinearizabilityLimits().steps) unless given)
          --explain           show on standard error which operations contradict each other
          --help              print this

        exit status: 0 all are linearizable; 1 one is not; 3 none is known not to be,
        and one is unknown; 2 a wrong argument or a file that cannot be read, which
        comes before the others. Files that can be read are checked in any case.
        """

    private struct Request {
        var model: HistoryModel
        var limits: LinearizabilityLimits
        var explains: Bool
        var files: [String]
    }

    private struct UsageError: Error {
        let problem: String
    }

    /// Reads a whole file.
    let readFile: (String) throws(FileError) -> Bytes
    /// Takes a line for standard output.
    let print: (String) -> Void
    /// Takes a line for standard error.
    let printError: (String) -> Void

    /// The largest file that is read. A history of this size holds millions of operations.
    static let maxFileBytes: UInt64 = 1 << 30

    /// A command that reads files and writes lines as it is told.
    init(
        readFile: @escaping (String) throws(FileError) -> Bytes,
        print: @escaping (String) -> Void,
        printError: @escaping (String) -> Void
    ) {
        self.readFile = readFile
        self.print = print
        self.printError = printError
    }

    /// A command that reads the files of `files`.
    init(
        files: any FileSystem,
        print: @escaping (String) -> Void,
        printError: @escaping (String) -> Void
    ) {
        self.init(
            readFile: { path throws(FileError) in
                let file = try files.open(path, .read)
                defer { file.close() }
                let size = try file.size()
                guard size <= CheckHistory.maxFileBytes else { throw FileError(.read, path, .fileTooLarge) }
                return try file.read(Int(size), at: 0)
            },
            print: print,
            printError: printError
        )
    }

    /// Runs the command.
    ///
    /// - Parameter arguments: what follows the command's name.
    /// - Returns: the exit status of the process.
    func run(arguments: [String]) -> Int32 {
        let request: Request
        do throws(UsageError) {
            guard let parsed = try parse(arguments) else {
                print(CheckHistory.help)
                return ExitCode.linearizable
            }
            request = parsed
        } catch {
            printError("balsa check-history: \(error.problem); see --help")
            return ExitCode.trouble
        }
        var (troubled, contradicted, undecided) = (false, false, false)
        for file in request.files {
            switch check(file, request) {
            case nil: troubled = true
            case .notLinearizable: contradicted = true
            case .unknown: undecided = true
            case .linearizable: break
            }
        }
        if troubled { return ExitCode.trouble }
        if contradicted { return ExitCode.notLinearizable }
        return undecided ? ExitCode.unknown : ExitCode.linearizable
    }

    /// Checks one file and prints its line.
    ///
    /// - Returns: nil where it could not be read, which has been said then.
    private func check(_ file: String, _ request: Request) -> HistoryCheck.Verdict? {
        let text: Bytes
        do throws(FileError) {
            text = try readFile(file)
        } catch {
            let isTooLong = error.number == .fileTooLarge
            printError(
                "balsa check-history: "
                    + (isTooLong ? "\(file) is longer than \(CheckHistory.maxFileBytes) bytes" : "\(error)")
            )
            return nil
        }
        do throws(HistoryFormatError) {
            let check = try request.model.check(text, limits: request.limits)
            print("\(file)\t\(check.verdict.rawValue)")
            if let reason = check.reason { printError("\(file): unknown: \(reason)") }
            if request.explains, let explanation = check.explanation { printError("\(file): \(explanation)") }
            return check.verdict
        } catch {
            printError("balsa check-history: \(file): \(error)")
            return nil
        }
    }

    /// What is asked for; nil where it is help.
    private func parse(_ arguments: [String]) throws(UsageError) -> Request? {
        var model: HistoryModel?
        var limits = LinearizabilityLimits()
        var explains = false
        var files: [String] = []
        var rest = arguments[...]
        var optionsEnded = false
        var given = GivenOptions()
        while let argument = rest.popFirst() {
            if optionsEnded || !argument.hasPrefix("-") {
                files.append(argument)
                continue
            }
            if let refusal = given.refusal(of: argument) { throw UsageError(problem: refusal) }
            switch argument {
            case "--":
                optionsEnded = true
            case "--help", "-h":
                return nil
            case "--explain":
                explains = true
            case "--model":
                guard let name = rest.popFirst() else { throw UsageError(problem: "--model needs a name") }
                guard let known = HistoryModel(rawValue: name) else {
                    throw UsageError(problem: "there is no model \"\(name)\"")
                }
                model = known
            case "--steps":
                guard let text = rest.popFirst(), let steps = Int(text), steps > 0 else {
                    throw UsageError(problem: "--steps needs a number greater than 0")
                }
                limits.steps = steps
            default:
                throw UsageError(problem: "there is no option \"\(argument)\"")
            }
        }
        guard let model else { throw UsageError(problem: "--model is missing") }
        guard !files.isEmpty else { throw UsageError(problem: "no file is named") }
        return Request(model: model, limits: limits, explains: explains, files: files)
    }
}

extension FileError.Number {
    /// `EFBIG`: the file is larger than can be handled.
    fileprivate static let fileTooLarge = FileError.Number(rawValue: 27)
}
