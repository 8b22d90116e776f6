import BalsaPlatform

/// The boundaries of a ``TombstoneList`` in the making, in ascending order.
struct TombstoneListBuilder {
    /// A key, and the sequence numbers, descending, of the deletions that cover it and what follows, up to the next
    /// boundary. The last boundary has none.
    struct Boundary {
        let key: Bytes
        var sequences: [SequenceNumber]
    }

    private(set) var boundaries: [Boundary] = []

    /// Says that from `key` on the deletions with these sequence numbers hold. The key is not below the last one; where
    /// it is the same, it replaces what was said of it.
    mutating func append(_ key: Bytes, _ sequences: [SequenceNumber]) {
        if let last = boundaries.last, last.key == key { boundaries.removeLast() }
        // Neighbours with the same deletions are one, and before the first is the same as none.
        guard boundaries.last?.sequences ?? [] != sequences else { return }
        boundaries.append(Boundary(key: key, sequences: sequences))
    }

    /// The boundaries of deletions in any order, which may overlap. Those of empty ranges do nothing.
    ///
    /// Complexity: O(n) for the pieces of a list in their order, O(n log n) for deletions of one sequence number; else
    /// O(n log n) without the sequence numbers that each piece holds.
    static func covering(_ deletions: [RangeDeletion]) -> TombstoneListBuilder {
        if let builder = ofPieces(deletions) ?? ofOneSequence(deletions) { return builder }
        return merging(
            deletions.map { deletion in
                var builder = TombstoneListBuilder()
                guard deletion.start < deletion.end else { return builder }
                builder.append(deletion.start, [deletion.sequence])
                builder.append(deletion.end, [])
                return builder
            }
        )
    }

    /// Deletions that come piece by piece, as a list gives them: in the order of their keys, each piece with its
    /// sequence numbers descending. Nil for others.
    private static func ofPieces(_ deletions: [RangeDeletion]) -> TombstoneListBuilder? {
        var builder = TombstoneListBuilder()
        var next = deletions.startIndex
        var end: Bytes?
        while next < deletions.endIndex {
            let piece = deletions[next]
            if let end, piece.start < end { return nil }
            guard piece.start < piece.end else { return nil }
            var sequences = [piece.sequence]
            next += 1
            while next < deletions.endIndex, deletions[next].start == piece.start, deletions[next].end == piece.end,
                let last = sequences.last, deletions[next].sequence < last
            {
                sequences.append(deletions[next].sequence)
                next += 1
            }
            builder.append(piece.start, sequences)
            builder.append(piece.end, [])
            end = piece.end
        }
        return builder
    }

    /// Deletions of one batch, which together delete what any of them does. Nil for others.
    private static func ofOneSequence(_ deletions: [RangeDeletion]) -> TombstoneListBuilder? {
        guard let sequence = deletions.first?.sequence, deletions.allSatisfy({ $0.sequence == sequence }) else {
            return nil
        }
        let sequences = [sequence]
        var builder = TombstoneListBuilder()
        var open: (start: Bytes, end: Bytes)?
        func close() {
            guard let range = open else { return }
            builder.append(range.start, sequences)
            builder.append(range.end, [])
        }
        for deletion in deletions.sorted(by: { $0.start < $1.start }) where deletion.start < deletion.end {
            if let range = open, deletion.start <= range.end {
                open = (range.start, max(range.end, deletion.end))
            } else {
                close()
                open = (deletion.start, deletion.end)
            }
        }
        close()
        return builder
    }

    /// What holds where all of `builders` hold together.
    static func merging(_ builders: [TombstoneListBuilder]) -> TombstoneListBuilder {
        // In pairs, and pairs of pairs, so that a boundary is handled as often as the number of lists can be halved.
        var builders = builders
        while builders.count > 1 {
            let pairs = stride(from: 0, to: builders.count - 1, by: 2).map { merging(builders[$0], builders[$0 + 1]) }
            builders = builders.count % 2 == 0 ? pairs : pairs + builders.suffix(1)
        }
        return builders.first ?? TombstoneListBuilder()
    }

    private static func merging(_ left: TombstoneListBuilder, _ right: TombstoneListBuilder) -> TombstoneListBuilder {
        var merged = TombstoneListBuilder()
        var leftPlace = 0
        var rightPlace = 0
        var leftSequences: [SequenceNumber] = []
        var rightSequences: [SequenceNumber] = []
        while leftPlace < left.boundaries.count || rightPlace < right.boundaries.count {
            let leftKey = leftPlace < left.boundaries.count ? left.boundaries[leftPlace].key : nil
            let rightKey = rightPlace < right.boundaries.count ? right.boundaries[rightPlace].key : nil
            guard let key = [leftKey, rightKey].compactMap({ $0 }).min() else { break }
            if leftKey == key {
                leftSequences = left.boundaries[leftPlace].sequences
                leftPlace += 1
            }
            if rightKey == key {
                rightSequences = right.boundaries[rightPlace].sequences
                rightPlace += 1
            }
            merged.append(key, merging(leftSequences, rightSequences))
        }
        return merged
    }

    /// The numbers of two descending lists in one, each of them once.
    private static func merging(_ left: [SequenceNumber], _ right: [SequenceNumber]) -> [SequenceNumber] {
        if left.isEmpty { return right }
        if right.isEmpty { return left }
        var merged: [SequenceNumber] = []
        merged.reserveCapacity(left.count + right.count)
        var leftPlace = 0
        var rightPlace = 0
        while leftPlace < left.count || rightPlace < right.count {
            let next: SequenceNumber
            if rightPlace == right.count || (leftPlace < left.count && left[leftPlace] >= right[rightPlace]) {
                next = left[leftPlace]
                leftPlace += 1
            } else {
                next = right[rightPlace]
                rightPlace += 1
            }
            if merged.last != next { merged.append(next) }
        }
        return merged
    }
}
