/// What is to be done at which moment, in the order of the moments; at one moment, in the order of being asked for.
///
/// Adding and removing move the timers that come earlier; there are few, one for each connection that is being made.
struct TimerQueue<Job> {
    /// A timer, to take it back by.
    struct ID: Equatable {
        fileprivate let deadline: UInt64
        fileprivate let number: UInt64
    }

    /// Latest first, so that the next to come is taken from the end.
    private var timers: [(id: ID, job: Job)] = []
    private var count: UInt64 = 0

    /// When the next timer comes, in nanoseconds; nil where there is none.
    var next: UInt64? { timers.last?.id.deadline }

    /// Has `job` come at `deadline`.
    mutating func add(_ job: Job, at deadline: UInt64) -> ID {
        count += 1
        let id = ID(deadline: deadline, number: count)
        timers.insert((id, job), at: place(of: id))
        return id
    }

    /// Takes a timer back. Without effect where it has come.
    mutating func remove(_ id: ID) {
        let place = place(of: id)
        guard place < timers.count, timers[place].id == id else { return }
        timers.remove(at: place)
    }

    /// Takes the next job that is due out of the queue.
    mutating func popDue(at now: UInt64) -> Job? {
        guard let next, next <= now else { return nil }
        return timers.removeLast().job
    }

    /// Forgets all timers.
    mutating func removeAll() { timers = [] }

    /// Where `id` is, or would have to be.
    private func place(of id: ID) -> Int {
        var (low, high) = (0, timers.count)
        while low < high {
            let middle = (low + high) / 2
            let other = timers[middle].id
            if (other.deadline, other.number) > (id.deadline, id.number) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
