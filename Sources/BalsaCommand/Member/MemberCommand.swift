import Balsa
import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaTransport
import Glibc

/// `balsa member`: one member of a store, driven by lines on standard input.
struct MemberCommand {
    static let help = """
        usage: balsa member --directory D --member N --peers 1=host:port,2=host:port,… [--listen host:port] [--insecure-network] [--must-exist]

        Runs one member of a replicated store and serves requests, one a line on standard input:

          ID put KEY VALUE     give a key a value            -> ID ok REVISION
          ID get KEY           read it, linearizably         -> ID value REVISION VALUE, or ID none
          ID local KEY         read what this member has     -> the same
          ID delete KEY        take its value away           -> ID ok REVISION
          ID add KEY NUMBER    add to a counter              -> ID ok SUM
          ID count             count what this member has    -> ID ok KEYS
          ID status            figures                       -> ID status NAME=VALUE…
          ID options           the replicated options        -> ID options REVISION NAME=NUMBER…
          ID change-options REVISION NAME=NUMBER…
                               change some of them, if those in force are of REVISION
                                                             -> ID ok REVISION
          ID close             end in order                  -> ID ok

        ID is any word and comes back with the reply; replies come in any order. Bytes of keys and values other than letters,
        digits and -._~ are written as % and two hexadecimal digits; a key or value of no bytes is a % alone. What goes wrong
        is answered ID error OUTCOME REASON…, where OUTCOME is not-applied or unknown. Lines that begin with * say what the
        member does; where nobody reads them, the oldest are left out, and * dropped says how many. While 1024 requests wait for
        an answer, or for somebody to read it, no more are read. The end of input closes the member in order; so do
        SIGTERM, SIGINT and SIGHUP. Requests under way have 5 seconds then, and are answered closed after that. A second
        signal ends it at once.

        --peers names all members, each with the address at which the others reach it. The member listens at its own
        address of that list, or at the one of --listen: behind a translation of addresses, or in a container, the two
        differ.

        With --must-exist, a directory that holds no member is refused, and nothing is created: a disk that is not mounted does not
        become a new member.

        Until all members have been started, * first-boot-misses names the peers that cannot be reached, each with its address
        and the reason: a second after the start, and then every 10 seconds if it changes, else once a minute.
        """

    /// How long a member that a signal ends waits for somebody to read what it has said.
    static let patienceAfterSignal = Duration.seconds(1)

    let signals: EndSignals

    /// What the command line says.
    struct Arguments: Equatable {
        var directory = ""
        var member: MemberID = 0
        var peers: [MemberID: String] = [:]
        var listen: String?
        var security = NetworkSecurity.loopbackOnly
        var mustExist = false
    }

    /// Why a command line is refused, in a sentence.
    struct Failure: Error, Equatable {
        let line: String
    }

    private static let options = ["--directory", "--listen", "--member", "--peers"]

    /// Reads a command line.
    static func parse(_ arguments: [String]) throws(Failure) -> Arguments {
        var parsed = Arguments()
        var rest = arguments[...]
        var given = GivenOptions()
        while let option = rest.popFirst() {
            if option == "--insecure-network" {
                try note(option, in: &given)
                parsed.security = .insecureNetwork
                continue
            }
            if option == "--must-exist" {
                try note(option, in: &given)
                parsed.mustExist = true
                continue
            }
            guard options.contains(option) else {
                throw Failure(line: "unknown argument '\(option)'; --help lists the arguments")
            }
            guard let value = rest.popFirst() else { throw Failure(line: "\(option) needs a value") }
            try note(option, in: &given)
            switch option {
            case "--directory": parsed.directory = value
            case "--listen": parsed.listen = value
            case "--member":
                guard let member = UInt64(value), member > 0 else {
                    throw Failure(line: "--member is a number from 1, not '\(value)'")
                }
                parsed.member = member
            case "--peers":
                let list = "--peers is a list such as 1=host:port,2=host:port, not '\(value)'"
                guard !value.isEmpty else { throw Failure(line: list) }
                for part in value.split(separator: ",") {
                    let pair = part.split(separator: "=", maxSplits: 1)
                    guard pair.count == 2, let id = UInt64(pair[0]), id > 0 else {
                        throw Failure(line: list)
                    }
                    guard parsed.peers.updateValue(String(pair[1]), forKey: id) == nil else {
                        throw Failure(line: "--peers names member \(id) twice")
                    }
                }
            default: preconditionFailure("\(option) is listed and not read")
            }
        }
        guard !parsed.directory.isEmpty else { throw Failure(line: "--directory is needed") }
        guard parsed.member > 0 else { throw Failure(line: "--member is needed") }
        guard !parsed.peers.isEmpty else { throw Failure(line: "--peers is needed") }
        return parsed
    }

    private static func note(_ option: String, in given: inout GivenOptions) throws(Failure) {
        if let refusal = given.refusal(of: option) { throw Failure(line: refusal) }
    }

    /// Runs, and returns the exit status.
    func run(_ arguments: [String]) async -> Int32 {
        if arguments.contains("--help") || arguments.contains("-h") {
            printLine(MemberCommand.help)
            return 0
        }
        let parsed: Arguments
        do {
            parsed = try MemberCommand.parse(arguments)
        } catch {
            printError("balsa member: \(error.line)")
            return 2
        }
        do {
            try signals.start()
            let output = try MemberOutput(1)
            let status = await serve(parsed, output)
            let patience = signals.first == nil ? nil : MemberCommand.patienceAfterSignal
            if let number = await output.finish(within: patience) {
                printError("balsa member: the last lines of the output could not be written: \(number)")
            }
            return status
        } catch {
            printError("balsa member: \(error)")
            return 1
        }
    }

    private func serve(_ parsed: Arguments, _ output: MemberOutput) async -> Int32 {
        var options = StoreOptions()
        options.observer = output
        options.mustExist = parsed.mustExist
        do {
            let store = try await ReplicatedStore.open(
                at: parsed.directory,
                member: parsed.member,
                peers: parsed.peers,
                listen: parsed.listen,
                security: parsed.security,
                options: options
            )
            output.write("* open member \(parsed.member)")
            do {
                let input = try MemberInput(0)
                signals.onFirst { number in
                    output.write("* signal \(EndSignals.name(of: number))")
                    input.end()
                }
                await MemberSession(store: store, input: input, output: output).serve(drainingFor: options.drainLimit)
                input.stop()
            } catch {
                await store.close()
                throw error
            }
            await store.close()
            return 0
        } catch {
            printError("balsa member: \(MemberCommand.sentence(error))")
            return 1
        }
    }

    /// An error in the words of the command line. That nothing was applied goes without saying before the member has
    /// begun.
    private static func sentence(_ error: any Error) -> String {
        guard let error = error as? StoreError else { return "\(error)" }
        // What a program passes to the store has a name of its own here.
        let message = error.message.replacing("`security: .insecureNetwork`", with: "--insecure-network")
            .replacing("`mustExist`", with: "--must-exist")
        return "\(error.reason): \(message)"
    }
}
