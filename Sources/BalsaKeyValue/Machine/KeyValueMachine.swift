import BalsaLSM
import BalsaPlatform

/// A key-value store as a function of a log, over one storage engine.
///
/// Entries are applied one after the other; each that is a command changes the store, at the revision that is its index, and
/// has a reply. Nothing that a reply says depends on anything but the entries: not on this machine's clock, its free space,
/// what was compacted here, or an error. An error inside ``apply(_:index:term:stamp:)`` is thrown, and the member stops.
///
/// The engine has no write-ahead log: the log of the group is that. A *seal* fixes the state at an entry; when its flush is
/// durable, a crash leaves the state there, and the log is replayed behind ``durable``.
///
/// One owner applies, skips and seals, one call at a time. Any thread may read, and one at a time may work in the background.
///
/// - `KeyValueMachine+Applying`: what commands do;
/// - `KeyValueMachine+Reading`: reads at a revision.
public final class KeyValueMachine: @unchecked Sendable {
    /// What readers may know of the applied state, published after every entry.
    struct Published {
        var applied: KeyValuePosition
        var retentionMark: UInt64
        var digest: UInt64
        var sessionCount: Int
        var options: ReplicatedOptionsEntry
    }

    /// The engine, which the judges of the simulation look into.
    package let engine: StorageEngine
    let options: KeyValueOptions

    // Touched by the owner only.
    var state: ReplicatedState
    var batch = WriteBatch()
    /// Whether the planted error is in force that changes values.
    let writesOtherValues: Bool
    /// Room for the values that are made of others.
    var scratch: [UInt8] = []
    /// The index of the last entry that was sealed, durably or not.
    private var sealedIndex: UInt64
    /// What stopped the machine, if anything has.
    private var failure: KeyValueError?

    let published: Locked<Published>

    private init(engine: StorageEngine, options: KeyValueOptions, state: ReplicatedState, isReceived: Bool) {
        writesOtherValues = options.plantedBugs.contains(.writesOtherValues) && !isReceived
        self.engine = engine
        self.options = options
        self.state = state
        sealedIndex = state.position.index
        published = Locked(KeyValueMachine.published(state))
    }

    /// Opens the store in a directory, which is made if need be. Its state is that of the last durable seal.
    ///
    /// - Parameters:
    ///   - directory: the directory of the engine.
    ///   - fileSystem: where it is.
    ///   - cluster: the cluster that the member belongs to. A state of another one is refused.
    ///   - options: how this member's machine is set up.
    ///   - isReceived: whether the directory was received from a peer and is opened for the first time.
    ///   - isAccepted: asked once, with the last entry of the state, when everything was read and nothing was changed yet. Where
    ///     it says no, the opening ends, and every byte of the directory is as it was.
    /// - Throws: ``KeyValueError`` where the options are outside of their bounds, where the files are damaged or of a
    ///   newer release, or where the engine cannot be opened.
    public static func open(
        directory: String,
        fileSystem: any FileSystem,
        cluster: UniqueID,
        options: KeyValueOptions,
        seed: UInt64,
        isReceived: Bool = false,
        isAccepted: (KeyValuePosition) -> Bool = { _ in true }
    ) throws(KeyValueError) -> KeyValueMachine {
        try validate(options)
        var state = ReplicatedState(cluster: cluster)
        let engine = try openEngine(directory, fileSystem, options, seed) { seal throws(KeyValueError) in
            if let seal { state = try decode(seal, of: directory, cluster) }
            guard isAccepted(durable(as: seal, options)) else {
                throw KeyValueError(.invalid, "the state in \(directory) is not what its owner expects")
            }
        }
        do throws(KeyValueError) {
            // What a peer has sent is to take the place of a state that is well: nothing of it is believed unread.
            if isReceived { try engineCall { () throws(EngineError) in try engine.verifyAll() } }
            if isReceived, options.plantedBugs.contains(.sessionsLostInCheckpoint) {
                state.sessions = SessionTable(options: state.options)
            }
            if engine.durableSeal != nil, options.plantedBugs.contains(.replaysBehindTheWrongEntry) {
                state.position.index += 1
            }
            let machine = KeyValueMachine(engine: engine, options: options, state: state, isReceived: isReceived)
            try machine.advanceEngineMark()
            return machine
        } catch {
            engine.close()
            throw error
        }
    }

    /// Opens the engine, whose seal has to pass `check` before anything is changed.
    private static func openEngine(
        _ directory: String,
        _ fileSystem: any FileSystem,
        _ options: KeyValueOptions,
        _ seed: UInt64,
        check: (SealRecord?) throws(KeyValueError) -> Void
    ) throws(KeyValueError) -> StorageEngine {
        var refusal: KeyValueError?
        do throws(EngineError) {
            return try StorageEngine.open(
                directory,
                fileSystem: fileSystem,
                options: engineOptions(options),
                seed: seed
            ) { seal in
                do throws(KeyValueError) { try check(seal) } catch { refusal = error }
                return refusal == nil
            }
        } catch {
            if let refusal { throw refusal }
            throw KeyValueError(error)
        }
    }

    private static func durable(as seal: SealRecord?, _ options: KeyValueOptions) -> KeyValuePosition {
        guard let seal else { return .zero }
        let isWrong = options.plantedBugs.contains(.replaysBehindTheWrongEntry)
        return KeyValuePosition(index: seal.sequence + (isWrong ? 1 : 0), term: seal.term, stamp: seal.stamp)
    }

    /// Throws where no machine can be opened with these options.
    ///
    /// - Throws: ``KeyValueError``, *invalid*, with the rule that is broken.
    public static func validate(_ options: KeyValueOptions) throws(KeyValueError) {
        let engine = engineOptions(options)
        try engineCall { () throws(EngineError) in try engine.validate() }
        guard !engine.hasWriteAheadLog else {
            throw KeyValueError(
                .invalid,
                "hasWriteAheadLog must be false, not true: the log of the group is the engine's write-ahead log"
            )
        }
    }

    /// The engine's options, with limits that no replicated options can exceed: an entry that raises one must not stop
    /// a member whose engine is open.
    static func engineOptions(_ options: KeyValueOptions) -> EngineOptions {
        var engine = options.engine
        engine.maxKeyBytes = ReplicatedOptions.largestKeyBytes + EngineKey.prefixByteCount
        engine.maxValueBytes = ReplicatedOptions.largestValueBytes
        // A range deletion has two keys; the batch itself has a few bytes beside what it holds.
        engine.maxBatchBytes = 2 * engine.maxKeyBytes + engine.maxValueBytes + 64
        return engine
    }

    private static func decode(
        _ seal: SealRecord,
        of directory: String,
        _ cluster: UniqueID
    ) throws(KeyValueError) -> ReplicatedState {
        let manifest = "the manifest that \(directory)/CURRENT names"
        let state: ReplicatedState
        do {
            state = try ReplicatedState(decoding: seal.systemState)
        } catch {
            throw KeyValueError(
                error.reason == .version ? .upgradeRequired : .damaged,
                "\(manifest): system state: \(error)"
            )
        }
        guard state.cluster == cluster else {
            throw KeyValueError(
                .damaged,
                "\(manifest): the system state is of the cluster \(state.cluster), and the member belongs to the "
                    + "cluster \(cluster): put back what belongs together"
            )
        }
        guard state.position == KeyValuePosition(index: seal.sequence, term: seal.term, stamp: seal.stamp) else {
            throw KeyValueError(
                .damaged,
                "\(manifest): the system state is of entry \(state.position.index), its flush point of \(seal.sequence)"
            )
        }
        return state
    }

    // MARK: Where the machine is

    /// The last entry that was applied. Any thread may ask.
    public var applied: KeyValuePosition { published.withLock { $0.applied } }

    /// The last entry of what a crash would leave. The log is needed behind it.
    public var durable: KeyValuePosition {
        var position = KeyValueMachine.durable(as: engine.durableSeal, options)
        // The planted error names an entry too many, but never one that is not applied: there the core would stop the
        // process, and no invariant would find the error.
        if options.plantedBugs.contains(.replaysBehindTheWrongEntry), position.index > applied.index {
            position.index -= 1
        }
        return position
    }

    /// A number that is equal on two members that have applied the same entries with the same results.
    public var digest: UInt64 { published.withLock { $0.digest } }

    /// Reads below this revision are refused. It is the same on every member that has applied the same entries; what an
    /// engine has really dropped by then depends on its seals and compactions.
    public var retentionMark: UInt64 { published.withLock { $0.retentionMark } }

    /// How many sessions are open.
    public var sessionCount: Int { published.withLock { $0.sessionCount } }

    /// The options in force as of ``applied``. Their revision is 0 where entry 1 has not been applied.
    public var replicatedOptions: ReplicatedOptionsEntry { published.withLock { $0.options } }

    /// The same options, for the thread that applies alone: it is asked for every command, and takes no lock here.
    package var writerOptions: ReplicatedOptions { state.options }

    /// The revision of ``writerOptions``.
    package var writerOptionsRevision: UInt64 { state.optionsRevision }

    // MARK: Applying

    /// Applies the entry that puts the first options in force, which comes before every command.
    ///
    /// - Parameter payload: the encoded options.
    /// - Throws: ``KeyValueError``: *damaged* or *upgrade required* where the payload is none, and where there are
    ///   options already; *invalid* for an index that is not the next one.
    public func found(_ payload: Bytes, index: UInt64, term: UInt64, stamp: UInt64) throws(KeyValueError) {
        try checkUsable()
        try checkNext(index)
        do throws(KeyValueError) {
            let options: ReplicatedOptions
            do throws(BalsaPlatform.DecodingError) {
                options = try ReplicatedOptions(decoding: payload)
            } catch {
                throw KeyValueError(error.reason == .version ? .upgradeRequired : .damaged, "entry \(index): \(error)")
            }
            guard state.optionsRevision == 0 else {
                let first = state.optionsRevision
                throw KeyValueError(.damaged, "entry \(index) founds a cluster that entry \(first) founded")
            }
            if let fault = options.formatFault { throw KeyValueError(.damaged, "entry \(index): \(fault)") }
            state.advance(to: index, term: term, stamp: stamp)
            state.change(options)
            try publish()
        } catch {
            failure = error
            throw error
        }
    }

    /// Applies a command.
    ///
    /// - Parameters:
    ///   - payload: the entry's payload.
    ///   - index: the entry's index, the one behind ``applied``. It is the revision of what the command writes.
    ///   - term: its term.
    ///   - stamp: its logical time, in nanoseconds.
    /// - Returns: what the caller is told.
    /// - Throws: ``KeyValueError`` where the engine failed, or where the payload is no command or one of a newer
    ///   release. The machine is then of no further use, and must be opened again. *Invalid* for an index that is not
    ///   the next one, and an error whose cause has a `quarantine` for a command that needs what cannot be read; then
    ///   nothing has happened.
    public func apply(
        _ payload: Bytes,
        index: UInt64,
        term: UInt64,
        stamp: UInt64
    ) throws(KeyValueError) -> CommandReply {
        try checkUsable()
        try checkNext(index)
        var hasBegun = false
        do throws(KeyValueError) {
            guard state.optionsRevision > 0 else {
                throw KeyValueError(.damaged, "entry \(index) is a command, and no options are in force yet")
            }
            let reply = try payload.withUnsafeBytes { raw throws(KeyValueError) in
                let command = try KeyValueMachine.layout(of: raw, at: index)
                // Before anything changes: a key that cannot be read stops apply before the entry.
                let known = try prior(to: command, raw)
                hasBegun = true
                state.advance(to: index, term: term, stamp: stamp)
                return try execute(command, raw, known, at: index)
            }
            state.digest.add(reply, index: index)
            try publish()
            return reply
        } catch {
            if hasBegun || error.cause?.quarantine == nil { failure = error }
            throw error
        }
    }

    /// Passes an entry that is no command: time goes on, and nothing else happens.
    public func skip(index: UInt64, term: UInt64, stamp: UInt64) throws(KeyValueError) {
        try checkUsable()
        try checkNext(index)
        state.advance(to: index, term: term, stamp: stamp)
        do throws(KeyValueError) { try publish() } catch {
            failure = error
            throw error
        }
    }

    /// Whether a request was executed and its reply is stored: a copy of it would be answered with that. For the owner,
    /// who applies.
    package func hasReply(to identity: RequestIdentity) -> Bool { state.sessions.hasReply(to: identity) }

    /// Whether enough was applied for a seal.
    public var wantsSeal: Bool { engine.wantsSeal }

    /// Fixes the state at the last applied entry. It is durable when the work that follows from it is done. Where nothing
    /// was applied since the last seal, nothing happens.
    ///
    /// - Throws: ``KeyValueError`` where the engine failed; the machine must be opened anew.
    public func seal() throws(KeyValueError) {
        try checkUsable()
        guard state.position.index > sealedIndex else { return }
        do {
            let record = SealRecord(
                sequence: state.position.index,
                term: state.position.term,
                stamp: state.position.stamp,
                retentionMark: engineMark,
                systemState: try state.encoded()
            )
            try engine.seal(record)
            sealedIndex = state.position.index
        } catch {
            let error = (error as? EngineError).map { KeyValueError($0) } ?? KeyValueError(.failed, "\(error)")
            failure = error
            throw error
        }
    }

    /// Makes the digest that of another state, as an error in apply would. A fault of the simulation.
    package func falsifyDigest() {
        state.digest = MutationDigest(value: ~state.digest.value)
        published.withLock { $0.digest = state.digest.value }
    }

    private func checkUsable() throws(KeyValueError) {
        if let failure { throw KeyValueError(.failed, failure.description) }
    }

    /// Throws unless `index` is the entry after the last one. The machine goes on with the right one.
    private func checkNext(_ index: UInt64) throws(KeyValueError) {
        let last = state.position.index
        guard last < .max, index == last + 1 else {
            throw KeyValueError(.invalid, "the entry \(index) does not follow the entry \(last)")
        }
    }

    private func publish() throws(KeyValueError) {
        try advanceEngineMark()
        let now = KeyValueMachine.published(state)
        published.withLock { $0 = now }
    }

    private static func published(_ state: ReplicatedState) -> Published {
        Published(
            applied: state.position,
            retentionMark: state.retention.index,
            digest: state.digest.value,
            sessionCount: state.sessions.count,
            options: ReplicatedOptionsEntry(options: state.options, revision: state.optionsRevision)
        )
    }

    /// The mark as the engine is told: entries that write nothing advance the mark, but not the engine's last sequence
    /// number, and what was written last can always be read.
    private var engineMark: UInt64 { min(state.retention.index, engine.lastSequence) }

    private func advanceEngineMark() throws(KeyValueError) {
        guard state.retention.index > 0 else { return }
        try KeyValueMachine.engineCall { () throws(EngineError) in try engine.advanceRetentionMark(to: engineMark) }
    }

    // MARK: What the engine does in the background

    /// Whether there is background work.
    public var hasWork: Bool { engine.hasWork }

    /// Does a part of the background work. One thread at a time.
    ///
    /// - Parameter budget: about how many bytes to process.
    /// - Throws: ``KeyValueError``; the work is undone and will be tried again by a later call.
    public func work(budget: Int) throws(KeyValueError) -> WorkResult {
        try KeyValueMachine.engineCall { () throws(EngineError) in try engine.work(budget: budget) }
    }

    /// How much background work is due, by which a leader admits commands.
    public var pressure: Pressure { engine.pressure }

    /// The state at the last durable seal, to be sent to a peer.
    public func checkpoint() throws(KeyValueError) -> EngineCheckpoint {
        try KeyValueMachine.engineCall { () throws(EngineError) in try engine.checkpoint() }
    }

    /// How many tables were found that have a part that cannot be read. Cheap; it never falls.
    public var quarantinesFound: Int { engine.quarantinesFound }

    /// Whether a table of the state has such a part.
    public var isDamaged: Bool { engine.isDamaged }

    /// What of them cannot be read, without the first `count` that were found.
    public func quarantines(after count: Int) -> [QuarantinedRange] { engine.quarantines(after: count) }

    /// What the engine has counted.
    public var metrics: EngineMetrics { engine.metrics }

    /// Ends. What was not sealed and flushed is in the log.
    public func close() { engine.close() }

    static func engineCall<Result>(_ body: () throws(EngineError) -> Result) throws(KeyValueError) -> Result {
        do { return try body() } catch { throw KeyValueError(error) }
    }
}
