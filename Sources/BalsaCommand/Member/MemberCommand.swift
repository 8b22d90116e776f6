import Balsa
import BalsaKeyValue
import BalsaPlatform
import BalsaRaft
import BalsaTransport
import Glibc

/// `balsa member`: one member of a store, driven by lines on standard input.
struct MemberCommand {
    static let help = """
        usage: balsa member --directory D --member N --peers 1=host:port,2=host:port,… [--listen host:port] [--insecure-network]

        Runs one member of a replicated store and serves requests, one a line on standard input:

          ID put KEY VALUE     give a key a value            -> ID ok REVISION
          ID get KEY           read it, linearizably         -> ID value REVISION VALUE, or ID none
          ID local KEY         read what this member has     -> the same
          ID delete KEY        take its value away           -> ID ok REVISION
          ID add KEY NUMBER    add to a counter              -> ID ok REVISION SUM
          ID status            figures                       -> ID status NAME=VALUE…
          ID close             end in order                  -> ID ok

        ID is any word and comes back with the reply; replies come in any order. Bytes of keys and values other than letters,
        digits and -._~ are written as % and two hexadecimal digits; a key or value of no bytes is a % alone. What goes wrong
        is answered ID error OUTCOME REASON…, where OUTCOME is not-applied or unknown. Lines that begin with * say what the
        member does. The end of input closes the member in order.
        """

    private static let maxLineBytes = 8 << 20

    private struct Arguments {
        var directory = ""
        var member: MemberID = 0
        var peers: [MemberID: String] = [:]
        var listen: String?
        var security = NetworkSecurity.loopbackOnly
    }

    private struct Failure: Error {
        let line: String
    }

    private static func parse(_ arguments: [String]) throws(Failure) -> Arguments {
        var parsed = Arguments()
        var rest = arguments[...]
        while let option = rest.popFirst() {
            if option == "--insecure-network" {
                parsed.security = .insecureNetwork
                continue
            }
            guard let value = rest.popFirst() else { throw Failure(line: "\(option) needs a value") }
            switch option {
            case "--directory": parsed.directory = value
            case "--listen": parsed.listen = value
            case "--member":
                guard let member = UInt64(value), member > 0 else {
                    throw Failure(line: "--member is a number from 1, not '\(value)'")
                }
                parsed.member = member
            case "--peers":
                for part in value.split(separator: ",") {
                    let pair = part.split(separator: "=", maxSplits: 1)
                    guard pair.count == 2, let id = UInt64(pair[0]), id > 0 else {
                        throw Failure(line: "--peers is a list such as 1=host:port,2=host:port, not '\(value)'")
                    }
                    guard parsed.peers.updateValue(String(pair[1]), forKey: id) == nil else {
                        throw Failure(line: "--peers names member \(id) twice")
                    }
                }
            default: throw Failure(line: "unknown argument '\(option)'")
            }
        }
        guard !parsed.directory.isEmpty else { throw Failure(line: "--directory is needed") }
        guard parsed.member > 0 else { throw Failure(line: "--member is needed") }
        guard !parsed.peers.isEmpty else { throw Failure(line: "--peers is needed") }
        return parsed
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
        let output = MemberOutput()
        var options = StoreOptions()
        options.observer = output
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
            await MemberSession(store: store, output: output).serve()
            await store.close()
            return 0
        } catch {
            printError("balsa member: \(error)")
            return 1
        }
    }

    /// Lines of standard input, read by a thread of their own.
    static func input() -> AsyncStream<[UInt8]?> {
        AsyncStream { continuation in
            let reader = UncheckedReader(LineReader(0, limit: maxLineBytes))
            let thread = try? BackgroundThread {
                switch reader.next() {
                case .line(let line): continuation.yield(Array(line))
                case .tooLong: continuation.yield(nil)
                case .end:
                    continuation.finish()
                    return .wait
                }
                return .again
            }
            if thread == nil { continuation.finish() }
            // The thread waits for input that may never come: it ends with the process.
            continuation.onTermination = { _ in _ = thread }
        }
    }
}

/// A reader that one thread uses.
private final class UncheckedReader: @unchecked Sendable {
    private var reader: LineReader

    init(_ reader: LineReader) { self.reader = reader }

    func next() -> LineReader.Line { reader.next() }
}

/// Writes whole lines to standard output, from any thread.
final class MemberOutput: StoreObserver {
    private let isOpen = Locked(true)

    func write(_ line: String) { write(Array(line.utf8)) }

    func write(_ line: [UInt8]) {
        isOpen.withLock { isOpen in
            guard isOpen else { return }
            let bytes = line + [UInt8(ascii: "\n")]
            var offset = 0
            while offset < bytes.count {
                let count = bytes.withUnsafeBytes {
                    Glibc.write(1, $0.baseAddress.map { $0 + offset }, bytes.count - offset)
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    isOpen = false
                    return
                }
                offset += count
            }
        }
    }

    func stateChanged(_ state: StoreState) {
        switch state {
        case .recovering: write("* state recovering")
        case .leader: write("* state leader")
        case .follower(let leader): write("* state follower \(leader)")
        case .noQuorum: write("* state no-quorum")
        case .failed(let reason): write("* state failed \(reason)")
        case .closed: write("* state closed")
        }
    }

    func noticed(_ event: StoreEvent) {
        switch event {
        case .refused(let peer, let reason): write("* refused \(peer) \(reason)")
        case .anomaly(let anomaly): write("* anomaly \(anomaly)")
        case .frameRefused(let reason): write("* frame-refused \(reason)")
        case .connectionClosed(let reason): write("* connection-closed \(reason)")
        case .retrying(let what): write("* retrying \(what)")
        case .joined(let cluster): write("* joined \(cluster)")
        case .firstBootWaits(let reason): write("* first-boot-waits \(reason)")
        case .slow(let operation): write("* slow \(operation)")
        case .damaged(let sentence): write("* damaged \(sentence)")
        case .stalled(let reason): write("* stalled \(reason.rawValue)")
        case .resumed(let reason, let duration): write("* resumed \(reason.rawValue) after \(duration)")
        case .standing, .connected, .failed: break
        }
    }
}
