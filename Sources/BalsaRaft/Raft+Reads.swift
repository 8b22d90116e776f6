extension Raft {
    /// Begins a round: every peer is asked whether it still follows. One round serves all reads that wait, and is a
    /// heartbeat like any other.
    mutating func startRound(_ effects: inout Effects) {
        guard var round = leadership?.round else { return }
        round += 1
        leadership?.round = round
        leadership?.nextHeartbeat = now + options.heartbeatInterval
        leadership?.reads.roundBegins(round)
        for peer in leadership?.peers ?? [] {
            // Never more than the peer is known to hold: behind that its log may be another's.
            let commit = min(peer.held, commitIndex)
            send(.heartbeat(Heartbeat(round: round, sentAt: now, commit: commit)), to: peer.member)
        }
        confirmReads(&effects)
    }

    mutating func handleHeartbeatResponse(
        _ response: HeartbeatResponse,
        from peer: MemberID,
        _ effects: inout Effects
    ) {
        guard let slot = leadership?.slot(of: peer), response.round <= leadership?.round ?? 0 else { return }
        leadership?.peers[slot].answered(round: response.round, sentAt: min(response.sentAt, now))
        tellRefused(slot)
        tellAgain(slot, &effects)
        compareDoubtful(slot, &effects)
        tellSuccessor()
        // The peer can be reached. What it has not acknowledged may be lost; an append, empty if need be, finds out.
        if let progress = leadership?.peers[slot], progress.match < log.lastIndex || progress.mode != .streaming {
            if asksAgain(slot) { replicate(to: slot, evenIfEmpty: true, &effects) }
        } else {
            leadership?.peers[slot].progresses(at: now)
        }
        confirmReads(&effects)
    }

    /// A caller on this member wants to read.
    mutating func read(_ id: ReadID, _ effects: inout Effects) {
        if let halt {
            effects.append(.respond(.readRefused(id, halt)))
        } else if let stateRefusal {
            effects.append(.respond(.readRefused(id, stateRefusal)))
        } else if leadership != nil {
            admit(id, from: member, &effects)
        } else if leader != 0 {
            send(.readRequest(id), to: leader)
        } else {
            effects.append(.respond(.readRefused(id, .notLeader(leader: 0))))
        }
    }

    mutating func handleReadRequest(_ id: ReadID, from peer: MemberID, _ effects: inout Effects) {
        if leadership != nil, !isDiverged, !isUntold(peer) {
            admit(id, from: peer, &effects)
        } else {
            send(.readResponse(id, .refused), to: peer)
        }
    }

    /// Whether the state of a peer was found to differ, and the peer does not know that yet: what it reads may be
    /// wrong.
    private func isUntold(_ peer: MemberID) -> Bool {
        leadership?.peers.contains { $0.member == peer && $0.untoldDigest != nil } == true
    }

    private mutating func admit(_ id: ReadID, from requester: MemberID, _ effects: inout Effects) {
        // No copy of the queue, which would make the next read copy all of it.
        guard let first = leadership?.firstIndex, let count = leadership?.reads.count else { return }
        guard count < options.maxPendingReads else {
            if requester == member {
                effects.append(.respond(.readRefused(id, .overloaded)))
            } else {
                send(.readResponse(id, .refused), to: requester)
            }
            return
        }
        let isKnown = commitIndex >= first || options.plantedBugs.contains(.readsBeforeFirstCommit)
        leadership?.reads.add(id, from: requester, index: isKnown ? commitIndex : nil)
        startRoundIfNeeded(&effects)
    }

    /// Once an entry of the term is committed, the commit index covers every write that was ever acknowledged.
    mutating func admitEarlyReads(_ effects: inout Effects) {
        guard let first = leadership?.firstIndex, commitIndex >= first else { return }
        leadership?.reads.admitEarly(index: commitIndex)
        startRoundIfNeeded(&effects)
    }

    private mutating func startRoundIfNeeded(_ effects: inout Effects) {
        if leadership?.reads.needsRound == true { startRound(&effects) }
    }

    /// Answers the reads whose round a quorum has answered.
    private mutating func confirmReads(_ effects: inout Effects) {
        guard let peers = leadership?.peers, let started = leadership?.round, leadership?.reads.count != 0 else {
            return
        }
        let own = member
        let round = configuration.reached { voter in
            voter == own ? started : peers.firstIndex { $0.member == voter }.map { peers[$0].confirmedRound } ?? 0
        }
        let confirmed = leadership?.reads.confirmed(through: round) ?? []
        for read in confirmed {
            if read.requester == member {
                effects.append(.respond(.readReady(read.id, index: read.index)))
            } else if isUntold(read.requester) {
                send(.readResponse(read.id, .refused), to: read.requester)
            } else {
                send(.readResponse(read.id, .index(read.index)), to: read.requester)
            }
        }
        startRoundIfNeeded(&effects)
    }

    /// Tells whoever waits for a read that it will not be answered here.
    mutating func refuse(_ read: ReadQueue.Read, _ effects: inout Effects) {
        if read.requester == member {
            effects.append(.respond(.readRefused(read.id, stateRefusal ?? .notLeader(leader: leader))))
        } else {
            send(.readResponse(read.id, .refused), to: read.requester)
        }
    }
}
