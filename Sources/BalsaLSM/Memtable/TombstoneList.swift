import BalsaPlatform
import CBalsaPlatform

/// Range deletions, cut at each other's ends into pieces that do not overlap.
///
/// The ends of all ranges, sorted, are the list's *boundaries*. From one boundary to the next, the same deletions cover
/// every key, so that the list holds for each boundary the sequence numbers that count from there on, highest first.
/// Between two pieces that nothing covers, and behind the last, these are none.
///
/// ```
/// deletions           a ────────5────────── m
///                           e ──────8────────────── s
/// boundaries          a     e               m       s
/// sequences           5     8 5             8       –
/// ```
///
/// Neighbours with the same sequence numbers are one, so that lists with the same effect are the same. Everything is in
/// flat memory that never changes: a reader searches it without counting a reference.
final class TombstoneList: @unchecked Sendable {
    /// A piece: the keys in `start ..< end`, and the sequence numbers of the deletions that cover them, descending.
    struct Fragment: Equatable, Sendable {
        let start: Bytes
        let end: Bytes
        let sequences: [SequenceNumber]
    }

    /// A list without deletions.
    static let empty = TombstoneList(TombstoneListBuilder())

    private let boundaryCount: Int
    // The keys of the boundaries, one behind the other, and where each begins; one more for where the last ends.
    private let keys: UnsafeMutableRawPointer
    private let keyOffsets: UnsafeMutablePointer<Int>
    // The same for the sequence numbers.
    private let sequences: UnsafeMutablePointer<SequenceNumber>
    private let sequenceOffsets: UnsafeMutablePointer<Int>

    /// How much memory the list takes, in bytes.
    let byteCount: Int
    /// How many pieces there are.
    let count: Int

    /// The list of deletions that may be in any order and overlap. Those of empty ranges do nothing.
    convenience init(_ deletions: [RangeDeletion]) { self.init(TombstoneListBuilder.covering(deletions)) }

    init(_ builder: TombstoneListBuilder) {
        let boundaries = builder.boundaries
        let keyBytes = boundaries.reduce(0) { $0 + $1.key.count }
        let sequenceCount = boundaries.reduce(0) { $0 + $1.sequences.count }
        boundaryCount = boundaries.count
        keys = .allocate(byteCount: max(keyBytes, 1), alignment: 1)
        keyOffsets = .allocate(capacity: boundaries.count + 1)
        sequences = .allocate(capacity: max(sequenceCount, 1))
        sequenceOffsets = .allocate(capacity: boundaries.count + 1)
        byteCount = keyBytes + 8 * sequenceCount + 16 * (boundaries.count + 1) + 128
        var keyEnd = 0
        var sequenceEnd = 0
        count = boundaries.count { !$0.sequences.isEmpty }
        for (place, boundary) in boundaries.enumerated() {
            (keyOffsets + place).initialize(to: keyEnd)
            (sequenceOffsets + place).initialize(to: sequenceEnd)
            boundary.key.withUnsafeBytes { raw in
                if let source = raw.baseAddress { (keys + keyEnd).copyMemory(from: source, byteCount: raw.count) }
            }
            for (number, sequence) in boundary.sequences.enumerated() {
                (sequences + sequenceEnd + number).initialize(to: sequence)
            }
            keyEnd += boundary.key.count
            sequenceEnd += boundary.sequences.count
        }
        (keyOffsets + boundaries.count).initialize(to: keyEnd)
        (sequenceOffsets + boundaries.count).initialize(to: sequenceEnd)
    }

    deinit {
        keys.deallocate()
        keyOffsets.deallocate()
        sequences.deallocate()
        sequenceOffsets.deallocate()
    }

    /// Whether nothing is deleted.
    var isEmpty: Bool { boundaryCount == 0 }

    /// The pieces, in the order of their keys.
    var fragments: [Fragment] {
        (0..<boundaryCount).compactMap { place in
            let sequences = sequences(at: place)
            guard !sequences.isEmpty else { return nil }
            return Fragment(
                start: Bytes(copying: key(at: place)),
                end: Bytes(copying: key(at: place + 1)),
                sequences: Array(sequences)
            )
        }
    }

    /// A range in which every key is covered by some deletion.
    struct Run: Equatable, Sendable {
        let start: Bytes
        /// The first key behind it that is not covered.
        let end: Bytes
        /// Every key in it is covered by a deletion with this number or a higher one.
        let sequence: SequenceNumber
    }

    /// The longest ranges in which every key is covered, in the order of their keys: pieces that touch are one,
    /// whatever their sequence numbers.
    var runs: [Run] {
        var runs: [Run] = []
        var start: Int?
        var lowest = SequenceNumber.max
        for place in 0..<boundaryCount {
            if let newest = sequences(at: place).first {
                if start == nil { start = place }
                lowest = min(lowest, newest)
            } else if let first = start {
                let (from, to) = (Bytes(copying: key(at: first)), Bytes(copying: key(at: place)))
                runs.append(Run(start: from, end: to, sequence: lowest))
                start = nil
                lowest = .max
            }
        }
        return runs
    }

    /// The highest sequence number, up to `sequence`, of a deletion that covers `key`; 0 for none.
    ///
    /// Takes time logarithmic in the number of pieces, and in proportion to how many newer deletions cover the key.
    func covering(_ key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> SequenceNumber {
        covering(countOfBoundaries(notAbove: key) - 1, at: sequence)
    }

    /// How many boundaries are not above `key`.
    @inline(__always)
    private func countOfBoundaries(notAbove key: UnsafeRawBufferPointer) -> Int {
        var lower = 0
        var upper = boundaryCount
        while lower < upper {
            let middle = (lower + upper) / 2
            if KeyBytes.order(self.key(at: middle), key, from: 0) == .after {
                upper = middle
            } else {
                lower = middle + 1
            }
        }
        return lower
    }

    /// The highest sequence number, up to `sequence`, of a deletion that covers what follows a boundary; 0 for none.
    @inline(__always)
    private func covering(_ boundary: Int, at sequence: SequenceNumber) -> SequenceNumber {
        guard boundary >= 0 else { return 0 }
        for candidate in sequences(at: boundary) where candidate <= sequence { return candidate }
        return 0
    }

    /// How far the pieces around `key` reach in which a deletion from `sequence` to `readSequence` covers everything:
    /// the end behind the key, which is excluded, or the start before it. Nil if there is no such piece at the key.
    /// Lent while the list lives.
    ///
    /// Complexity: linear in the pieces that it passes, of which it passes 1,000 at most.
    func edge(
        of key: UnsafeRawBufferPointer,
        coveredBy sequence: SequenceNumber,
        at readSequence: SequenceNumber,
        isForward: Bool
    ) -> UnsafeRawBufferPointer? {
        let piece = countOfBoundaries(notAbove: key) - 1
        guard sequence > 0, covering(piece, at: readSequence) >= sequence else { return nil }
        var place = piece
        let limit = isForward ? piece + 1_000 : piece - 1_000
        while place != limit, covering(isForward ? place + 1 : place - 1, at: readSequence) >= sequence {
            place += isForward ? 1 : -1
        }
        return self.key(at: isForward ? place + 1 : place)
    }

    /// The part of the list that is about keys from `from`, up to `to`, which is excluded; nil for no bound.
    func clipped(from: Bytes?, to: Bytes?) -> TombstoneList {
        var builder = TombstoneListBuilder()
        for fragment in fragments {
            let start = from.map { max($0, fragment.start) } ?? fragment.start
            let end = to.map { min($0, fragment.end) } ?? fragment.end
            guard start < end else { continue }
            builder.append(start, fragment.sequences)
            builder.append(end, [])
        }
        return TombstoneList(builder)
    }

    /// A list with the deletions of all of `lists`.
    static func merging(_ lists: [TombstoneList]) -> TombstoneList {
        let filled = lists.filter { !$0.isEmpty }
        if filled.count <= 1 { return filled.first ?? .empty }
        return TombstoneList(TombstoneListBuilder.merging(filled.map(\.builder)))
    }

    private var builder: TombstoneListBuilder {
        var builder = TombstoneListBuilder()
        for place in 0..<boundaryCount {
            builder.append(Bytes(copying: key(at: place)), Array(sequences(at: place)))
        }
        return builder
    }

    @inline(__always)
    private func key(at place: Int) -> UnsafeRawBufferPointer {
        let start = keyOffsets[place]
        return UnsafeRawBufferPointer(start: keys + start, count: keyOffsets[place + 1] - start)
    }

    @inline(__always)
    private func sequences(at place: Int) -> UnsafeBufferPointer<SequenceNumber> {
        let start = sequenceOffsets[place]
        return UnsafeBufferPointer(start: sequences + start, count: sequenceOffsets[place + 1] - start)
    }
}
