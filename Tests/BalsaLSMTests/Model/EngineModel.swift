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

    private struct Deletion {
        var start: Bytes
        var end: Bytes
        var sequence: SequenceNumber
    }

    /// The keys, ascending.
    private var keys: [Bytes] = []
    /// For each of them its versions, oldest first.
    private var versions: [[Version]] = []
    private var rangeDeletions: [Deletion] = []

    /// Applies a batch.
    mutating func apply(_ writes: [ModelWrite], sequence: SequenceNumber) {
        for write in writes {
            switch write {
            case .put(let key, let value): add(key, Version(sequence: sequence, value: value))
            case .delete(let key): add(key, Version(sequence: sequence, value: nil))
            case .deleteRange(let start, let end):
                rangeDeletions.append(Deletion(start: start, end: end, sequence: sequence))
            }
        }
    }

    private mutating func add(_ key: Bytes, _ version: Version) {
        let index = keys.firstIndex { $0 >= key } ?? keys.count
        if index == keys.count || keys[index] != key {
            keys.insert(key, at: index)
            versions.insert([], at: index)
        }
        versions[index].append(version)
    }

    /// What a reader at `sequence` sees of a key.
    func pair(_ key: Bytes, at sequence: SequenceNumber) -> ModelPair? {
        guard let index = keys.firstIndex(of: key) else { return nil }
        return pair(index, at: sequence)
    }

    private func pair(_ index: Int, at sequence: SequenceNumber) -> ModelPair? {
        guard let version = versions[index].last(where: { $0.sequence <= sequence }), let value = version.value else {
            return nil
        }
        let key = keys[index]
        let isHidden = rangeDeletions.contains {
            $0.sequence <= sequence && $0.sequence > version.sequence && $0.start <= key && key < $0.end
        }
        return isHidden ? nil : ModelPair(key: key, value: value, sequence: version.sequence)
    }

    /// What a reader at `sequence` sees from `start` up to `end`, in order; nil for no bound.
    func pairs(from start: Bytes? = nil, to end: Bytes? = nil, at sequence: SequenceNumber) -> [ModelPair] {
        keys.indices.compactMap { index in
            if let start, keys[index] < start { return nil }
            if let end, keys[index] >= end { return nil }
            return pair(index, at: sequence)
        }
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
