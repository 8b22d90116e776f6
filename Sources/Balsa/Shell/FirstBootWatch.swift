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
