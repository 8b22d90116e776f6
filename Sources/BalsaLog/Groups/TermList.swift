import BalsaRaft

/// The terms of a group's entries, by where each term begins: a log of many entries has few.
struct TermList: Sendable {
    private var spans: [(first: LogIndex, term: Term)] = []

    /// Notes the term of the next entry.
    mutating func append(_ position: LogPosition) {
        if spans.last?.term != position.term { spans.append((position.index, position.term)) }
    }

    /// Forgets the entries behind `index`.
    mutating func truncate(after index: LogIndex) {
        while let span = spans.last, span.first > index { spans.removeLast() }
    }

    /// Forgets the entries through `index`.
    mutating func compact(through index: LogIndex) {
        while spans.count >= 2, spans[1].first <= index + 1 { spans.removeFirst() }
    }

    /// Forgets everything.
    mutating func removeAll() { spans.removeAll() }

    /// The term of the entry of `index`, which the caller knows to be there.
    func term(at index: LogIndex) -> Term? {
        var low = 0
        var high = spans.count
        while low < high {
            let middle = (low + high) / 2
            if spans[middle].first <= index { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? spans[low - 1].term : nil
    }
}
