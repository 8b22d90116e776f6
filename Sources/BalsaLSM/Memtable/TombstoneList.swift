import BalsaPlatform
import CBalsaPlatform

/// Range deletions, which may overlap and be nested, in memory in proportion to their number.
///
/// The ends of all ranges, sorted, are the list's *boundaries*; from one to the next, a *piece*, the same deletions
/// cover every key. A list holds the ranges, the newest first, and for each piece the newest range that covers it.
///
/// ```
/// ranges              a ────────5────────── m
///                           e ──────8────────────── s
/// boundaries          a     e               m       s
/// newest              5     8               8       –
/// ```
///
/// A reader of the present needs no more than the newest range of a piece. One of the past asks for the newest range of
/// those that it sees. For it the ranges are grouped, sixteen to a group, sixteen groups to a larger one, and so on.
/// Each group knows the newest of its ranges for each of its own pieces (`TombstoneGroups`).
///
/// Ranges of one sequence number that touch are one, so that lists with the same effect are the same. Everything is in
/// flat memory that never changes: a reader searches it without counting a reference.
final class TombstoneList: @unchecked Sendable {
    /// A list without deletions.
    static let empty = TombstoneList([])

    /// In place of a range, where none covers a piece.
    static let none = UInt32.max

    private let boundaryCount: Int
    // The keys of the boundaries, one behind the other, and where each begins; one more for where the last ends.
    private let keys: UnsafeMutableRawPointer
    private let keyOffsets: UnsafeMutablePointer<Int>
    /// For each boundary the newest range that covers the piece behind it.
    private let newest: UnsafeMutablePointer<UInt32>
    /// The ranges, from boundary to boundary, by descending sequence numbers and then by their keys.
    private let ranges: UnsafeMutablePointer<TombstoneRange>
    /// For searches among the ranges up to a sequence number; nil where no ranges overlap.
    private let groups: TombstoneGroups?

    /// How many ranges there are.
    let rangeCount: Int
    /// How much memory the list takes, in bytes.
    let byteCount: Int
    /// How many pieces are covered.
    let count: Int

    /// The list of deletions that may be in any order and overlap. Those of empty ranges do nothing.
    ///
    /// Complexity: O(n log n) comparisons of keys.
    init(_ deletions: [RangeDeletion]) {
        let deletions = TombstoneList.joined(deletions)
        let boundaries = TombstoneList.boundaries(of: deletions)
        let numbers = deletions.map { deletion in
            TombstoneRange(
                start: TombstoneList.index(of: deletion.start, in: boundaries),
                end: TombstoneList.index(of: deletion.end, in: boundaries),
                sequence: deletion.sequence
            )
        }
        boundaryCount = boundaries.count
        rangeCount = deletions.count
        let keyBytes = boundaries.reduce(0) { $0 + $1.count }
        let keys = UnsafeMutableRawPointer.allocate(byteCount: max(keyBytes, 1), alignment: 1)
        let keyOffsets = UnsafeMutablePointer<Int>.allocate(capacity: boundaries.count + 1)
        let newest = UnsafeMutablePointer<UInt32>.allocate(capacity: max(boundaries.count, 1))
        let ranges = UnsafeMutablePointer<TombstoneRange>.allocate(capacity: max(numbers.count, 1))
        var keyEnd = 0
        for (place, key) in boundaries.enumerated() {
            (keyOffsets + place).initialize(to: keyEnd)
            key.withUnsafeBytes { raw in
                if let source = raw.baseAddress { (keys + keyEnd).copyMemory(from: source, byteCount: raw.count) }
            }
            keyEnd += key.count
            (newest + place).initialize(to: TombstoneList.none)
        }
        (keyOffsets + boundaries.count).initialize(to: keyEnd)
        for (place, range) in numbers.enumerated() { (ranges + place).initialize(to: range) }
        var coverage = 0
        for piece in TombstonePieces.newest(of: numbers[...]) {
            for place in Int(piece.start)..<Int(piece.end) { newest[place] = piece.range }
            coverage += Int(piece.end - piece.start)
        }
        // Without overlaps each piece is as many boundaries long as its range.
        let overlaps = numbers.reduce(0) { $0 + Int($1.end - $1.start) } > coverage
        count = coverage
        groups = overlaps ? TombstoneGroups(numbers) : nil
        self.keys = keys
        self.keyOffsets = keyOffsets
        self.newest = newest
        self.ranges = ranges
        byteCount =
            keyBytes + 12 * boundaries.count + 16 * numbers.count + (groups?.byteCount ?? 0) + 160
    }

    deinit {
        keys.deallocate()
        keyOffsets.deallocate()
        newest.deallocate()
        ranges.deallocate()
    }

    /// A list with the deletions of all of `lists`.
    static func merging(_ lists: [TombstoneList]) -> TombstoneList {
        let filled = lists.filter { !$0.isEmpty }
        if filled.count <= 1 { return filled.first ?? .empty }
        return TombstoneList(filled.flatMap(\.deletions))
    }

    // MARK: Making

    /// The deletions by descending sequence numbers and then by their keys; those of one number that touch are one.
    private static func joined(_ deletions: [RangeDeletion]) -> [RangeDeletion] {
        var joined: [RangeDeletion] = []
        let filled = deletions.filter { $0.start < $0.end }
        joined.reserveCapacity(filled.count)
        for deletion in filled.sorted(by: { ($1.sequence, $0.start) < ($0.sequence, $1.start) }) {
            guard let last = joined.last, last.sequence == deletion.sequence, deletion.start <= last.end else {
                joined.append(deletion)
                continue
            }
            let end = max(last.end, deletion.end)
            joined[joined.count - 1] = RangeDeletion(start: last.start, end: end, sequence: last.sequence)
        }
        return joined
    }

    private static func boundaries(of deletions: [RangeDeletion]) -> [Bytes] {
        var boundaries: [Bytes] = []
        boundaries.reserveCapacity(2 * deletions.count)
        for key in deletions.flatMap({ [$0.start, $0.end] }).sorted() where boundaries.last != key {
            boundaries.append(key)
        }
        return boundaries
    }

    private static func index(of key: Bytes, in boundaries: [Bytes]) -> UInt32 {
        var low = 0
        var high = boundaries.count
        while low < high {
            let middle = (low + high) / 2
            if boundaries[middle] < key { low = middle + 1 } else { high = middle }
        }
        return UInt32(low)
    }

    // MARK: The whole list

    /// Whether nothing is deleted.
    var isEmpty: Bool { boundaryCount == 0 }

    /// The deletions, by descending sequence numbers and then by their keys. Those of one sequence number do not touch.
    var deletions: [RangeDeletion] { (0..<rangeCount).map(deletion) }

    private func deletion(_ index: Int) -> RangeDeletion {
        let range = ranges[index]
        return RangeDeletion(
            start: Bytes(copying: key(at: Int(range.start))),
            end: Bytes(copying: key(at: Int(range.end))),
            sequence: range.sequence
        )
    }

    /// The lowest key that is covered, and the end of the highest range; nil if nothing is deleted.
    var bounds: (start: Bytes, end: Bytes)? {
        guard boundaryCount > 0 else { return nil }
        return (Bytes(copying: key(at: 0)), Bytes(copying: key(at: boundaryCount - 1)))
    }

    /// The lowest and the highest sequence number; nil if nothing is deleted.
    var sequences: (lowest: SequenceNumber, highest: SequenceNumber)? {
        rangeCount > 0 ? (ranges[rangeCount - 1].sequence, ranges[0].sequence) : nil
    }

    /// A range in which every key is covered by some deletion.
    struct Run: Equatable, Sendable {
        let start: Bytes
        /// The first key behind it that is not covered.
        let end: Bytes
        /// Every key in it is covered by a deletion with this number or a higher one.
        let sequence: SequenceNumber

        /// The runs of several lists as those of one: they overlap nowhere, and ascend.
        static func joined(_ runs: [Run]) -> [Run] {
            var joined: [Run] = []
            for run in runs.sorted(by: { $0.start < $1.start }) {
                guard let last = joined.last, run.start <= last.end else {
                    joined.append(run)
                    continue
                }
                let sequence = min(last.sequence, run.sequence)
                joined[joined.count - 1] = Run(start: last.start, end: max(last.end, run.end), sequence: sequence)
            }
            return joined
        }
    }

    /// The longest ranges in which every key is covered, in the order of their keys: pieces that touch are one,
    /// whatever their sequence numbers.
    var runs: [Run] {
        var runs: [Run] = []
        var start: Int?
        var lowest = SequenceNumber.max
        for place in 0..<boundaryCount {
            if newest[place] != TombstoneList.none {
                if start == nil { start = place }
                lowest = min(lowest, ranges[Int(newest[place])].sequence)
            } else if let first = start {
                let (from, to) = (Bytes(copying: key(at: first)), Bytes(copying: key(at: place)))
                runs.append(Run(start: from, end: to, sequence: lowest))
                start = nil
                lowest = .max
            }
        }
        return runs
    }

    /// The deletions without what hides nobody anything: of those that `group` gives the same number, which are
    /// neighbours by their sequence numbers, each key keeps the newest.
    ///
    /// Complexity: O(n log n), and at most two pieces for each deletion.
    func newestDeletions(ofEach group: (SequenceNumber) -> SequenceNumber) -> [RangeDeletion] {
        let all = UnsafeBufferPointer(start: ranges, count: rangeCount)
        var kept: [RangeDeletion] = []
        var first = 0
        while first < rangeCount {
            let number = group(ranges[first].sequence)
            var end = first + 1
            while end < rangeCount, group(ranges[end].sequence) == number { end += 1 }
            for piece in TombstonePieces.newest(of: Array(all[first..<end])[...]) {
                kept.append(
                    RangeDeletion(
                        start: Bytes(copying: key(at: Int(piece.start))),
                        end: Bytes(copying: key(at: Int(piece.end))),
                        sequence: ranges[first + Int(piece.range)].sequence
                    )
                )
            }
            first = end
        }
        return kept
    }

    /// The part of the list that is about keys from `from`, up to `to`, which is excluded; nil for no bound.
    func clipped(from: Bytes?, to: Bytes?) -> TombstoneList {
        if from == nil && to == nil { return self }
        var kept: [RangeDeletion] = []
        for index in 0..<rangeCount {
            let range = ranges[index]
            if let to, to.withUnsafeBytes({ KeyOrder.compare(key(at: Int(range.start)), $0) >= 0 }) { continue }
            if let from, from.withUnsafeBytes({ KeyOrder.compare(key(at: Int(range.end)), $0) <= 0 }) { continue }
            let whole = deletion(index)
            let start = from.map { max($0, whole.start) } ?? whole.start
            let end = to.map { min($0, whole.end) } ?? whole.end
            kept.append(RangeDeletion(start: start, end: end, sequence: whole.sequence))
        }
        return kept.isEmpty ? .empty : TombstoneList(kept)
    }

    // MARK: Searching

    /// The highest sequence number, up to `sequence`, of a deletion that covers `key`; 0 for none.
    ///
    /// Takes time logarithmic in the number of ranges, and a few times as much where newer ones cover the key as well.
    func covering(_ key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> SequenceNumber {
        guard let range = range(over: countOfBoundaries(notAbove: key) - 1, at: sequence) else { return 0 }
        return ranges[range].sequence
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

    /// The newest range, up to `sequence`, that covers what follows a boundary.
    @inline(__always)
    private func range(over boundary: Int, at sequence: SequenceNumber) -> Int? {
        guard boundary >= 0, newest[boundary] != TombstoneList.none else { return nil }
        let range = Int(newest[boundary])
        if ranges[range].sequence <= sequence { return range }
        guard let groups else { return nil }
        let all = UnsafeBufferPointer(start: ranges, count: rangeCount)
        return groups.newest(over: UInt32(boundary), among: all, at: sequence)
    }

    /// How far the ranges around `key` reach in which a deletion from `sequence` to `readSequence` covers everything:
    /// the end behind the key, which is excluded, or the start before it. Nil if there is no such range at the key.
    /// Lent while the list lives.
    ///
    /// Complexity: a search for each range that it passes, of which it passes 64 at most.
    func edge(
        of key: UnsafeRawBufferPointer,
        coveredBy sequence: SequenceNumber,
        at readSequence: SequenceNumber,
        isForward: Bool
    ) -> UnsafeRawBufferPointer? {
        guard sequence > 0 else { return nil }
        var piece = countOfBoundaries(notAbove: key) - 1
        var edge: Int?
        for _ in 0..<64 {
            guard let range = range(over: piece, at: readSequence), ranges[range].sequence >= sequence else { break }
            let reached = Int(isForward ? ranges[range].end : ranges[range].start)
            edge = reached
            piece = isForward ? reached : reached - 1
        }
        return edge.map { self.key(at: $0) }
    }

    @inline(__always)
    private func key(at place: Int) -> UnsafeRawBufferPointer {
        let start = keyOffsets[place]
        return UnsafeRawBufferPointer(start: keys + start, count: keyOffsets[place + 1] - start)
    }
}
