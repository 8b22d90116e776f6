import BalsaRaft

/// The time that replicated state may know: nanoseconds that grow along the log, whoever leads.
///
/// A leader stamps its entries with the stamp of the last entry that it found in its log plus the monotonic time since
/// it took office. No wall clock takes part, so that one that jumps cannot reach the state; while nobody leads, logical
/// time stands still.
struct LogicalClock {
    private var origin: UInt64 = 0
    private var since = Instant.zero
    private var last: UInt64 = 0

    /// Begins to count for a new leader, from the stamp of the last entry in its log.
    mutating func begin(at now: Instant, after stamp: UInt64) {
        origin = stamp
        since = now
        last = stamp
    }

    /// The stamp of an entry that is made now. It never falls.
    mutating func stamp(at now: Instant) -> UInt64 {
        let (sum, overflow) = origin.addingReportingOverflow((now - since).nanoseconds)
        // The format has no larger stamps. It is reached after 146 years.
        last = max(last, overflow ? largestNumber : min(sum, largestNumber))
        return last
    }
}
