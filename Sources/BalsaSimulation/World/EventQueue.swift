import BalsaRaft

/// The future of a simulated world: events by the moment at which they happen, and of one moment in the order in which
/// they were scheduled. A binary heap of small keys beside a table of events.
struct EventQueue<Event> {
    private struct Key {
        var at: UInt64
        var sequence: UInt64
        var slot: Int

        func isBefore(_ other: Key) -> Bool { at == other.at ? sequence < other.sequence : at < other.at }
    }

    private var heap: [Key] = []
    private var events: [Event?] = []
    private var free: [Int] = []
    private var nextSequence: UInt64 = 0

    /// The number of events to come.
    var count: Int { heap.count }

    /// Schedules an event.
    mutating func schedule(_ event: Event, at moment: TimeSpan) {
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            events[slot] = event
        } else {
            slot = events.count
            events.append(event)
        }
        let key = Key(at: moment.nanoseconds, sequence: nextSequence, slot: slot)
        nextSequence += 1
        heap.append(key)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            let above = heap[parent]
            guard key.isBefore(above) else { break }
            heap[child] = above
            child = parent
        }
        heap[child] = key
    }

    /// Removes and returns the next event.
    mutating func next() -> (moment: TimeSpan, event: Event)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        guard let event = events[first.slot] else { preconditionFailure("every key has its event") }
        events[first.slot] = nil
        free.append(first.slot)
        return (TimeSpan(nanoseconds: first.at), event)
    }

    /// Moves the key at the front to where it belongs.
    private mutating func sink() {
        let count = heap.count
        let key = heap[0]
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < count else { break }
            var below = heap[child]
            if child + 1 < count {
                let other = heap[child + 1]
                if other.isBefore(below) {
                    child += 1
                    below = other
                }
            }
            guard below.isBefore(key) else { break }
            heap[parent] = below
            parent = child
        }
        heap[parent] = key
    }
}
