import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

extension Replica {
    /// Carries out what the core wants.
    func carryOut(_ effect: Effect, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        switch effect {
        case .send(let message):
            try send(message, &effects)
        case .persist(let persist):
            try enqueue(persist)
            stagePersists()
        case .apply(let position):
            applyTarget = max(applyTarget, position.index)
        case .respond(let response):
            respond(response, &effects)
        case .sendSnapshot(let peer, let index):
            startTransfer(to: peer, atLeast: index, &effects)
        case .installSnapshot(let position):
            try install(position, &effects)
        case .wake(let moment):
            raftDeadline = moment
        case .standing(let standing):
            effects.append(.standing(standing))
            // What was passed on to the leader before may be lost with it. Not as long as nobody else leads: it may come back.
            if requests.hasForwarded, standing.leader != 0 { requests.leaderChanged(to: standing.leader, &effects) }
        case .stateConfirmed:
            isConfirmationDue = true
        case .report(let anomaly):
            effects.append(.report(anomaly))
            if case .committedEntryContradicted(let index) = anomaly {
                throw ReplicaError(.contradiction, "entry \(index) is committed here and another one on the leader")
            }
            try noteDivergence(anomaly, &effects)
            if case .acknowledgedEntriesLost(let loser, let position) = anomaly {
                metrics.lossesFound += 1
                if loser == member { throw ReplicaError(lostThrough: position, holding: raft.log.last) }
            }
        }
    }

    /// Counts what is found of states that differ. Where it is this member's, nobody who waits to read is answered from
    /// it, neither now nor after a restart.
    private func noteDivergence(_ anomaly: Anomaly, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        switch anomaly {
        case .stateDiverged(let diverged, _, _):
            metrics.divergencesFound += 1
            guard diverged == member else { break }
            reads.failAll(.diverged, &effects)
            divergenceMarkAt = now
            // The note would write ROOT without the mark.
            isConfirmationDue = false
            try markDivergence()
        case .stateRebuilt:
            metrics.statesRebuilt += 1
            divergenceMarkAt = .never
        case .rebuiltInVain(let times, let pause):
            metrics.rebuildsInVain += 1
            if pause == nil { throw ReplicaError(rebuiltInVain: times) }
        default:
            break
        }
    }

    /// Notes in OWNER and ROOT that the state differs, before anything else of this step leaves the member: what a
    /// later start applies again could differ as well, and would be served until the next comparison. Tried again where
    /// it fails.
    func markDivergence() throws(ReplicaError) {
        guard now >= divergenceMarkAt else { return }
        do throws(FileError) {
            try generations.markDiverged()
            divergenceMarkAt = .never
        } catch {
            if error.number == .exchanged { throw ReplicaError(error) }
            divergenceMarkAt = now + options.deadlineGranularity
        }
    }

    /// Sends a message of the core, with the entries that it names. One whose entries cannot be read for want of a
    /// descriptor is lost, as the network may lose it: the core sends such entries again.
    func send(_ message: Message, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        var entries: EntryBatch?
        if case .append(let append) = message.body, let range = append.entries {
            guard raft.log.contains(range.last), range.first > raft.log.base.index else { return }
            entries = try readLog { () throws(LogError) in try read(from: range.first, through: range.last.index) }
            guard entries != nil else { return }
        }
        send(
            PeerFrame(
                group: Replica.group,
                from: message.from,
                to: message.to,
                term: message.term,
                content: .message(message.body, entries: entries)
            ),
            &effects
        )
    }

    /// Sends something to a peer that is no message of the core. It names the newest term that is durable here: what a
    /// member has spoken in it must never forget.
    func send(_ content: PeerFrame.Content, to peer: MemberID, _ effects: inout [ReplicaEffect]) {
        let frame = PeerFrame(group: Replica.group, from: member, to: peer, term: vote.state.term, content: content)
        send(frame, &effects)
    }

    func send(_ frame: PeerFrame, _ effects: inout [ReplicaEffect]) {
        do throws(DecodingError) {
            let path: SendPath = frame.isBulk ? .bulk : .control
            let version = agreements[frame.to].version
            // An entry that another leader took may be longer than this member would take one: it is sent all the same.
            effects.append(.send(to: frame.to, try frame.encoded(options: .formatMaximum, version: version), path))
        } catch {
            metrics.framesTooLarge += 1
        }
    }

    /// The entries `first ... last`, all of them.
    private func read(from first: LogIndex, through last: LogIndex) throws(LogError) -> EntryBatch {
        var parts = [try log.entries(Replica.group, from: first, through: last, maxBytes: .max)]
        while let end = parts.last?.lastIndex, end < last {
            parts.append(try log.entries(Replica.group, from: end + 1, through: last, maxBytes: .max))
        }
        return parts.count == 1 ? parts[0] : EntryBatch.joining(parts)
    }

    /// A write failed: nothing after what is known to be durable will become so, and the member stops.
    func writeFailed(_ write: ReplicaWrite, _ error: FileError) throws(ReplicaError) {
        if write.isVote {
            vote.changeFailed(error)
        } else {
            log.writeFailed(write.write.number, error)
        }
        tell(.persistFailed(PersistID(number: 0)))
        throw ReplicaError(error)
    }
}
