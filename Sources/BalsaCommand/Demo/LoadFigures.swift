/// What a load has shown so far: acknowledgements, and the times between them.
struct LoadFigures {
    /// How many pairs were acknowledged.
    private(set) var acknowledged = 0
    /// How often a request was made again.
    var retries = 0
    /// How long each pair took, in nanoseconds.
    private(set) var latencies: [UInt64] = []
    /// The longest time without an acknowledgement, in nanoseconds.
    private(set) var longestGap: UInt64 = 0
    /// The same since each kill of a leader, until the next.
    private(set) var gapsOfKills: [UInt64] = []
    private(set) var lastAcknowledgement: UInt64

    /// Begins to count at this moment, in nanoseconds.
    init(at now: UInt64) { lastAcknowledgement = now }

    /// How long nothing has been acknowledged at this moment, in nanoseconds. A caller may have read the clock before
    /// another one noted an acknowledgement: then it is 0.
    func silence(at now: UInt64) -> UInt64 { now - min(now, lastAcknowledgement) }

    /// Notes an acknowledgement of what was asked at `begin`.
    mutating func acknowledge(since begin: UInt64, at now: UInt64) {
        acknowledged += 1
        latencies.append(now - min(now, begin))
        let gap = silence(at: now)
        longestGap = max(longestGap, gap)
        if !gapsOfKills.isEmpty { gapsOfKills[gapsOfKills.count - 1] = max(gapsOfKills[gapsOfKills.count - 1], gap) }
        lastAcknowledgement = max(lastAcknowledgement, now)
    }

    /// Notes that the leader was killed.
    mutating func noteKill() { gapsOfKills.append(0) }

    /// The number at the place `part` of the way through the numbers in their order; 0 where there are none.
    static func quantile(_ part: Double, of numbers: [UInt64]) -> UInt64 {
        let sorted = numbers.sorted()
        guard !sorted.isEmpty else { return 0 }
        return sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
    }
}
