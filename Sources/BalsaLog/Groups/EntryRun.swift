import BalsaRaft

/// Where consecutive entries of one group lie, one behind the other, in one frame.
struct EntryRun: Equatable, Sendable {
    /// The index of the first entry.
    var first: LogIndex
    /// The index of the last entry that counts; bytes of truncated ones may follow it.
    var last: LogIndex
    /// Where the first entry begins.
    var place: LogPlace
    /// The length of all entries, in bytes.
    var byteCount: Int
}

/// Finds the entries of a group in the files: its runs, in the order of their indexes.
///
/// There is one run a frame and group, or one for each 64 KiB where that is more, and not one an entry, so that the index
/// of a full log stays small.
struct RunIndex: Sendable {
    private(set) var runs: [EntryRun] = []

    /// The length above which an entry begins a new run, in bytes. A read costs at most that much more than it needs.
    private static let runBytes = 64 << 10

    /// Adds the next entry.
    ///
    /// - Precondition: it follows the last.
    mutating func append(index: LogIndex, byteCount: Int, place: LogPlace) {
        if let last = runs.indices.last, runs[last].byteCount + byteCount <= RunIndex.runBytes,
            runs[last].last + 1 == index, runs[last].place.segment == place.segment,
            runs[last].place.offset + UInt64(runs[last].byteCount) == place.offset
        {
            runs[last].last = index
            runs[last].byteCount += byteCount
            return
        }
        precondition(runs.last.map { $0.last < index } ?? true, "runs are added in the order of their indexes")
        runs.append(EntryRun(first: index, last: index, place: place, byteCount: byteCount))
    }

    /// Forgets the entries behind `index`.
    mutating func truncate(after index: LogIndex) {
        while let run = runs.last, run.first > index { runs.removeLast() }
        if let last = runs.indices.last, runs[last].last > index { runs[last].last = index }
    }

    /// Forgets the entries through `index`, except those that share a run with one that is kept.
    mutating func compact(through index: LogIndex) {
        let dead = runs.firstIndex { $0.last > index } ?? runs.count
        if dead > 0 { runs.removeSubrange(0..<dead) }
    }

    /// Forgets everything.
    mutating func removeAll() { runs.removeAll() }

    /// Notes that entries lie elsewhere now. Those of a run stay one behind the other.
    ///
    /// - Parameter moves: where each one was and is, in the order of the log. At least one.
    mutating func move(_ moves: [(from: LogPlace, to: LogPlace)]) {
        for position in runs.indices.reversed() {
            let place = runs[position].place
            // Runs lie in the order of the log, and what moves is its end.
            guard place >= moves[0].from else { return }
            var low = 0
            var high = moves.count
            while low < high {
                let middle = (low + high) / 2
                if moves[middle].from < place { low = middle + 1 } else { high = middle }
            }
            precondition(low < moves.count && moves[low].from == place, "all entries at the end of the log move")
            runs[position].place = moves[low].to
        }
    }

    /// The position in ``runs`` of the run that holds `index`; nil where none does.
    func run(holding index: LogIndex) -> Int? {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].last < index { low = middle + 1 } else { high = middle }
        }
        return low < runs.count && runs[low].first <= index ? low : nil
    }
}
