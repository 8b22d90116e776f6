import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

/// Everything that can happen to a replica.
public enum ReplicaInput {
    /// Bytes of one frame arrived from a peer.
    case received(Bytes)
    /// Bytes of one frame arrived over a connection on which only messages of the first boot count.
    case receivedFirstBoot(Bytes)
    /// A peer does not listen to this member, and says why. For a ``Member``; a replica by itself does nothing.
    case refused(IdentityRefusal)
    /// Callers want commands applied. Each is answered once by ``ReplicaEffect/reply(_:_:)``.
    case submit([Submission])
    /// A caller wants to read the state machine. Answered once by ``ReplicaEffect/reply(_:_:)``.
    case read(RequestID, ReadConsistency, deadline: Instant)
    /// A write is durable.
    case written(ReplicaWrite)
    /// A write or its sync failed. Nothing is retried on that file.
    case writeFailed(ReplicaWrite, FileError)
    /// A background task of the log is done.
    case taskFinished(LogTask)
    /// A background task of the log failed; it is tried again later, with a new task.
    case taskFailed(LogTask, FileError)
    /// A step of the state machine's background work is done.
    case worked(StateWork)
    /// A step of the state machine's background work failed.
    case workFailed(StateWork, StateMachineError)
    /// The transport lost what it had for a peer, or cannot reach it.
    case peerUnreachable(MemberID)
    /// The moment that ``ReplicaEffect/wake(at:)`` named has come.
    case timer
    /// The store closes: the member gives up leading and every waiting request is answered. Files and lock are given up
    /// by ``Replica/close()``, once all writes, tasks and work under way have ended.
    case close
}

/// What a replica wants done. The shell carries out effects in their order; writes, tasks and work take as long as they
/// take, and are reported when they are done.
public enum ReplicaEffect {
    /// Send the pieces, one behind the other, as one frame to a peer.
    case send(to: MemberID, [Bytes], SendPath)
    /// Begin this write. Others may be under way.
    case write(ReplicaWrite)
    /// Begin this task in the background.
    case run(LogTask)
    /// Do this step in the background. There is never more than one under way.
    case work(StateWork)
    /// Tell a caller.
    case reply(RequestID, Reply)
    /// Give ``ReplicaInput/timer`` at this moment, or earlier. It replaces the moment asked for before.
    case wake(at: Instant)
    /// The role, the term or the known leader changed.
    case standing(Standing)
    /// Something happened that an operator should hear of.
    case report(Anomaly)
    /// The member belongs to this cluster now, durably, and takes part. Connections have to be made anew.
    case established(ClusterIdentity)
    /// The first boot waits for something that an operator has to do.
    case firstBootWaits(String)
    /// Something could not be done for want of space or of file descriptors, and is tried again; the text says what.
    case retrying(String)
    /// One of the two copies of a file is damaged: the other one is used, and the file is written again. Or a part of
    /// the state cannot be read, and the rest can. The text names the file.
    case damagedCopy(String)
    /// What a peer sends as a checkpoint may not take the place of the state, or does not fit on the disk. The state
    /// stays; the text says why.
    case checkpointRefused(from: MemberID, String)
    /// The member was opened with other replicated options than are in force, which its own do not change. Told once an
    /// opening.
    case optionsDiffer([OptionDifference])
    /// A frame from a peer could not be decoded and was dropped.
    case undecodable(DecodingError)
    /// The replica has failed. It answers every request with *failed* until it is opened anew.
    case failed(ReplicaError)
}

/// A step of a state machine's background work, or a note for ROOT that nobody waits for.
public final class StateWork {
    private let machine: (any StateMachine)?
    private let budget: Int
    /// The note, if it is one.
    let confirmation: RootConfirmation?
    /// Which life of the state it belongs to.
    let generation: UInt64

    init(_ machine: any StateMachine, generation: UInt64, budget: Int) {
        self.machine = machine
        self.generation = generation
        self.budget = budget
        confirmation = nil
    }

    init(_ confirmation: RootConfirmation, generation: UInt64) {
        machine = nil
        budget = 0
        self.generation = generation
        self.confirmation = confirmation
    }

    /// Does the step. It reads, writes and syncs files, and may take long; on any thread.
    public func step() throws(StateMachineError) {
        do throws(FileError) {
            try confirmation?.write()
        } catch {
            throw StateMachineError("the received state was not noted as compared: \(error)", file: error)
        }
        try machine?.work(budget: budget)
    }
}

/// A write to the log or to the vote, to be made durable.
public struct ReplicaWrite {
    enum Target {
        case log
        case vote
    }

    let target: Target

    /// What to write, and where.
    public let write: DurableWrite

    /// The commit index that the disk knows once the write is durable; 0 for a vote.
    package let commit: LogIndex

    /// Whether it is a vote. At most one write of a vote is under way.
    public var isVote: Bool { target == .vote }
}

/// Why a replica cannot be opened, or cannot go on.
public struct ReplicaError: Error, Sendable, CustomStringConvertible {
    /// The kinds of reason. More may be added.
    public struct Code: Equatable, Sendable, CustomStringConvertible {
        /// The kind in words.
        public let description: String

        private init(_ description: String) { self.description = description }

        /// A file operation failed.
        public static let file = Code("file operation failed")
        /// A file holds what it cannot.
        public static let damaged = Code("damaged")
        /// Somebody else has opened the directory.
        public static let locked = Code("locked")
        /// The state machine refused a committed command, or a checkpoint.
        public static let stateMachine = Code("state machine")
        /// The options or the configuration cannot work.
        public static let invalid = Code("invalid")
        /// The state or a command is of a newer release.
        public static let upgradeRequired = Code("upgrade required")
        /// The member must not take part: its directory, or its id, is not that of a member.
        public static let refused = Code("refused")
        /// Another leader's entry contradicts what is committed here.
        public static let contradiction = Code("contradiction")
        /// The state differs from that of the others, and checkpoints do not help.
        public static let diverged = Code("diverged")
    }

    /// The kind of reason.
    public let code: Code
    /// The reason in a sentence, with file and place where there is one.
    public let message: String
    /// The file operation that failed, where one did.
    public let file: FileError?

    init(_ code: Code, _ message: String, file: FileError? = nil) {
        self.code = code
        self.message = message
        self.file = file
    }

    /// The error of a file's bytes that could not be decoded.
    init(_ error: BalsaPlatform.DecodingError, in path: String) {
        self.init(error.reason == .version ? .upgradeRequired : .damaged, "\(path): \(error)")
    }

    init(_ error: FileError) {
        self.init(error.number == .wouldBlock ? .locked : .file, error.description, file: error)
    }

    init(_ error: StateMachineError) {
        self.init(error.needsUpgrade ? .upgradeRequired : error.isDamaged ? .damaged : .stateMachine, error)
    }

    /// The error of a state machine, of this kind.
    init(_ code: Code, _ error: StateMachineError) {
        // The description of damage begins with that word, which the code says already.
        let prefix = "\(code): "
        let sentence = error.description
        self.init(
            code,
            sentence.hasPrefix(prefix) ? String(sentence.dropFirst(prefix.count)) : sentence,
            file: error.file
        )
    }

    /// Kind and reason in one line.
    public var description: String { "\(code): \(message)" }
}
