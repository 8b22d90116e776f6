import BalsaKeyValue
import BalsaLSM
import BalsaPlatform

/// A key-value machine that is given one entry after the other, and seals and works when it has to.
final class MeasuredMachine {
    private(set) var machine: KeyValueMachine
    private let directory: String
    private let options: KeyValueOptions
    private let replicated: ReplicatedOptions
    private var number: UInt64 = 0

    /// Opens a machine in a directory; one that is new gets the replicated options.
    init(
        _ directory: String,
        options: KeyValueOptions = KeyValueOptions(),
        replicated: ReplicatedOptions = ReplicatedOptions()
    ) throws(BenchmarkError) {
        self.directory = directory
        self.options = options
        self.replicated = replicated
        machine = try MeasuredMachine.open(directory, options)
        try found()
    }

    private func found() throws(BenchmarkError) {
        guard machine.applied.index == 0 else { return }
        try measured { () throws(KeyValueError) in
            try machine.found(replicated.encoded, index: 1, term: 1, stamp: 1)
        }
    }

    private static func open(
        _ directory: String,
        _ options: KeyValueOptions
    ) throws(BenchmarkError) -> KeyValueMachine {
        try measured { () throws(KeyValueError) in
            try KeyValueMachine.open(
                directory: directory,
                fileSystem: LinuxFileSystem(),
                cluster: UniqueID(high: 1, low: 1),
                options: options,
                seed: .random(in: 0 ... .max)
            )
        }
    }

    /// Applies a command. A microsecond of logical time passes.
    func apply(_ operation: Command.Operation) throws(BenchmarkError) {
        number += 1
        let identity = RequestIdentity(session: .none, number: number)
        let payload = Command(identity: identity, operation: operation).encoded()
        let index = machine.applied.index + 1
        let reply = try measured { () throws(KeyValueError) in
            try machine.apply(payload, index: index, term: 1, stamp: index * 1_000)
        }
        guard reply.outcome == .applied else { throw BenchmarkError("a command was refused: \(reply.outcome)") }
        if machine.wantsSeal { try measured { () throws(KeyValueError) in try machine.seal() } }
    }

    /// Does a step of the background work, if any is due.
    func work(budget: Int) throws(BenchmarkError) {
        guard machine.hasWork else { return }
        _ = try measured { () throws(KeyValueError) in try machine.work(budget: budget) }
    }

    /// Seals, and does all background work.
    func settle() throws(BenchmarkError) {
        try measured { () throws(KeyValueError) in try machine.seal() }
        while machine.hasWork { try work(budget: 8 << 20) }
    }

    /// Closes the machine and opens it again. What was not flushed is lost.
    func reopen() throws(BenchmarkError) {
        machine.close()
        machine = try MeasuredMachine.open(directory, options)
        try found()
    }

    /// Gives up its files.
    func close() { machine.close() }
}

/// Calls `body` with its machine's errors turned into reasons to end the run.
func measured<Result>(_ body: () throws(KeyValueError) -> Result) throws(BenchmarkError) -> Result {
    do throws(KeyValueError) { return try body() } catch { throw BenchmarkError("\(error)") }
}
