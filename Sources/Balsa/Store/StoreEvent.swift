import BalsaRaft

/// What a store does, as its user sees it.
public enum StoreState: Equatable, Sendable {
    /// It is open and looks for its place: it belongs to no cluster before all members were started once, or what its log holds
    /// is being applied and nobody leads yet that it knows of.
    case recovering
    /// It leads.
    case leader
    /// It follows this member.
    case follower(of: MemberID)
    /// No leader is known: a majority cannot be reached, or is choosing one. Only local reads are served.
    case noQuorum
    /// It has failed and serves nothing until it is opened anew. The text says why.
    case failed(String)
    /// It was closed.
    case closed
}

/// What an observer is told. More events may be added: a switch over them needs a `default`. For a log,
/// ``StoreEvent/level`` and ``StoreEvent/description`` are enough.
public enum StoreEvent: Sendable {
    /// The role, the term or the known leader changed. Told of every change, also of those that come and go faster than
    /// ``ReplicatedStore/states`` shows.
    case standing(Standing)
    /// Something happened that no correct member does, or that an operator should know.
    case anomaly(Anomaly)
    /// The store was opened with other ``StoreOptions/replicated`` than the cluster has: for each option both values.
    /// The cluster's are in force; ``ReplicatedStore/changeOptions(_:expecting:timeout:)`` changes them. Told once an
    /// opening.
    case optionsDiffer([OptionDifference])
    /// A frame from a peer could not be decoded and was dropped.
    case frameRefused(String)
    /// A peer refused this member's connection or was refused; the text says what to do.
    case refused(MemberID, String)
    /// All members were started for the first time, and this one belongs to the cluster of this id from now on.
    case joined(cluster: String)
    /// The members cannot become a cluster until something is done; the text says what. Each text is told at most once
    /// a minute, and mostly by one member alone.
    case firstBootWaits(String)
    /// The first boot waits for these peers, to which no connection could be made yet; for all members to agree where
    /// there are none. Told a second after the start, then when it changes and once a minute, but at most every 10 s.
    case firstBootMisses([MissingPeer])
    /// A connection that somebody made to this member was closed because of what came over it, or did not come: the text says
    /// what. At most one of a kind a second is told, whatever is sent to the port.
    case connectionClosed(String)
    /// The connection to a peer is open.
    case connected(MemberID)
    /// Work in the background, or the note of a peer that was started anew, failed and is tried again, for as long as it takes:
    /// mostly there is no space. The text names the file and what the system says. At most one a second is told.
    case retrying(String)
    /// Bytes on the disk are not what was written; the text names the file and the place. What was read is not believed, and
    /// nothing is answered from it. Of a file with two copies, the other one is used, and the file is written again. Of
    /// a damaged table, keys outside of the named range are served.
    case damaged(String)
    /// What a peer sends as a checkpoint cannot take the place of the state, which stays as it is. The text says why:
    /// it was damaged on its way, it is of another cluster, this release cannot read it, it does not fit on the disk,
    /// or its files cannot be written. The peer tries again. After one that was refused before all of it had
    /// arrived, it pauses, and the pause doubles up to 64 of its longest election timeouts; of such attempts of one
    /// leader that fail alike, the first is told.
    case checkpointRefused(from: MemberID, String)
    /// The member takes less than it is offered, and waits for this.
    case stalled(StallReason)
    /// The wait for this is over, after so long.
    case resumed(StallReason, after: Duration)
    /// An operation took longer than its threshold of ``StoreOptions/slow``.
    case slow(SlowOperation)
    /// The store has failed.
    case failed(ReplicaError)
}

/// A peer that cannot be reached yet.
public struct MissingPeer: Equatable, Sendable, CustomStringConvertible {
    /// The peer.
    public let member: MemberID
    /// Where it is looked for.
    public let address: String
    /// Why it cannot be reached, in words.
    public let reason: String

    /// The peer in one line.
    public var description: String { "member \(member) at \(address): \(reason)" }
}

/// Is told what a store does, for logs and metrics. Every method does nothing unless it is implemented.
///
/// Calls come from the store's own thread, on which elections, heartbeats and deadlines depend. They must return soon:
/// a log handler that blocks delays all of these. Hand over to a thread of your own what may wait for a disk or a
/// network.
public protocol StoreObserver: Sendable {
    /// The state changed.
    func stateChanged(_ state: StoreState)
    /// Something happened.
    func noticed(_ event: StoreEvent)
}

extension StoreObserver {
    /// Does nothing.
    public func stateChanged(_ state: StoreState) {}
    /// Does nothing.
    public func noticed(_ event: StoreEvent) {}
}
