import BalsaPlatform

/// What a compaction may leave out.
///
/// Reads stay right at every *protected* sequence: those of the snapshots that were held when the compaction began, and all
/// from the mark on. The mark is that of the last durable seal and not the newest one, because after a crash the writes
/// behind that seal are applied again, and must find what they found the first time. A snapshot that is taken later is at a
/// later sequence, and protected by the mark.
///
/// For every sequence there is the *horizon*: the lowest protected sequence that is not below it. A write that is hidden from
/// its horizon is hidden from every protected reader, because readers between the write and the horizon are not protected.
struct DroppingRules {
    /// From here on everything is protected.
    let mark: SequenceNumber
    /// The snapshots below the mark, ascending.
    private let snapshots: [SequenceNumber]
    /// The range tombstones of the inputs.
    private let tombstones: TombstoneList
    /// For each level below the output, the input version's tables: what may hold something older. They outlive this.
    private let deeper: [UnsafeBufferPointer<TableSlot>]
    /// Where nothing is dropped, because something there cannot be read.
    private let quarantined: [KeyRange]
    /// Whether deletions are dropped without a look at what lies deeper; an error that the simulation can build in.
    private let ignoresDeeper: Bool

    init(
        mark: SequenceNumber,
        snapshots: [SequenceNumber],
        tombstones: TombstoneList,
        deeper: [UnsafeBufferPointer<TableSlot>],
        quarantined: [KeyRange] = [],
        ignoresDeeper: Bool = false
    ) {
        self.mark = mark
        self.snapshots = snapshots.filter { $0 < mark }
        self.tombstones = tombstones
        self.deeper = deeper.filter { !$0.isEmpty }
        self.quarantined = quarantined
        self.ignoresDeeper = ignoresDeeper
    }

    private func isQuarantined(_ key: UnsafeRawBufferPointer) -> Bool {
        let key = Bytes(copying: key)
        return quarantined.contains { $0.smallest <= key && !$0.isBefore(key) }
    }

    /// The lowest protected sequence that is not below `sequence`.
    func horizon(of sequence: SequenceNumber) -> SequenceNumber {
        guard sequence < mark else { return sequence }
        var low = 0
        var high = snapshots.count
        while low < high {
            let middle = (low + high) / 2
            if snapshots[middle] < sequence { low = middle + 1 } else { high = middle }
        }
        return low < snapshots.count ? snapshots[low] : mark
    }

    /// The lowest protected sequence of all.
    private var lowestProtected: SequenceNumber { snapshots.first ?? mark }

    /// Whether the entry of `key` with `trailer` may be dropped.
    ///
    /// - Parameter newer: the sequence of the next newer entry of the key in the inputs; nil for the newest.
    func drops(_ key: UnsafeRawBufferPointer, _ trailer: Trailer, newer: SequenceNumber?) -> Bool {
        let sequence = trailer.sequence
        if !quarantined.isEmpty, isQuarantined(key) { return false }
        let horizon = horizon(of: sequence)
        // Another version, or a range tombstone, hides it from its horizon on.
        if let newer, newer <= horizon { return true }
        if !tombstones.isEmpty, tombstones.covering(key, at: horizon) > sequence { return true }
        // A deletion that nobody sees anything behind says nothing. Below the lowest protected sequence all older versions in the
        // inputs are dropped as well, by it; deeper tables must not have any.
        guard trailer.kind == .deletion, sequence <= lowestProtected else { return false }
        return ignoresDeeper || !mayLieDeeper(key)
    }

    /// What of the inputs' range tombstones is kept.
    ///
    /// Of those with one horizon only the newest is kept for each key: from their horizon on it hides the others, as a
    /// newer version hides an entry. So of any number of tombstones that the mark and all snapshots have passed, two
    /// pieces for each are left at most, which do not overlap.
    func keptTombstones() -> [RangeDeletion] {
        var kept = tombstones.newestDeletions { horizon(of: $0) }
        kept.removeAll { $0.sequence <= lowestProtected && (ignoresDeeper || !mayLieDeeper($0)) }
        guard !quarantined.isEmpty else { return kept }
        for deletion in tombstones.deletions {
            for range in quarantined {
                let start = max(deletion.start, range.smallest)
                let end = min(deletion.end, range.end)
                if start < end { kept.append(RangeDeletion(start: start, end: end, sequence: deletion.sequence)) }
            }
        }
        return kept
    }

    /// Whether a deeper table may hold something of `key`.
    private func mayLieDeeper(_ key: UnsafeRawBufferPointer) -> Bool {
        deeper.contains { $0.slot(for: key) != nil }
    }

    /// Whether a deeper table may hold something that `deletion` covers.
    private func mayLieDeeper(_ deletion: RangeDeletion) -> Bool {
        let bounds = KeyBounds(from: deletion.start, to: deletion.end)
        return deeper.contains { !$0.within(bounds).isEmpty }
    }
}
