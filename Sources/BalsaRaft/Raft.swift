/// One member's part in the consensus of a group: elections, replication, commit, reads and snapshots.
///
/// A value without I/O, clock, randomness, thread or lock. It takes one ``Input`` at a time and the present moment, and
/// appends what is to be done to a list of ``Effect``s. It never sees a payload, only terms, indexes and sizes.
///
/// The algorithm is Raft (Ongaro and Ousterhout 2014; Ongaro's dissertation of the same year), with PreVote (dissertation,
/// 9.6), CheckQuorum and vote withholding (6.2, 4.2.3), ReadIndex (6.4), and pipelined replication (10.2.1). Where the
/// core goes beyond the paper, or decides something that it leaves open, the code says so at that place.
///
/// The parts, in the order in which a reader wants them:
///
/// - this file: the state, and how a step begins and ends;
/// - `Raft+Messages`: which messages are heard, and what their terms do;
/// - `Raft+Election`: timeouts, tentative votes, votes, taking and giving up office;
/// - `Raft+Following`: appends, heartbeats and checkpoints from a leader;
/// - `Raft+Leading`: proposals, replication, commit;
/// - `Raft+Transfer`: leadership that is handed over;
/// - `Raft+Reads`: rounds of confirmation, for reads and for the leader itself;
/// - `Raft+Digests`: whether the members' states are equal;
/// - `Raft+Durability`: what the shell reports of disk and checkpoints;
/// - `Raft+Invariants`: what must hold between any two steps.
///
/// A *snapshot*, as the literature and the messages have it, is the same as a *checkpoint*.
public struct Raft: Sendable {
    /// This member.
    public let member: MemberID
    /// The times and limits.
    public let options: RaftOptions
    /// Who the members are.
    public internal(set) var configuration: Configuration

    // What must survive a crash. The shell keeps it durable; `persists` knows how far it is.
    var state: HardState
    /// The log, without payloads.
    public internal(set) var log: LogOutline
    var persists: PersistQueue

    // What every member knows.
    /// The highest index known to be committed.
    public internal(set) var commitIndex: LogIndex
    /// The highest index that the shell was asked to apply.
    var applyIndex: LogIndex
    /// The highest index that the shell has reported as applied.
    public internal(set) var appliedIndex: LogIndex
    /// The leader of the term; 0 where none is known.
    var leader: MemberID = 0
    /// The highest index through which an append of this term has shown that the log is the leader's, since the member
    /// was started. A heartbeat commits nothing after it. Invariant: `verifiedIndex <= log.lastIndex`.
    var verifiedIndex: LogIndex = 0
    /// The checkpoint that the shell is putting in place, if it is.
    var installing: LogPosition?
    /// Why the member takes no more part, if it does not.
    var halt: Refusal?
    /// The digests of the member's state.
    var digests = DigestHistory()
    /// That the member's state differs from that of the majority, if it does.
    var divergence: Divergence?
    /// The index of the checkpoint that the state was received with, until it is found to be that of the others at or
    /// above that index; 0 where it is, and where it was never received.
    package internal(set) var receivedIndex: LogIndex
    /// Whether a checkpoint has replaced a state that differed, and how many did so in vain, one right after the other.
    var isRebuilt = false
    var vainRebuilds: UInt64 = 0

    // The office that the member holds or runs for; at most one of the two.
    var leadership: Leadership?
    var campaign: Campaign?
    var lastCampaign: UInt64

    // Time.
    var now = Instant.zero
    /// Until when a voter helps no candidate: it heard a leader, or was started, less than a minimum timeout ago.
    var withholdsUntil = Instant.never
    /// When a member that hears nothing campaigns.
    var electionDeadline = Instant.never
    /// The timeout that was drawn last.
    var electionTimeout = TimeSpan.zero
    var jitter: Jitter
    /// The moment for which the shell was last asked to wake the core.
    var armed = Instant.never

    // What a step collects until it ends.
    var staged = StagedPersist()
    var outbox: [Message] = []
    var standing: Standing

    /// A member as it comes back from its disk. Call ``start(at:into:)`` before anything else.
    ///
    /// - Parameters:
    ///   - member: this member.
    ///   - configuration: who the members are.
    ///   - recovered: what the disk holds.
    ///   - options: the times and limits.
    ///   - seed: decides the election timeouts; different for each member and each start.
    /// - Throws: ``ConfigurationError`` where the options cannot work or what was recovered contradicts itself.
    public init(
        member: MemberID,
        configuration: Configuration,
        recovered: RecoveredState = RecoveredState(),
        options: RaftOptions = RaftOptions(),
        seed: UInt64
    ) throws(ConfigurationError) {
        try options.validate()
        try recovered.validate()
        guard member != 0 else { throw ConfigurationError("0 is not a member id") }
        self.member = member
        self.options = options
        self.configuration = configuration
        state = recovered.hardState
        log = recovered.log
        persists = PersistQueue(durableState: recovered.hardState, durableIndex: recovered.log.lastIndex)
        commitIndex = max(recovered.commitIndex, recovered.appliedIndex)
        applyIndex = recovered.appliedIndex
        appliedIndex = recovered.appliedIndex
        if recovered.isDiverged, !options.plantedBugs.contains(.ignoresDivergence) {
            divergence = Divergence(cause: .diverged, leadsUntil: .never, nextRequest: .zero)
        }
        receivedIndex = recovered.receivedIndex
        jitter = Jitter(seed: seed)
        // Begins anywhere, so that answers to campaigns of an earlier life are recognised as that.
        lastCampaign = jitter.next() >> 16
        standing = Standing(role: .follower, term: recovered.hardState.term, leader: 0)
    }

    /// The current term.
    public var term: Term { state.term }

    /// Whom the member voted for in the current term; 0 for nobody.
    public var vote: MemberID { state.vote }

    /// What the member does.
    public var role: Role {
        if leadership != nil { return .leader }
        return campaign?.role ?? .follower
    }

    /// The member's place in the group.
    public var currentStanding: Standing { Standing(role: role, term: term, leader: leader) }

    /// The index through which this member's own log is durable.
    public var durableIndex: LogIndex { persists.durableIndex }

    /// The term and vote that are durable.
    public var durableState: HardState { persists.durableState }

    /// Begins: a voter that was just started helps no candidate for one minimum timeout, since before its start it may
    /// have told a leader that it follows. A sole voter has nobody to ask and campaigns at once.
    public mutating func start(at now: Instant, into effects: inout Effects) {
        self.now = now
        withholdsUntil = now + options.minElectionTimeout
        restartElectionTimer()
        if configuration.isSoleVoter(member) { startElection(&effects) }
        finishStep(&effects)
    }

    /// Takes one input and appends what follows from it to `effects`.
    ///
    /// - Parameters:
    ///   - input: what happened.
    ///   - moment: when; a moment before that of the last step counts as that one.
    ///   - effects: the list to append to.
    public mutating func step(_ input: Input, at moment: Instant, into effects: inout Effects) {
        now = max(now, moment)
        resignIfOverdue(&effects)
        switch input {
        case .message(let message, let entries):
            receive(message, entries: entries, &effects)
        case .propose(let proposal):
            propose(proposal, &effects)
        case .read(let id):
            read(id, &effects)
        case .transferLeadership(let target, let request):
            transferLeadership(to: target, request: request, &effects)
        case .changeMembership(_, let request), .setPriority(_, let request):
            effects.append(.respond(.refused(request: request, halt ?? .notSupported)))
        case .close:
            stop(.closed, &effects)
        case .persisted(let id):
            persisted(through: id, &effects)
        case .persistFailed:
            effects.append(.report(.persistFailed))
            stop(.failed, &effects)
        case .applied(let index):
            precondition(index <= applyIndex, "the shell applies only what it was asked to")
            appliedIndex = max(appliedIndex, index)
        case .compacted(let position):
            precondition(position.index <= appliedIndex, "only what is applied is dropped from the log")
            // A checkpoint that was installed meanwhile may cover more.
            if position.index > log.base.index { log.compact(through: position) }
        case .snapshotSent(let peer, let position, let succeeded):
            snapshotSent(to: peer, position, succeeded: succeeded, &effects)
        case .snapshotInstalled(let position):
            snapshotInstalled(position, &effects)
        case .digest(let digest):
            recorded(digest, &effects)
        case .stateUnreadable:
            stopApplying(.unreadable, &effects)
        case .giveWay:
            giveWay(&effects)
        case .snapshotFailed(let position):
            if installing == position { installing = nil }
        case .peerUnreachable(let peer):
            if let slot = leadership?.slot(of: peer) { leadership?.peers[slot].lost() }
        case .timer:
            armed = .never
            timerFired(&effects)
        }
        finishStep(&effects)
    }

    /// Takes no more part: gives up office, keeps silent, refuses every request.
    mutating func stop(_ reason: Refusal, _ effects: inout Effects) {
        if leadership != nil { resign(&effects) }
        campaign = nil
        if halt == nil || reason == .failed { halt = reason }
    }

    /// Turns what the step has collected into effects: first what is to be persisted, because the bytes of entries must be
    /// in the shell's hands before messages name them; then what may be sent beside it; then what may be applied.
    private mutating func finishStep(_ effects: inout Effects) {
        if isPersistStalled, staged.holdsOnlyMessages {
            // They would pile up behind a disk that does not answer. Whoever waits for them asks again.
            staged.then.removeAll()
        }
        if !staged.isEmpty {
            let id = persists.issue(
                hardState: staged.isStateChanged ? state : nil,
                lastIndex: log.lastIndex,
                isWrite: !staged.holdsOnlyMessages,
                at: now
            )
            effects.append(.persist(staged.take(id: id, state: state)))
        }
        for message in outbox { effects.append(.send(message)) }
        outbox.removeAll(keepingCapacity: true)
        applyCommitted(&effects)
        if currentStanding != standing {
            standing = currentStanding
            effects.append(.standing(standing))
        }
        let deadline = nextDeadline
        if deadline < armed {
            armed = deadline
            effects.append(.wake(at: deadline))
        }
    }

    /// Asks for what is committed and durable here to be applied. Applying more than is durable would let a crash take back
    /// what readers have seen of this member.
    private mutating func applyCommitted(_ effects: inout Effects) {
        guard installing == nil, divergence == nil, halt != .failed else { return }
        let isBroken = options.plantedBugs.contains(.appliesBeyondDurable)
        let index = isBroken ? commitIndex : min(commitIndex, ownDurableIndex)
        guard index > applyIndex, let term = log.term(at: index) else { return }
        applyIndex = index
        effects.append(.apply(through: LogPosition(term: term, index: index)))
    }

    /// When something is to be done that no other input will cause.
    private var nextDeadline: Instant {
        guard halt == nil else { return .never }
        // Looked at in every step: a copy of all of the leadership would cost more than the rest of this.
        guard let peers = leadership?.peers, let heartbeat = leadership?.nextHeartbeat else { return electionDeadline }
        let transferEnd = leadership?.transfer?.deadline ?? .never
        return min(heartbeat, overdueAt(peers), transferEnd)
    }
}

extension Raft {
    /// Sends a message once the term that it carries is durable: now, or behind the persist that makes it so.
    ///
    /// A member that spoke in a term and forgot the term in a crash could speak in it again, differently. No message is
    /// exempt, so that nobody has to think about which of them may be.
    mutating func send(_ body: Message.Body, to peer: MemberID) {
        let message = Message(from: member, to: peer, term: term, body: body)
        if staged.isStateChanged || persists.isStatePending {
            staged.then.append(message)
        } else {
            outbox.append(message)
        }
    }

    /// Sends a message once everything that was asked to be persisted so far is durable.
    mutating func sendWhenDurable(_ body: Message.Body, to peer: MemberID) {
        staged.then.append(Message(from: member, to: peer, term: term, body: body))
    }

    /// Changes term and vote, and has them persisted.
    mutating func setState(term: Term, vote: MemberID) {
        precondition(
            term > state.term || (term == state.term && (state.vote == 0 || state.vote == vote)),
            "terms only grow, and a vote is given once a term"
        )
        if term > state.term { verifiedIndex = 0 }
        state = HardState(term: term, vote: vote)
        if !options.plantedBugs.contains(.votesNotPersisted) { staged.isStateChanged = true }
    }

    /// The index through which this member counts its own log as durable.
    var ownDurableIndex: LogIndex {
        options.plantedBugs.contains(.leaderCountsItselfEarly) && leadership != nil ? log.lastIndex : durableIndex
    }
}

/// What a member finds on its disk when it starts.
public struct RecoveredState: Sendable {
    /// The term and vote.
    public var hardState: HardState
    /// The log, all of it durable.
    public var log: LogOutline
    /// The commit index, as far as the disk knows it.
    public var commitIndex: LogIndex
    /// The index through which the state machine's durable state contains everything.
    public var appliedIndex: LogIndex
    /// Whether that state was found to differ from that of the majority before the member was started.
    public var isDiverged: Bool
    /// The index of the checkpoint that the state was received with; 0 where it was not, or was found to be that of the
    /// others since.
    public var receivedIndex: LogIndex

    /// What a disk holds; without arguments, what an empty one does.
    public init(
        hardState: HardState = .initial,
        log: LogOutline = LogOutline(),
        commitIndex: LogIndex = 0,
        appliedIndex: LogIndex = 0,
        isDiverged: Bool = false,
        receivedIndex: LogIndex = 0
    ) {
        self.hardState = hardState
        self.log = log
        self.commitIndex = commitIndex
        self.appliedIndex = appliedIndex
        self.isDiverged = isDiverged
        self.receivedIndex = receivedIndex
    }

    func validate() throws(ConfigurationError) {
        guard log.last.term <= hardState.term else {
            throw ConfigurationError(
                "the log has an entry of term \(log.last.term), the vote is of term \(hardState.term)"
            )
        }
        guard hardState.term <= largestNumber, log.lastIndex <= largestNumber else {
            throw ConfigurationError("a term or an index is out of bounds")
        }
        guard appliedIndex >= log.base.index, appliedIndex <= log.lastIndex, commitIndex <= log.lastIndex else {
            throw ConfigurationError(
                "applied \(appliedIndex) and committed \(commitIndex) must lie within the log, "
                    + "\(log.base.index) to \(log.lastIndex)"
            )
        }
    }
}

/// What one step wants persisted.
struct StagedPersist: Sendable {
    var isStateChanged = false
    var truncation: LogIndex?
    var entries: EntryRange?
    var source = EntrySource.none
    var then: [Message] = []

    var isEmpty: Bool { holdsOnlyMessages && then.isEmpty }

    /// Whether nothing is to be written, whatever waits for what was written before.
    var holdsOnlyMessages: Bool { !isStateChanged && truncation == nil && entries == nil }

    /// The persist, leaving nothing staged.
    mutating func take(id: PersistID, state: HardState) -> Persist {
        let persist = Persist(
            id: id,
            hardState: isStateChanged ? state : nil,
            truncation: truncation,
            entries: entries,
            source: source,
            then: then
        )
        self = StagedPersist()
        return persist
    }
}

/// The member's own source of chance: SplitMix64, seeded once.
struct Jitter: Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// A length of time, at least `low` and below `high`.
    mutating func between(_ low: TimeSpan, _ high: TimeSpan) -> TimeSpan {
        let width = high.nanoseconds - low.nanoseconds
        return TimeSpan(nanoseconds: low.nanoseconds + next().multipliedFullWidth(by: width).high)
    }

    /// 64 random bits.
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }
}
