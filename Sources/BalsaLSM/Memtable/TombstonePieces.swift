/// A deletion of a ``TombstoneList``: from boundary to boundary.
struct TombstoneRange {
    /// The number of the boundary where it begins.
    let start: UInt32
    /// The number of the boundary that is its end, which is excluded.
    let end: UInt32
    let sequence: UInt64
}

/// Ranges cut at each other's ends, of which only the newest is left everywhere.
enum TombstonePieces {
    struct Piece {
        let start: UInt32
        let end: UInt32
        /// The place, among the ranges, of the newest one that covers the piece.
        let range: UInt32
    }

    /// The pieces of `ranges`, which are given newest first, in the order of their boundaries. Neighbours that belong
    /// to one range are one.
    ///
    /// The newest range takes all between its ends, each older one what is still free. Free cells are found by paths
    /// that are shortened as they are walked, so that no cell is passed often.
    ///
    /// Complexity: O(n log n); at most two pieces for each range.
    static func newest(of ranges: ArraySlice<TombstoneRange>) -> [Piece] {
        var cuts: [UInt32] = []
        for cut in ranges.flatMap({ [$0.start, $0.end] }).sorted() where cuts.last != cut { cuts.append(cut) }
        guard !cuts.isEmpty else { return [] }
        // Where the first free cell is from each one on.
        var free = Array(0...cuts.count)
        var owners = [UInt32](repeating: TombstoneList.none, count: cuts.count)
        func firstFree(_ cell: Int) -> Int {
            var root = cell
            while free[root] != root { root = free[root] }
            var walked = cell
            while free[walked] != root {
                let next = free[walked]
                free[walked] = root
                walked = next
            }
            return root
        }
        for (place, range) in ranges.enumerated() {
            let end = index(of: range.end, in: cuts)
            var cell = firstFree(index(of: range.start, in: cuts))
            while cell < end {
                owners[cell] = UInt32(place)
                free[cell] = cell + 1
                cell = firstFree(cell + 1)
            }
        }
        var pieces: [Piece] = []
        for cell in 0..<cuts.count - 1 where owners[cell] != TombstoneList.none {
            if let last = pieces.last, last.end == cuts[cell], last.range == owners[cell] {
                pieces[pieces.count - 1] = Piece(start: last.start, end: cuts[cell + 1], range: last.range)
            } else {
                pieces.append(Piece(start: cuts[cell], end: cuts[cell + 1], range: owners[cell]))
            }
        }
        return pieces
    }

    private static func index(of cut: UInt32, in cuts: [UInt32]) -> Int {
        var low = 0
        var high = cuts.count
        while low < high {
            let middle = (low + high) / 2
            if cuts[middle] < cut { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

/// For searches among ranges up to a sequence number: groups of sixteen, of sixteen times sixteen and so on, by
/// descending sequence numbers, each cut into its own pieces.
///
/// The ranges up to a sequence number are all from one on. These are a few single ranges, a few groups of sixteen, a
/// few larger ones, and so on. They are asked in this order, and the first that covers the piece has the newest range.
///
/// Memory: less than 32 bytes a range and size of groups, of which there are log₁₆ n.
final class TombstoneGroups: Sendable {
    private static let ratio = 16

    /// Groups of one size.
    private struct Layer: Sendable {
        /// How many ranges a group has.
        let size: Int
        /// The pieces of all groups.
        var starts: [UInt32] = []
        var ends: [UInt32] = []
        var ranges: [UInt32] = []
        /// Where the pieces of each group begin, and where the last one ends.
        var offsets: [Int] = [0]

        func newest(over boundary: UInt32, in group: Int) -> Int? {
            var low = offsets[group]
            let first = low
            var high = offsets[group + 1]
            while low < high {
                let middle = (low + high) / 2
                if starts[middle] <= boundary { low = middle + 1 } else { high = middle }
            }
            guard low > first, boundary < ends[low - 1] else { return nil }
            return Int(ranges[low - 1])
        }
    }

    private let layers: [Layer]
    /// How much memory they take, in bytes.
    let byteCount: Int

    init(_ ranges: [TombstoneRange]) {
        var layers: [Layer] = []
        var size = TombstoneGroups.ratio
        while size < ranges.count {
            var layer = Layer(size: size)
            for first in stride(from: 0, to: ranges.count, by: size) {
                for piece in TombstonePieces.newest(of: ranges[first..<min(first + size, ranges.count)]) {
                    layer.starts.append(piece.start)
                    layer.ends.append(piece.end)
                    layer.ranges.append(UInt32(first) + piece.range)
                }
                layer.offsets.append(layer.starts.count)
            }
            layers.append(layer)
            size *= TombstoneGroups.ratio
        }
        self.layers = layers
        byteCount = layers.reduce(0) { $0 + 12 * $1.starts.count + 8 * $1.offsets.count + 64 }
    }

    /// The newest of `ranges`, up to `sequence`, that covers what follows a boundary.
    func newest(
        over boundary: UInt32,
        among ranges: UnsafeBufferPointer<TombstoneRange>,
        at sequence: UInt64
    ) -> Int? {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].sequence > sequence { low = middle + 1 } else { high = middle }
        }
        var next = low
        while next < ranges.count {
            guard let layer = layers.lastIndex(where: { next % $0.size == 0 }) else {
                let range = ranges[next]
                if range.start <= boundary && boundary < range.end { return next }
                next += 1
                continue
            }
            if let range = layers[layer].newest(over: boundary, in: next / layers[layer].size) { return range }
            next += layers[layer].size
        }
        return nil
    }
}
