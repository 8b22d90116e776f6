import BalsaRaft

/// What must not happen, and did.
public struct Violation: Error, Equatable, Sendable, CustomStringConvertible {
    /// The invariant's name, as `Docs/Invariants.md` lists it.
    public let invariant: Invariant
    /// What contradicts it.
    public let detail: String
    /// When, in virtual time.
    public let at: TimeSpan

    /// The line of the checker that reports it, as `Judges.swift:12`.
    let source: String

    init(
        _ invariant: Invariant,
        _ detail: String,
        at: TimeSpan,
        file: StaticString = #fileID,
        line: UInt = #line
    ) {
        source = "\(String("\(file)".split(separator: "/").last ?? "")):\(line)"
        self.invariant = invariant
        self.detail = detail
        self.at = at
    }

    /// Invariant, moment and detail in one line.
    public var description: String { "\(invariant.rawValue) at \(at): \(detail)" }
}

/// The names of what is judged. `Docs/Invariants.md` says of each what it means.
public enum Invariant: String, CaseIterable, Sendable {
    /// At most one leader a term.
    case electionSafety = "election safety"
    /// A member votes for one candidate a term, and never forgets whom.
    case oneVote = "one vote a term"
    /// A member's term never goes back, not even over a restart.
    case monotoneTerm = "monotone term"
    /// A member's commit index never goes back; over a restart not behind what its disk had.
    case monotoneCommit = "monotone commit"
    /// Logs with an entry of the same index and term are the same up to it.
    case logMatching = "log matching"
    /// A leader's log holds every entry that was applied in an earlier term, or begins behind it.
    case leaderCompleteness = "leader completeness"
    /// The same of an entry that was acknowledged to a client.
    case acknowledgedPresent = "acknowledged entry present"
    /// No two members apply different entries of one index.
    case stateMachineSafety = "state machine safety"
    /// Members that have applied the same have the same state.
    case equalStates = "equal states"
    /// Members reply the same to the same command.
    case equalReplies = "equal replies"
    /// A request of a session is executed at most once.
    case exactlyOnce = "exactly once"
    /// What a member must satisfy by itself between any two events.
    case memberState = "member state"
    /// A member can always be opened again, unless its disk was damaged.
    case recovery = "recovery"
    /// Log positions respect real time, and replaying the log gives every reply that was given.
    case certificate = "certificate"
    /// The clients' history could have come from a single register a key.
    case linearizability = "linearizability"
    /// All members belong to one cluster, none says anything of consensus before it does, and none listens to a member whose
    /// directory has forgotten something.
    case identity
    /// Once the faults have stopped, a healthy quorum answers and agrees within a bound.
    case liveness = "liveness"
}
