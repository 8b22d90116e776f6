import BalsaPlatform
import BalsaRaft

/// The calls that wait for a number, oldest first.
///
/// Any of them is taken out by its name at a cost that does not depend on how many wait: its place in the order is given up
/// later, when it has come to the front, or when most places are such.
struct WaitingCalls {
    private var order = CallQueue<CallID>()
    private var calls = LookupTable<CallID, ClientCall>()
    /// About how much memory their operations take, in bytes.
    private(set) var byteCount = 0
    /// No deadline is earlier; never where nothing waits.
    private(set) var earliestDeadline = Instant.never
    /// No deadline is later.
    private(set) var latestDeadline = Instant.zero

    var count: Int { calls.count }

    var isEmpty: Bool { calls.isEmpty }

    /// How many places the order has, those that are given up included.
    var placeCount: Int { order.count }

    /// The one that has waited longest.
    var first: ClientCall? { order.elements.first.flatMap { calls[$0] } }

    mutating func append(_ call: ClientCall) {
        order.append(call.id)
        calls.insert(call, for: call.id)
        byteCount += call.byteCount
        note(call.deadline)
    }

    mutating func popFirst() -> ClientCall? { order.elements.first.flatMap { remove($0) } }

    /// Takes out the call of that name; nil where it does not wait.
    mutating func remove(_ id: CallID) -> ClientCall? {
        guard let call = calls.remove(id) else { return nil }
        byteCount -= call.byteCount
        if calls.isEmpty { forgetAll() } else { dropPlaces() }
        return call
    }

    /// Takes out those whose deadline has passed, in their order.
    mutating func removeOverdue(at now: Instant) -> [ClientCall] {
        guard now >= earliestDeadline else { return [] }
        var overdue: [ClientCall] = []
        var kept = CallQueue<CallID>()
        earliestDeadline = .never
        latestDeadline = .zero
        for id in order.elements {
            guard let call = calls[id] else { continue }
            if now >= call.deadline {
                calls.remove(id)
                byteCount -= call.byteCount
                overdue.append(call)
            } else {
                kept.append(id)
                note(call.deadline)
            }
        }
        order = kept
        return overdue
    }

    /// Takes out all of them, in their order.
    mutating func removeAll() -> [ClientCall] {
        defer { forgetAll() }
        return order.elements.compactMap { calls[$0] }
    }

    private mutating func note(_ deadline: Instant) {
        earliestDeadline = min(earliestDeadline, deadline)
        latestDeadline = max(latestDeadline, deadline)
    }

    private mutating func forgetAll() { self = WaitingCalls() }

    /// Drops the places that were given up at the front, and all of them where they are more than the others.
    private mutating func dropPlaces() {
        while let id = order.elements.first, !calls.contains(id) { _ = order.popFirst() }
        guard order.count > 2 * calls.count else { return }
        var kept = CallQueue<CallID>()
        for id in order.elements where calls.contains(id) { kept.append(id) }
        order = kept
    }
}
