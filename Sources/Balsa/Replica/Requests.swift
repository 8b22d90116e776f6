import BalsaPlatform
import BalsaRaft

/// The caller's name for a request; never used twice with one replica.
public struct RequestID: Hashable, Sendable {
    /// The number.
    public var number: UInt64

    /// The request of that number.
    public init(_ number: UInt64) { self.number = number }
}

/// A command that a caller wants applied.
public struct Submission: Sendable {
    /// The caller's name for the request.
    public var id: RequestID
    /// The command, encoded.
    public var command: Bytes
    /// When the caller stops waiting.
    public var deadline: Instant

    /// A command.
    public init(_ id: RequestID, _ command: Bytes, deadline: Instant) {
        self.id = id
        self.command = command
        self.deadline = deadline
    }
}

/// Which state a caller wants to read.
public enum ReadConsistency: Equatable, Sendable {
    /// One that contains every write that was acknowledged anywhere before the read was asked for.
    case linearizable
    /// One that contains everything through this revision; perhaps old otherwise.
    case atLeast(LogIndex)
    /// Whatever this member has applied; perhaps old.
    case local
}

/// What became of a request.
public enum Reply: Equatable, Sendable {
    /// A command was applied as the entry of `index`.
    case success(Bytes, index: LogIndex)
    /// The state machine of this member may be read: it has applied this index, which is as much as was asked for.
    case readable(LogIndex)
    /// It was not, or nobody here knows.
    case failure(RequestError)
}

/// Why a request has no result, and whether it may have had an effect all the same.
public struct RequestError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Whether the request took effect.
    public enum Outcome: String, Equatable, Sendable {
        /// It did not, and never will.
        case notApplied = "not applied"
        /// It may have, or may still. Within a session the same command can be sent again to learn it: it takes effect once.
        case unknown
    }

    /// What happened. More reasons may be added.
    public struct Reason: Equatable, Sendable, CustomStringConvertible {
        /// The reason in words.
        public let description: String

        private init(_ description: String) { self.description = description }

        /// Another member leads, or nobody that this one knows of.
        public static let notLeader = Reason("not the leader")
        /// No leader is known: a majority cannot be reached, or is choosing one.
        public static let noQuorum = Reason("no quorum")
        /// Too much is waiting already; the same request may be taken a little later.
        public static let busy = Reason("busy")
        /// The command, its key or its value is larger than the limit.
        public static let tooLarge = Reason("too large")
        /// The command cannot be understood.
        public static let invalid = Reason("invalid")
        /// The member's state was found to differ from that of the majority, and is being replaced by a checkpoint.
        public static let diverged = Reason("diverged")
        /// A key that is needed lies in a part of a table that this member, or the leader, cannot read. Another member
        /// will lead, or a checkpoint of a peer will replace the state; a single member stays so.
        public static let damaged = Reason("damaged")
        /// The command needs a feature level that some member does not have, or was not heard to have: upgrade and
        /// start all members first.
        public static let upgradeRequired = Reason("upgrade required")
        /// The options in force are of another revision than was expected.
        public static let conflict = Reason("conflict")
        /// Another leader put something else in the place of the command.
        public static let superseded = Reason("superseded by another leader")
        /// The deadline passed.
        public static let deadlineExceeded = Reason("deadline exceeded")
        /// A checkpoint was installed that covers the command's place; its reply is not known here.
        public static let overtakenByCheckpoint = Reason("overtaken by a checkpoint")
        /// The caller gave up.
        public static let cancelled = Reason("cancelled")
        /// The session that would tell ended in between.
        public static let sessionExpired = Reason("session expired")
        /// The revision asked for is below the retention mark.
        public static let compacted = Reason("compacted")
        /// The revision asked for has not been applied here yet.
        public static let futureRevision = Reason("future revision")
        /// The member does not belong to a cluster yet; it will when all members have been started.
        public static let startingUp = Reason("starting up")
        /// Only of an opening: another process, or another store of this one, has opened the directory or listens on
        /// the port.
        public static let inUse = Reason("in use")
        /// Only of an opening: others than this machine could connect, and nobody said that this is wanted.
        public static let insecure = Reason("insecure")
        /// The store was closed.
        public static let closed = Reason("closed")
        /// The store has failed and must be opened anew.
        public static let failed = Reason("failed")
    }

    /// Whether the request took effect.
    public let outcome: Outcome
    /// What happened.
    public let reason: Reason
    /// The member that leads, as far as this one knows; 0 where it does not.
    public let leader: MemberID

    /// An error.
    public init(_ outcome: Outcome, _ reason: Reason, leader: MemberID = 0) {
        self.outcome = outcome
        self.reason = reason
        self.leader = leader
    }

    /// Reason and outcome in one line.
    public var description: String { "\(reason) (\(outcome.rawValue))" }
}
