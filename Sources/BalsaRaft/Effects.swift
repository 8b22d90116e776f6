/// What a member must never forget: the term it is in and whom it voted for in it.
public struct HardState: Hashable, Sendable {
    /// The current term.
    public var term: Term
    /// Whom the member voted for in that term; 0 for nobody.
    public var vote: MemberID

    /// The state of a member that was never in any term.
    public static let initial = HardState(term: 0, vote: 0)

    /// A term and a vote.
    public init(term: Term, vote: MemberID) {
        self.term = term
        self.vote = vote
    }
}

/// What the core wants done. The shell carries out effects in their order.
public enum Effect: Equatable, Sendable {
    /// Send this now. For an append the shell attaches the entries, and drops the message if its log does not hold them
    /// any more.
    case send(Message)

    /// Make this durable, then release what waits for it.
    case persist(Persist)

    /// Apply the entries through this position, which is committed and durable here.
    case apply(through: LogPosition)

    /// Tell a caller.
    case respond(Response)

    /// Send the newest checkpoint to this peer. Report with ``Input/snapshotSent(to:position:succeeded:)``.
    ///
    /// `atLeast` is 0 for a peer that is too far behind for the log; any checkpoint serves. A peer that asked for one
    /// needs one that contains everything through `atLeast`.
    case sendSnapshot(to: MemberID, atLeast: LogIndex)

    /// Put the checkpoint that arrived in the place of the state, and let the log begin behind it. Report with
    /// ``Input/snapshotInstalled(_:)`` or ``Input/snapshotFailed(_:)``.
    case installSnapshot(LogPosition)

    /// Give ``Input/timer`` at this moment. It replaces the moment asked for before.
    case wake(at: Instant)

    /// The role, the term or the known leader changed.
    case standing(Standing)

    /// The state, which a checkpoint brought, was found to be that of the other members. Note it with the state.
    case stateConfirmed

    /// Something happened that no correct member does, or that an operator should hear of.
    case report(Anomaly)
}

/// One thing to make durable. They are numbered, and complete in the order of their numbers.
public struct Persist: Equatable, Sendable {
    /// Its number.
    public var id: PersistID
    /// The new term and vote, if they changed. They become durable before anything else of this persist does, so that no
    /// entry of a term is ever durable while the term itself is not.
    public var hardState: HardState?
    /// The index behind which the log is cut off first, if it is.
    public var truncation: LogIndex?
    /// The entries to append then, if there are any.
    public var entries: EntryRange?
    /// Where the entries come from.
    public var source: EntrySource
    /// What may be sent only when all of the above, and every persist before, is durable.
    public var then: [Message]
}

/// Where the bytes of entries to persist are.
public enum EntrySource: Equatable, Sendable {
    /// There are no entries.
    case none
    /// They came with the message that is being handled.
    case message
    /// They are the commands of this proposal.
    case proposal(UInt64)
    /// It is one empty entry: with it a leader begins its term, or has the members' states compared once more.
    case noOp
}

/// What a caller is told.
public enum Response: Equatable, Sendable {
    /// The commands of the proposal are in the leader's log from `first` on. They count only once they are applied; if the
    /// entry at such an index is applied with another term, the command was not and will never be.
    case proposed(UInt64, first: LogIndex, term: Term)
    /// None of the commands is in any log.
    case proposalRefused(UInt64, Refusal)
    /// A state that has applied `index` holds every write that was acknowledged before the read was asked for.
    case readReady(ReadID, index: LogIndex)
    /// No index was given. A later attempt needs another name.
    case readRefused(ReadID, Refusal)
    /// The leadership that was to be handed over has ended, after another member was told to campaign.
    case handedOver(UInt64)
    /// The request of an operator was refused.
    case refused(request: UInt64, Refusal)
}

/// Why a request was not taken. In every case it had no effect.
public enum Refusal: Equatable, Sendable {
    /// Another member leads, or nobody that this member knows of.
    case notLeader(leader: MemberID)
    /// Too much is on its way already.
    case overloaded
    /// The member was closed.
    case closed
    /// The member cannot persist and serves no more until it is opened anew.
    case failed
    /// The member's state differs from that of the majority, and is being replaced by a checkpoint.
    case diverged
    /// A part of the member's state cannot be read, and the next entry needs it.
    case unreadable
    /// Nobody has taken over the leadership in time. This member leads on.
    case timedOut
    /// This release cannot do that, or there is no such member to hand over to.
    case notSupported
}

/// A member's place in its group, as it knows it.
public struct Standing: Equatable, Sendable {
    /// What the member does.
    public var role: Role
    /// The term it is in.
    public var term: Term
    /// The leader of that term; 0 where none is known.
    public var leader: MemberID

    /// A place in a group.
    public init(role: Role, term: Term, leader: MemberID) {
        self.role = role
        self.term = term
        self.leader = leader
    }
}

/// What a member does in its group.
public enum Role: String, Equatable, Sendable {
    /// It follows a leader, or waits for one.
    case follower
    /// It asks whether an election would succeed.
    case preCandidate = "pre-candidate"
    /// It asks for votes.
    case candidate
    /// It leads.
    case leader
}

/// What should not happen, in a form that an operator can act on.
public enum Anomaly: Equatable, Sendable {
    /// Somebody who is not a member of the group speaks to it.
    case unknownPeer(MemberID)
    /// A message whose parts contradict each other.
    case malformedMessage(from: MemberID)
    /// Two members claim to lead the same term.
    case secondLeader(MemberID, term: Term)
    /// A member does not hold the entries any more that it acknowledged in this term, through this position: its log
    /// was set back. The leader sends it no entries until it holds them again, and the member stops. Both report it.
    case acknowledgedEntriesLost(by: MemberID, through: LogPosition)
    /// The state of a member differs from that of the majority: at the index of `majority` its digest is `own`. The
    /// member applies nothing more until a checkpoint has replaced its state. The leader and the member report it.
    case stateDiverged(MemberID, own: UInt64, majority: StateDigest)
    /// A checkpoint through this index has replaced the state of this member, which differed or could not be read.
    case stateRebuilt(through: LogIndex)
    /// The state of this member differs again right after checkpoints have replaced it, that often in a row. After the
    /// pause it asks for another one; without a pause it stops: this machine or release computes another state.
    case rebuiltInVain(times: UInt64, pause: TimeSpan?)
    /// The members' states differ at this index, and nobody knows which of them are right: no majority has the same, or
    /// one of a majority is no witness, because it has its state from another member, or a member that could decide has
    /// not been heard.
    case digestsDisagree(at: LogIndex)
    /// A leader sent another entry for an index that is committed here. The member stops: one of the two has lost data.
    case committedEntryContradicted(LogIndex)
    /// A persist failed. The member serves no more.
    case persistFailed
    /// Leadership ended because a persist was outstanding for a minimum election timeout.
    case persistStalled
    /// Leadership ended because no quorum answered for a minimum election timeout.
    case quorumLost
}

/// The effects of a step, in order. The caller owns the list and empties it, so that its memory is used again.
public struct Effects: Sendable {
    /// The effects.
    public private(set) var list: [Effect] = []

    /// No effects.
    public init() {}

    /// Adds an effect.
    mutating func append(_ effect: Effect) { list.append(effect) }

    /// Empties the list and keeps its memory.
    public mutating func removeAll() { list.removeAll(keepingCapacity: true) }
}
