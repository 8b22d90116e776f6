import Synchronization

/// Counts the calls that use a resource, and says which of them gives it back after it was closed.
///
/// Closing waits for nobody, and no lock is held during a call. Any thread may call these methods.
package struct UseCount: ~Copyable {
    /// Twice the number of calls under way, plus 1 once the resource was closed.
    private let state = Atomic<Int>(0)

    package init() {}

    /// Begins a call.
    ///
    /// - Returns: false once the resource was closed. The call must not use it then, nor end.
    package func begin() -> Bool {
        var seen = state.load(ordering: .relaxed)
        while true {
            guard seen & 1 == 0 else { return false }
            let (exchanged, original) = state.weakCompareExchange(
                expected: seen,
                desired: seen + 2,
                ordering: .acquiringAndReleasing
            )
            if exchanged { return true }
            seen = original
        }
    }

    /// Ends a call that has begun.
    ///
    /// - Returns: whether the caller gives the resource back: it was closed, and this was the last call.
    package func end() -> Bool {
        // No call begins once it is closed, so that this value is reached once.
        state.wrappingSubtract(2, ordering: .acquiringAndReleasing).newValue == 1
    }

    /// Closes the resource. Does nothing if called again.
    ///
    /// - Returns: whether it was open, and whether the caller gives it back, since no call is under way.
    package func close() -> (wasOpen: Bool, isUnused: Bool) {
        let before = state.bitwiseOr(1, ordering: .acquiringAndReleasing).oldValue
        return (before & 1 == 0, before == 0)
    }
}
