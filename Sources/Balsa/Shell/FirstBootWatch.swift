import BalsaRaft
import BalsaTransport

/// Decides when an operator hears which peers a first boot misses.
///
/// Nothing happens until all members have been started, so that one wrong address keeps all of them waiting. The shell
/// looks at what is missing every ``interval``. It reports a change, and repeats a report from time to time, but never
/// sends two reports within ``pause``.
struct FirstBootWatch {
    /// How long after the start, and how often from then on, the connections are looked at.
    static let interval = TimeSpan.seconds(1)
    /// The shortest time between two reports.
    static let pause = TimeSpan.seconds(10)
    /// The time after which a report that is still true is repeated.
    static let repetition = TimeSpan.seconds(60)

    private var told: (peers: [MissingPeer], at: Instant)?

    /// Looks at what is missing now.
    ///
    /// - Returns: what to report; nil for no report.
    mutating func look(_ missing: [MissingPeer], at now: Instant) -> [MissingPeer]? {
        // That all are connected is worth a word only where it has not ended the wait for long.
        guard told != nil || !missing.isEmpty else { return nil }
        if let told {
            let wait = told.peers == missing ? FirstBootWatch.repetition : FirstBootWatch.pause
            guard now >= told.at + wait else { return nil }
        }
        told = (missing, now)
        return missing
    }

    /// The peers to which no connection is open.
    static func missing(_ connections: [PeerConnection]) -> [MissingPeer] {
        connections.filter { $0.control != .connected }.map {
            MissingPeer(member: $0.peer, address: "\($0.address)", reason: $0.trouble ?? "no answer yet")
        }
    }
}

/// Decides when an operator hears what a first boot waits for.
///
/// A reason is found again with every message that arrives, and there may be several that hold at a time. Each is told
/// when it is found first, and again after ``repetition`` where it still holds.
struct FirstBootReasons {
    /// The time after which a reason that is found again is told again.
    static let repetition = TimeSpan.seconds(60)
    /// How many reasons are told within ``repetition``, at most. Others are left out.
    static let maxReasons = 16

    /// Invariant: none is older than ``repetition`` after a look, by ascending moment.
    private var told: [(reason: String, at: Instant)] = []

    /// Whether to tell a reason that was found now.
    ///
    /// Complexity: linear in the number of reasons told, which is bounded.
    mutating func isNews(_ reason: String, at now: Instant) -> Bool {
        told.removeAll { now >= $0.at + FirstBootReasons.repetition }
        guard told.count < FirstBootReasons.maxReasons, !told.contains(where: { $0.reason == reason }) else {
            return false
        }
        told.append((reason, now))
        return true
    }
}
