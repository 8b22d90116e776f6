/// The operations of a log that have been called and not returned, at most one a process.
///
/// A sorted array: a log has few processes at a time, and new ones have higher numbers.
struct OpenOperations<Call> {
    private var calls: [(process: UInt64, call: Call)] = []

    /// Adds the call of a process.
    ///
    /// - Returns: false where the process has one already.
    mutating func open(_ call: Call, of process: UInt64) -> Bool {
        let index = place(of: process)
        guard index == calls.count || calls[index].process != process else { return false }
        calls.insert((process, call), at: index)
        return true
    }

    /// Removes and returns the call of a process; nil where it has none.
    mutating func close(_ process: UInt64) -> Call? {
        let index = place(of: process)
        guard index < calls.count, calls[index].process == process else { return nil }
        return calls.remove(at: index).call
    }

    /// The calls that never returned, by process.
    var remaining: [(process: UInt64, call: Call)] { calls }

    private func place(of process: UInt64) -> Int {
        var (low, high) = (0, calls.count)
        while low < high {
            let middle = low + (high - low) / 2
            if calls[middle].process < process { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
