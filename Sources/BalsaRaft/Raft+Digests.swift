// Live digests. Every member records the digest of its state at fixed indexes and reports the newest with its answers
// to appends. The leader compares. A digest that the majority does not have is found once a majority of witnesses has
// reported the same index: within two such intervals where enough members are up. The member that it belongs to goes on
// voting and acknowledging, since its log is as good as any. It applies nothing more and answers no reads, and asks for
// a checkpoint, which takes the place of its state.

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
            compare(digest, of: member, received: receivedIndex, &effects)
        } else if leader != 0 {
            // Without being asked: nothing else may be sent for a while. What is committed agrees with every leader's
            // log.
            answer(.accepted(through: min(commitIndex, durableIndex)), to: leader)
        }
    }

    /// A leader begins with what it knows of itself.
    mutating func reportOwnDigests(_ effects: inout Effects) {
        guard divergence?.cause != .diverged else { return }
        for digest in digests.all { compare(digest, of: member, received: receivedIndex, &effects) }
    }

    /// Takes note of a digest, and finds the members that have another one than the majority.
    ///
    /// - Parameter received: the index of the checkpoint that the reporter has its state from; 0 where it is a witness.
    mutating func compare(
        _ digest: StateDigest,
        of reporter: MemberID,
        received: LogIndex,
        _ effects: inout Effects
    ) {
        guard let slot = leadership?.digests.note(digest, of: reporter, received: received, configuration) else {
            return
        }
        confirmReceived(slot, &effects)
        reportDisputes(through: slot, &effects)
        guard let table = leadership?.digests, let majority = table[slot].majority(of: configuration) else { return }
        let expected = StateDigest(index: table[slot].index, value: majority)
        for report in table[slot].reports {
            let differs = report.value != majority
            if differs, !options.plantedBugs.contains(.countsReceivedStates),
                !table.isOutvoted(report, by: majority, in: slot, configuration)
            {
                continue
            }
            if report.member == member {
                if differs { diverge(own: report.value, from: expected, &effects) }
            } else if let peer = leadership?.slot(of: report.member) {
                guard leadership?.peers[peer].noteDigest(report.value, expected) == true else { continue }
                effects.append(.report(.stateDiverged(report.member, own: report.value, majority: expected)))
                tellDiverged(peer)
            }
        }
    }

    /// Tells the members whose states were received, and turn out to be those of the others, that they are witnesses
    /// from now on.
    private mutating func confirmReceived(_ slot: Int, _ effects: inout Effects) {
        guard let agreed = leadership?.digests.noteAgreement(slot, configuration), let row = leadership?.digests[slot]
        else { return }
        let digest = StateDigest(index: row.index, value: agreed)
        for report in row.reports where report.received > 0 && report.value == agreed {
            if report.member == member {
                hearAgreement(digest, &effects)
            } else {
                send(.notice(.agreed(digest)), to: report.member)
            }
        }
    }

    /// The members have this digest.
    mutating func hearAgreement(_ agreed: StateDigest, _ effects: inout Effects) {
        guard receivedIndex > 0, receivedIndex <= agreed.index, divergence?.cause != .diverged,
            digests.value(at: agreed.index) == agreed.value
        else { return }
        receivedIndex = 0
        effects.append(.stateConfirmed)
    }

    /// Reports the rows in which members differ and no majority of witnesses is known: where all have reported, or
    /// where those that have are an interval further. A member that is silent may yet decide.
    private mutating func reportDisputes(through slot: Int, _ effects: inout Effects) {
        guard let digests = leadership?.digests else { return }
        for earlier in max(slot, 1) - 1...slot where digests[earlier].isDisputed && !digests[earlier].isUndecided {
            let isOutlived = earlier + 1 < digests.count && digests[earlier].isOutlived(by: digests[earlier + 1])
            guard isOutlived || digests[earlier].isComplete(configuration),
                digests.isUndecided(earlier, configuration)
            else { continue }
            leadership?.digests[earlier].isUndecided = true
            effects.append(.report(.digestsDisagree(at: digests[earlier].index)))
        }
    }

    /// Tells a peer that its state differs. Repeated at most once a heartbeat interval, when the peer answers, until it
    /// asks for a checkpoint.
    private mutating func tellDiverged(_ slot: Int) {
        guard let peer = leadership?.peers[slot], let majority = peer.untoldDigest,
            leadership?.peers[slot].isTold(at: now, every: options.heartbeatInterval) == true
        else { return }
        send(.notice(.diverged(majority)), to: peer.member)
    }

    /// Tells a peer once more that its state differs. One that was started again since may not know the digest of that
    /// index, and has to report another one.
    mutating func tellAgain(_ slot: Int, _ effects: inout Effects) {
        guard let peer = leadership?.peers[slot], peer.untoldDigest != nil else { return }
        tellDiverged(slot)
        if isCompared(peer) { compareAgain(&effects) }
    }

    /// The leader says that a majority has this digest.
    mutating func hearMajority(_ majority: StateDigest, _ effects: inout Effects) {
        // A digest that is not known here is too old, or was that of a state that a checkpoint has replaced since.
        guard let own = digests.value(at: majority.index), own != majority.value else { return }
        diverge(own: own, from: majority, &effects)
    }

    private mutating func diverge(own: UInt64, from majority: StateDigest, _ effects: inout Effects) {
        guard divergence?.cause != .diverged, !options.plantedBugs.contains(.ignoresDivergence) else { return }
        effects.append(.report(.stateDiverged(member, own: own, majority: majority)))
        stopApplying(.diverged, &effects)
        countRebuilds(&effects)
    }

    /// A state that differs right after a rebuild will most likely differ after the next one: the machine or the
    /// release computes another state. The checkpoints come less and less often then, and not for ever.
    private mutating func countRebuilds(_ effects: inout Effects) {
        guard isRebuilt, digests.count <= Raft.mostDigestsAfterRebuild else {
            vainRebuilds = 0
            return
        }
        vainRebuilds += 1
        guard vainRebuilds <= Raft.mostVainRebuilds else {
            effects.append(.report(.rebuiltInVain(times: vainRebuilds, pause: nil)))
            stop(.failed, &effects)
            return
        }
        let pause = Raft.firstRebuildPause * (1 << (vainRebuilds - 1))
        divergence?.nextRequest = now + pause
        // It is this leader that has said so.
        noteAsked()
        effects.append(.report(.rebuiltInVain(times: vainRebuilds, pause: pause)))
    }

    /// Within how many digests after a rebuild another divergence counts as the same.
    private static let mostDigestsAfterRebuild = 8

    /// How many rebuilds in a row may be in vain. After the next one that is, the member stops.
    static let mostVainRebuilds: UInt64 = 6

    /// How long the member waits before it asks for a checkpoint after one was in vain. It doubles each time.
    static let firstRebuildPause = TimeSpan.seconds(2)

    /// Applies nothing more until a checkpoint is installed, and hands over where it leads. That the state differs
    /// counts more than that it cannot be read: what was served of it may be wrong.
    mutating func stopApplying(_ cause: CheckpointRequest.Reason, _ effects: inout Effects) {
        guard halt == nil, divergence == nil || (cause == .diverged && isUnreadable) else { return }
        let leadsUntil = cause == .unreadable ? now + options.maxElectionTimeout * 4 : .never
        divergence = Divergence(cause: cause, leadsUntil: leadsUntil, nextRequest: now)
        campaign = nil
        for read in leadership?.reads.takeAll() ?? [] { refuse(read, &effects) }
        handOverIfDiverged(&effects)
    }

    /// Asks the leader for a checkpoint, now and then.
    ///
    /// - Parameter isFirst: whether the leader was not known before, so that it may take the member's state for sound.
    ///   It is asked at once, unless it is only heard again.
    mutating func requestCheckpoint(from leader: MemberID, isFirst: Bool = false) {
        guard let divergence, installing == nil else { return }
        guard now >= divergence.nextRequest || (isFirst && divergence.askedTerm != term) else { return }
        noteAsked()
        self.divergence?.nextRequest = max(divergence.nextRequest, now + options.maxElectionTimeout)
        // A member that was started again may have nothing of its state: index 0 is no entry.
        send(.checkpointRequest(CheckpointRequest(divergence.cause, atLeast: max(applyIndex, 1))), to: leader)
    }

    /// Notes that the leader of this term knows that the member waits.
    private mutating func noteAsked() {
        let known = term
        divergence?.askedTerm = known
    }

    /// Whether the member campaigns at the end of this election timeout. One whose state differs lets the others go
    /// first, but not for ever: its log may be the only one that can win.
    mutating func campaignsNow() -> Bool {
        guard isDiverged else { return true }
        divergence?.timeouts += 1
        return divergence.map { $0.timeouts % 4 == 0 } ?? true
    }
}
