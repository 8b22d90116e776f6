import BalsaRaft
import BalsaWire

/// What the log keeps in memory of one group.
struct GroupLog: Sendable {
    let group: GroupID
    /// The state with everything that was staged.
    var state = GroupState()
    /// The state as the frames built so far leave it, which is what an opening frame repeats.
    var written = GroupState()
    /// Whether a commit index was noted that no frame has yet.
    var commitIsNew = false
    var terms = TermList()
    var runs = RunIndex()
    var recent = RecentEntries()

    init(group: GroupID) { self.group = group }

    /// The term of the entry of `index`, of the base too; nil where the log has neither.
    func term(at index: LogIndex) -> Term? {
        if index == state.base.index { return state.base.term }
        return index > state.base.index && index <= state.last.index ? terms.term(at: index) : nil
    }
}

extension GroupState {
    /// The state after `record`.
    mutating func apply(_ record: ControlRecord) {
        switch record.kind {
        case .truncation:
            last = record.position
        case .prefixRemoval:
            base = record.position
            commit = max(commit, base.index)
        case .baseReset:
            base = record.position
            last = record.position
            // Not the higher of both: a reset may also go back, where a restored group begins again.
            commit = base.index
            stamp = record.stamp
        case .commitNote:
            commit = max(commit, record.position.index)
        default:
            preconditionFailure("no other record changes a group's state")
        }
    }

    /// The state after an entry.
    mutating func append(_ header: EntryHeader) {
        last = header.position
        stamp = max(stamp, header.stamp)
    }
}

/// The groups of a log in the order of their numbers.
struct GroupTable<Element: Sendable>: Sendable {
    private(set) var groups: [GroupID] = []
    var elements: [Element] = []

    /// Where `group` is, or nil.
    func slot(of group: GroupID) -> Int? {
        let slot = lowerBound(group)
        return slot < groups.count && groups[slot] == group ? slot : nil
    }

    /// Where `group` is, or, if it is new, where it is after inserting `element`.
    mutating func slot(of group: GroupID, inserting element: @autoclosure () -> Element) -> Int {
        let slot = lowerBound(group)
        if slot == groups.count || groups[slot] != group {
            groups.insert(group, at: slot)
            elements.insert(element(), at: slot)
        }
        return slot
    }

    private func lowerBound(_ group: GroupID) -> Int {
        var low = 0
        var high = groups.count
        while low < high {
            let middle = (low + high) / 2
            if groups[middle] < group { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
