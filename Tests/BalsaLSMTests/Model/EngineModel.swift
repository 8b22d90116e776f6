import BalsaLSM
import BalsaPlatform

/// A write of a batch.
enum ModelWrite: Equatable {
    case put(Bytes, Bytes)
    case delete(Bytes)
    case deleteRange(Bytes, Bytes)
}

/// A key with its value and the number of the batch that wrote it.
struct ModelPair: Equatable, CustomStringConvertible {
    var key: Bytes
    var value: Bytes
    var sequence: SequenceNumber

    var description: String { "\(key)=\(value.count > 12 ? "\(value.slice(0..<12))…" : "\(value)")@\(sequence)" }
}

/// What an engine should hold: every version of every key that was ever written, in the plainest form.
struct EngineModel {
    private struct Version {
        var sequence: SequenceNumber
        /// Nil for a deletion.
        var value: Bytes?
    }

    /// The keys, ascending.
    private var keys: [Bytes] = []
    /// For each of them its versions, oldest first.
    private var versions: [[Version]] = []
    private var lastSequence: SequenceNumber = 0

    /// Applies a batch, whose number is above those of the batches before it.
    ///
    /// A range deletion deletes each key of the range that there is. What its own batch puts it does not hide, wherever
    /// in the batch it stands, so it goes first.
    mutating func apply(_ writes: [ModelWrite], sequence: SequenceNumber) {
        precondition(sequence > lastSequence, "batches are applied in their order")
        lastSequence = sequence
        for case .deleteRange(let start, let end) in writes {
            var index = place(of: start)
            while index < keys.count, keys[index] < end {
                versions[index].append(Version(sequence: sequence, value: nil))
                index += 1
            }
        }
        for write in writes {
            switch write {
            case .put(let key, let value): add(key, Version(sequence: sequence, value: value))
            case .delete(let key): add(key, Version(sequence: sequence, value: nil))
            case .deleteRange: break
            }
        }
    }

    private mutating func add(_ key: Bytes, _ version: Version) {
        let index = place(of: key)
        if index == keys.count || keys[index] != key {
            keys.insert(key, at: index)
            versions.insert([], at: index)
        }
        versions[index].append(version)
    }

    /// The index of the first key that is not below `key`.
    private func place(of key: Bytes) -> Int {
        var (low, high) = (0, keys.count)
        while low < high {
            let middle = (low + high) / 2
            if keys[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// What a reader at `sequence` sees of a key.
    func pair(_ key: Bytes, at sequence: SequenceNumber) -> ModelPair? {
        let index = place(of: key)
        guard index < keys.count, keys[index] == key else { return nil }
        return pair(index, at: sequence)
    }

    private func pair(_ index: Int, at sequence: SequenceNumber) -> ModelPair? {
        // Loops in place of closures here and below: the tests spend their time here, and run without optimization.
        var place = versions[index].count - 1
        while place >= 0, versions[index][place].sequence > sequence { place -= 1 }
        guard place >= 0, let value = versions[index][place].value else { return nil }
        return ModelPair(key: keys[index], value: value, sequence: versions[index][place].sequence)
    }

    /// What a reader at `sequence` sees from `start` up to `end`, in order; nil for no bound.
    func pairs(from start: Bytes? = nil, to end: Bytes? = nil, at sequence: SequenceNumber) -> [ModelPair] {
        var found: [ModelPair] = []
        var index = start.map { place(of: $0) } ?? 0
        let limit = end.map { place(of: $0) } ?? keys.count
        while index < limit {
            if let pair = pair(index, at: sequence) { found.append(pair) }
            index += 1
        }
        return found
    }
}

extension WriteBatch {
    /// A batch of these writes.
    init(_ writes: [ModelWrite]) {
        self.init()
        for write in writes {
            switch write {
            case .put(let key, let value): put(key, value)
            case .delete(let key): delete(key)
            case .deleteRange(let start, let end): deleteRange(from: start, to: end)
            }
        }
    }
}

extension StorageEngine {
    /// Everything that a reader at `sequence` sees, by a cursor that goes forward.
    func pairs(
        from start: Bytes? = nil,
        to end: Bytes? = nil,
        at sequence: SequenceNumber? = nil
    ) throws -> [ModelPair] {
        var cursor = try makeCursor(from: start, to: end, at: sequence)
        return try cursor.pairs()
    }
}

extension EngineCursor {
    /// The pair that the cursor is at; nil where it is at none.
    var pair: ModelPair? {
        guard isValid else { return nil }
        return ModelPair(key: Bytes(copying: key), value: Bytes(copying: value), sequence: sequence)
    }

    /// All pairs, by going forward.
    mutating func pairs() throws -> [ModelPair] {
        var found: [ModelPair] = []
        try seekToFirst()
        while let pair {
            found.append(pair)
            try next()
        }
        return found
    }

    /// All pairs in their order, by going backward.
    mutating func pairsBackward() throws -> [ModelPair] {
        var found: [ModelPair] = []
        try seekToLast()
        while let pair {
            found.append(pair)
            try previous()
        }
        return found.reversed()
    }
}
