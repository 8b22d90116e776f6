import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// The parts of a replica as they come from its disk.
struct OpenedParts {
    var raft: Raft
    var log: Log
    var vote: VoteFile
    var checkpoints: CheckpointStore
    let lock: any FileLock
    var appliedStamp: UInt64
    var report: RecoveryReport
}

extension Replica {
    /// Opens the replica in `directory`, which is created where it does not exist, and begins to take part.
    ///
    /// When it returns, everything that the replica holds is durable, in the log or in the checkpoint, and what a crash had
    /// left half done is finished or undone; that the log begins behind a checkpoint may still be on its way to the disk.
    ///
    /// - Parameters:
    ///   - directory: where the replica's files are. Nothing else may be there.
    ///   - fileSystem: the files.
    ///   - member: which member this is.
    ///   - configuration: who the members are.
    ///   - machine: the state machine, in its initial state.
    ///   - options: the limits.
    ///   - seed: a random number, different for each member and each opening.
    ///   - now: the present moment.
    ///   - effects: what the shell has to do first.
    /// - Throws: ``ReplicaError``; the directory holds what it held, as far as a reader can tell.
    public static func open(
        directory: String,
        fileSystem: any FileSystem,
        member: MemberID,
        configuration: Configuration,
        machine: any StateMachine,
        options: ReplicaOptions = ReplicaOptions(),
        seed: UInt64,
        at now: Instant,
        into effects: inout [ReplicaEffect]
    ) throws(ReplicaError) -> Replica {
        let parts = try openParts(
            directory: directory,
            fileSystem: fileSystem,
            member: member,
            configuration: configuration,
            machine: machine,
            options: options,
            seed: seed
        )
        let replica = Replica(parts: parts, member: member, options: options, machine: machine)
        replica.lastRead = ReadID(member: member, nonce: RandomSource.mix(seed), number: 0)
        replica.start(at: now, into: &effects)
        return replica
    }

    private static func openParts(
        directory: String,
        fileSystem: any FileSystem,
        member: MemberID,
        configuration: Configuration,
        machine: any StateMachine,
        options: ReplicaOptions,
        seed: UInt64
    ) throws(ReplicaError) -> OpenedParts {
        try options.validate()
        let groupDirectory = "\(directory)/groups/\(group)"
        let lock = try prepareDirectories(directory, groupDirectory, in: fileSystem)
        let checkpoints = try CheckpointStore(opening: groupDirectory, in: fileSystem)
        let checkpoint = try checkpoints.load()
        if let checkpoint {
            do { try machine.restore(checkpoint.state) } catch { throw ReplicaError(.stateMachine, error.description) }
        }
        let opened = try openLog(directory + "/log", in: fileSystem, options: options.log)
        let recovered = opened.groups.first { $0.group == group }
        let vote = try openVote(groupDirectory, in: fileSystem, mustExist: recovered != nil || checkpoint != nil)
        let outline = try reconcile(recovered, with: checkpoint, log: opened.log)
        try checkpoints.removeOrphans()
        let applied = checkpoint?.position.index ?? 0
        let state = RecoveredState(
            hardState: vote.state,
            log: outline,
            commitIndex: min(max(recovered?.commit ?? 0, applied), outline.lastIndex),
            appliedIndex: applied
        )
        do throws(ConfigurationError) {
            let raft = try Raft(
                member: member,
                configuration: configuration,
                recovered: state,
                options: options.raft,
                seed: seed
            )
            return OpenedParts(
                raft: raft,
                log: opened.log,
                vote: vote,
                checkpoints: checkpoints,
                lock: lock,
                appliedStamp: checkpoint?.stamp ?? 0,
                report: opened.report
            )
        } catch {
            throw ReplicaError(.invalid, error.description)
        }
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// Takes the lock and makes sure that the directories exist, durably: a directory whose name is lost takes with it all
    /// that was synced inside.
    private static func prepareDirectories(
        _ directory: String,
        _ groupDirectory: String,
        in fileSystem: any FileSystem
    ) throws(ReplicaError) -> any FileLock {
        do {
            try fileSystem.createDirectory(directory)
            try fileSystem.syncDirectory(parent(of: directory))
            let lock = try fileSystem.lock(directory + "/LOCK")
            try fileSystem.createDirectory(directory + "/log")
            try fileSystem.createDirectory(directory + "/groups")
            try fileSystem.createDirectory(groupDirectory)
            try fileSystem.syncDirectory(directory + "/groups")
            try fileSystem.syncDirectory(directory)
            return lock
        } catch {
            throw ReplicaError(error)
        }
    }
}

extension Replica {
    private static func openLog(
        _ directory: String,
        in fileSystem: any FileSystem,
        options: LogOptions
    ) throws(ReplicaError) -> (log: Log, groups: [RecoveredGroup], report: RecoveryReport) {
        do { return try Log.open(fileSystem, directory: directory, options: options) } catch {
            throw ReplicaError(error)
        }
    }

    /// Opens the vote, or creates it for a member that has nothing yet. A member that has a log or a checkpoint and no vote
    /// may have promised anything: it is refused, because to vote again could make two leaders of one term.
    private static func openVote(
        _ directory: String,
        in fileSystem: any FileSystem,
        mustExist: Bool
    ) throws(ReplicaError) -> VoteFile {
        do throws(VoteError) {
            return try VoteFile.open(fileSystem, directory: directory, group: group)
        } catch {
            guard error.reason == .missing else { throw ReplicaError(error) }
        }
        guard !mustExist else {
            throw ReplicaError(.damaged, "\(directory)/VOTE is missing, though the member has a log or a checkpoint")
        }
        do throws(VoteError) {
            return try VoteFile.create(fileSystem, directory: directory, group: group)
        } catch {
            throw ReplicaError(error)
        }
    }

    /// Makes the log fit the checkpoint, and returns its outline.
    ///
    /// A checkpoint that was installed is published before the log is told to begin behind it, so that after a crash in
    /// between the log may hold nothing of it, or something else. The rule is that of the installation: a log that holds
    /// the checkpoint's last entry goes on behind it, any other begins anew.
    private static func reconcile(
        _ recovered: RecoveredGroup?,
        with checkpoint: CheckpointFile?,
        log: Log
    ) throws(ReplicaError) -> LogOutline {
        let outline = LogOutline(base: recovered?.base ?? .zero, entries: recovered?.entries ?? [])
        guard let position = checkpoint?.position else {
            guard outline.base.index == 0 else {
                throw ReplicaError(.damaged, "the log begins behind \(outline.base), and there is no checkpoint")
            }
            return outline
        }
        guard position.index >= outline.base.index else {
            throw ReplicaError(.damaged, "the log begins behind \(outline.base), the checkpoint ends at \(position)")
        }
        if outline.contains(position) { return outline }
        log.reset(group, to: position, stamp: checkpoint?.stamp ?? 0)
        return LogOutline(base: position)
    }
}

extension ReplicaError {
    init(_ error: LogError) {
        let code: Code = error.reason == .invalidOptions ? .invalid : error.cause == nil ? .damaged : .file
        self.init(code, error.description, file: error.cause)
    }

    init(_ error: VoteError) {
        self.init(error.cause == nil ? .damaged : .file, error.description, file: error.cause)
    }
}
