// Live digests. Every member records the digest of its state at fixed indexes and reports the newest with its answers
// to appends. The leader compares; a digest that the majority does not have is found within two such intervals. The
// member that it belongs to goes on voting and acknowledging, since its log is as good as any. It applies nothing more
// and answers no reads, and asks for a checkpoint, which takes the place of its state.

extension Raft {
    /// Whether the member applies nothing more until a checkpoint is installed: its state was found to differ from that
    /// of the majority, or cannot be read where the next entry needs it.
    public var isDiverged: Bool { divergence != nil }

    /// Whether that is because a part of the state cannot be read. What can be read is right.
    public var isUnreadable: Bool { divergence?.cause == .unreadable }

    /// Why the member takes no commands and answers no reads that need the newest state; nil if it does.
    var stateRefusal: Refusal? { divergence.map { $0.cause == .unreadable ? .unreadable : .diverged } }

    /// Whether a checkpoint of this position would be installed: one that is ahead of what is committed here, or, in
    /// the place of a state that differs, one that takes back nothing of what was applied.
    public func wants(checkpoint position: LogPosition) -> Bool {
        position.index > commitIndex || (isDiverged && position.index >= applyIndex)
    }

    /// The shell has recorded the digest of its state.
    mutating func recorded(_ digest: StateDigest, _ effects: inout Effects) {
        guard halt == nil, divergence == nil, installing == nil else { return }
        digests.add(digest)
        if leadership != nil {
            compare(digest, of: member, &effects)
        } else if leader != 0 {
            // Without being asked: nothing else may be sent for a while. What is committed agrees with every leader's
            // log.
            answer(.accepted(through: min(commitIndex, durableIndex)), to: leader)
        }
    }

    /// A leader begins with what it knows of itself.
    mutating func reportOwnDigests(_ effects: inout Effects) {
        guard divergence == nil else { return }
        for digest in digests.all { compare(digest, of: member, &effects) }
    }

    /// Takes note of a digest, and finds the members that have another one than the majority.
    mutating func compare(_ digest: StateDigest, of reporter: MemberID, _ effects: inout Effects) {
        guard let slot = leadership?.digests.note(digest, of: reporter), let row = leadership?.digests[slot] else {
            return
        }
        reportDisputes(through: slot, &effects)
        guard let majority = row.majority(of: configuration) else { return }
        let expected = StateDigest(index: row.index, value: majority)
        for (other, value) in row.values {
            if other == member {
                if value != majority { diverge(own: value, from: expected, &effects) }
            } else if let peer = leadership?.slot(of: other) {
                guard leadership?.peers[peer].noteDigest(value, expected) == true else { continue }
                effects.append(.report(.stateDiverged(other, own: value, majority: expected)))
                tellDiverged(peer)
            }
        }
    }

    /// Reports the rows in which members differ and no majority is known: where all have reported, or where those that
    /// have are an interval further. A member that is silent may yet decide.
    private mutating func reportDisputes(through slot: Int, _ effects: inout Effects) {
        guard let digests = leadership?.digests else { return }
        for earlier in max(slot, 1) - 1...slot where digests[earlier].isDisputed && !digests[earlier].isUndecided {
            let isOutlived = earlier + 1 < digests.count && digests[earlier].isOutlived(by: digests[earlier + 1])
            guard isOutlived || digests[earlier].isComplete(configuration),
                digests[earlier].majority(of: configuration) == nil
            else { continue }
            leadership?.digests[earlier].isUndecided = true
            effects.append(.report(.digestsDisagree(at: digests[earlier].index)))
        }
    }

    /// Tells a peer that its state differs. Repeated at most once a heartbeat interval, when the peer answers, until it
    /// asks for a checkpoint.
    mutating func tellDiverged(_ slot: Int) {
        guard let peer = leadership?.peers[slot], let majority = peer.untoldDigest,
            leadership?.peers[slot].isTold(at: now, every: options.heartbeatInterval) == true
        else { return }
        send(.notice(.diverged(majority)), to: peer.member)
    }

    /// The leader says that a majority has this digest.
    mutating func hearMajority(_ majority: StateDigest, _ effects: inout Effects) {
        // A digest that is not known here is too old, or was that of a state that a checkpoint has replaced since.
        guard let own = digests.value(at: majority.index), own != majority.value else { return }
        diverge(own: own, from: majority, &effects)
    }

    private mutating func diverge(own: UInt64, from majority: StateDigest, _ effects: inout Effects) {
        guard divergence == nil, !options.plantedBugs.contains(.ignoresDivergence) else { return }
        effects.append(.report(.stateDiverged(member, own: own, majority: majority)))
        stopApplying(.diverged, &effects)
    }

    /// Applies nothing more until a checkpoint is installed, and hands over where it leads.
    mutating func stopApplying(_ cause: CheckpointRequest.Reason, _ effects: inout Effects) {
        guard halt == nil, divergence == nil else { return }
        let leadsUntil = cause == .unreadable ? now + options.maxElectionTimeout * 4 : .never
        divergence = Divergence(cause: cause, leadsUntil: leadsUntil, nextRequest: now)
        campaign = nil
        for read in leadership?.reads.takeAll() ?? [] { refuse(read, &effects) }
        handOverIfDiverged(&effects)
    }

    /// Asks the leader for a checkpoint, now and then.
    mutating func requestCheckpoint(from leader: MemberID) {
        guard let divergence, installing == nil, now >= divergence.nextRequest else { return }
        self.divergence?.nextRequest = now + options.maxElectionTimeout
        // A member that was started again may have nothing of its state: index 0 is no entry.
        send(.checkpointRequest(CheckpointRequest(divergence.cause, atLeast: max(applyIndex, 1))), to: leader)
    }

    /// Whether the member campaigns at the end of this election timeout. One whose state differs lets the others go
    /// first, but not for ever: its log may be the only one that can win.
    mutating func campaignsNow() -> Bool {
        guard isDiverged else { return true }
        divergence?.timeouts += 1
        return divergence.map { $0.timeouts % 4 == 0 } ?? true
    }
}
