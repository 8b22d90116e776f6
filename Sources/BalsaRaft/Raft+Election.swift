/// A question to the other voters, tentative or real.
struct Campaign: Sendable {
    /// ``Role/preCandidate`` or ``Role/candidate``.
    let role: Role
    /// Its number, which answers repeat.
    let number: UInt64
    /// Who has answered, and what. At most one answer a member counts.
    private var answers: [(member: MemberID, isGranted: Bool)] = []

    init(role: Role, number: UInt64) {
        self.role = role
        self.number = number
    }

    mutating func record(_ isGranted: Bool, from member: MemberID) {
        if answer(of: member) == nil { answers.append((member, isGranted)) }
    }

    func answer(of member: MemberID) -> Bool? {
        answers.first { $0.member == member }?.isGranted
    }
}

extension Raft {
    /// Whether the member helps no candidate now. A leader never does: it is in touch with a quorum, or resigns.
    var isWithholding: Bool { leadership != nil || now < withholdsUntil }

    /// Draws a timeout, and waits that long from now.
    mutating func restartElectionTimer() {
        electionTimeout = jitter.between(options.minElectionTimeout, options.maxElectionTimeout)
        electionDeadline = now + electionTimeout
    }

    mutating func timerFired(_ effects: inout Effects) {
        guard halt == nil else { return }
        if let nextHeartbeat = leadership?.nextHeartbeat {
            if now >= nextHeartbeat { startRound(&effects) }
            endTransferIfOverdue(&effects)
        } else if now >= electionDeadline {
            restartElectionTimer()
            forgetLeader()
            if canCampaign, campaignsNow() { startPreVote(&effects) }
        }
    }

    /// The leader was not heard for an election timeout. A member that still took it for granted would refuse to help a
    /// peer that campaigns, and would name it to its callers. That is so also where the member itself cannot campaign.
    private mutating func forgetLeader() { leader = 0 }

    /// Whether the member could serve if it won. One whose disk does not answer, or whose state is being replaced,
    /// could not; it would only disturb.
    var canCampaign: Bool {
        configuration.contains(member) && installing == nil && !isPersistStalled && term < largestNumber
    }

    /// Whether a persist has been outstanding for a minimum timeout.
    var isPersistStalled: Bool {
        guard let oldest = persists.oldestIssue else { return false }
        return now >= oldest + options.minElectionTimeout
    }

    /// Asks the others whether they would vote for this member, before disturbing anybody (dissertation, 9.6).
    private mutating func startPreVote(_ effects: inout Effects) {
        lastCampaign += 1
        campaign = Campaign(role: .preCandidate, number: lastCampaign)
        askForVotes { .preVoteRequest($0) }
        record(true, from: member, &effects)
    }

    /// Asks for votes in a new term. The member's own vote counts only once it is durable, as everybody's does; the
    /// questions leave behind the same persist.
    ///
    /// - Parameter isTransfer: whether the leader of the term before has asked for it.
    mutating func startElection(isTransfer: Bool = false, _ effects: inout Effects) {
        guard term < largestNumber else { return }
        leader = 0
        lastCampaign += 1
        campaign = Campaign(role: .candidate, number: lastCampaign)
        setState(term: term + 1, vote: member)
        restartElectionTimer()
        askForVotes(flags: isTransfer ? VoteRequest.transferFlag : 0) { .voteRequest($0) }
        countOwnVote(&effects)
    }

    /// Counts the member's vote for itself, if it runs and the vote is durable.
    mutating func countOwnVote(_ effects: inout Effects) {
        guard campaign?.role == .candidate, !staged.isStateChanged, !persists.isStatePending else { return }
        record(true, from: member, &effects)
    }

    private mutating func askForVotes(flags: UInt8 = 0, _ question: (VoteRequest) -> Message.Body) {
        let request = VoteRequest(last: log.last, campaign: lastCampaign, flags: flags)
        for peer in configuration.members where peer != member { send(question(request), to: peer) }
    }

    /// Answers a tentative question: would the member vote for the candidate in the term after `term`?
    mutating func answerPreVote(_ request: VoteRequest, term candidateTerm: Term, from candidate: MemberID) {
        let isGranted = !isWithholding && candidateTerm >= term && request.last >= log.last
        send(.preVoteResponse(VoteResponse(isGranted: isGranted, campaign: request.campaign)), to: candidate)
    }

    /// Answers a question for a vote in the current term (Raft, sections 5.2 and 5.4.1). A vote is given once a term, to a
    /// candidate whose log is at least as up to date, and leaves when it is durable.
    mutating func answerVote(_ request: VoteRequest, from candidate: MemberID, _ effects: inout Effects) {
        // Once somebody leads the term, a vote in it can only be late.
        let isFree = (state.vote == 0 && leader == 0) || state.vote == candidate
        let isGranted = (!isWithholding || request.isTransfer) && isFree && request.last >= log.last
        if isGranted {
            campaign = nil
            if state.vote == 0 { setState(term: term, vote: candidate) }
            restartElectionTimer()
        }
        send(.voteResponse(VoteResponse(isGranted: isGranted, campaign: request.campaign)), to: candidate)
    }

    /// Counts an answer, if it is to the question that the member asks now.
    mutating func countVote(_ response: VoteResponse, from voter: MemberID, as role: Role, _ effects: inout Effects) {
        guard let campaign, campaign.role == role, campaign.number == response.campaign else { return }
        record(response.isGranted, from: voter, &effects)
    }

    private mutating func record(_ isGranted: Bool, from voter: MemberID, _ effects: inout Effects) {
        campaign?.record(isGranted, from: voter)
        guard let campaign else { return }
        switch (configuration.result { campaign.answer(of: $0) }, campaign.role) {
        case (.pending, _):
            break
        case (.lost, _):
            // The timer goes on; the next campaign begins when it ends.
            self.campaign = nil
        case (.won, .preCandidate):
            startElection(&effects)
        case (.won, _):
            becomeLeader(&effects)
        }
    }

    /// Takes office, and begins the term with an empty entry: until an entry of its own term is committed, a leader does not
    /// know what is (Raft, section 5.4.2 and 8).
    private mutating func becomeLeader(_ effects: inout Effects) {
        precondition(leadership == nil && state.vote == member, "a leader has voted for itself")
        campaign = nil
        leader = member
        let peers = configuration.members.filter { $0 != member }.map {
            Progress(member: $0, next: log.lastIndex + 1, heardAt: now, options: options)
        }
        leadership = Leadership(peers: peers, firstIndex: log.lastIndex + 1, nextHeartbeat: now)
        appendNoOp()
        replicateToAll(&effects)
        startRound(&effects)
        advanceCommit(&effects)
        reportOwnDigests(&effects)
        handOverIfDiverged(&effects)
    }

    /// Puts an empty entry into the log. Every member records the digest of its state there.
    mutating func appendNoOp() {
        precondition(staged.entries == nil, "a step puts entries into the log once")
        let first = log.lastIndex + 1
        log.append(.noOp(term: term))
        staged.entries = EntryRange(first: first, last: log.last)
        staged.source = .noOp
    }

    /// Follows in `newTerm`, which may be the present one. The vote of the present term is kept: a member that gave up a
    /// campaign has still voted for itself.
    mutating func becomeFollower(term newTerm: Term, _ effects: inout Effects) {
        if leadership != nil { resign(&effects) }
        campaign = nil
        if newTerm > term {
            leader = 0
            setState(term: newTerm, vote: 0)
        }
    }

    /// Gives up office: whoever waits for a read is told, so that nobody waits for a leader that is none.
    mutating func resign(_ effects: inout Effects) {
        guard let reads = leadership?.reads.takeAll() else { return }
        let transfer = leadership?.transfer
        leadership = nil
        leader = 0
        restartElectionTimer()
        if let transfer { finish(transfer, &effects) }
        for read in reads { refuse(read, &effects) }
    }

    /// Ends a leadership that lost its quorum or whose disk does not answer.
    ///
    /// It is looked at before every input, so that a process that was paused does nothing as a leader when it goes on.
    mutating func resignIfOverdue(_ effects: inout Effects) {
        guard let peers = leadership?.peers, now >= overdueAt(peers) else { return }
        effects.append(.report(isPersistStalled ? .persistStalled : .quorumLost))
        resign(&effects)
    }

    /// The moment at which the leadership ends unless somebody answers: a minimum timeout after the newest moment at which
    /// a quorum was heard, or after the oldest persist under way was asked for.
    ///
    /// Whoever heard the leader withholds its vote for that long from a *later* moment. Without this end, a leader that
    /// can speak and not hear would keep its followers from ever electing another.
    func overdueAt(_ peers: [Progress]) -> Instant {
        let disk = persists.oldestIssue.map { $0 + options.minElectionTimeout } ?? .never
        guard !options.plantedBugs.contains(.leadsWithoutQuorum) else { return disk }
        // Not of the whole core, which the closure would copy in every step.
        let own = member
        let heard = configuration.reached { voter in
            guard voter != own else { return .max }
            return peers.firstIndex { $0.member == voter }.map { peers[$0].heardAt.nanoseconds } ?? 0
        }
        return min(disk, Instant(nanoseconds: heard) + options.minElectionTimeout)
    }
}
