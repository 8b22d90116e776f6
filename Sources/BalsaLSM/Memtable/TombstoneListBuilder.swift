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
