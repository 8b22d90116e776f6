import BalsaRaft

/// Checks that virtual time goes on: events that cause each other without taking any would never end.
///
/// How many events a second of virtual time has depends on the load and on how fast the disks and the network of the
/// scenario are. The bound is therefore on a millisecond, and far above what any scenario can do in one.
struct ProgressCheck {
    /// How many events there may be in a millisecond.
    static let mostEvents: UInt64 = 1_000_000

    private var millisecond: UInt64 = 0
    /// How many events there were before it.
    private var before: UInt64 = 0

    /// There have been so many events since the run began.
    mutating func check(events: UInt64, at now: TimeSpan) throws(Violation) {
        if now.nanoseconds / 1_000_000 != millisecond {
            millisecond = now.nanoseconds / 1_000_000
            before = events
        }
        guard events - before > ProgressCheck.mostEvents else { return }
        throw Violation(
            .liveness,
            "\(events - before) events in a millisecond: something goes on without end",
            at: now
        )
    }
}
