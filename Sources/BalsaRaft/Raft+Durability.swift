extension Raft {
    /// A persist, and all before it, are durable.
    mutating func persisted(through id: PersistID, _ effects: inout Effects) {
        persists.completed(through: id, at: now)
        guard halt == nil else { return }
        countOwnVote(&effects)
        advanceCommit(&effects)
    }

    /// A checkpoint is in the place of the state, durably, and the shell's log begins behind it.
    mutating func snapshotInstalled(_ position: LogPosition, _ effects: inout Effects) {
        guard installing == position else { return }
        installing = nil
        if log.contains(position) {
            // What follows the checkpoint's last entry here follows it everywhere.
            log.compact(through: position)
            persists.covered(through: position.index)
        } else {
            // Nothing here is known to agree with the checkpoint, not even an entry of the same index.
            log.reset(to: position)
            verifiedIndex = min(verifiedIndex, position.index)
            persists.replaced(by: position.index)
        }
        commitIndex = max(commitIndex, position.index)
        applyIndex = max(applyIndex, position.index)
        appliedIndex = max(appliedIndex, position.index)
        // It is another state.
        digests.removeAll()
        receivedIndex = position.index
        if let divergence {
            effects.append(.report(.stateRebuilt(through: position.index)))
            isRebuilt = divergence.cause == .diverged
        }
        divergence = nil
        guard halt == nil else { return }
        if leader != 0, leader != member { answer(.accepted(through: position.index), to: leader) }
    }
}
