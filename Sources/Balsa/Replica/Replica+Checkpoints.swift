import BalsaLog
import BalsaPlatform
import BalsaRaft
import BalsaWire

extension Replica {
    /// Checkpoints the state when enough log was written since the last time, or the log is over its bound; then drops the
    /// log that the checkpoint covers, but for the entries that peers who are a little behind will want.
    ///
    /// The bound wins over those peers: they get the checkpoint.
    func checkpointIfDue() throws(ReplicaError) {
        let written = log.metrics.bytes - logBytesAtCheckpoint
        let index = raft.appliedIndex
        let live = checkpoints.root?.position.index ?? 0
        guard written >= options.checkpointAfterBytes || log.isOverBound, index > live, now >= checkpointRetryAt else {
            return
        }
        guard let term = raft.log.term(at: index) else { return }
        let position = LogPosition(term: term, index: index)
        let checkpoint = CheckpointFile(position: position, stamp: appliedStamp, state: machine.checkpoint())
        do throws(ReplicaError) {
            try checkpoints.prepare(checkpoint)
        } catch {
            // Most likely there is no space. What is there stays, and more may come.
            metrics.checkpointsFailed += 1
            checkpointRetryAt = now + options.deadlineGranularity * 10
            return
        }
        try checkpoints.publish(checkpoint)
        logBytesAtCheckpoint = log.metrics.bytes
        metrics.checkpointsTaken += 1
        let kept = log.isOverBound ? 0 : options.entriesKeptBehindCheckpoint
        let first = raft.log.base.index
        guard index - first > kept, let keptTerm = raft.log.term(at: index - kept) else { return }
        let base = LogPosition(term: keptTerm, index: index - kept)
        enqueue(.compact(through: base))
        tell(.compacted(through: base))
        stagePersists()
    }

    /// Sends the live checkpoint to a peer that the log cannot serve.
    func sendCheckpoint(to peer: MemberID, _ effects: inout [ReplicaEffect]) {
        let checkpoint: CheckpointFile
        do throws(ReplicaError) {
            guard let live = try checkpoints.load() else {
                throw ReplicaError(.damaged, "no checkpoint covers what was before \(raft.log.base)")
            }
            checkpoint = live
        } catch {
            // This member leads well without it, and the next checkpoint may be read.
            metrics.checkpointsFailed += 1
            tell(.snapshotSent(to: peer, position: raft.log.base, succeeded: false))
            return
        }
        let offer = SnapshotOffer(position: checkpoint.position)
        let message = Message(from: member, to: peer, term: raft.term, body: .snapshot(offer))
        var isSent = false
        if let bytes = try? checkpoint.encoded() {
            isSent = send(Envelope(group: Replica.group, message: message, entries: nil, checkpoint: bytes), &effects)
        }
        if isSent { metrics.checkpointsSent += 1 } else { metrics.checkpointsFailed += 1 }
        tell(.snapshotSent(to: peer, position: checkpoint.position, succeeded: isSent))
    }

    /// Puts the checkpoint that arrived in the place of the state: in memory first, then published on disk, then the log
    /// begins behind it. A crash before ROOT is published leaves the state as it was; one behind it is made good when the
    /// replica is opened.
    func installCheckpoint(_ position: LogPosition, _ effects: inout [ReplicaEffect]) throws(ReplicaError) {
        let checkpoint: CheckpointFile
        do throws(DecodingError) {
            checkpoint = try CheckpointFile(decoding: arrived?.checkpoint ?? Bytes())
            guard checkpoint.position == position else { throw DecodingError(.inconsistent, "position", at: 8) }
        } catch {
            metrics.framesRefused += 1
            effects.append(.undecodable(error))
            tell(.snapshotFailed(position))
            return
        }
        // First into memory: a checkpoint that this release cannot read must not take the place of one that it can.
        do { try machine.restore(checkpoint.state) } catch { throw ReplicaError(.stateMachine, error.description) }
        try checkpoints.prepare(checkpoint)
        try checkpoints.publish(checkpoint)
        appliedStamp = checkpoint.stamp
        enqueue(
            raft.log.contains(position) ? .compact(through: position) : .reset(to: position, stamp: checkpoint.stamp)
        )
        metrics.checkpointsInstalled += 1
        requests.overtaken(through: position.index, &effects)
        tell(.snapshotInstalled(position))
    }
}
