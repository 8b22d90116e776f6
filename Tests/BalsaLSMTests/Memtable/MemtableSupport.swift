import BalsaPlatform

@testable import BalsaLSM

extension Memtable {
    func put(_ key: Bytes, _ value: Bytes, at sequence: SequenceNumber) {
        insert(ModelEntry(key: key, trailer: Trailer(sequence, .put), value: value))
    }

    func delete(_ key: Bytes, at sequence: SequenceNumber) {
        insert(ModelEntry(key: key, trailer: Trailer(sequence, .deletion), value: ""))
    }

    func insert(_ entry: ModelEntry) {
        entry.key.withUnsafeBytes { key in
            entry.value.withUnsafeBytes { value in insert(key, value, entry.trailer) }
        }
    }

    func entry(of key: Bytes, at sequence: SequenceNumber) -> ModelEntry? {
        key.withUnsafeBytes { find($0, at: sequence) }.map { hit in
            ModelEntry(key: key, trailer: hit.trailer, value: Bytes(copying: hit.value))
        }
    }

    func covering(_ key: Bytes, at sequence: SequenceNumber) -> SequenceNumber {
        epochs.withPin { key.withUnsafeBytes { covering($0, at: sequence) } }
    }

    /// All entries, by a cursor that goes forward.
    var entries: [ModelEntry] {
        var cursor = makeCursor()
        var entries: [ModelEntry] = []
        cursor.seekToFirst()
        while let entry = cursor.entry {
            entries.append(entry)
            cursor.next()
        }
        return entries
    }

    /// All entries, last first, by a cursor that goes backward.
    var entriesBackward: [ModelEntry] {
        var cursor = makeCursor()
        var entries: [ModelEntry] = []
        cursor.seekToLast()
        while let entry = cursor.entry {
            entries.append(entry)
            cursor.previous()
        }
        return entries
    }
}

extension MemtableCursor {
    /// A copy of the entry at the cursor; nil where it is at none.
    var entry: ModelEntry? {
        isValid ? ModelEntry(key: Bytes(copying: key), trailer: trailer, value: Bytes(copying: value)) : nil
    }

    mutating func seek(_ key: Bytes, _ trailer: Trailer) {
        key.withUnsafeBytes { seek($0, trailer) }
    }

    mutating func seekBefore(_ key: Bytes) {
        key.withUnsafeBytes { seekBefore($0) }
    }
}

/// The shapes that keys come in, each of which leads through other parts of a radix tree.
enum MemtableKeyShape: CaseIterable {
    /// Numbers in decimal, with zeros in front.
    case digits
    /// Three keys that are written again and again.
    case hot
    /// Two bytes of any value, which fills the large nodes.
    case dense
    /// Random bytes of random lengths, some of them none.
    case random
    /// Words over a tiny alphabet, most of which are prefixes of others.
    case prefixes
    /// Runs of the highest and the lowest byte.
    case extremes
    /// Paths with long parts in common.
    case paths
    /// Thousands of bytes that differ in few places.
    case long

    func draw(_ random: inout RandomSource) -> Bytes {
        switch self {
        case .digits:
            let digits = String(random.below(2_000))
            return Bytes(String(repeating: "0", count: 16 - digits.count) + digits)
        case .hot:
            return random.pick(["a", "b", "bc"])
        case .dense:
            return Bytes([UInt8(random.below(4)), UInt8(random.below(256))])
        case .random:
            return Bytes((0..<random.draw(0...20)).map { _ in UInt8(random.below(256)) })
        case .prefixes:
            return Bytes((0..<random.draw(0...8)).map { _ in UInt8(97 + random.below(2)) })
        case .extremes:
            return Bytes((0..<random.draw(0...9)).map { _ in random.pick([0, 0, 0xff, 0xff, 0x80]) })
        case .paths:
            let user = random.below(8)
            let folder = random.pick(["photographs", "photos", "p", "documents/of/last/year", "documents"])
            return Bytes("/home/users/of/this/machine/\(user)/\(folder)/\(random.below(30))")
        case .long:
            var key = Array(repeating: UInt8(7), count: random.pick([40, 1_000, 4_000]))
            for _ in 0..<2 { key[random.draw(0...key.count - 1)] = UInt8(random.below(3)) }
            return Bytes(key)
        }
    }
}
