import BalsaKeyValue
import BalsaLSM
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// Opens key-value machines for replicas.
public final class KeyValueProvider: StateMachineProvider {
    private let options: KeyValueOptions
    private let proposal: ReplicatedOptions
    /// Where the identities of files come from.
    private let random: Locked<RandomSource>

    /// A provider of machines.
    ///
    /// - Parameters:
    ///   - options: how this member's machines are set up.
    ///   - proposal: the replicated options that this member proposes for a new cluster.
    ///   - seed: a random number, different for each member and each opening.
    public init(
        options: KeyValueOptions = KeyValueOptions(),
        proposal: ReplicatedOptions = ReplicatedOptions(),
        seed: UInt64
    ) {
        var options = options
        options.plantedMaxValueBytes = proposal.maxValueBytes
        self.options = options
        self.proposal = proposal
        random = Locked(RandomSource(seed: seed))
    }

    /// Throws where options are outside of their bounds, or contradict each other.
    public func validate() throws(StateMachineError) {
        do throws(KeyValueError) {
            try KeyValueMachine.validate(options)
            try proposal.validate()
        } catch {
            throw StateMachineError(error)
        }
    }

    /// The proposal.
    public var foundingOptions: Bytes { proposal.encoded }

    /// Opens a key-value machine in a directory.
    public func open(
        _ directory: String,
        of cluster: UniqueID,
        in fileSystem: any FileSystem,
        isReceived: Bool,
        isAccepted: (StatePosition) -> Bool
    ) throws(StateMachineError) -> any StateMachine {
        do throws(KeyValueError) {
            let machine = try KeyValueMachine.open(
                directory: directory,
                fileSystem: fileSystem,
                cluster: cluster,
                options: options,
                seed: random.withLock { $0.next() },
                isReceived: isReceived,
                isAccepted: { isAccepted(StatePosition($0)) }
            )
            return KeyValueStateMachine(machine, proposal: proposal)
        } catch {
            throw StateMachineError(error)
        }
    }
}

/// A key-value machine as a replica's state: entries become commands, and replies bytes.
public final class KeyValueStateMachine: StateMachine {
    /// The machine, which callers read.
    public let machine: KeyValueMachine
    private let proposal: ReplicatedOptions
    /// Whether an entry of an idle leader has moved the mark past something that can be dropped.
    private var sealsForMark = false
    /// About how many damaged tables the owner was told.
    private var toldDamages = 0

    init(_ machine: KeyValueMachine, proposal: ReplicatedOptions) {
        self.machine = machine
        self.proposal = proposal
    }

    /// What a crash would leave.
    public var durable: StatePosition { StatePosition(machine.durable) }

    /// The sum over all mutations that were applied.
    public var digest: UInt64 { machine.digest }

    /// How long a command may be under the options in force.
    public var maxCommandBytes: Int { machine.writerOptions.maxCommandBytes }

    /// What the member proposed and is not in force.
    public var optionDifferences: [OptionDifference] {
        let inForce = machine.replicatedOptions.options
        return ReplicatedOptions.fields.compactMap { field in
            let (one, other) = (proposal[name: field.name], inForce[name: field.name])
            return one == other ? nil : OptionDifference(name: field.name, proposed: one, inForce: other)
        }
    }

    /// Applies committed entries, until the memtable is full.
    public func apply(
        _ entries: EntryBatch,
        reply: (LogIndex, Bytes) -> Void
    ) throws(StateMachineError) -> LogIndex {
        for index in entries.firstIndex...entries.lastIndex {
            let header = entries.header(at: index)
            do throws(KeyValueError) {
                switch header.kind {
                case .configuration where index == 1:
                    try found(entries.payload(at: index), header)
                case .noOp, .configuration:
                    try machine.skip(index: index, term: header.term, stamp: header.stamp)
                case .command:
                    let command = entries.payload(at: index)
                    let result = try machine.apply(
                        command,
                        index: index,
                        term: header.term,
                        stamp: header.stamp
                    )
                    reply(index, result.encoded())
                    if command == KeyValueMachine.whileIdle { sealsForMark = machine.wantsSealForMark }
                default:
                    throw KeyValueError(.upgradeRequired, "entry \(index) is of kind \(header.kind.rawValue)")
                }
            } catch {
                // The next call begins with this entry, and finds the same.
                if error.cause?.quarantine != nil, index > entries.firstIndex { return index - 1 }
                throw StateMachineError(error)
            }
            if wantsSeal { return index }
        }
        return entries.lastIndex
    }

    private func found(_ payload: Bytes, _ header: EntryHeader) throws(KeyValueError) {
        let founding: FoundingEntry
        do throws(BalsaPlatform.DecodingError) {
            founding = try FoundingEntry(decoding: payload)
        } catch {
            throw KeyValueError(error.reason == .version ? .upgradeRequired : .damaged, "entry 1: \(error)")
        }
        try machine.found(founding.options, index: header.index, term: header.term, stamp: header.stamp)
    }

    /// The request that a command is, for requests of a session and for those that open one: a second copy of them does no
    /// harm.
    public func identity(of command: Bytes) -> CommandIdentity? {
        guard let identity = Command.identity(ofEncoded: command) else { return nil }
        guard identity.session != .none || opensSession(command) else { return nil }
        return CommandIdentity(session: identity.session.rawValue, number: identity.number)
    }

    private func opensSession(_ command: Bytes) -> Bool {
        do throws(CommandError) { return try Command(decoding: command).operation == .openSession } catch {
            return false
        }
    }

    /// Why a command should not enter the log.
    public func refusal(of command: Bytes) -> RequestError.Reason? {
        // Until entry 1 is applied there are no options to decide by. It soon is, or another member leads.
        guard machine.writerOptionsRevision > 0 else { return .busy }
        do throws(CommandError) {
            switch try machine.writerOptions.refusal(ofEncoded: command) {
            case nil: return machine.needsQuarantinedKey(command) ? .damaged : nil
            // A copy of what was executed is answered as before, though a limit was lowered since.
            case .keyTooLarge, .valueTooLarge: return isExecuted(command) ? nil : .tooLarge
            default: return .invalid
            }
        } catch {
            // It would stop every member of this release.
            if case .unknown = error { return .upgradeRequired }
            return .invalid
        }
    }

    private func isExecuted(_ command: Bytes) -> Bool {
        Command.identity(ofEncoded: command).map { machine.hasReply(to: $0) } ?? false
    }

    /// The feature level of a command: that of its kind.
    public func featureLevel(of command: Bytes) -> UInt32 { Command.featureLevel(ofEncoded: command) }

    /// Whether flushing has fallen behind.
    public var isOverloaded: Bool { machine.pressure == .stopped }
    /// Whether the memtable is full, or an idle store can give space back.
    public var wantsSeal: Bool { machine.wantsSeal || sealsForMark }

    /// Whether a range was deleted that no table tells of yet: until then nothing can be reclaimed of what it covers.
    public var wantsSealSoon: Bool { machine.holdsRangeDeletions }

    /// A command that changes nothing, while something waits for the retention mark to move.
    public var commandWhileIdle: Bytes? { machine.waitsForMark ? KeyValueMachine.whileIdle : nil }

    /// Seals the state.
    public func seal() throws(StateMachineError) {
        sealsForMark = false
        do { try machine.seal() } catch { throw StateMachineError(error) }
    }

    /// The damaged tables that were found since the last call, a sentence for each.
    public func takeDamage() -> [String] {
        let found = machine.quarantinesFound
        guard found > toldDamages else { return [] }
        defer { toldDamages = found }
        // As the errors of reads that need them, so that each is told once.
        return machine.quarantines(after: toldDamages).map { "damaged: \($0.sentence)" }
    }

    /// Whether a table is known to be damaged.
    public var isDamaged: Bool { machine.isDamaged }

    /// Whether there is something to flush, to compact or to remove.
    public var hasWork: Bool { machine.hasWork }

    /// Flushes, compacts and removes.
    public func work(budget: Int) throws(StateMachineError) {
        do { _ = try machine.work(budget: budget) } catch { throw StateMachineError(error) }
    }

    /// The durable state, held still.
    public func checkpoint() throws(StateMachineError) -> any CheckpointSource {
        do { return EngineCheckpointSource(try machine.checkpoint()) } catch { throw StateMachineError(error) }
    }

    /// Gives up files and lock.
    public func close() { machine.close() }
}

/// A checkpoint of an engine, as files in the order of their names.
private final class EngineCheckpointSource: CheckpointSource {
    private let checkpoint: EngineCheckpoint
    /// For each file its number in the engine's list.
    private let order: [Int]
    let state: StatePosition
    let files: [CheckpointFile]

    init(_ checkpoint: EngineCheckpoint) {
        self.checkpoint = checkpoint
        let record = checkpoint.position
        state = StatePosition(
            position: LogPosition(term: record.term, index: record.sequence),
            stamp: record.stamp
        )
        order = checkpoint.files.indices.sorted { Bytes(checkpoint.files[$0].name) < Bytes(checkpoint.files[$1].name) }
        files = order.map {
            CheckpointFile(name: checkpoint.files[$0].name, byteCount: UInt64(checkpoint.files[$0].byteCount))
        }
    }

    func read(file: Int, offset: UInt64, count: Int) throws(StateMachineError) -> Bytes {
        do {
            return try checkpoint.read(file: order[file], offset: offset, count: count)
        } catch {
            throw StateMachineError(KeyValueError(error))
        }
    }
}

extension StatePosition {
    init(_ position: KeyValuePosition) {
        self.init(
            position: LogPosition(term: position.term, index: position.index),
            stamp: position.stamp
        )
    }
}

extension StateMachineError {
    init(_ error: KeyValueError) {
        self.init(
            error.description,
            file: error.cause?.cause,
            needsUpgrade: error.code == .upgradeRequired,
            isDamaged: error.code == .damaged,
            isUnreadable: error.cause?.quarantine != nil
        )
    }
}
