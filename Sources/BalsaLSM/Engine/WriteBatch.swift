import BalsaPlatform

/// Writes that become visible together, under one sequence number.
///
/// A batch is one encoded buffer, which ``removeAll()`` empties and keeps, so that a batch that is used again allocates
/// nothing, unless a copy of it is alive. The same bytes go to a write-ahead log, behind their count:
///
/// ```
/// count u32 | { kind u8 | key bytes u32 | value bytes u32 | key | value }
/// ```
///
/// A range deletion has its start as key and its end, which is excluded, as value.
///
/// A batch is a set of writes, whose order means nothing:
///
/// - Each key is put or deleted at most once. An engine refuses a batch that repeats a key: both writes would have the
///   same sequence number.
/// - A range deletion hides strictly older writes, and so none of its own batch. A put of a key in the range stays
///   visible, wherever the two stand in the batch.
/// - Range deletions may overlap and repeat each other. Together they delete what any of them does.
public struct WriteBatch: Sendable {
    static let headerBytes = 4
    static let operationHeaderBytes = 9

    /// The encoded form, and room for more of it.
    private var storage: [UInt8]
    /// How long the batch is, in bytes of keys, values and overhead.
    public private(set) var byteCount: Int
    /// How many writes there are.
    public private(set) var count = 0
    /// How many of the writes are range deletions.
    private(set) var rangeDeletionCount = 0
    private(set) var longestKeyBytes = 0
    private(set) var longestValueBytes = 0
    /// What no engine accepts of the writes; nil if there is nothing. Such a write is left out of the encoded form.
    private(set) var fault: Fault?

    /// The first of the writes that no engine accepts. A class, so that a copy of a batch copies one word for it.
    final class Fault: Sendable {
        let text: String

        init(_ text: String) { self.text = text }
    }

    /// An empty batch.
    public init() {
        storage = [UInt8](repeating: 0, count: WriteBatch.headerBytes)
        byteCount = WriteBatch.headerBytes
    }

    /// Whether there are no writes.
    public var isEmpty: Bool { count == 0 }

    /// Forgets the writes and keeps the memory.
    public mutating func removeAll() {
        byteCount = WriteBatch.headerBytes
        (count, rangeDeletionCount, longestKeyBytes, longestValueBytes) = (0, 0, 0, 0)
        fault = nil
        storeCount()
    }

    // MARK: Writing

    /// Gives `key` the value `value`.
    public mutating func put(_ key: Bytes, _ value: Bytes) {
        key.withUnsafeBytes { key in value.withUnsafeBytes { append(.put, WriteBatch.nothing, key, $0) } }
    }

    /// Gives the key `prefix` followed by `key` the value `value`.
    public mutating func put(
        prefix: UnsafeRawBufferPointer,
        key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer
    ) {
        append(.put, prefix, key, value)
    }

    /// Takes its value from `key`, whether it has one or not.
    public mutating func delete(_ key: Bytes) {
        key.withUnsafeBytes { append(.deletion, WriteBatch.nothing, $0, WriteBatch.nothing) }
    }

    /// Takes its value from the key `prefix` followed by `key`, whether it has one or not.
    public mutating func delete(prefix: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) {
        append(.deletion, prefix, key, WriteBatch.nothing)
    }

    /// Deletes the keys from `start` up to `end`, which is excluded. Does nothing if both are equal. An engine refuses
    /// the batch if `end` is below `start`.
    public mutating func deleteRange(from start: Bytes, to end: Bytes) {
        guard start < end else { return refuseRange(start, end) }
        start.withUnsafeBytes { start in
            end.withUnsafeBytes { append(.rangeDeletion, WriteBatch.nothing, start, $0) }
        }
    }

    /// As ``deleteRange(from:to:)`` of `prefix` followed by `start` up to `end`, which is the whole key.
    public mutating func deleteRange(
        prefix: UnsafeRawBufferPointer,
        from start: UnsafeRawBufferPointer,
        to end: UnsafeRawBufferPointer
    ) {
        let sizeBefore = byteCount
        append(.rangeDeletion, prefix, start, end)
        guard byteCount > sizeBefore else { return }
        // The start lies in two pieces, and is compared where it has become one.
        let bounds = withEncoded { raw -> (Bytes, Bytes)? in
            let first = sizeBefore + WriteBatch.operationHeaderBytes
            let middle = first + prefix.count + start.count
            let key = UnsafeRawBufferPointer(rebasing: raw[first..<middle])
            let end = UnsafeRawBufferPointer(rebasing: raw[middle...])
            return KeyOrder.compare(key, end) < 0 ? nil : (Bytes(copying: key), Bytes(copying: end))
        }
        guard let bounds else { return }
        byteCount = sizeBefore
        count -= 1
        rangeDeletionCount -= 1
        storeCount()
        refuseRange(bounds.0, bounds.1)
    }

    /// Notes that a range deletion is the wrong way round, if it is, and not only empty.
    private mutating func refuseRange(_ start: Bytes, _ end: Bytes) {
        guard end < start, fault == nil else { return }
        fault = Fault("a range deletion from \(start) to \(end) ends before it begins")
    }

    private static var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

    private mutating func append(
        _ kind: ValueKind,
        _ prefix: UnsafeRawBufferPointer,
        _ key: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer
    ) {
        let keyBytes = prefix.count + key.count
        guard keyBytes < 1 << 31, value.count < 1 << 31 else {
            if fault == nil {
                fault = Fault("a key of \(keyBytes) bytes or a value of \(value.count) bytes is too long")
            }
            return
        }
        let start = byteCount
        let end = start + WriteBatch.operationHeaderBytes + keyBytes + value.count
        if end > storage.count { grow(to: end) }
        note(kind, keyBytes: keyBytes, valueBytes: value.count)
        let count = UInt32(count)
        storage.withUnsafeMutableBytes { raw in
            raw.storeBytes(of: count.littleEndian, as: UInt32.self)
            raw[start] = kind.rawValue
            raw.storeBytes(of: UInt32(keyBytes).littleEndian, toByteOffset: start + 1, as: UInt32.self)
            raw.storeBytes(of: UInt32(value.count).littleEndian, toByteOffset: start + 5, as: UInt32.self)
            var offset = start + WriteBatch.operationHeaderBytes
            offset = WriteBatch.copy(prefix, to: raw, at: offset)
            offset = WriteBatch.copy(key, to: raw, at: offset)
            _ = WriteBatch.copy(value, to: raw, at: offset)
        }
        byteCount = end
    }

    /// Makes room for an encoded form of `end` bytes, and at least doubles the room, so that many small writes are
    /// copied once on average.
    @inline(never)
    private mutating func grow(to end: Int) {
        let room = max(end, 2 * storage.count, 64)
        let used = storage
        storage = [UInt8](unsafeUninitializedCapacity: room) { target, count in
            let target = UnsafeMutableRawBufferPointer(target)
            used.withUnsafeBytes { target.copyMemory(from: $0) }
            let rest = UnsafeMutableRawBufferPointer(rebasing: target[used.count...])
            rest.initializeMemory(as: UInt8.self, repeating: 0)
            count = room
        }
    }

    private mutating func note(_ kind: ValueKind, keyBytes: Int, valueBytes: Int) {
        count += 1
        longestKeyBytes = max(longestKeyBytes, keyBytes)
        if kind == .rangeDeletion {
            rangeDeletionCount += 1
            longestKeyBytes = max(longestKeyBytes, valueBytes)
        } else {
            longestValueBytes = max(longestValueBytes, valueBytes)
        }
    }

    /// Writes the count of the encoded form.
    private mutating func storeCount() {
        storage.withUnsafeMutableBytes { $0.storeBytes(of: UInt32(count).littleEndian, as: UInt32.self) }
    }

    /// Copies `part` to `offset` of the encoded form.
    ///
    /// - Returns: where the part ends.
    @inline(__always)
    private static func copy(
        _ part: UnsafeRawBufferPointer,
        to raw: UnsafeMutableRawBufferPointer,
        at offset: Int
    ) -> Int {
        let end = offset + part.count
        UnsafeMutableRawBufferPointer(rebasing: raw[offset..<end]).copyMemory(from: part)
        return end
    }

    // MARK: Reading

    /// Calls `body` with the encoded form.
    package func withEncoded<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try storage.span.extracting(first: byteCount).bytes.withUnsafeBytes(body)
    }

    /// The batch that `encoded` is the encoded form of.
    ///
    /// - Throws: ``DecodingError`` for bytes that are none, or that write a key twice.
    package init(decoding encoded: UnsafeRawBufferPointer) throws(DecodingError) {
        storage = [UInt8](encoded)
        byteCount = encoded.count
        var reader = ByteReader(encoded.bytes)
        let expected = try reader.uint32("count")
        while reader.remaining > 0 {
            let place = reader.offset
            guard let kind = ValueKind(rawValue: try reader.uint8("kind")) else {
                throw DecodingError(.outOfBounds, "kind", at: place)
            }
            let keyBytes = Int(try reader.uint32("key bytes"))
            let valueBytes = Int(try reader.uint32("value bytes"))
            let start = reader.offset
            try reader.skip(keyBytes, "key")
            try reader.skip(valueBytes, "value")
            let key = UnsafeRawBufferPointer(rebasing: encoded[start..<start + keyBytes])
            let value = UnsafeRawBufferPointer(rebasing: encoded[start + keyBytes..<reader.offset])
            guard kind != .deletion || valueBytes == 0, kind != .rangeDeletion || KeyOrder.compare(key, value) < 0
            else {
                throw DecodingError(.inconsistent, "value", at: start)
            }
            note(kind, keyBytes: keyBytes, valueBytes: valueBytes)
        }
        guard count == Int(expected) else { throw DecodingError(.inconsistent, "count", at: 0) }
        if let offset = repetition { throw DecodingError(.inconsistent, "repeated key", at: offset) }
    }

    /// The operation at `offset` of an encoded batch, and moves `offset` to the next one. The kind is that of the
    /// bytes.
    @inline(__always)
    static func operation(
        of raw: UnsafeRawBufferPointer,
        at offset: inout Int
    ) -> (kind: UInt8, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        let kind = raw[offset]
        let keyBytes = Int(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset + 1, as: UInt32.self)))
        let valueBytes = Int(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset + 5, as: UInt32.self)))
        let key = offset + operationHeaderBytes
        let value = key + keyBytes
        offset = value + valueBytes
        return (
            kind,
            UnsafeRawBufferPointer(rebasing: raw[key..<value]),
            UnsafeRawBufferPointer(rebasing: raw[value..<offset])
        )
    }

    /// Calls `body` with each write, in the order in which they were added. A range deletion's end comes as its value.
    @inline(__always)
    func visit(_ body: (ValueKind, UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void) {
        let end = byteCount
        storage.withUnsafeBytes { raw in
            var offset = WriteBatch.headerBytes
            while offset < end {
                let (byte, key, value) = WriteBatch.operation(of: raw, at: &offset)
                guard let kind = ValueKind(rawValue: byte) else {
                    preconditionFailure("a batch holds what was appended or checked")
                }
                body(kind, key, value)
            }
        }
    }
}
