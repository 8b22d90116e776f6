extension Raft {
    /// Notes that `sender` leads the current term. Returns false where that cannot be.
    mutating func follow(_ sender: MemberID, _ effects: inout Effects) -> Bool {
        guard leadership == nil, leader == 0 || leader == sender else {
            effects.append(.report(.secondLeader(sender, term: term)))
            return false
        }
        campaign = nil
        let isNew = leader == 0
        leader = sender
        // Before any answer: a leader that finds that its log begins too late sends its state at once to a member that
        // it takes for sound.
        if isNew { requestCheckpoint(from: sender, isFirst: true) }
        withholdsUntil = now + options.minElectionTimeout
        electionDeadline = now + electionTimeout
        return true
    }

    /// Takes entries from the leader (Raft, section 5.3).
    mutating func handleAppend(
        _ append: Append,
        entries: [EntryMetadata],
        from leader: MemberID,
        _ effects: inout Effects
    ) {
        // While a checkpoint replaces the log, there is no log to compare with. The leader will ask again.
        guard installing == nil else { return }
        // What is committed here is the same in every leader's log, also where this log does not hold it any more. Only
        // what comes after it may differ.
        guard agreesWithCommitted(append.previous, &effects) else { return }
        if append.previous.index > commitIndex, !log.contains(append.previous) {
            reject(append, from: leader)
            return
        }
        let lastBefore = log.lastIndex
        guard appendNew(append, entries, &effects) else { return }
        verifiedIndex = max(verifiedIndex, append.lastIndex)
        advanceCommit(to: min(append.commit, append.lastIndex))
        let isBroken = options.plantedBugs.contains(.acknowledgesBeyondSent)
        acknowledge(
            through: isBroken ? max(lastBefore, append.lastIndex) : append.lastIndex,
            to: leader,
            about: append
        )
    }

    /// Appends those entries that the log does not hold, cutting it off first where it holds others. Returns false where
    /// that would contradict what is committed.
    private mutating func appendNew(_ append: Append, _ entries: [EntryMetadata], _ effects: inout Effects) -> Bool {
        guard let range = append.entries else { return true }
        var first = range.first
        if options.plantedBugs.contains(.truncatesWithoutConflict) {
            if first > commitIndex, first <= log.lastIndex { cut(after: first - 1) }
        }
        // An append that is old, repeated or overtaken overlaps the log. The log is cut off only at an entry that really
        // differs: behind one that agrees may lie entries that were acknowledged since.
        for entry in entries {
            guard first <= log.lastIndex else { break }
            if let term = log.term(at: first), term != entry.term {
                guard agreesWithCommitted(LogPosition(term: entry.term, index: first), &effects) else { return false }
                cut(after: first - 1)
                break
            }
            first += 1
        }
        guard first <= range.last.index else { return true }
        for entry in entries[Int(first - range.first)...] { log.append(entry) }
        staged.entries = EntryRange(first: first, last: range.last)
        staged.source = .message
        return true
    }

    /// Whether an entry that a leader names may be in the same log as what is committed here. A leader that names
    /// another one for an index that is committed here has lost data, or this member has: the member stops.
    private mutating func agreesWithCommitted(_ position: LogPosition, _ effects: inout Effects) -> Bool {
        guard position.index <= commitIndex, let term = log.term(at: position.index), term != position.term else {
            return true
        }
        effects.append(.report(.committedEntryContradicted(position.index)))
        halt = .failed
        return false
    }

    private mutating func cut(after index: LogIndex) {
        verifiedIndex = min(verifiedIndex, index)
        log.truncate(after: index)
        persists.truncated(after: index)
        staged.truncation = index
    }

    /// Tells the leader where the logs may agree: the last position here at or before the one asked for whose term is not
    /// above its term. The leader looks from there in the same way, so that a conflict is found in as many questions as
    /// the logs have differing terms, not entries.
    private mutating func reject(_ append: Append, from leader: MemberID) {
        let hint = log.lastPosition(at: append.previous.index, termAtMost: append.previous.term)
        answer(.rejected(previous: append.previous.index, hint: hint), to: leader, about: append)
    }

    /// Tells the leader that the logs agree through `index`, which is never more than its append covered: what this log
    /// holds behind it may be of another leader. It leaves when the log is durable that far.
    private mutating func acknowledge(through index: LogIndex, to leader: MemberID, about append: Append? = nil) {
        if staged.isEmpty, durableIndex >= index {
            answer(.accepted(through: index), to: leader, about: append)
        } else {
            sendWhenDurable(.appendResponse(response(.accepted(through: index), about: append)), to: leader)
        }
    }

    /// Answers an append, or says the same of its own accord.
    mutating func answer(_ answer: AppendAnswer, to leader: MemberID, about append: Append? = nil) {
        send(.appendResponse(response(answer, about: append)), to: leader)
    }

    /// The answer, with what the leader wants to know of this member in every answer.
    private func response(_ answer: AppendAnswer, about append: Append?) -> AppendResponse {
        var response = AppendResponse(answer)
        response.round = append?.round ?? 0
        response.sentAt = append?.sentAt ?? .zero
        response.syncTime = persists.syncTime
        // That of a state that is to be replaced decides nothing.
        response.digest = divergence?.cause == .diverged ? nil : digests.newest
        response.receivedIndex = receivedIndex
        return response
    }

    /// A heartbeat says how much is committed, and nothing about the entries that the leader has there. What no append
    /// of this term has compared may be another leader's: the log may have been set back since it was acknowledged.
    mutating func handleHeartbeat(_ heartbeat: Heartbeat, from leader: MemberID) {
        if installing == nil {
            advanceCommit(to: min(heartbeat.commit, verifiedIndex))
            if heartbeat.commit > max(commitIndex, verifiedIndex) { askForComparison(by: leader) }
        }
        let response = HeartbeatResponse(round: heartbeat.round, sentAt: heartbeat.sentAt)
        send(.heartbeatResponse(response), to: leader)
        requestCheckpoint(from: leader)
    }

    /// Tells the leader what is committed here, which is less than it takes for granted: it sends an append, by which
    /// the logs are compared. Without this a member that was started again would wait for the next proposal.
    private mutating func askForComparison(by leader: MemberID) {
        answer(.accepted(through: min(commitIndex, durableIndex)), to: leader)
    }

    /// A checkpoint is there, whole.
    mutating func handleSnapshot(_ offer: SnapshotOffer, from leader: MemberID, _ effects: inout Effects) {
        guard installing == nil else { return }
        // A checkpoint must not be in place before the term of its entries is: it is offered again.
        guard !staged.isStateChanged, !persists.isStatePending else { return }
        guard agreesWithCommitted(offer.position, &effects) else { return }
        guard wants(checkpoint: offer.position) else {
            // An older one than what is here, sent twice or overtaken. What is committed here it can only repeat.
            acknowledge(through: offer.position.index, to: leader)
            return
        }
        installing = offer.position
        effects.append(.installSnapshot(offer.position))
    }

    /// Notes that a leader knows this to be committed.
    private mutating func advanceCommit(to index: LogIndex) {
        commitIndex = max(commitIndex, index)
    }
}

extension Raft {
    /// The leader has found something wrong with this member, which checks what it can before it believes it.
    mutating func handleNotice(_ notice: LeaderNotice, from leader: MemberID, _ effects: inout Effects) {
        switch notice {
        case .acknowledgedEntriesLost(let position):
            // While a checkpoint replaces the log, there is no log to compare with.
            guard installing == nil else { return }
            let isCommitted = position.index <= commitIndex
            if let term = log.term(at: position.index) {
                // It may hold the position again: its directory was put back, or the notice is an old one.
                guard term != position.term else { return }
                effects.append(
                    .report(
                        isCommitted
                            ? .committedEntryContradicted(position.index)
                            : .acknowledgedEntriesLost(by: member, through: position)
                    )
                )
            } else {
                // The log begins after it: a checkpoint contains it.
                guard !isCommitted else { return }
                effects.append(.report(.acknowledgedEntriesLost(by: member, through: position)))
            }
            halt = .failed
        case .diverged(let majority):
            hearMajority(majority, &effects)
        case .agreed(let digest):
            hearAgreement(digest, &effects)
        }
    }
}
