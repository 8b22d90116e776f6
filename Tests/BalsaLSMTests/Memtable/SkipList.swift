import BalsaPlatform

@testable import BalsaLSM

/// An entry as the tests compare it.
struct ModelEntry: Equatable, CustomStringConvertible {
    let key: Bytes
    let trailer: Trailer
    let value: Bytes

    var description: String { "\(key)@\(trailer.sequence)=\(value)" }

    /// Key ascending, then newest first.
    func isBefore(_ key: Bytes, _ trailer: Trailer) -> Bool {
        self.key == key ? self.trailer > trailer : self.key < key
    }
}

/// The memtable that every engine began with, against which ours is held: a skip list after W. Pugh, one node an entry.
struct SkipList {
    private struct Node {
        let entry: ModelEntry?
        /// The next node of each height; 0, which is the head, for none.
        var next: [Int]
    }

    private static let maxHeight = 12

    private var nodes = [Node(entry: nil, next: Array(repeating: 0, count: maxHeight))]
    private var random = RandomSource(seed: 1)

    /// The entries in order.
    var entries: [ModelEntry] {
        var entries: [ModelEntry] = []
        var place = nodes[0].next[0]
        while let entry = nodes[place].entry {
            entries.append(entry)
            place = nodes[place].next[0]
        }
        return entries
    }

    mutating func insert(_ entry: ModelEntry) {
        let before = path(to: entry.key, entry.trailer)
        var height = 1
        while height < SkipList.maxHeight, random.chance(1, in: 4) { height += 1 }
        let place = nodes.count
        nodes.append(Node(entry: entry, next: (0..<height).map { nodes[before[$0]].next[$0] }))
        for level in 0..<height { nodes[before[level]].next[level] = place }
    }

    /// The first entry at or behind a place in the order.
    func seek(_ key: Bytes, _ trailer: Trailer) -> ModelEntry? {
        nodes[nodes[path(to: key, trailer)[0]].next[0]].entry
    }

    /// The last entry with a lower key.
    func seekBefore(_ key: Bytes) -> ModelEntry? {
        nodes[path(to: key, Trailer(rawValue: .max))[0]].entry
    }

    func find(_ key: Bytes, at sequence: SequenceNumber) -> ModelEntry? {
        seek(key, .seek(sequence)).flatMap { $0.key == key ? $0 : nil }
    }

    /// The last node before a place, in each height.
    private func path(to key: Bytes, _ trailer: Trailer) -> [Int] {
        var path = Array(repeating: 0, count: SkipList.maxHeight)
        var place = 0
        for level in (0..<SkipList.maxHeight).reversed() {
            while let next = nodes[nodes[place].next[level]].entry, next.isBefore(key, trailer) {
                place = nodes[place].next[level]
            }
            path[level] = place
        }
        return path
    }
}
