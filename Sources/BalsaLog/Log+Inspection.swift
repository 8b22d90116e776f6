import BalsaRaft

// What the judges of the simulation look at.
extension Log {
    /// The highest commit index of a group that a frame carries which was built so far.
    package func writtenCommit(_ group: GroupID) -> LogIndex {
        groups.slot(of: group).map { groups.elements[$0].written.commit } ?? 0
    }
}

extension Log {
    /// How much free space the log needs to prepare its next segment, in bytes.
    package var nextSegmentByteCount: UInt64 { max(UInt64(nextSegmentBytes), neededSegmentBytes) }
}
