/// What members of a group say to each other.
///
/// Every message carries the sender's current term, which is durable on the sender when the message leaves it.
public struct Message: Equatable, Sendable {
    /// Who says it.
    public var from: MemberID
    /// To whom.
    public var to: MemberID
    /// The term that the sender is in.
    public var term: Term
    /// What is said.
    public var body: Body

    /// A message.
    public init(from: MemberID, to: MemberID, term: Term, body: Body) {
        self.from = from
        self.to = to
        self.term = term
        self.body = body
    }

    /// The kinds of message.
    public enum Body: Equatable, Sendable {
        /// Would you vote for me, if I asked in the term after the one that I am in?
        case preVoteRequest(VoteRequest)
        /// The answer to ``preVoteRequest(_:)``. It promises nothing.
        case preVoteResponse(VoteResponse)
        /// Vote for me in this term.
        case voteRequest(VoteRequest)
        /// The answer to ``voteRequest(_:)``. A vote that is granted is durable.
        case voteResponse(VoteResponse)
        /// Entries to append, or none to test whether the logs agree.
        case append(Append)
        /// The answer to ``append(_:)``.
        case appendResponse(AppendResponse)
        /// I am the leader; do you still follow me?
        case heartbeat(Heartbeat)
        /// I followed you, in this term, when that heartbeat arrived.
        case heartbeatResponse(HeartbeatResponse)
        /// At which index may I read?
        case readRequest(ReadID)
        /// The answer to ``readRequest(_:)``.
        case readResponse(ReadID, ReadAnswer)
        /// A checkpoint has arrived whole and waits to be installed. The shell carries its contents.
        case snapshot(SnapshotOffer)
        /// I hand over to you, who hold my whole log, which ends at this position: campaign at once.
        case timeoutNow(LogPosition)
        /// A follower asks its leader for a checkpoint.
        case checkpointRequest(CheckpointRequest)
        /// A leader tells a follower what is wrong with it.
        case notice(LeaderNotice)
    }
}

/// A question for a vote, real or tentative.
public struct VoteRequest: Equatable, Sendable {
    /// The last position of the candidate's log.
    public var last: LogPosition
    /// Which of the sender's campaigns asks. Answers to others are not counted.
    public var campaign: UInt64
    /// What is special about the campaign: ``transferFlag`` or 0.
    public var flags: UInt8

    /// The leader of the term before has asked the candidate to campaign: voters do not withhold their votes. Only in
    /// ``Message/Body/voteRequest(_:)``.
    public static let transferFlag: UInt8 = 1

    /// Whether the leader of the term before has asked for the campaign.
    public var isTransfer: Bool { flags & VoteRequest.transferFlag != 0 }

    /// A question for a vote.
    public init(last: LogPosition, campaign: UInt64, flags: UInt8 = 0) {
        self.last = last
        self.campaign = campaign
        self.flags = flags
    }
}

/// An answer to a question for a vote.
public struct VoteResponse: Equatable, Sendable {
    /// Whether the answer is yes.
    public var isGranted: Bool
    /// The campaign that asked.
    public var campaign: UInt64

    /// An answer to a question for a vote.
    public init(isGranted: Bool, campaign: UInt64) {
        self.isGranted = isGranted
        self.campaign = campaign
    }
}

/// Entries for a follower (AppendEntries, Raft section 5.3).
public struct Append: Equatable, Sendable {
    /// The position right before the entries. The follower takes them only if its log holds it.
    public var previous: LogPosition
    /// The entries; nil where the message only asks whether the logs agree, or only tells the commit index.
    public var entries: EntryRange?
    /// The leader's commit index.
    public var commit: LogIndex
    /// Counts the appends that this leader sends this follower in this term, from 1; the answer repeats it. 0 for none.
    public var round: UInt64
    /// When the leader sent it, on the leader's own clock; the answer repeats it.
    public var sentAt: Instant

    /// Entries for a follower.
    public init(
        previous: LogPosition,
        entries: EntryRange?,
        commit: LogIndex,
        round: UInt64 = 0,
        sentAt: Instant = .zero
    ) {
        self.previous = previous
        self.entries = entries
        self.commit = commit
        self.round = round
        self.sentAt = sentAt
    }

    /// The index of the last entry that the message is about: all that an acceptance may cover.
    public var lastIndex: LogIndex { entries?.last.index ?? previous.index }
}

/// The answer to an append.
public struct AppendResponse: Equatable, Sendable {
    /// What became of the entries.
    public var answer: AppendAnswer
    /// The round of the append that is answered; 0 where no append is.
    public var round: UInt64 = 0
    /// When the leader sent that append, on the leader's own clock.
    public var sentAt = Instant.zero
    /// How long the follower's disk took for the newest write that was durable when the answer was made; zero for none.
    public var syncTime = TimeSpan.zero
    /// The newest digest that the follower has recorded of its state; nil before it has any.
    public var digest: StateDigest?
    /// The index of the checkpoint that the follower's state was received with; 0 where it was not, or was found to be
    /// that of the others since. Until then the digest is the sender's as much as the follower's.
    public var receivedIndex: LogIndex = 0

    /// An answer to no append in particular.
    public init(_ answer: AppendAnswer) { self.answer = answer }

    /// The logs agree through this index.
    public static func accepted(through index: LogIndex) -> AppendResponse {
        AppendResponse(.accepted(through: index))
    }

    /// The follower does not hold the position that came before the entries.
    public static func rejected(previous: LogIndex, hint: LogPosition) -> AppendResponse {
        AppendResponse(.rejected(previous: previous, hint: hint))
    }

    /// The append came from a leader of the past.
    public static let stale = AppendResponse(.stale)
}

/// A digest of a member's state, as of an entry.
public struct StateDigest: Hashable, Sendable {
    /// The last entry that the state contains.
    public var index: LogIndex
    /// The digest: equal on two members whose states are.
    public var value: UInt64

    /// Every how many entries a member records the digest of its state, at multiples of it; and at each empty entry,
    /// with which a term begins or its leader has the states compared once more. It is part of the protocol: only
    /// digests of the same index can be compared.
    public static let interval: LogIndex = 4_096

    /// A digest.
    public init(index: LogIndex, value: UInt64) {
        self.index = index
        self.value = value
    }
}

/// What became of entries.
public enum AppendAnswer: Equatable, Sendable {
    /// The logs agree through this index, and the follower's copy is durable that far.
    case accepted(through: LogIndex)
    /// The follower does not hold the position that came before the entries. Nothing at or before `previous` whose term is
    /// above that of `hint` can agree, and nothing behind `hint`.
    case rejected(previous: LogIndex, hint: LogPosition)
    /// The append came from a leader of the past. The term of the message says which term it is now.
    case stale
}

/// A leader's sign of life.
public struct Heartbeat: Equatable, Sendable {
    /// The number of the round: counted by this leader in this term.
    public var round: UInt64
    /// When the leader sent it, on the leader's own clock; comes back in the answer.
    public var sentAt: Instant
    /// The commit index as far as this follower is known to hold the entries.
    public var commit: LogIndex

    /// A leader's sign of life.
    public init(round: UInt64, sentAt: Instant, commit: LogIndex) {
        self.round = round
        self.sentAt = sentAt
        self.commit = commit
    }
}

/// The answer to a heartbeat.
public struct HeartbeatResponse: Equatable, Sendable {
    /// The round that it answers.
    public var round: UInt64
    /// When the leader had sent the heartbeat.
    public var sentAt: Instant

    /// The answer to a heartbeat.
    public init(round: UInt64, sentAt: Instant) {
        self.round = round
        self.sentAt = sentAt
    }
}

/// The name of a read: who asks, in which life, and a number that is never used again, not even for a retry.
///
/// An answer can thus never be taken for that of an earlier attempt, which a leader deposed since may have given.
public struct ReadID: Hashable, Comparable, Sendable {
    /// The member that asks.
    public var member: MemberID
    /// A random number of this life of the member.
    public var nonce: UInt64
    /// Counted by the member.
    public var number: UInt64

    /// The name of a read.
    public init(member: MemberID, nonce: UInt64, number: UInt64) {
        self.member = member
        self.nonce = nonce
        self.number = number
    }

    /// An arbitrary total order.
    public static func < (left: ReadID, right: ReadID) -> Bool {
        (left.member, left.nonce, left.number) < (right.member, right.nonce, right.number)
    }
}

/// The answer to a read request.
public enum ReadAnswer: Equatable, Sendable {
    /// A state that has applied this index may be read.
    case index(LogIndex)
    /// The member asked does not lead any more. Ask again, under another name.
    case refused
}

/// The announcement of a checkpoint.
public struct SnapshotOffer: Equatable, Sendable {
    /// The position that the checkpoint contains everything through.
    public var position: LogPosition

    /// The announcement of a checkpoint.
    public init(position: LogPosition) {
        self.position = position
    }
}

/// A follower asks for a checkpoint, although its log may hold all that it needs.
public struct CheckpointRequest: Equatable, Sendable {
    /// Why. The numbers are those of the encoding; 0 is none of them.
    public enum Reason: UInt8, Equatable, Sendable {
        /// The follower's state differs from that of the majority.
        case diverged = 1
        /// A part of the follower's state cannot be read, and an entry needs it.
        case unreadable = 2
    }

    /// Why.
    public var reason: Reason
    /// The lowest index that the checkpoint has to contain everything through.
    public var index: LogIndex

    /// A request for a checkpoint.
    public init(_ reason: Reason, atLeast index: LogIndex) {
        self.reason = reason
        self.index = index
    }
}

/// What a leader has found out about a follower.
public enum LeaderNotice: Equatable, Sendable {
    /// The follower acknowledged the entry of this position in this term, and has since rejected an append after it. It
    /// must stop unless it holds the entry again.
    case acknowledgedEntriesLost(through: LogPosition)
    /// A majority has this digest, and the follower another one of the same index. It must be rebuilt.
    case diverged(StateDigest)
    /// The members have this digest. A follower that has it as well, of a state that it received below that index,
    /// counts as a witness of its own from now on.
    case agreed(StateDigest)
}
