import BalsaPlatform
import BalsaRaft
import BalsaWire

// Staging: changes of memory only. What they say is durable when `durableMark` has reached the mark that they return.
extension Log {
    /// Appends entries to their group, which comes into being with its first one.
    ///
    /// - Returns: the mark of the operation.
    /// - Precondition: the batch continues the group's log: it begins behind the last entry and names its term.
    @discardableResult
    public func append(_ batch: EntryBatch) -> LogMark {
        let slot = groups.slot(of: batch.group, inserting: GroupLog(group: batch.group))
        precondition(groups.elements[slot].state.last == batch.previous, "the entries do not continue the group's log")
        mark.number += 1
        noteTerms(of: batch, slot)
        groups.elements[slot].recent.append(batch, mark: mark.number)
        cached.append(CachedBatch(group: batch.group, mark: mark.number))
        cachedBytes += batch.byteCount
        metrics.entries += UInt64(batch.count)
        staged.append(.append(batch))
        return mark
    }

    private func noteTerms(of batch: EntryBatch, _ slot: Int) {
        // Terms never fall, so that equal ends mean equal terms in between.
        let first = batch.header(at: batch.firstIndex)
        if first.term == batch.last.term {
            groups.elements[slot].terms.append(first.position)
        } else {
            for index in batch.firstIndex...batch.lastIndex {
                groups.elements[slot].terms.append(batch.header(at: index).position)
            }
        }
        groups.elements[slot].state.append(batch.header(at: batch.lastIndex))
        groups.elements[slot].state.stamp = max(groups.elements[slot].state.stamp, first.stamp)
    }

    /// Drops the entries behind `index`. Nothing happens where there are none.
    ///
    /// - Returns: the mark of the operation.
    /// - Precondition: `index` is not before the base.
    @discardableResult
    public func truncate(_ group: GroupID, after index: LogIndex) -> LogMark {
        guard let slot = groups.slot(of: group) else { return mark }
        let state = groups.elements[slot].state
        guard index < state.last.index else { return mark }
        guard index >= state.base.index, let term = groups.elements[slot].term(at: index) else {
            preconditionFailure("the log cannot be truncated before its base")
        }
        metrics.truncations += 1
        metrics.entriesTruncated += state.last.index - index
        stage(ControlRecord(kind: .truncation, group: group, position: LogPosition(term: term, index: index)), slot)
        groups.elements[slot].terms.truncate(after: index)
        groups.elements[slot].runs.truncate(after: index)
        cachedBytes -= groups.elements[slot].recent.truncate(after: index)
        return mark
    }

    /// Drops the entries through `position`, which becomes the base. Nothing happens where they are dropped already.
    ///
    /// - Returns: the mark of the operation.
    /// - Precondition: the log holds the entry of that position.
    @discardableResult
    public func compact(_ group: GroupID, through position: LogPosition) -> LogMark {
        guard let slot = groups.slot(of: group) else {
            precondition(position == .zero, "the log does not hold the entry")
            return mark
        }
        let element = groups.elements[slot]
        guard position.index > element.state.base.index else { return mark }
        precondition(element.term(at: position.index) == position.term, "the log does not hold the entry")
        stage(ControlRecord(kind: .prefixRemoval, group: group, position: position), slot)
        groups.elements[slot].terms.compact(through: position.index)
        groups.elements[slot].runs.compact(through: position.index)
        cachedBytes -= groups.elements[slot].recent.compact(through: position.index)
        return mark
    }

    /// Drops all entries; the group goes on behind `base`, as after installing a snapshot.
    ///
    /// - Parameter stamp: the leader's logical time at `base`, in nanoseconds.
    /// - Returns: the mark of the operation.
    @discardableResult
    public func reset(_ group: GroupID, to base: LogPosition, stamp: UInt64 = 0) -> LogMark {
        precondition(max(base.index, base.term, stamp) <= largestNumber, "the position is too large")
        precondition(base.index > 0 || base.term == 0, "before the first entry there is no term")
        let slot = groups.slot(of: group, inserting: GroupLog(group: group))
        stage(ControlRecord(kind: .baseReset, group: group, position: base, stamp: stamp), slot)
        groups.elements[slot].terms.removeAll()
        groups.elements[slot].runs.removeAll()
        cachedBytes -= groups.elements[slot].recent.truncate(after: 0)
        return mark
    }

    /// Stages a record that makes entries dead.
    private func stage(_ record: ControlRecord, _ slot: Int) {
        mark.number += 1
        lastDeathMark = mark
        searchIsDue = true
        groups.elements[slot].state.apply(record)
        staged.append(.control(record))
    }

    /// Notes that the entries through `index` are committed, to be told after a restart.
    ///
    /// It is advice that travels with the next frame and asks for none, so that it has no mark.
    public func noteCommit(_ group: GroupID, _ index: LogIndex) {
        guard let slot = groups.slot(of: group), index > groups.elements[slot].state.commit else { return }
        groups.elements[slot].state.commit = index
        guard !groups.elements[slot].commitIsNew else { return }
        groups.elements[slot].commitIsNew = true
        newCommits.append(group)
    }
}
