/// Everything that can happen to the core. Each is given to ``Raft/step(_:at:into:)`` together with the present moment.
public enum Input: Sendable {
    /// A message arrived; `entries` describes those that came with an append, and is empty for every other kind.
    case message(Message, entries: [EntryMetadata])

    /// A caller wants commands in the log. Answered by ``Response/proposed(_:first:term:)`` or
    /// ``Response/proposalRefused(_:_:)``, for all of them alike.
    case propose(Proposal)

    /// A caller wants to read linearizably. Answered by ``Response/readReady(_:index:)`` or
    /// ``Response/readRefused(_:_:)``; on a follower the answer can be lost, and a caller that waits too long asks again
    /// under another name.
    case read(ReadID)

    /// An operator wants other members. Answered with *not supported yet*.
    case changeMembership(Configuration, request: UInt64)

    /// The leader is to hand over: to that member, or to any where none is named. Answered by
    /// ``Response/handedOver(_:)`` or ``Response/refused(request:_:)``, after a maximum election timeout at the latest.
    case transferLeadership(to: MemberID?, request: UInt64)

    /// An operator wants this member to lead more or less gladly than others. Answered with *not supported yet*.
    case setPriority(UInt32, request: UInt64)

    /// The store closes: the member gives up leading and asks for nothing any more.
    case close

    /// This persist, and all that were asked for before it, are durable.
    case persisted(PersistID)

    /// This persist failed. Nothing after what is known to be durable will become so; the member serves no more.
    case persistFailed(PersistID)

    /// The state machine has applied the entries through this index.
    case applied(through: LogIndex)

    /// The shell dropped the log through this position, which a durable checkpoint covers.
    case compacted(through: LogPosition)

    /// A checkpoint was handed to a peer whole, or could not be. `position` is what it contains everything through.
    case snapshotSent(to: MemberID, position: LogPosition, succeeded: Bool)

    /// The checkpoint that ``Effect/installSnapshot(_:)`` asked for is in place and durable, and the log begins behind it.
    case snapshotInstalled(LogPosition)

    /// The checkpoint could not be installed; state and log are what they were.
    case snapshotFailed(LogPosition)

    /// The shell has recorded the digest of its state, as of the entry of that index, which is applied.
    case digest(StateDigest)

    /// The next committed entry needs a part of the state that the shell cannot read. The member stops before it, and
    /// asks for a checkpoint.
    case stateUnreadable

    /// Another member would lead better than this one. A leader hands over to any that can take over within a maximum
    /// election timeout. Without one it leads on, unless nothing was committed meanwhile and a quorum needs a peer that
    /// gets neither entries nor a checkpoint: then it resigns, and campaigns later than others.
    case giveWay

    /// The transport lost what it had for a peer, or cannot reach it.
    case peerUnreachable(MemberID)

    /// The moment that ``Effect/wake(at:)`` named has come.
    case timer
}

/// Commands that a caller wants in the log, one entry each, in order and next to each other.
public struct Proposal: Sendable {
    /// The caller's number for it.
    public var id: UInt64
    /// The encoded size of each entry, in bytes.
    public var byteCounts: [UInt32]

    /// A proposal of at least one entry.
    public init(id: UInt64, byteCounts: [UInt32]) {
        self.id = id
        self.byteCounts = byteCounts
    }
}

/// Which persist: they are numbered from 1 in the order in which they were asked for.
///
/// A completion is told by this number and not by the position that it made durable, because a position can be written,
/// cut off and written again: the completion of the first writing says nothing about the second.
public struct PersistID: Hashable, Comparable, Sendable {
    /// The number.
    public var number: UInt64

    /// The persist of that number.
    public init(number: UInt64) { self.number = number }

    /// The order in which they were asked for.
    public static func < (left: PersistID, right: PersistID) -> Bool { left.number < right.number }
}
