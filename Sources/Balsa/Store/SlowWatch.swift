import BalsaRaft

/// Decides which operations are told to the observer: those that took as long as their threshold, and of each kind not more
/// than one in an interval. A disk that has become slow makes everything slow, and an operator needs to read it once.
struct SlowWatch {
    private struct Channel {
        var threshold: TimeSpan
        var nextReport = Instant.zero
        var unreportedCount = 0
    }

    private var channels: [Channel]
    private let interval: TimeSpan

    init(_ thresholds: SlowThresholds) {
        channels = SlowOperation.Kind.allCases.map { kind in
            let threshold =
                switch kind {
                case .logWrite: thresholds.logWrite
                case .apply: thresholds.apply
                case .turn: thresholds.turn
                case .command, .read: thresholds.call
                }
            return Channel(threshold: TimeSpan(threshold))
        }
        interval = TimeSpan(thresholds.reportInterval)
    }

    /// Whether an operation that took this long is slow.
    func isSlow(_ kind: SlowOperation.Kind, after took: TimeSpan) -> Bool { took >= channels[kind.rawValue].threshold }

    /// An operation has ended.
    ///
    /// - Parameters:
    ///   - parts: where the time went, and `detail`: how much was done; asked for only where there is a report.
    /// - Returns: what to tell, if anything.
    mutating func ended(
        _ kind: SlowOperation.Kind,
        after took: TimeSpan,
        at now: Instant,
        parts: @autoclosure () -> [SlowOperation.Part] = [],
        detail: @autoclosure () -> String = ""
    ) -> SlowOperation? {
        let place = kind.rawValue
        guard isSlow(kind, after: took) else { return nil }
        guard now >= channels[place].nextReport else {
            channels[place].unreportedCount += 1
            return nil
        }
        defer {
            channels[place].nextReport = now + interval
            channels[place].unreportedCount = 0
        }
        return SlowOperation(
            kind: kind,
            duration: Duration(took),
            threshold: Duration(channels[place].threshold),
            parts: parts(),
            detail: detail(),
            unreportedCount: channels[place].unreportedCount
        )
    }
}

/// Notes when a member begins and ends to wait for something, and for how long it did.
struct StallWatch {
    private(set) var reason: StallReason?
    private var since = Instant.zero

    /// What the member waits for at this moment.
    ///
    /// - Returns: what to tell, in order.
    mutating func look(_ current: StallReason?, at now: Instant) -> [StoreEvent] {
        guard current != reason else { return [] }
        var events: [StoreEvent] = []
        if let reason { events.append(.resumed(reason, after: Duration(now - since))) }
        if let current { events.append(.stalled(current)) }
        reason = current
        since = now
        return events
    }
}

/// Lets each of some sentences through once in an interval, and only so many different ones: a damaged block is met by
/// every read, and a damaged file by reads of many blocks.
struct RepetitionWatch {
    private let interval: TimeSpan
    /// What was told within the last interval, and until when it is not told again.
    private var told: [(sentence: String, end: Instant)] = []
    private var unreportedCount = 0

    init(interval: Duration) { self.interval = TimeSpan(interval) }

    /// Whether the sentence is worth telling now. Complexity: linear in what was told within an interval.
    ///
    /// - Parameter limit: how many sentences, of all callers, are told in an interval before this one is not.
    mutating func isNews(_ sentence: String, at now: Instant, limit: Int) -> Bool {
        told.removeAll { now >= $0.end }
        guard told.count < limit, !told.contains(where: { $0.sentence == sentence }) else {
            unreportedCount += 1
            return false
        }
        told.append((sentence, now + interval))
        return true
    }

    /// How many sentences were not let through since this was asked last.
    mutating func takeUnreportedCount() -> Int {
        defer { unreportedCount = 0 }
        return unreportedCount
    }
}
