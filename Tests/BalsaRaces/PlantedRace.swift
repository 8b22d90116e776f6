import BalsaPlatform
import Glibc

/// A place that two threads write without a word to each other.
private final class Unguarded: @unchecked Sendable {
    var count = 0
}

/// Two threads count in one place without a lock: what the sanitizer has to report, or its silence elsewhere means nothing.
func plantRace() throws {
    let place = Unguarded()
    let finished = Locked(0)
    let threads = try (0..<2).map { _ in
        let left = Locked(100_000)
        return try BackgroundThread {
            let isLast = left.withLock { left in
                left -= 1
                return left == 0
            }
            // In front of the lock's next turn and behind its last one, so that the lock orders nothing between the threads.
            place.count += 1
            if isLast { finished.withLock { $0 += 1 } }
            return isLast ? .wait : .again
        }
    }
    while finished.withLock({ $0 }) < threads.count { usleep(1_000) }
    for thread in threads { thread.stop() }
    report("counted \(place.count)")
}
