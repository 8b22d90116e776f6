import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The parts of a replica as they come from its disk.
struct OpenedParts {
    var raft: Raft
    var log: Log
    var vote: VoteFile
    var generations: GenerationStore
    var machine: any StateMachine
    let lock: any FileLock
    var report: RecoveryReport
}

extension Replica {
    /// Opens the replica in `directory`, which is created where it does not exist, and begins to take part.
    ///
    /// When it returns, everything that the replica holds is durable, in the log or in the state as of its last durable
    /// seal, and what a crash had left half done is finished or undone; that the log begins behind a checkpoint may still
    /// be on its way to the disk. What is committed behind the seal is applied again in the steps that follow.
    ///
    /// - Parameters:
    ///   - directory: where the replica's files are. Nothing else may be there.
    ///   - heldLock: the lock on the directory, where the caller holds it already. The replica takes it over.
    ///   - fileSystem: the files.
    ///   - member: which member this is.
    ///   - configuration: who the members are.
    ///   - identity: the cluster, whose table is entry 1 of the log; nil for a log that begins with an empty entry.
    ///   - binding: what binds the files to the member's directory; nil for a replica without a member, as tests open
    ///     it.
    ///   - provider: opens the state machine.
    ///   - options: the limits.
    ///   - seed: a random number, different for each member and each opening.
    ///   - now: the present moment.
    ///   - effects: what the shell has to do first.
    /// - Throws: ``ReplicaError``. A replica that is refused holds every byte that it held; where a file operation failed, the
    ///   directory holds what it held as far as a reader can tell.
    static func open(
        directory: String,
        lock heldLock: (any FileLock)? = nil,
        fileSystem: any FileSystem,
        member: MemberID,
        configuration: Configuration,
        identity: ClusterIdentity? = nil,
        binding: ReplicaBinding? = nil,
        provider: any StateMachineProvider,
        options: ReplicaOptions = ReplicaOptions(),
        seed: UInt64,
        at now: Instant,
        into effects: inout [ReplicaEffect]
    ) throws(ReplicaError) -> Replica {
        try options.validate()
        do throws(StateMachineError) { try provider.validate() } catch { throw ReplicaError(.invalid, error) }
        let groupDirectory = "\(directory)/groups/\(group)"
        let lock: any FileLock
        if let heldLock { lock = heldLock } else { lock = try lockDirectory(directory, of: member, in: fileSystem) }
        do throws(ReplicaError) {
            let parts = try openParts(
                directory: directory,
                groupDirectory: groupDirectory,
                lock: lock,
                fileSystem: fileSystem,
                member: member,
                configuration: configuration,
                binding: binding,
                provider: provider,
                options: options,
                seed: seed
            )
            let replica = Replica(
                parts: parts,
                member: member,
                options: options,
                provider: provider,
                identity: identity,
                nonce: RandomSource.mix(seed)
            )
            effects += parts.generations.mended.map { .damagedCopy($0) }
            replica.start(at: now, into: &effects)
            return replica
        } catch {
            lock.release()
            throw error
        }
    }

    private static func openParts(
        directory: String,
        groupDirectory: String,
        lock: any FileLock,
        fileSystem: any FileSystem,
        member: MemberID,
        configuration: Configuration,
        binding: ReplicaBinding?,
        provider: any StateMachineProvider,
        options: ReplicaOptions,
        seed: UInt64
    ) throws(ReplicaError) -> OpenedParts {
        // First everything is read, and what refuses the replica refuses it here: nothing has been changed yet.
        let files = binding?.files ?? .unbound
        var generations = try GenerationStore(opening: groupDirectory, in: fileSystem, binding: files)
        let isFirst = generations.root == nil
        if isFirst, let missing = binding?.missing(groupDirectory + "/ROOT") { throw missing }
        try binding?.check(generations.foundMark, of: groupDirectory + "/ROOT")
        let recovery = try findLog(directory + "/log", in: fileSystem, options: options.log, binding: files)
        let recovered = recovery.found?.first { $0.group == group }
        if isFirst { try checkIsNew(recovered, groupDirectory) }
        let found = try findVote(
            groupDirectory,
            in: fileSystem,
            binding: files,
            missing: binding?.missing(groupDirectory + "/VOTE"),
            mustExist: recovered != nil || !isFirst
        )
        try binding?.check(found, recovery, voteFile: groupDirectory + "/VOTE", directory: directory + "/log")
        if found?.state ?? .initial != .initial { try checkHasTakenPart(directory, isFirst: isFirst, recovery) }
        if isFirst {
            _ = try binding?.count()
            try prepareDirectories(directory, groupDirectory, in: fileSystem)
        }
        var vote: VoteFile
        if let found { vote = found } else { vote = try createVote(groupDirectory, in: fileSystem, binding: files) }
        let hardState = vote.state
        var core: Raft?
        let machine = try openMachine(&generations, provider, in: fileSystem) {
            durable,
            generations throws(ReplicaError) in
            var outline = try reconcile(recovered, with: durable, generations, in: directory)
            if options.plantedBugs.contains(.lastEntryForgotten), let recovered,
                outline.lastIndex > max(recovered.commit, durable.position.index, outline.base.index)
            {
                outline.truncate(after: outline.lastIndex - 1)
            }
            let state = RecoveredState(
                hardState: hardState,
                log: outline,
                commitIndex: min(max(recovered?.commit ?? 0, durable.position.index), outline.lastIndex),
                appliedIndex: durable.position.index,
                isDiverged: generations.root?.isDiverged ?? false,
                receivedIndex: generations.root?.receivedIndex ?? 0
            )
            try checkVote(of: state, groupDirectory, log: directory + "/log")
            core = try openCore(member, configuration, state, options.raft, seed: seed)
            // Nothing but a failed file operation stops the opening from here on. Before, only a first opening has
            // changed anything: it has made the directories, and what has to be in them.
            recovery.bootRevision = try binding?.count() ?? 0
            if !isFirst { try prepareDirectories(directory, groupDirectory, in: fileSystem) }
            try generations.confirm()
        }
        guard let raft = core else { preconditionFailure("a state machine asks whether its state is accepted") }
        do throws(ReplicaError) {
            try mend(&vote, recovery)
            let opened = try openLog(recovery)
            if raft.log.base != recovered?.base ?? .zero {
                opened.log.reset(group, to: raft.log.base, stamp: machine.durable.stamp)
            }
            if raft.log.lastIndex < opened.log.last(group).index {
                opened.log.truncate(group, after: raft.log.lastIndex)
            }
            try generations.removeOrphans()
            return OpenedParts(
                raft: raft,
                log: opened.log,
                vote: vote,
                generations: generations,
                machine: machine,
                lock: lock,
                report: opened.report
            )
        } catch {
            machine.close()
            throw error
        }
    }

    /// Throws where a member that has voted has no ROOT or no log. The first segment is durable before the first vote
    /// is written.
    private static func checkHasTakenPart(
        _ directory: String,
        isFirst: Bool,
        _ recovery: LogRecovery
    ) throws(ReplicaError) {
        guard !isFirst else {
            throw ReplicaError(
                .damaged,
                "\(directory)/groups/\(group)/ROOT is missing, though the member has voted"
            )
        }
        guard recovery.hasSegments else {
            throw ReplicaError(.damaged, "\(directory)/log holds no segment, though the member has voted")
        }
    }

    /// Throws where the vote is older than the log. The term of an entry is durable in the vote before the entry is in
    /// the log, so that such a vote was set back, and the member has forgotten what it promised since.
    private static func checkVote(
        of state: RecoveredState,
        _ directory: String,
        log: String
    ) throws(ReplicaError) {
        let last = state.log.last
        guard state.hardState.term < last.term else { return }
        throw ReplicaError(
            .damaged,
            "\(directory)/VOTE is of term \(state.hardState.term) and older than \(log), which ends at \(last): "
                + ReplicaBinding.advice("\(directory)/VOTE")
        )
    }

    private static func openCore(
        _ member: MemberID,
        _ configuration: Configuration,
        _ state: RecoveredState,
        _ options: RaftOptions,
        seed: UInt64
    ) throws(ReplicaError) -> Raft {
        do throws(ConfigurationError) {
            return try Raft(
                member: member,
                configuration: configuration,
                recovered: state,
                options: options,
                seed: seed
            )
        } catch {
            throw ReplicaError(.invalid, error.description)
        }
    }

    /// Opens the live generation of the state. A new replica gets its first one, which is published before the log can hold
    /// anything: a log without ROOT is thus a ROOT that was lost.
    ///
    /// - Parameter accept: compares what the state contains durably with the rest, before anything in it is changed.
    private static func openMachine(
        _ generations: inout GenerationStore,
        _ provider: any StateMachineProvider,
        in fileSystem: any FileSystem,
        accept: (StatePosition, inout GenerationStore) throws(ReplicaError) -> Void
    ) throws(ReplicaError) -> any StateMachine {
        let isFirst = generations.root == nil
        let generation: UInt64
        if let root = generations.root {
            generation = root.generation
            try generations.checkLive()
        } else {
            generation = try generations.createFirst()
        }
        let machine: any StateMachine
        var refusal: ReplicaError?
        var store = generations
        do throws(StateMachineError) {
            // Whether ROOT was published by an installation and the process died before it opened anything, nobody knows; a
            // state machine that is received notes so in its own files if it has to.
            let path = generations.path(of: generation)
            machine = try provider.open(path, of: generations.cluster, in: fileSystem, isReceived: false) {
                durable in
                do throws(ReplicaError) { try accept(durable, &store) } catch { refusal = error }
                return refusal == nil
            }
        } catch {
            throw refusal ?? ReplicaError(error)
        }
        do throws(ReplicaError) {
            if let refusal { throw refusal }
            generations = store
            if isFirst { try generations.publish(generation, at: .zero) }
            return machine
        } catch {
            machine.close()
            throw error
        }
    }

    /// Throws where a replica has a log and no ROOT: that is published before anything else happens.
    private static func checkIsNew(_ recovered: RecoveredGroup?, _ directory: String) throws(ReplicaError) {
        guard let recovered else { return }
        guard recovered.base == .zero, recovered.entries.isEmpty else {
            throw ReplicaError(.damaged, "\(directory)/ROOT is missing, though the member has a log")
        }
    }

    /// Makes sure that a member's directory exists, durably, and takes the lock on it.
    static func lockDirectory(
        _ directory: String,
        of member: MemberID,
        in fileSystem: any FileSystem
    ) throws(ReplicaError) -> any FileLock {
        do throws(FileError) {
            try fileSystem.createDirectory(directory)
            try fileSystem.syncParent(of: directory)
            return try fileSystem.lock(directory + "/LOCK")
        } catch  where error.operation == .lock && error.number == .wouldBlock {
            throw ReplicaError(alreadyOpen: directory, of: member, error, by: fileSystem.holder(ofLock: error.path))
        } catch {
            throw ReplicaError(error)
        }
    }

    /// Makes sure that the directories within exist, durably: a directory whose name is lost takes with it all that was
    /// synced inside.
    private static func prepareDirectories(
        _ directory: String,
        _ groupDirectory: String,
        in fileSystem: any FileSystem
    ) throws(ReplicaError) {
        do throws(FileError) {
            try fileSystem.createDirectory(directory + "/log")
            try fileSystem.createDirectory(directory + "/groups")
            try fileSystem.createDirectory(groupDirectory)
            try fileSystem.syncDirectory(directory + "/groups")
            try fileSystem.syncDirectory(directory)
        } catch {
            throw ReplicaError(error)
        }
    }
}

extension Replica {
    /// Reads the log, and changes nothing.
    private static func findLog(
        _ directory: String,
        in fileSystem: any FileSystem,
        options: LogOptions,
        binding: FileBinding
    ) throws(ReplicaError) -> LogRecovery {
        do throws(LogError) {
            let recovery = try LogRecovery(
                fileSystem: fileSystem,
                directory: directory,
                options: options,
                binding: binding
            )
            while recovery.found == nil { _ = try recovery.step(budgetBytes: 1 << 20) }
            return recovery
        } catch {
            throw ReplicaError(error)
        }
    }

    /// Mends a log that was read.
    private static func openLog(_ recovery: LogRecovery) throws(ReplicaError) -> (log: Log, report: RecoveryReport) {
        do throws(LogError) {
            while try !recovery.step(budgetBytes: 1 << 20) {}
        } catch {
            throw ReplicaError(error)
        }
        let (log, _, report) = recovery.finish()
        return (log, report)
    }

    /// Reads the vote, and changes nothing; nil where there is none. A member that has a log or a checkpoint and no vote may
    /// have promised anything: it is refused, because to vote again could make two leaders of one term.
    private static func findVote(
        _ directory: String,
        in fileSystem: any FileSystem,
        binding: FileBinding,
        missing: ReplicaError?,
        mustExist: Bool
    ) throws(ReplicaError) -> VoteFile? {
        do throws(VoteError) {
            return try VoteFile.find(fileSystem, directory: directory, group: group, binding: binding)
        } catch {
            guard error.reason == .missing else { throw ReplicaError(error) }
        }
        if let missing { throw missing }
        guard !mustExist else {
            throw ReplicaError(.damaged, "\(directory)/VOTE is missing, though the member has a log or a checkpoint")
        }
        return nil
    }

    private static func createVote(
        _ directory: String,
        in fileSystem: any FileSystem,
        binding: FileBinding
    ) throws(ReplicaError) -> VoteFile {
        do throws(VoteError) {
            return try VoteFile.create(fileSystem, directory: directory, group: group, binding: binding)
        } catch {
            throw ReplicaError(error)
        }
    }

    /// VOTE goes first: the log says of it what is durable.
    private static func mend(_ vote: inout VoteFile, _ recovery: LogRecovery) throws(ReplicaError) {
        do throws(VoteError) { try vote.mend(logEnd: recovery.confirmedEnd) } catch { throw ReplicaError(error) }
        recovery.voteSequence = vote.sequence
    }

    /// Compares the log with the state, and returns the outline of the log that fits it. A log that begins elsewhere than the
    /// outline has to be reset to there.
    ///
    /// What is applied is durable in the log before it is, so that the log holds what was sealed last, with one exception: a
    /// checkpoint that was installed is published before the log is told to begin behind it, and after a crash in between
    /// the log may hold nothing of it, or something else. The rule is that of the installation: a log that holds the
    /// checkpoint's last entry goes on behind it, any other begins anew.
    private static func reconcile(
        _ recovered: RecoveredGroup?,
        with durable: StatePosition,
        _ generations: GenerationStore,
        in directory: String
    ) throws(ReplicaError) -> LogOutline {
        let outline = LogOutline(base: recovered?.base ?? .zero, entries: recovered?.entries ?? [])
        let position = durable.position
        let places = "\(directory)/log and \(generations.path(of: generations.root?.generation ?? 0))"
        guard position.index >= outline.base.index else {
            throw ReplicaError(
                .damaged,
                "\(places): the log begins behind \(outline.base), the state ends at \(position)"
            )
        }
        let published = generations.root?.position ?? .zero
        guard position.index >= published.index else {
            throw ReplicaError(
                .damaged,
                "\(places): the state ends at \(position), though ROOT was published with \(published)"
            )
        }
        if position == .zero || outline.contains(position) { return outline }
        guard position == generations.root?.position else {
            throw ReplicaError(
                .damaged,
                "\(places): the state contains \(position), which the log ends before or contradicts"
            )
        }
        return LogOutline(base: position)
    }
}

extension ReplicaError {
    /// Somebody else holds the lock of a member's directory.
    ///
    /// An established member that is opened on an empty directory instead is refused by the others: so only a directory
    /// that is the member's own is to be named.
    init(alreadyOpen directory: String, of member: MemberID, _ error: FileError, by holder: String?) {
        self.init(
            .locked,
            "\(directory) is already open; \(holder ?? "another process, or another store of this one,") holds "
                + "\(error.path): close it there; if the directory of member \(member) is another one, name that one",
            file: error
        )
    }

    /// The member's own log does not hold what the leader knows it to have acknowledged in this term.
    init(lostThrough position: LogPosition, holding last: LogPosition) {
        self.init(
            .damaged,
            "the member acknowledged entry \(position.index) of term \(position.term), which its log does not hold; "
                + "the log ends at entry \(last.index) of term \(last.term). Either its directory was set back, or the "
                + "last frames of its log were damaged. Put the latest directory back, or leave the member stopped"
        )
    }

    /// The state differs from that of the others, however often a checkpoint replaces it.
    init(rebuiltInVain times: UInt64) {
        self.init(
            .diverged,
            "the state differs again after \(times) checkpoints have replaced it: this machine or this release "
                + "computes another state than the others. Replace the release or the machine, and start the member "
                + "again"
        )
    }

    init(_ error: LogError) {
        let code: Code =
            switch error.reason {
            case .invalidOptions: .invalid
            case .unsupportedVersion: .upgradeRequired
            default: error.cause == nil ? .damaged : .file
            }
        // These kinds are the code's own words.
        let isSaid = [.invalidOptions, .damage, .file].contains(error.reason)
        self.init(code, isSaid ? error.sentence : error.description, file: error.cause)
    }

    init(_ error: VoteError) {
        let code: Code =
            error.reason == .unsupportedVersion ? .upgradeRequired : error.cause == nil ? .damaged : .file
        let isDamaged = error.reason == .damage
        let sentence = isDamaged ? "\(error.path): neither of its two copies can be read" : error.description
        self.init(code, error.cause?.description ?? sentence, file: error.cause)
    }
}
