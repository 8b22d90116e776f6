import Glibc

/// The machine's monotonic clock (`CLOCK_MONOTONIC`).
///
/// It never goes back and is not set by anybody; it stands still while the machine sleeps. Its origin is arbitrary, so
/// that its values mean something only to this boot of this machine. This is the one place where real time enters:
/// everything that decides takes the time as an argument.
public struct MonotonicClock: Sendable {
    /// The clock.
    public init() {}

    /// The time, in nanoseconds since the clock's origin.
    public func nanoseconds() -> UInt64 {
        var time = timespec()
        let result = clock_gettime(CLOCK_MONOTONIC, &time)
        precondition(result == 0, "Linux has had a monotonic clock since 2.6")
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
