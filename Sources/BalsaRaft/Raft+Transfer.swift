// Leadership that is handed over (Ongaro's dissertation, 3.10). The leader takes no proposals, so that a peer can hold
// its whole log; then it tells that peer to campaign at once. Voters help such a candidate although they have just
// heard the leader, which asked for it. The leader goes on replicating, counting and confirming reads until a message
// of the next term ends its term; where none comes within a maximum election timeout, it takes proposals again.

/// A leader's attempt to hand over.
struct LeadershipTransfer: Sendable {
    /// The member that is to lead; nil for any.
    let target: MemberID?
    /// The request of which it is the answer; nil where the core began it.
    let request: UInt64?
    /// When the attempt ends.
    let deadline: Instant
    /// What was committed when it began.
    let commitIndex: LogIndex
    /// The member that was told to campaign; 0 for none so far.
    var told: MemberID = 0
}

extension Raft {
    /// Whether this member leads and is handing over: it takes no proposals.
    public var isTransferring: Bool { leadership?.transfer != nil }

    /// An operator, or the shell, wants another leader.
    mutating func transferLeadership(to target: MemberID?, request: UInt64, _ effects: inout Effects) {
        if let refusal = transferRefusal(target) {
            effects.append(.respond(.refused(request: request, refusal)))
        } else {
            startTransfer(to: target, request: request, &effects)
        }
    }

    private func transferRefusal(_ target: MemberID?) -> Refusal? {
        if let halt { return halt }
        guard let leadership else { return .notLeader(leader: leader) }
        guard leadership.transfer == nil else { return .overloaded }
        // There is nobody to hand over to.
        guard let target else { return leadership.peers.isEmpty ? .notSupported : nil }
        return leadership.slot(of: target) == nil ? .notSupported : nil
    }

    private mutating func startTransfer(to target: MemberID?, request: UInt64?, _ effects: inout Effects) {
        leadership?.transfer = LeadershipTransfer(
            target: target,
            request: request,
            deadline: now + options.maxElectionTimeout,
            commitIndex: commitIndex
        )
        tellSuccessor()
    }

    /// The shell would rather have another member lead.
    mutating func giveWay(_ effects: inout Effects) {
        guard let leadership, leadership.transfer == nil, !leadership.peers.isEmpty else { return }
        startTransfer(to: nil, request: nil, &effects)
    }

    /// A leader whose state differs or cannot be read leads only until another member does, and tries until then.
    mutating func handOverIfDiverged(_ effects: inout Effects) {
        guard isDiverged, let leadership, leadership.transfer == nil, !leadership.peers.isEmpty else { return }
        startTransfer(to: nil, request: nil, &effects)
    }

    /// Tells the member that is to lead to campaign, once it holds all of the log.
    mutating func tellSuccessor() {
        // Looked at with each answer of a peer: there is rarely a transfer, and all of the leadership is much to copy.
        guard let transfer = leadership?.transfer, transfer.told == 0, let leadership,
            let peer = successor(for: transfer, leadership)
        else { return }
        self.leadership?.transfer?.told = peer
        self.leadership?.lastTold = peer
        send(.timeoutNow(log.last), to: peer)
    }

    /// The member that can lead now: it holds all of the log and was heard within a minimum timeout. Of several, one
    /// whose state is not known to differ, and the next after the one that was told last, which may be unable to win.
    private func successor(for transfer: LeadershipTransfer, _ leadership: Leadership) -> MemberID? {
        let heard = leadership.peers.filter {
            now < $0.heardAt + options.minElectionTimeout && $0.member == transfer.target ?? $0.member
        }
        let sound = heard.filter(\.isSound)
        let ready = (sound.isEmpty ? heard : sound).filter { $0.held == log.lastIndex }.map(\.member)
        return ready.first { $0 > leadership.lastTold } ?? ready.first
    }

    /// Ends an attempt in which nobody has taken over.
    mutating func endTransferIfOverdue(_ effects: inout Effects) {
        guard let transfer = leadership?.transfer, now >= transfer.deadline, let leadership else { return }
        self.leadership?.transfer = nil
        if let request = transfer.request { effects.append(.respond(.refused(request: request, .timedOut))) }
        // It has no checkpoint for a member that needs one. Another leader may have.
        if let divergence, now >= divergence.leadsUntil, !leadership.peers.isEmpty { return resign(&effects) }
        if holdsUpTheGroup(transfer, leadership) {
            resign(&effects)
            // Another member has to have time to be elected, which need not hear this one.
            electionDeadline = electionDeadline + options.maxElectionTimeout * 4
            return
        }
        handOverIfDiverged(&effects)
    }

    /// Whether a leader that gives way, and has found nobody to take over, holds up the group: nothing was committed
    /// meanwhile, and a quorum needs a peer that gets neither entries nor a checkpoint. A member that does not hear
    /// this one may be able to lead both.
    private func holdsUpTheGroup(_ transfer: LeadershipTransfer, _ leadership: Leadership) -> Bool {
        guard transfer.request == nil, divergence == nil, transfer.told == 0, commitIndex == transfer.commitIndex,
            commitIndex < log.lastIndex
        else { return false }
        // A checkpoint that is on its way would be lost.
        guard !leadership.peers.contains(where: { $0.mode == .snapshot }) else { return false }
        return leadership.peers.indices.contains { needsAnotherLeader($0) }
    }

    /// The leadership has ended, with the attempt to hand it over.
    mutating func finish(_ transfer: LeadershipTransfer, _ effects: inout Effects) {
        guard let request = transfer.request else { return }
        effects.append(
            .respond(transfer.told == 0 ? .refused(request: request, .notLeader(leader: 0)) : .handedOver(request))
        )
    }

    /// The leader has stopped proposing and wants this member to lead. It campaigns without asking first, unless the
    /// leader has gone on since, or another member does better.
    mutating func campaignAtOnce(_ last: LogPosition, _ effects: inout Effects) {
        guard last == log.last, canCampaign, !isDiverged else { return }
        startElection(isTransfer: true, &effects)
    }
}
