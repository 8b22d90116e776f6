// Whose state takes the place of another's. A leader sends its state to three kinds of peers: to one whose log ends
// before the leader's begins, to one that cannot read its own state, and to one whose state differs from the
// majority's.
//
// - One that differs gets the state of a leader that is known to have the majority's.
// - The others get the state of a leader, unless the digests are in dispute: what they have may be right, and the
//   leader's wrong.
// - Without a quorum nothing is committed any more. A peer that the log cannot serve, and that a quorum needs, gets the
//   state of the leader in any case. Others that are silent, or acknowledge nothing, count for eight election timeouts
//   as if they held entries; those that the log cannot serve either do not, unless they are being sent a checkpoint.
//
// The same rules hold for a transfer that is under way: it pauses while it might not begin. Of several that a quorum
// needs, the first goes on. A peer that waits is not forgotten. An empty entry makes all members report their states
// once more, where those that are heard can decide.

extension Raft {
    /// Has a checkpoint sent to a peer that asks for one. The log goes on being replicated to it.
    mutating func handleCheckpointRequest(
        _ request: CheckpointRequest,
        from peer: MemberID,
        _ effects: inout Effects
    ) {
        guard let slot = leadership?.slot(of: peer), leadership?.peers[slot].mode != .refused else { return }
        // What a peer has applied is committed, and in the log of every later leader.
        guard request.index > 0, request.index <= log.lastIndex else {
            effects.append(.report(.malformedMessage(from: peer)))
            return
        }
        guard leadership?.peers[slot].isOutdated(request) == false else { return }
        switch request.reason {
        case .diverged:
            leadership?.peers[slot].knowsThatItDiffers(at: request.index, now)
            leadership?.digests.forget(peer)
        case .unreadable:
            // What it has applied is right: its reports count.
            leadership?.peers[slot].cannotRead(at: request.index)
        }
        // A new leader may not know yet that all of that is committed, nor that its own state is that of the majority.
        // The peer asks again.
        guard !isDiverged, request.index <= commitIndex else { return }
        guard mayReplace(slot) else { return compareAgain(&effects) }
        guard leadership?.peers[slot].takesRequest(at: now, every: options.minElectionTimeout) == true else { return }
        effects.append(.sendSnapshot(to: peer, atLeast: request.index))
    }

    /// Whether this member leads, and its own state is known to be that of the majority.
    package var isConfirmed: Bool { leadership?.digests.isConfirmed(member, configuration) == true }

    /// Whether this member leads, and knows that the members differ, and nobody knows which of them are right.
    package var isInDispute: Bool { leadership?.digests.isInDispute(configuration) == true }

    /// Whether this leader's state may take the place of that of a peer, which a quorum can do without.
    private func mayReplace(_ slot: Int) -> Bool {
        leadership?.peers[slot].isDiverged == true ? isConfirmed : !isInDispute
    }

    /// Whether a peer whose log ends before this one begins gets a checkpoint. A leader that has none says so itself.
    func mayServe(behindTheLog slot: Int) -> Bool {
        isDiverged || mayReplace(slot) || isNeeded(slot, silence: comparisonInterval)
    }

    /// Whether the checkpoint that a peer is being sent may still take the place of its state. What was known of the
    /// states when the transfer began may not hold any more when all of it has arrived.
    package func mayOffer(to peer: MemberID) -> Bool {
        guard divergence?.cause != .diverged, let slot = leadership?.slot(of: peer) else { return false }
        if mayReplace(slot) { return true }
        // Two would wait for each other, if each counted the other one as served.
        return leadership?.peers[slot].mode == .snapshot
            && isNeeded(slot, silence: comparisonInterval, besideTransfersBelow: slot)
    }

    /// Whether a peer is heard, this leader's log begins after what it holds, and those that are heard are no quorum
    /// without it.
    func needsAnotherLeader(_ slot: Int) -> Bool {
        guard let peer = leadership?.peers[slot], log.term(at: peer.next - 1) == nil,
            now < peer.heardAt + options.minElectionTimeout
        else { return false }
        return isNeeded(slot, silence: options.minElectionTimeout)
    }

    /// Whether those that hold entries, or get them from this leader, are no quorum without this peer.
    ///
    /// - Parameter limit: of peers that are being sent a checkpoint, those with slots below it count.
    private func isNeeded(_ slot: Int, silence: TimeSpan, besideTransfersBelow limit: Int = .max) -> Bool {
        guard let leadership else { return false }
        let peer = leadership.peers[slot].member
        return configuration.result { voter in
            guard voter != peer else { return false }
            guard voter != member else { return true }
            guard let other = leadership.slot(of: voter) else { return false }
            let progress = leadership.peers[other]
            return isServed(progress, silence: silence) && (progress.mode != .snapshot || other < limit)
        } != .won
    }

    /// Whether a peer is heard, and takes entries or will once it has its checkpoint.
    ///
    /// - Parameter silence: how long it may be silent, as during a restart, and still count as heard.
    private func isServed(_ peer: Progress, silence: TimeSpan) -> Bool {
        guard now < peer.heardAt + silence else { return false }
        switch peer.mode {
        case .refused: return false
        case .snapshot: return !peer.hasFailedSnapshot
        case .probing, .streaming: break
        }
        // It may have no space for more of the log, or a disk that does not answer.
        guard now < peer.progressedAt + comparisonInterval else { return false }
        return log.term(at: peer.next - 1) != nil
    }

    /// How long a peer or a dispute waits before all members report once more, and how long a peer is silent before it
    /// does not count any more for whether another one is needed.
    private var comparisonInterval: TimeSpan { options.maxElectionTimeout * 8 }

    /// Members differ, and nobody knows which of them are right: a member that has not reported may decide, also where
    /// no peer waits. Or this peer has asked for a checkpoint and does not ask any more: it may have been rebuilt
    /// since.
    mutating func compareDoubtful(_ slot: Int, _ effects: inout Effects) {
        if let since = leadership?.waitsForDigestsSince, now < since + comparisonInterval { return }
        guard let peer = leadership?.peers[slot] else { return }
        if isInDispute || (isDoubtful(peer) && isCompared(peer)) { compareAgain(&effects) }
    }

    /// Whether a peer has asked for a checkpoint because its state differs, and does not ask any more. A request that
    /// was overtaken looks like that.
    private func isDoubtful(_ peer: Progress) -> Bool {
        peer.differedWhenItAsked.map { now >= $0 + comparisonInterval } ?? false
    }

    /// A peer waits, and what the members have reported does not say what to do: it asks for a checkpoint, and this
    /// leader's state is not known to be that of the majority; or it was told that its state differs, and does not know
    /// the digest that was compared; or members differ. An empty entry makes every member report its state once more:
    /// a while after the first such wait of this leadership, and then at once, but not sooner than as long after the
    /// one before.
    ///
    /// Where digests disagree, and all that can report have done so, more of them say nothing new. Where fewer than a
    /// majority of members can report, the peer waits for others. A member that has not reported at three comparisons
    /// does not count until it reports.
    mutating func compareAgain(_ effects: inout Effects) {
        guard let since = leadership?.waitsForDigestsSince else {
            leadership?.waitsForDigestsSince = now
            return
        }
        guard now >= since + comparisonInterval, mayPropose, canCompare,
            leadership?.digests.isExhausted(configuration, canReport) == false
        else { return }
        leadership?.waitsForDigestsSince = now
        leadership?.comparedIndex = log.lastIndex + 1
        for (slot, peer) in (leadership?.peers ?? []).enumerated() where isCompared(peer) {
            leadership?.peers[slot].comparisonBegins()
        }
        appendNoOp()
        replicateToAll(&effects)
        advanceCommit(&effects)
    }

    /// Whether a majority of members can report their states soon.
    private var canCompare: Bool { canReport(member) && configuration.result(canReport) == .won }

    /// Whether a member can report its state soon: it takes part in comparisons, and is not known to wait for a
    /// checkpoint.
    private func canReport(_ voter: MemberID) -> Bool {
        guard let leadership else { return false }
        guard voter != member else {
            // A leader that has not applied the entry of the last comparison reports nothing new at another.
            return !isDiverged && appliedIndex >= max(leadership.firstIndex, leadership.comparedIndex)
        }
        return leadership.peers.contains {
            $0.member == voter && ($0.isSound || isDoubtful($0)) && isCompared($0)
        }
    }

    /// Whether a peer takes part in comparisons: it is heard, holds what is committed, and has reported at one of the
    /// last three, or since.
    func isCompared(_ peer: Progress) -> Bool {
        peer.missedComparisons < 3 && peer.held >= commitIndex && now < peer.heardAt + options.minElectionTimeout
    }
}
