import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

// Checkpoints between members. The leader holds its durable state still and sends it in chunks, on the bulk path, at the
// pace of the peer's acknowledgements. When all of it is there, durably, a message of the core on the control path offers
// it, and the core of the peer decides whether it is still wanted.

extension Replica {
    /// Begins to send the durable state to a peer that the log cannot serve, or that asked for it.
    ///
    /// - Parameter index: what the checkpoint has to contain everything through. Where the durable state does not yet,
    ///   the state is made durable as far as it is applied, at most once for each index, and the peer asks again.
    func startTransfer(to peer: MemberID, atLeast index: LogIndex, _ effects: inout [ReplicaEffect]) {
        if index > 0 {
            let isUnderWay = senders.contains { $0.peer == peer && $0.source.state.position.index >= index }
            guard !isUnderWay else { return }
            guard machine.durable.position.index >= index else {
                let isApplied = applied.position.index >= index
                if isApplied, sealed.index < index { stateSealDeadline = min(stateSealDeadline, now) }
                return
            }
        }
        guard !transferPauses.isPaused(peer, in: raft.term, at: now) else {
            tell(.snapshotSent(to: peer, position: raft.log.base, succeeded: false))
            return
        }
        senders.removeAll { $0.peer == peer }
        lastTransfer += 1
        let transfer = TransferID(nonce: lastRead.nonce, number: lastTransfer)
        let giveUpAt = now + options.giveUpTransferAfter
        do {
            guard !raft.isDiverged else { throw StateMachineError("the state waits for a checkpoint itself") }
            guard !machine.isDamaged else {
                // The peer would refuse it when all has arrived.
                giveWay()
                throw StateMachineError("a part of the state cannot be read")
            }
            let source = try machine.checkpoint()
            guard source.state.position.index >= raft.log.base.index else {
                throw StateMachineError("the durable state ends before the log begins")
            }
            senders.append(
                try CheckpointSender(
                    source,
                    of: generations.cluster,
                    to: peer,
                    transfer: transfer,
                    giveUpAt: giveUpAt
                )
            )
            metrics.transfersStarted += 1
        } catch {
            // This member leads well without it, and the next attempt may succeed.
            metrics.transfersFailed += 1
            tell(.snapshotSent(to: peer, position: raft.log.base, succeeded: false))
        }
    }

    /// Sends the chunks for which there is room, repeats those that are lost, and gives up what makes no progress. A
    /// transfer that may not be offered now waits until it may, or is given up.
    func continueTransfers(_ effects: inout [ReplicaEffect]) {
        guard !senders.isEmpty else { return }
        guard raft.role == .leader else {
            senders.removeAll()
            return
        }
        for slot in senders.indices.reversed() {
            if now >= senders[slot].giveUpAt {
                endTransfer(slot, succeeded: false)
                continue
            }
            if senders[slot].expire(at: now) { metrics.chunksRepeated += 1 }
            // A dispute may last a moment only: until enough members have reported the entry at which it was found.
            guard raft.mayOffer(to: senders[slot].peer) else { continue }
            do {
                while let chunk = try senders[slot].nextChunk(
                    of: options.chunkBytes,
                    at: now,
                    resendAfter: options.resendChunkAfter
                ) {
                    send(.checkpointChunk(chunk), to: senders[slot].peer, &effects)
                    metrics.chunksSent += 1
                }
            } catch {
                endTransfer(slot, succeeded: false)
            }
        }
    }

    private func endTransfer(_ slot: Int, succeeded: Bool) {
        let sender = senders.remove(at: slot)
        if succeeded {
            metrics.checkpointsSent += 1
            // It has yet to be installed, and the peer to ask for what follows.
            delivered.append((sender.source.state.position.index, now + options.giveUpTransferAfter))
        } else {
            metrics.transfersFailed += 1
        }
        tell(.snapshotSent(to: sender.peer, position: sender.source.state.position, succeeded: succeeded))
    }

    /// The lowest position of a checkpoint that is on its way to a peer, or was delivered a short while ago.
    var lowestCheckpointUnderWay: LogIndex {
        delivered.removeAll { $0.until <= now }
        let sending = senders.map(\.source.state.position.index).min() ?? .max
        return min(sending, delivered.map(\.index).min() ?? .max)
    }

    /// When the next chunk is repeated or the next transfer given up.
    var transferDeadline: Instant {
        senders.reduce(.never) { min($0, $1.resendAt, $1.giveUpAt) }
    }

    /// A peer says how much of a checkpoint it has.
    func receive(_ response: CheckpointChunkResponse, from peer: MemberID, _ effects: inout [ReplicaEffect]) {
        guard let slot = senders.firstIndex(where: { $0.transfer == response.transfer && $0.peer == peer }) else {
            return
        }
        switch response.status {
        case .complete where !raft.mayOffer(to: peer):
            // The last chunk is sent again once it may be offered, and the peer says so once more.
            break
        case .receiving:
            senders[slot].received(through: response.receivedByteCount, giveUpAt: now + options.giveUpTransferAfter)
        case .complete:
            let offer = SnapshotOffer(position: senders[slot].source.state.position)
            send(.message(.snapshot(offer), entries: nil), to: peer, &effects)
            transferPauses.arrived(at: peer)
            endTransfer(slot, succeeded: true)
        case .refused:
            transferPauses.refused(by: peer, in: raft.term, at: now, options.raft)
            endTransfer(slot, succeeded: false)
        }
    }

    // MARK: The receiving end

    /// Takes a chunk of a checkpoint. Chunks of a leader of the past are refused; of two transfers the one of the later
    /// term goes on.
    func receive(_ chunk: CheckpointChunk, from peer: MemberID, term: Term, _ effects: inout [ReplicaEffect]) {
        var status = CheckpointChunkResponse.Status.receiving
        if term < raft.term || term < incoming?.term ?? 0 {
            status = .refused
        } else if !raft.wants(checkpoint: chunk.position) || hasWhole(chunk, from: peer, term: term) {
            // It is here already, or not needed any more. The offer that follows finds out which. What another member
            // has sent of the same position may be another state.
            status = .complete
        } else {
            phase = .receiving
            do throws(CheckpointReceiverError) {
                try take(chunk, from: peer, term: term)
                phase = .stepping
                if incoming?.isComplete == true { status = .complete }
            } catch {
                metrics.transfersRefused += 1
                tellRefusal(error, of: peer, term: term, &effects)
                discardIncoming()
                status = .refused
            }
            // What is refused after that is news.
            if status == .complete { toldRefusal = nil }
        }
        let isOwn = incoming?.transfer == chunk.transfer
        let response = CheckpointChunkResponse(
            transfer: chunk.transfer,
            receivedByteCount: status == .complete ? chunk.streamByteCount : isOwn ? incoming?.received ?? 0 : 0,
            status: status
        )
        send(.checkpointChunkResponse(response), to: peer, &effects)
    }

    /// Whether the checkpoint that a chunk belongs to has arrived, whole, from that leader.
    private func hasWhole(_ chunk: CheckpointChunk, from peer: MemberID, term: Term) -> Bool {
        guard let incoming, incoming.isComplete(at: chunk.position) else { return false }
        return incoming.sender == peer && incoming.term == term
    }

    private func take(_ chunk: CheckpointChunk, from peer: MemberID, term: Term) throws(CheckpointReceiverError) {
        if let transfer = incoming?.transfer, transfer != chunk.transfer {
            // A late chunk of a transfer that is over must not end the one that goes on.
            guard transfer.nonce != chunk.transfer.nonce || chunk.transfer.number > transfer.number else { return }
        }
        if incoming?.transfer != chunk.transfer {
            // One that begins in the middle is of a transfer whose beginning this replica has not seen, in this life.
            guard chunk.offset == 0 else { return }
            discardIncoming()
            if let missing = missingSpace(for: chunk) { throw .noSpace(missing) }
            incomingGeneration = generations.takeGeneration()
            do throws(FileError) {
                incoming = try CheckpointReceiver(
                    chunk,
                    from: peer,
                    term: term,
                    of: generations.cluster,
                    into: generations.path(of: incomingGeneration),
                    in: generations.fileSystem
                )
            } catch {
                throw .file(error)
            }
        }
        try incoming?.take(chunk)
    }

    /// Why a checkpoint cannot fit; nil where it can, or where that is not known.
    ///
    /// Space is kept for the next segment of the log: while a checkpoint arrives, the member goes on acknowledging
    /// entries, and a quorum may need it. Space is also kept for the files that name the state when it is installed,
    /// since a member that cannot write them fails.
    private func missingSpace(for chunk: CheckpointChunk) -> MissingSpace? {
        guard let available = generations.availableBytes else { return nil }
        return MissingSpace(
            chunk.streamByteCount,
            in: generations.directory,
            available: available,
            kept: log.nextSegmentByteCount + GenerationStore.publicationByteCount
        )
    }

    /// Tells the observer why a transfer was refused: once for all attempts of a leader that fail alike.
    private func tellRefusal(
        _ error: CheckpointReceiverError,
        of peer: MemberID,
        term: Term,
        _ effects: inout [ReplicaEffect]
    ) {
        let told = ToldRefusal(error, of: peer, term: term)
        guard told != toldRefusal else { return }
        toldRefusal = told
        effects.append(.checkpointRefused(from: peer, error.description))
    }

    func discardIncoming() {
        incoming?.discard()
        incoming = nil
    }

    /// Gives up a checkpoint that the log has overtaken meanwhile.
    func discardIncomingIfOvertaken() {
        if let incoming, !raft.wants(checkpoint: incoming.position) { discardIncoming() }
    }

    // MARK: Installation

    /// Puts the checkpoint that arrived in the place of the state. It is opened first: one that this release cannot read, or
    /// that is damaged, must not take the place of a state that is well. Then ROOT names it, then the log begins behind it,
    /// and at last the state before is removed. A crash before ROOT is published leaves the state as it was; one behind it
    /// is made good when the replica is opened.
    func install(_ position: LogPosition, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        // It stays so where a file call fails: in simulation that is where the process may have died.
        phase = .installing
        guard let received = incoming, received.isComplete(at: position),
            received.sender == raft.currentStanding.leader, received.term == raft.term
        else {
            // A late offer of another checkpoint says nothing about the one that is on its way.
            tell(.snapshotFailed(position))
            return
        }
        guard let opened = openReceived(received, expecting: position, &effects) else {
            discardIncoming()
            tell(.snapshotFailed(position))
            return
        }
        incoming = nil
        let before = generation
        do throws(ReplicaError) {
            try generations.publish(incomingGeneration, at: position)
        } catch {
            opened.close()
            throw error
        }
        replaced.append((machine, before))
        machine = opened
        generation = incomingGeneration
        isConfirmationDue = false
        applied = StatePosition(position: position, stamp: received.stamp)
        applyTarget = max(applyTarget, position.index)
        sealed = position
        dropped = position.index
        stateSealDeadline = .never
        applyRetryAt = .zero
        applyAttempts = 0
        deviceFailures = 0
        if !isWorking { closeReplaced() }
        phase = .stepping
        enqueue(
            raft.log.contains(position) ? .compact(through: position) : .reset(to: position, stamp: received.stamp)
        )
        metrics.checkpointsInstalled += 1
        requests.overtaken(through: position.index, &effects)
        onInstall?()
        tell(.snapshotInstalled(position))
    }

    private func openReceived(
        _ received: CheckpointReceiver,
        expecting position: LogPosition,
        _ effects: inout [ReplicaEffect]
    ) -> (any StateMachine)? {
        let sentence: String
        do throws(StateMachineError) {
            let opened = try provider.open(
                received.directory,
                of: generations.cluster,
                in: generations.fileSystem,
                isReceived: true
            ) { _ in
                // What it contains is compared below: it is removed where that is something else.
                true
            }
            let expected = StatePosition(position: position, stamp: received.stamp)
            if opened.durable == expected { return opened }
            sentence =
                "it contains everything through \(opened.durable.position) with the stamp \(opened.durable.stamp), and "
                + "was offered with \(position) and the stamp \(received.stamp)"
            opened.close()
        } catch {
            if let file = error.file {
                // That says nothing of the checkpoint.
                tellRefusal(.file(file), of: received.sender, term: received.term, &effects)
                return nil
            }
            sentence = error.description
        }
        metrics.checkpointsUnreadable += 1
        effects.append(.checkpointRefused(from: received.sender, sentence))
        return nil
    }

    /// Gives up the states that were replaced, once no work of theirs is under way.
    func closeReplaced() {
        for (machine, generation) in replaced {
            machine.close()
            // What cannot be removed now is removed when the replica is opened.
            do throws(FileError) { try generations.remove(generation) } catch { metrics.generationsLeftBehind += 1 }
        }
        replaced.removeAll()
    }
}

extension CheckpointReceiver {
    /// Whether this is, whole and durable, the checkpoint of a position.
    func isComplete(at position: LogPosition) -> Bool { isComplete && self.position == position }
}
