/// How often one kind of background work has failed in a row, and for how many calls it now rests.
///
/// The engine has no clock. It counts calls that have nothing else to do: their callers get the same error again, and
/// wait before the next call. After f failures in a row that many calls pass without an attempt: 0, 1, 3, 7, and then
/// 15 each time.
struct WorkBackoff {
    /// The longest rest, in calls.
    static let mostCalls = 15

    /// What the last attempt failed with; nil after one that succeeded.
    private var error: EngineError?
    private var failures = 0
    /// How many attempts in a row have failed.
    var failuresInARow: Int { failures }
    /// Whether one of them has failed for want of space, whatever the file system says that it has: a quota may be
    /// less.
    private(set) var hasLackedSpace = false
    private var callsLeft = 0

    /// What the last attempt failed with, if the work rests; nil if it may be attempted.
    var restingError: EngineError? { callsLeft > 0 ? error : nil }

    /// Notes that an attempt failed.
    mutating func failed(_ error: EngineError) {
        self.error = error
        failures += 1
        if error.cause?.isOutOfSpace ?? false { hasLackedSpace = true }
        callsLeft = failures > 4 ? WorkBackoff.mostCalls : (1 << (failures - 1)) - 1
    }

    /// Notes that an attempt succeeded.
    mutating func succeeded() { self = WorkBackoff() }

    /// Lets the next call try again, since something has changed.
    mutating func endRest() { callsLeft = 0 }

    /// Notes that a call passed without an attempt.
    mutating func passCall() { callsLeft = max(callsLeft - 1, 0) }
}
