import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

extension Replica {
    /// Takes commands from callers: into the log, where this member leads; else on to the leader.
    ///
    /// What is taken is proposed as one, so that one append carries it to each peer.
    func submit(_ submissions: [Submission], _ effects: inout [ReplicaEffect]) {
        var taken: [Submission] = []
        var takenBytes = 0
        for submission in submissions {
            if let reason = refusal(of: submission.command) {
                if reason == .damaged { giveWay() }
                effects.append(.reply(submission.id, .failure(RequestError(.notApplied, reason))))
            } else if hasRoom(for: submission.command.count + takenBytes) {
                taken.append(submission)
                takenBytes += submission.command.count + RequestTable.overheadBytes
            } else {
                effects.append(.reply(submission.id, .failure(RequestError(.notApplied, .busy))))
            }
        }
        guard !taken.isEmpty else { return }
        if isClosed || raft.isDiverged {
            let error = RequestError(.notApplied, isClosed ? .closed : stateReason)
            for submission in taken { effects.append(.reply(submission.id, .failure(error))) }
        } else if raft.role != .leader, leader != 0 {
            for submission in taken { forward(submission, &effects) }
        } else {
            propose(taken, commands: taken.map(\.command))
        }
    }

    /// The leader, as far as this member knows; 0 where it does not.
    private var leader: MemberID { raft.currentStanding.leader }

    private func hasRoom(for byteCount: Int) -> Bool {
        let needed = requests.waitingBytes + byteCount + RequestTable.overheadBytes
        // A command that the replicated options allow has room on every member, whatever its own options are.
        guard needed <= options.maxWaitingBytes || needed <= machine.maxCommandBytes + RequestTable.overheadBytes else {
            return false
        }
        return raft.role != .leader || !isBacklogged
    }

    /// Why a command must not enter the log; nil where the leader or apply decides.
    ///
    /// Only the leader looks at the limits, since others may not have applied what raises one. Where it has not applied
    /// all that is committed, it may not have either: then apply decides. A new leader knows what is committed only
    /// once an entry of its term is (Raft, section 5.4.2), so until it has applied one, apply decides as well.
    private func refusal(of command: Bytes) -> RequestError.Reason? {
        guard command.count <= Replica.largestCommandBytes else { return .tooLarge }
        guard raft.role == .leader else { return nil }
        let isBehind = applied.position.term != raft.term || applied.position.index < raft.commitIndex
        if let reason = machine.refusal(of: command), reason != .tooLarge || !isBehind { return reason }
        let level = machine.featureLevel(of: command)
        // Every member knows level 0, and most commands need no other.
        return level > 0 && level > clusterFeatureLevel ? .upgradeRequired : nil
    }

    /// Why the member takes no commands while its state waits for a checkpoint.
    private var stateReason: RequestError.Reason { raft.isUnreadable ? .damaged : .diverged }

    /// Has another member lead, since this one cannot read what is asked of it. Not often: the others may be no better.
    func giveWay() {
        guard raft.role == .leader, now >= giveWayAt else { return }
        giveWayAt = now + Replica.giveWayInterval
        tell(.giveWay)
    }

    /// How far two attempts of this kind to hand over are apart at least.
    private static let giveWayInterval = TimeSpan.seconds(5)

    /// The feature level of the cluster: the lowest among the members. A peer that was not heard since this member was
    /// opened counts as having the lowest of all.
    ///
    /// A member that does not know a command stops when it is committed, so that no leader proposes what one of them
    /// may not know.
    var clusterFeatureLevel: UInt32 {
        let peers = raft.configuration.members.filter { $0 != member }
        return peers.reduce(options.featureLevel) { min($0, agreements[$1].featureLevel) }
    }

    /// What the formats of log and network have room for.
    static let largestCommandBytes =
        WireOptions.formatMaximum.maxFrameBytes - WireOptions.roomForFields - EntryHeader.encodedByteCount

    /// Proposes commands as one, those of callers or, without any, the replica's own.
    func propose(_ submissions: [Submission], commands: [Bytes]) {
        lastProposal += 1
        proposed = commands
        submitted = submissions
        let byteCounts = proposed.map { UInt32(EntryHeader.encodedByteCount + $0.count) }
        tell(.propose(Proposal(id: lastProposal, byteCounts: byteCounts)))
    }

    /// Passes a command on to the leader. Only one that has a name: by it this member finds it again when it applies it, and
    /// by it a second copy of the frame does no harm.
    private func forward(_ submission: Submission, _ effects: inout [ReplicaEffect]) {
        guard let identity = machine.identity(of: submission.command) else {
            let error = RequestError(.notApplied, .notLeader, leader: leader)
            effects.append(.reply(submission.id, .failure(error)))
            return
        }
        let number = requests.forward(
            submission.id,
            identity,
            deadline: submission.deadline,
            byteCount: submission.command.count
        )
        guard let number else {
            effects.append(.reply(submission.id, .failure(RequestError(.unknown, .busy, leader: leader))))
            return
        }
        metrics.commandsForwarded += 1
        let command = ForwardedCommand(number: number, command: submission.command)
        send(.forward(command), to: leader, &effects)
    }

    /// Takes a command that a follower passes on. Its caller waits there.
    ///
    /// The first copy of a frame decides, and only in the term that the sender named: behind a refusal of this leader
    /// no other copy is taken, neither by this leader, which drops it, nor by anybody later, since the term is over
    /// then.
    func receive(
        _ forwarded: ForwardedCommand,
        from peer: MemberID,
        sentIn term: Term,
        _ effects: inout [ReplicaEffect]
    ) {
        if isClosed {
            refuse(forwarded.number, .closed, to: peer, &effects)
        } else if raft.role != .leader || term != raft.term {
            refuse(forwarded.number, .notLeader, to: peer, &effects)
        } else if !handled.isFirst(forwarded.number, from: peer, in: term) {
            metrics.forwardedCopiesDropped += 1
        } else if let reason = refusal(of: forwarded.command) {
            if reason == .damaged { giveWay() }
            refuse(forwarded.number, ForwardResponse.Refusal(reason), to: peer, &effects)
        } else if !hasRoom(for: forwarded.command.count) {
            refuse(forwarded.number, .busy, to: peer, &effects)
        } else {
            lastProposal += 1
            proposed = [forwarded.command]
            forwarder = (peer, forwarded.number)
            let byteCount = UInt32(EntryHeader.encodedByteCount + forwarded.command.count)
            tell(.propose(Proposal(id: lastProposal, byteCounts: [byteCount])))
        }
    }

    private func refuse(
        _ number: UInt64,
        _ refusal: ForwardResponse.Refusal,
        to peer: MemberID,
        _ effects: inout [ReplicaEffect]
    ) {
        send(.forwardResponse(ForwardResponse(number: number, refusal: refusal, leader: leader)), to: peer, &effects)
    }

    /// A leader did not take a command that was passed on.
    ///
    /// One that closes or has failed is not this member: to its callers *closed* and *failed* say that nothing can be expected
    /// here any more, while the command is to be sent again as soon as another one leads.
    func receive(_ response: ForwardResponse, _ effects: inout [ReplicaEffect]) {
        let reason: RequestError.Reason
        switch response.refusal {
        case .busy: reason = .busy
        case .damaged: reason = .damaged
        case .tooLarge: reason = .tooLarge
        case .invalid: reason = .invalid
        case .upgradeRequired: reason = .upgradeRequired
        case .notLeader, .closed, .failed: reason = .notLeader
        }
        let isGone = response.refusal == .closed || response.refusal == .failed
        let outcome: RequestError.Outcome = response.refusal.isDefinite ? .notApplied : .unknown
        let error = RequestError(outcome, reason, leader: isGone ? 0 : response.leader)
        requests.refused(response.number, error, &effects)
    }

    /// Takes a read from a caller.
    func ask(
        _ id: RequestID,
        _ consistency: ReadConsistency,
        deadline: Instant,
        _ effects: inout [ReplicaEffect]
    ) {
        guard !isClosed, reads.count < options.maxWaitingReads else {
            effects.append(.reply(id, .failure(RequestError(.notApplied, isClosed ? .closed : .busy))))
            return
        }
        guard !raft.isDiverged || isServed(consistency) else {
            effects.append(.reply(id, .failure(RequestError(.notApplied, stateReason))))
            return
        }
        switch consistency {
        case .linearizable where !options.plantedBugs.contains(.localReadsAsLinearizable):
            reads.add(id, deadline: deadline)
        case .atLeast(let index):
            reads.add(id, atLeast: index, deadline: deadline)
        case .local, .linearizable:
            effects.append(.reply(id, .readable(raft.appliedIndex)))
        }
    }

    /// Whether a read is answered although nothing more is applied: what was applied is right, where only a part of it
    /// cannot be read.
    private func isServed(_ consistency: ReadConsistency) -> Bool {
        guard raft.isUnreadable else { return false }
        switch consistency {
        case .local: return true
        case .atLeast(let index): return index <= raft.appliedIndex
        case .linearizable: return false
        }
    }

    /// Asks for the index of those reads that wait for one.
    func askForReads() {
        while reads.shouldAsk(limit: options.maxReadQuestions) {
            lastRead.number += 1
            reads.ask(lastRead, askAgainAt: now + options.askAgainAfter)
            tell(.read(lastRead))
        }
    }

    /// Tells callers what the core says.
    func respond(_ response: Response, _ effects: inout [ReplicaEffect]) {
        switch response {
        case .proposed(_, let first, let term):
            var index = first
            for submission in submitted {
                requests.add(
                    submission.id,
                    at: LogPosition(term: term, index: index),
                    deadline: submission.deadline,
                    byteCount: submission.command.count
                )
                index += 1
            }
            submitted.removeAll()
            forwarder = nil
        case .proposalRefused(_, let refusal):
            for submission in submitted { effects.append(.reply(submission.id, .failure(error(for: refusal)))) }
            submitted.removeAll()
            if let (peer, number) = forwarder { refuse(number, forwardRefusal(for: refusal), to: peer, &effects) }
            forwarder = nil
        case .readReady(let read, let index):
            reads.ready(read, index: index)
        case .readRefused(let read, let refusal):
            reads.refused(read, error(for: refusal), &effects)
        case .refused, .handedOver:
            // No operator's request is made yet.
            break
        }
    }

    private func error(for refusal: Refusal) -> RequestError {
        switch refusal {
        case .notLeader(let leader): RequestError(.notApplied, .notLeader, leader: leader)
        case .overloaded: RequestError(.notApplied, .busy)
        case .closed: RequestError(.notApplied, .closed)
        case .diverged: RequestError(.notApplied, .diverged)
        case .unreadable: RequestError(.notApplied, .damaged)
        case .failed, .timedOut, .notSupported: RequestError(.notApplied, .failed)
        }
    }

    private func forwardRefusal(for refusal: Refusal) -> ForwardResponse.Refusal {
        switch refusal {
        case .notLeader: .notLeader
        case .overloaded: .busy
        case .closed: .closed
        // Another member will lead.
        case .diverged: .notLeader
        case .unreadable: .damaged
        case .failed, .timedOut, .notSupported: .failed
        }
    }
}

extension ForwardResponse.Refusal {
    /// Why a command must not enter the log, for the member that passed it on.
    fileprivate init(_ reason: RequestError.Reason) {
        switch reason {
        case .tooLarge: self = .tooLarge
        case .upgradeRequired: self = .upgradeRequired
        case .damaged: self = .damaged
        case .busy: self = .busy
        default: self = .invalid
        }
    }
}
