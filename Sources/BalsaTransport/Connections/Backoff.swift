import BalsaPlatform

/// How long to wait between attempts: twice as long after each, up to a limit, and never exactly as long as the others.
///
/// Members that lost each other at the same moment would else all come back at the same moments.
struct Backoff: Equatable {
    /// The first wait and the longest, in nanoseconds, before chance shortens them to no less than half.
    let minimum: UInt64
    let maximum: UInt64

    private var current: UInt64

    /// - Precondition: neither is 0, and the limit is not below the first wait.
    init(minimum: UInt64, maximum: UInt64) {
        precondition(minimum > 0 && minimum <= maximum, "the waits between attempts have no order")
        self.minimum = minimum
        self.maximum = maximum
        current = minimum
    }

    /// How long to wait after one more failure, in nanoseconds.
    mutating func next(_ random: inout RandomSource) -> UInt64 {
        defer { current = current > maximum / 2 ? maximum : current * 2 }
        return jittered(current, &random)
    }

    /// How long to wait where haste cannot help, in nanoseconds.
    mutating func longest(_ random: inout RandomSource) -> UInt64 {
        current = maximum
        return jittered(maximum, &random)
    }

    /// The next failure is the first again.
    mutating func reset() { current = minimum }

    private func jittered(_ wait: UInt64, _ random: inout RandomSource) -> UInt64 {
        wait - random.below(wait / 2 + 1)
    }
}
