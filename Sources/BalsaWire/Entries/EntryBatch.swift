import BalsaPlatform
import BalsaRaft

/// One or more consecutive entries of one group in their encoded form.
///
/// The bytes are those that the leader made once: they are what is written to every log, what crosses the wire and what
/// the state machine decodes in place. A batch has been verified when it exists, either because it was decoded with all
/// checks or because it was built here, so that its accessors cannot fail. Slices share the bytes. An empty batch cannot
/// be represented.
public struct EntryBatch: Sendable {
    /// How long a batch may be at most, in bytes: lengths of batches and of frames then fit into 32 bits with ease.
    public static let maxByteCount = 1 << 30

    /// The group of all entries.
    public let group: GroupID
    /// The index of the first entry.
    public let firstIndex: LogIndex
    /// The position before the first entry: its index less one, and its previous term.
    public let previous: LogPosition
    /// The position of the last entry.
    public let last: LogPosition

    /// The memory in which the entries lie, with perhaps more of them before and behind.
    private let storage: Bytes
    /// Where in `storage` each entry begins, followed by where the last ends.
    private let starts: [UInt32]
    /// Which of `starts` are the beginnings of this batch's entries.
    private let window: Range<Int>

    /// A batch whose entries have been verified, or made, by the caller.
    init(verified storage: Bytes, starts: [UInt32], window: Range<Int>) {
        precondition(!window.isEmpty && window.upperBound < starts.count, "a batch holds at least one entry")
        self.storage = storage
        self.starts = starts
        self.window = window
        let (first, last) = storage.withUnsafeBytes { raw in
            (
                EntryHeader(trusting: raw, at: Int(starts[window.lowerBound])),
                EntryHeader(trusting: raw, at: Int(starts[window.upperBound - 1]))
            )
        }
        group = first.group
        firstIndex = first.index
        previous = LogPosition(term: first.previousTerm, index: first.index - 1)
        self.last = last.position
    }

    /// The number of entries.
    public var count: Int { window.count }

    /// The index of the last entry.
    public var lastIndex: LogIndex { last.index }

    /// The length of all entries, in bytes.
    public var byteCount: Int { Int(starts[window.upperBound] - starts[window.lowerBound]) }

    /// The encoded entries, one behind the other.
    public var bytes: Bytes { storage.slice(Int(starts[window.lowerBound])..<Int(starts[window.upperBound])) }

    /// The slot in `starts` of the entry of `index`.
    private func slot(of index: LogIndex) -> Int {
        precondition(index >= firstIndex && index <= last.index, "the batch does not hold the entry")
        return window.lowerBound + Int(index - firstIndex)
    }

    /// The header of the entry of `index`.
    ///
    /// - Precondition: the batch holds the entry.
    public func header(at index: LogIndex) -> EntryHeader {
        let start = Int(starts[slot(of: index)])
        return storage.withUnsafeBytes { EntryHeader(trusting: $0, at: start) }
    }

    /// The payload of the entry of `index`, sharing the batch's memory.
    ///
    /// - Precondition: the batch holds the entry.
    public func payload(at index: LogIndex) -> Bytes {
        let slot = slot(of: index)
        return storage.slice(Int(starts[slot]) + EntryHeader.encodedByteCount..<Int(starts[slot + 1]))
    }

    /// The length of the entry of `index` with its header, in bytes.
    ///
    /// - Precondition: the batch holds the entry.
    public func encodedByteCount(at index: LogIndex) -> Int {
        let slot = slot(of: index)
        return Int(starts[slot + 1] - starts[slot])
    }

    /// Where the entry of `index` begins within ``bytes``.
    ///
    /// - Precondition: the batch holds the entry.
    public func byteOffset(at index: LogIndex) -> Int { Int(starts[slot(of: index)] - starts[window.lowerBound]) }

    /// The entries `first` to `last`, both included, sharing the batch's memory.
    ///
    /// - Precondition: the batch holds them, and `first` is not behind `last`.
    public func slice(from first: LogIndex, through last: LogIndex) -> EntryBatch {
        precondition(first <= last, "a batch holds at least one entry")
        if first == firstIndex && last == self.last.index { return self }
        return EntryBatch(verified: storage, starts: starts, window: slot(of: first)..<slot(of: last) + 1)
    }

    /// The longest prefix of at most `maxBytes` bytes, or the first entry where that alone is longer.
    ///
    /// - Complexity: logarithmic in the number of entries.
    public func prefix(maxBytes: Int) -> EntryBatch {
        guard byteCount > maxBytes else { return self }
        let origin = Int(starts[window.lowerBound])
        var low = window.lowerBound + 1
        var high = window.upperBound
        while low < high {
            let middle = (low + high + 1) / 2
            if Int(starts[middle]) - origin <= maxBytes { low = middle } else { high = middle - 1 }
        }
        return EntryBatch(verified: storage, starts: starts, window: window.lowerBound..<low)
    }

    /// The same entries in memory of their own, if they share more than they need.
    public func compact() -> EntryBatch {
        let origin = starts[window.lowerBound]
        guard origin > 0 || window.upperBound + 1 < starts.count else { return self }
        let own = starts[window.lowerBound...window.upperBound].map { $0 - origin }
        return EntryBatch(verified: bytes.compact(), starts: own, window: 0..<count)
    }

    /// All entries of `batches` as one batch, whose bytes are copied unless there is only one.
    ///
    /// - Precondition: there is a batch, each continues the one before, and together they are not longer than ``maxByteCount``.
    public static func joining(_ batches: [EntryBatch]) -> EntryBatch {
        precondition(!batches.isEmpty, "a batch holds at least one entry")
        if batches.count == 1 { return batches[0] }
        let total = batches.reduce(0) { $0 + $1.byteCount }
        precondition(total <= maxByteCount, "a batch is at most 1 GiB long")
        let slab = Slab.make(capacity: total)
        var starts: [UInt32] = []
        var previous = batches[0].previous
        for batch in batches {
            precondition(batch.group == batches[0].group && batch.previous == previous, "the batches do not continue")
            let origin = batch.starts[batch.window.lowerBound]
            for start in batch.starts[batch.window] { starts.append(UInt32(slab.count) + (start - origin)) }
            batch.bytes.withUnsafeBytes { slab.append($0) }
            previous = batch.last
        }
        starts.append(UInt32(total))
        let storage = Bytes(slab: slab, offset: 0, count: total)
        return EntryBatch(verified: storage, starts: starts, window: 0..<starts.count - 1)
    }
}

extension EntryBatch: Equatable {
    /// Whether both hold the same entries, byte for byte.
    public static func == (left: EntryBatch, right: EntryBatch) -> Bool {
        left.count == right.count && left.bytes == right.bytes
    }
}

extension EntryBatch {
    /// Decodes entries that came from a disk or a peer and verifies all of them.
    ///
    /// - Parameters:
    ///   - bytes: the entries, one behind the other, and nothing else.
    ///   - group: the group that all of them must belong to.
    ///   - entriesBytesLimit: how many bytes are accepted at most.
    /// - Throws: ``DecodingError`` when there is no entry or too many bytes, when a checksum of a header or payload does
    ///   not match, when a kind is not one of entries, and when the entries are not consecutive: index by index, each
    ///   previous term the term of the entry before, terms never falling.
    public init(decoding bytes: Bytes, group: GroupID, entriesBytesLimit: Int) throws(DecodingError) {
        guard bytes.count <= min(entriesBytesLimit, EntryBatch.maxByteCount) else {
            throw DecodingError(.outOfBounds, "entries", at: 0)
        }
        let starts = try bytes.withUnsafeBytes { raw throws(DecodingError) in
            try EntryBatch.verify(raw, group: group)
        }
        guard starts.count > 1 else { throw DecodingError(.truncated, "entries", at: 0) }
        self.init(verified: bytes, starts: starts, window: 0..<starts.count - 1)
    }

    /// Verifies the entries in `raw` and returns where each begins and where the last ends.
    private static func verify(_ raw: UnsafeRawBufferPointer, group: GroupID) throws(DecodingError) -> [UInt32] {
        var starts: [UInt32] = []
        var offset = 0
        var previous: LogPosition?
        while offset < raw.count {
            let header = try EntryHeader(decoding: raw, at: offset)
            try header.check(follows: previous, in: group, at: offset)
            let payload = offset + EntryHeader.encodedByteCount
            guard Int(header.payloadByteCount) <= raw.count - payload else {
                throw DecodingError(.truncated, "entry payload", at: payload)
            }
            let end = payload + Int(header.payloadByteCount)
            let checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: raw[payload..<end]))
            guard checksum == header.payloadChecksum else {
                throw DecodingError(.checksum, "entry payload checksum", at: payload)
            }
            starts.append(UInt32(offset))
            previous = header.position
            offset = end
        }
        starts.append(UInt32(offset))
        return starts
    }
}

extension EntryHeader {
    /// Throws unless this is the header of an entry of `group` that may follow the entry at `previous`.
    ///
    /// Without a `previous` only what the header says of itself is held against the rules.
    package func check(
        follows previous: LogPosition?,
        in group: GroupID,
        at offset: Int
    ) throws(DecodingError) {
        guard kind.isEntry else { throw DecodingError(.outOfBounds, "entry kind", at: offset + 48) }
        guard self.group == group else { throw DecodingError(.inconsistent, "entry group", at: offset) }
        guard index >= 1 else { throw DecodingError(.outOfBounds, "entry index", at: offset + 8) }
        guard term >= 1, term >= previousTerm else { throw DecodingError(.inconsistent, "entry term", at: offset + 16) }
        // Before the first entry there is none, and so no term.
        guard index > 1 || previousTerm == 0 else {
            throw DecodingError(.inconsistent, "entry previous term", at: offset + 24)
        }
        guard let previous else { return }
        guard index == previous.index + 1 else { throw DecodingError(.inconsistent, "entry index", at: offset + 8) }
        guard previousTerm == previous.term else {
            throw DecodingError(.inconsistent, "entry previous term", at: offset + 24)
        }
    }
}
