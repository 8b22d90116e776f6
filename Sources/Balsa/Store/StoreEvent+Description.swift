import BalsaRaft

extension StoreState: CustomStringConvertible {
    /// The state in words; of a failed store with the reason.
    public var description: String {
        switch self {
        case .recovering: "recovering"
        case .leader: "leader"
        case .follower(let leader): "follower of member \(leader)"
        case .noQuorum: "no quorum"
        case .failed(let reason): "failed: \(reason)"
        case .closed: "closed"
        }
    }
}

extension StoreEvent: CustomStringConvertible {
    /// How much an event matters to an operator.
    public enum Level: Int, Comparable, Sendable, CaseIterable {
        /// It happens in every store, often.
        case debug
        /// It happens in every store, and says what the store does.
        case info
        /// Something is not as it should be, and the store goes on.
        case warning
        /// Somebody has to act: the store has failed, or data is damaged or lost.
        case error

        /// In the order of the cases.
        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// How much the event matters to an operator.
    public var level: Level {
        switch self {
        case .connected: .debug
        case .standing, .joined, .resumed, .firstBootMisses: .info
        case .optionsDiffer, .frameRefused, .checkpointRefused, .refused, .firstBootWaits, .connectionClosed, .retrying,
            .stalled, .slow:
            .warning
        case .damaged, .failed: .error
        case .anomaly(let anomaly):
            switch anomaly {
            case .stateRebuilt: .info
            case .unknownPeer, .malformedMessage, .persistStalled, .quorumLost: .warning
            default: .error
            }
        }
    }

    /// The event in one line, for a log.
    public var description: String {
        switch self {
        case .standing(let standing): "\(standing)"
        case .anomaly(let anomaly): anomaly.sentence
        case .optionsDiffer(let differences):
            "opened with other replicated options than are in force: "
                + differences.map(\.description).joined(separator: "; ")
        case .frameRefused(let reason): "a frame was dropped: \(reason)"
        case .checkpointRefused(let peer, let reason): "a checkpoint of member \(peer) was refused: \(reason)"
        case .refused(let peer, let reason): "member \(peer): \(reason)"
        case .joined(let cluster): "joined the cluster \(cluster)"
        case .firstBootWaits(let reason): "the first boot waits: \(reason)"
        case .firstBootMisses(let peers):
            peers.isEmpty
                ? "the first boot misses no peer, and waits for all to agree; where that does not end, another member "
                    + "tells why"
                : "the first boot misses " + peers.map(\.description).joined(separator: "; ")
        case .connectionClosed(let reason): reason
        case .connected(let peer): "connected to member \(peer)"
        case .retrying(let what): "tried again: \(what)"
        case .damaged(let sentence): sentence
        case .stalled(let reason): "stalled: \(reason.rawValue)"
        case .resumed(let reason, let duration): "resumed after \(duration): \(reason.rawValue)"
        case .slow(let operation): "slow: \(operation)"
        case .failed(let error): "the store has failed: \(error)"
        }
    }
}
