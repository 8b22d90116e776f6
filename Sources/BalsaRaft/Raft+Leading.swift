/// What a member knows only while it leads.
struct Leadership: Sendable {
    /// The other members, ascending.
    var peers: [Progress]
    /// The index of the empty entry with which the term began.
    let firstIndex: LogIndex
    /// The number of the last round of heartbeats.
    var round: UInt64 = 0
    /// When the next round begins at the latest.
    var nextHeartbeat: Instant
    /// The reads that wait.
    var reads = ReadQueue()
    /// What the members report of their states.
    var digests = DigestReports()
    /// The attempt to hand over that is under way.
    var transfer: LeadershipTransfer?
    /// Since when a peer, or a dispute, waits for what another comparison of the states may bring, or when that was
    /// last begun; nil where none has waited.
    var waitsForDigestsSince: Instant?
    /// The index of the empty entry at which the members were last compared once more; 0 before the first.
    var comparedIndex: LogIndex = 0
    /// The member that was told last to campaign; 0 for none.
    var lastTold: MemberID = 0

    init(peers: [Progress], firstIndex: LogIndex, nextHeartbeat: Instant) {
        self.peers = peers
        self.firstIndex = firstIndex
        self.nextHeartbeat = nextHeartbeat
    }

    func slot(of member: MemberID) -> Int? { peers.firstIndex { $0.member == member } }
}

extension Raft {
    /// Puts the commands of a proposal into the log, all of them or none.
    mutating func propose(_ proposal: Proposal, _ effects: inout Effects) {
        precondition(!proposal.byteCounts.isEmpty, "a proposal holds at least one command")
        if let refusal = proposalRefusal {
            effects.append(.respond(.proposalRefused(proposal.id, refusal)))
            return
        }
        let first = log.lastIndex + 1
        for byteCount in proposal.byteCounts {
            log.append(EntryMetadata(term: term, kind: EntryMetadata.commandKind, byteCount: byteCount))
        }
        effects.append(.respond(.proposed(proposal.id, first: first, term: term)))
        staged.entries = EntryRange(first: first, last: log.last)
        staged.source = .proposal(proposal.id)
        replicateToAll(&effects)
        advanceCommit(&effects)
    }

    /// Whether an entry of this leader's own could enter the log now.
    var mayPropose: Bool { proposalRefusal == nil }

    private var proposalRefusal: Refusal? {
        if let halt { return halt }
        guard leadership != nil else { return .notLeader(leader: leader) }
        guard !isTransferring || isUnreadable else { return .notLeader(leader: 0) }
        // It hands over, or will as soon as it can. Where nobody else can ever lead, that is no answer.
        if let stateRefusal {
            return isUnreadable && configuration.isSoleVoter(member) ? stateRefusal : .notLeader(leader: 0)
        }
        // Measured, not counted along, so that it can never drift from what the log holds.
        let uncommitted = log.byteCount(from: commitIndex + 1, through: log.lastIndex)
        guard uncommitted < options.maxUncommittedBytes, log.lastIndex < largestNumber else { return .overloaded }
        return nil
    }

    /// Sends every peer what it has not been sent.
    mutating func replicateToAll(evenIfEmpty: Bool = false, _ effects: inout Effects) {
        guard let count = leadership?.peers.count else { return }
        for slot in 0..<count { replicate(to: slot, evenIfEmpty: evenIfEmpty, &effects) }
    }

    /// Sends a peer what it has not been sent, as far as its window allows.
    ///
    /// - Parameter evenIfEmpty: whether to send an append without entries where there are none to send, or no room in the
    ///   window. It tells the peer the commit index; and where everything that was on its way is lost, it is what
    ///   provokes the rejection that says so.
    mutating func replicate(to slot: Int, evenIfEmpty: Bool, _ effects: inout Effects) {
        var mayBeEmpty = evenIfEmpty
        while let progress = leadership?.peers[slot] {
            let hasRoom = !progress.isPaused
            guard hasRoom || (mayBeEmpty && progress.mode == .streaming) else { return }
            guard let previousTerm = log.term(at: progress.next - 1) else {
                // The log begins after it.
                guard mayServe(behindTheLog: slot),
                    leadership?.peers[slot].awaitSnapshot(at: now, every: options.minElectionTimeout) == true
                else { return }
                effects.append(.sendSnapshot(to: progress.member, atLeast: 0))
                return
            }
            var entries: EntryRange?
            if hasRoom, progress.next <= log.lastIndex {
                let limit = min(options.maxAppendBytes, progress.window.room)
                let last = log.lastIndex(from: progress.next, within: limit)
                let position = LogPosition(term: log.term(at: last) ?? term, index: last)
                entries = EntryRange(first: progress.next, last: position)
            } else if !mayBeEmpty {
                return
            }
            let previous = LogPosition(term: previousTerm, index: progress.next - 1)
            var append = Append(previous: previous, entries: entries, commit: commitIndex)
            append.round = leadership?.peers[slot].nextRound() ?? 0
            append.sentAt = now
            send(.append(append), to: progress.member)
            let bytes = entries.map { log.byteCount(from: $0.first, through: $0.last.index) } ?? 0
            leadership?.peers[slot].sent(through: append.lastIndex, bytes: bytes, at: now)
            mayBeEmpty = false
            guard entries != nil else { return }
        }
    }

    mutating func handleAppendResponse(_ response: AppendResponse, from peer: MemberID, _ effects: inout Effects) {
        guard let slot = leadership?.slot(of: peer) else { return }
        // Both are of entries that are committed, and so in the log of every leader. A row of another index would push
        // out one that counts.
        guard response.receivedIndex <= log.lastIndex, response.digest?.index ?? 0 <= log.lastIndex else {
            effects.append(.report(.malformedMessage(from: peer)))
            return
        }
        leadership?.peers[slot].noteReceived(response.receivedIndex)
        if let digest = response.digest {
            leadership?.peers[slot].reports(at: digest.index)
            compare(digest, of: peer, received: response.receivedIndex, &effects)
        }
        switch response.answer {
        case .accepted(let index):
            guard index <= log.lastIndex else {
                effects.append(.report(.malformedMessage(from: peer)))
                return
            }
            let position = LogPosition(term: log.term(at: index) ?? 0, index: index)
            let isNews =
                leadership?.peers[slot].accepted(through: position, round: response.round, at: now) ?? false
            if index >= log.base.index { leadership?.peers[slot].leaveSnapshot() }
            if isNews { advanceCommit(&effects) }
            // An answer to no append that knows less than was acknowledged: the peer was started again, and commits
            // nothing before an append has compared the logs.
            let isAsked =
                response.round == 0 && index < leadership?.peers[slot].held ?? 0
                && asksAgain(slot)
            replicate(to: slot, evenIfEmpty: isAsked, &effects)
            tellSuccessor()
        case .rejected(let previous, _)
        where leadership?.peers[slot].showsLoss(previous, round: response.round) == true:
            refuse(slot, &effects)
        case .rejected(let previous, let hint):
            // Below the beginning of this log there is nothing to compare: the peer needs a checkpoint.
            let agreement =
                hint.index < log.base.index
                ? hint.index : log.lastPosition(at: hint.index, termAtMost: hint.term).index
            if leadership?.peers[slot].rejected(previous: previous, agreement: agreement) == true {
                replicate(to: slot, evenIfEmpty: true, &effects)
            }
        case .stale:
            // It did its work when its term was looked at.
            break
        }
    }

    /// Commits what a quorum holds durably, this member counting like the others (Raft, sections 5.3 and 5.4.2): an entry of
    /// an older term is never committed because a quorum holds it, only along with one of the current term.
    mutating func advanceCommit(_ effects: inout Effects) {
        guard let peers = leadership?.peers else { return }
        let (own, held) = (member, ownDurableIndex)
        let index = configuration.reached { voter in
            voter == own ? held : peers.firstIndex { $0.member == voter }.map { peers[$0].held } ?? 0
        }
        guard index > commitIndex, index <= log.lastIndex else { return }
        guard log.term(at: index) == term || options.plantedBugs.contains(.commitsOldTermsByCounting) else { return }
        commitIndex = index
        replicateToAll(evenIfEmpty: true, &effects)
        admitEarlyReads(&effects)
    }

    /// Whether a peer that can be reached, and owes an answer, is to be sent an append now.
    mutating func asksAgain(_ slot: Int) -> Bool {
        leadership?.peers[slot].asksAgain(
            at: now,
            after: options.heartbeatInterval,
            longest: options.maxElectionTimeout
        ) == true
    }

    mutating func snapshotSent(
        to peer: MemberID,
        _ position: LogPosition,
        succeeded: Bool,
        _ effects: inout Effects
    ) {
        guard let slot = leadership?.slot(of: peer) else { return }
        let wasWanted = mayOffer(to: peer)
        leadership?.peers[slot].snapshotSent(through: position.index, succeeded: succeeded, wasWanted: wasWanted, now)
        // The question whether it has arrived. The next one follows the answer to a heartbeat.
        replicate(to: slot, evenIfEmpty: true, &effects)
    }
}

extension Raft {
    /// Stops replicating to a peer that has lost what it acknowledged: what is committed may be among it, so that to
    /// send it again would hide that a quorum is smaller than it seems. A leader of a later term knows nothing of it.
    private mutating func refuse(_ slot: Int, _ effects: inout Effects) {
        guard let peer = leadership?.peers[slot] else { return }
        if peer.mode != .refused {
            leadership?.peers[slot].refuse()
            effects.append(.report(.acknowledgedEntriesLost(by: peer.member, through: peer.matched)))
        }
        tellRefused(slot)
    }

    /// Tells a refused peer why no entries come any more, and asks whether it holds again what it acknowledged: its
    /// directory may have been put back, or a checkpoint may have arrived. Repeated at most once a heartbeat interval,
    /// when it answers, since messages are lost.
    mutating func tellRefused(_ slot: Int) {
        guard let peer = leadership?.peers[slot], peer.mode == .refused,
            leadership?.peers[slot].isTold(at: now, every: options.heartbeatInterval) == true
        else { return }
        send(.notice(.acknowledgedEntriesLost(through: peer.matched)), to: peer.member)
        var append = Append(previous: peer.matched, entries: nil, commit: 0)
        append.round = leadership?.peers[slot].nextRound() ?? 0
        append.sentAt = now
        send(.append(append), to: peer.member)
        leadership?.peers[slot].sent(through: peer.match, bytes: 0, at: now)
    }
}
